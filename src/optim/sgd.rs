//! Stochastic gradient descent with momentum, as `torch.optim.SGD`:
//!
//! ```text
//! v <- momentum v + g + wd p        p <- p - lr v
//! ```

use crate::gpu::{Arena, GRID, Recorder, kernels, uniform_struct};

uniform_struct! {
    /// Uniform of the kernel.
    struct Params {
        count: u32,
        momentum: f32,
        weight_decay: f32,
    }
}

kernels! {
    "sgd", [GRID], step [lr: f32];
    SGD = "sgd", 256, Params::FIELDS, [Write 1, Read 2, Write 3, Step 15];
}

pub(super) fn record(rec: &mut Recorder<'_>, momentum: f32, weight_decay: f32) {
    let arenas = [Arena::Parameters, Arena::Gradients, Arena::Moment1];
    let tensors = arenas.map(|arena| rec.arena(arena));
    let count = rec.len(tensors[0]);
    let params = Params {
        count: count as u32,
        momentum,
        weight_decay,
    };
    rec.dispatch(&SGD, &params, &tensors, count);
}
