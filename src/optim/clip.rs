//! Clipping of all gradients together by their norm, as `torch.nn.utils.clip_grad_norm_`:
//!
//! ```text
//! norm = sqrt(sum g^2)        factor = min(1, max_norm / (norm + 1e-6))
//! ```
//!
//! Two stages of sums in a fixed order. The optimiser multiplies each gradient by the factor, so that the host has no
//! part in it. What the optimiser does not train (a frozen tensor, running statistics) has no gradient and no part
//! either. A norm that is NaN makes a factor that is, as in PyTorch.

use crate::gpu::{Arena, GRID, NUMBER, REDUCE, Recorder, Var, kernels, uniform_struct};

uniform_struct! {
    /// Uniform of both entry points.
    struct Params {
        count: u32,
        parts: u32,
        max_norm: f32,
    }
}

kernels! {
    "clip", [GRID, NUMBER, REDUCE];
    SQUARES = "squares", 256, Params::FIELDS, [Read 1, Write 2];
    FACTOR = "factor", 256, Params::FIELDS, [Read 3, Write 4, Write 5];
}

/// The norm of all gradients, and what it makes of them.
#[derive(Debug, Clone, Copy)]
pub struct Clip {
    /// The norm, a scalar.
    pub norm: Var,
    /// What each gradient is multiplied by `[1]`.
    pub factor: Var,
}

/// Records norm and factor of the gradients of all parameters.
pub fn record(rec: &mut Recorder<'_>, max_norm: f32) -> Clip {
    let gradients = rec.arena(Arena::Gradients);
    let count = rec.len(gradients);
    // Sixteen values an invocation, more where the second stage would have too many parts.
    let parts = count.div_ceil(256 * 16).clamp(1, 4096);
    let params = Params {
        count: count as u32,
        parts: parts as u32,
        max_norm,
    };
    let squares = rec.temporary("squares of gradients", &[parts]);
    rec.dispatch_per_group(&SQUARES, &params, &[gradients, squares], parts);
    let norm = rec.scalar("grad_norm");
    let factor = rec.temporary("factor of gradients", &[1]);
    rec.dispatch_per_group(&FACTOR, &params, &[squares, norm, factor], 1);
    Clip { norm, factor }
}
