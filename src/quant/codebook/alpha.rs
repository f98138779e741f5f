//! Approach 1: alpha, the learned standard deviation of the codebook, and the penalty on it.
//!
//! ```text
//! alpha = MLP([C; scale0; bias0]^T)        [F, G], one a feature and group
//! default   p = -sum alpha^2          grad_alpha = -2 alpha
//! between1  p = sum (1 - alpha)^2     grad_alpha = -2 (1 - alpha)
//! small     p = -t/2 sum alpha^2      grad_alpha = -t alpha          (t counts the steps from 1)
//! ```
//!
//! The gradient of alpha is assigned. The gradient reaches C twice: as the thing that is scaled
//! ([`super::affine::apply`]) and as the input of the MLP.

use super::mlp::mlp;
use super::{AlterPenalty, affine};
use crate::error::Result;
use crate::gpu::{NUMBER, REDUCE, Recorder, Var, kernels, uniform_struct};

uniform_struct! {
    /// Uniform of both entry points.
    struct Params {
        count: u32,
        weight: f32,
    }
}

kernels! {
    "alpha", [NUMBER, REDUCE], step [step: u32];
    PENALTY = "penalty", 256, Params::FIELDS, [Read 1, Write 2, Step 15];
    PENALTY_BACKWARD = "penalty_backward", 256, Params::FIELDS, [Read 1, Write 3, Step 15];
}

/// Records alpha `[F, G]` from the raw codebook and the matched moments.
///
/// # Errors
/// Those of declaring the parameters.
pub fn alpha(rec: &mut Recorder<'_>, codebook: Var, moments: affine::Transform) -> Result<Var> {
    let codes = rec.shape(codebook)[0];
    let groups = rec.shape(moments.bias)[0];
    let rows = affine::rows(rec, codebook, Some(moments));
    let alpha = rec.scope("mlp_std", |rec| mlp(rec, rows, codes / 4, groups))?;
    Ok(rec.keep(alpha))
}

/// Records the penalty as a scalar, `weight` times its gradient on the way back.
pub fn penalty(rec: &mut Recorder<'_>, alpha: Var, kind: AlterPenalty, weight: f32) -> Var {
    let count = rec.len(alpha);
    let params = Params {
        count: count as u32,
        weight,
    };
    let constants = [("KIND", f64::from(kind as u8))];
    let out = rec.scalar("alpha_penalty");
    rec.dispatch(&PENALTY, &params, &[alpha, out], 1)
        .constants(&constants);
    rec.on_backward_root(&[alpha], move |rec| {
        rec.contribute(alpha, |rec, grad_alpha| {
            rec.dispatch(&PENALTY_BACKWARD, &params, &[alpha, grad_alpha], count)
                .constants(&constants);
            Ok(())
        })
    });
    out
}
