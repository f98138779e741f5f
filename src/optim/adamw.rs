//! AdamW, as `torch.optim.AdamW`:
//!
//! ```text
//! m <- b1 m + (1-b1) g        v <- b2 v + (1-b2) g^2
//! p <- (1 - lr wd) p - lr / (1 - b1^t) m / (sqrt(v) / sqrt(1 - b2^t) + eps)
//! ```

use super::Update;
use crate::gpu::{Arena, GRID, Recorder, kernels, uniform_struct};

uniform_struct! {
    /// Uniform of the kernel.
    struct Params {
        first: u32,
        count: u32,
        rate: f32,
        beta1: f32,
        beta2: f32,
        eps: f32,
        weight_decay: f32,
    }
}

kernels! {
    "adamw", [GRID], step [lr: f32, bias1: f32, bias2_sqrt: f32];
    ADAMW = "adamw", 256, Params::FIELDS, [Write 1, Read 2, Write 3, Write 4, Step 15];
    CLIPPED = "clipped", 256, Params::FIELDS, [Write 1, Read 2, Write 3, Write 4, Read 5, Step 15];
}

pub(super) fn record(
    rec: &mut Recorder<'_>,
    [beta1, beta2]: [f32; 2],
    eps: f32,
    weight_decay: f32,
    how: &Update,
) {
    let arenas = [
        Arena::Parameters,
        Arena::Gradients,
        Arena::Moment1,
        Arena::Moment2,
    ];
    let mut tensors = arenas.map(|arena| rec.arena(arena)).to_vec();
    tensors.extend(how.factor);
    let kernel = if how.factor.is_some() {
        &CLIPPED
    } else {
        &ADAMW
    };
    for (stretch, rate) in how.stretches(rec.len(tensors[0])) {
        let params = Params {
            first: stretch.start as u32,
            count: stretch.len() as u32,
            rate,
            beta1,
            beta2,
            eps,
            weight_decay,
        };
        rec.dispatch(kernel, &params, &tensors, stretch.len());
    }
}
