//! Stochastic gradient descent with momentum, as `torch.optim.SGD`:
//!
//! ```text
//! v <- momentum v + g + wd p        p <- p - lr v
//! ```

use super::Update;
use crate::gpu::{Arena, GRID, Recorder, kernels, uniform_struct};

uniform_struct! {
    /// Uniform of the kernel.
    struct Params {
        first: u32,
        count: u32,
        rate: f32,
        momentum: f32,
        weight_decay: f32,
    }
}

kernels! {
    "sgd", [GRID], step [lr: f32];
    SGD = "sgd", 256, Params::FIELDS, [Write 1, Read 2, Write 3, Step 15];
    CLIPPED = "clipped", 256, Params::FIELDS, [Write 1, Read 2, Write 3, Read 4, Step 15];
}

pub(super) fn record(rec: &mut Recorder<'_>, momentum: f32, weight_decay: f32, how: &Update) {
    let arenas = [Arena::Parameters, Arena::Gradients, Arena::Moment1];
    let mut tensors = arenas.map(|arena| rec.arena(arena)).to_vec();
    tensors.extend(how.factor);
    let kernel = if how.factor.is_some() { &CLIPPED } else { &SGD };
    for (stretch, rate) in how.stretches(rec.len(tensors[0])) {
        let params = Params {
            first: stretch.start as u32,
            count: stretch.len() as u32,
            rate,
            momentum,
            weight_decay,
        };
        rec.dispatch(kernel, &params, &tensors, stretch.len());
    }
}
