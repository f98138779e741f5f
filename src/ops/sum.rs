//! Sum of a tensor to a scalar, in one workgroup: the second stage of losses and counts.
//!
//! ```text
//! out = scale * sum_i parts[i]
//! ```
//!
//! It has no backward half: the operations that use it know their own gradients.

use crate::gpu::{NUMBER, REDUCE, Recorder, Var, kernels, uniform_struct};

uniform_struct! {
    /// Uniform of the kernel.
    struct Params {
        count: u32,
        scale: f32,
    }
}

kernels! {
    "sum", [NUMBER, REDUCE];
    SUM = "sum", 256, Params::FIELDS, [Read 1, Write 2];
}

/// Records `out = scale * sum(parts)` and returns `out`, a scalar that can be read back.
pub fn sum(rec: &mut Recorder<'_>, name: &str, parts: Var, scale: f32) -> Var {
    let out = rec.scalar(name);
    let params = Params {
        count: rec.len(parts) as u32,
        scale,
    };
    rec.dispatch(&SUM, &params, &[parts, out], 1);
    out
}
