//! The in-place optimiser of VQ-STE++ (Huh et al. 2023): an SGD step of the raw codebook C inside
//! the forward pass, so that the decoder sees codes that have moved already.
//!
//! T what the codes stand for before the step, q their assignment:
//!
//! ```text
//! g      = grad_C of mean (T[q] - sg z)^2, through everything between C and T
//! v     <- momentum v + g          moved = C - lr v
//! ```
//!
//! That loss's gradients for the other parameters of the layer join those of the main backward
//! pass. `moved` takes the place of C in what follows (with the same q, scale, bias and gamma), its
//! gradient is that of C, and C becomes `moved` after the backward pass, before the optimiser.
//!
//! The step belongs to the forward phase, so that its sums and counts are those of the device's own
//! batch: an exchange between devices ([`crate::gpu::Exchange`]) does not reach them.

use super::clusters::Clusters;
use crate::error::Result;
use crate::gpu::{GRID, Recorder, TapeMark, Var, kernels, uniform_struct};

uniform_struct! {
    /// Uniform of both entry points.
    struct Params {
        count: u32,
        lr: f32,
        momentum: f32,
    }
}

kernels! {
    "inplace", [GRID];
    ADVANCE = "advance", 64, Params::FIELDS, [Read 1, Read 2, Write 3, Write 4];
    COMMIT = "commit", 64, Params::FIELDS, [Read 5, Write 6];
}

/// Records the step of `codebook` `[K, F]`; `values` were made from it behind `from` on the tape.
/// Returns the moved codebook.
///
/// # Errors
/// Those of the backward recording.
pub fn alternate(
    rec: &mut Recorder<'_>,
    (lr, momentum): (f32, f32),
    codebook: Var,
    from: TapeMark,
    values: Var,
    clusters: &Clusters,
) -> Result<Var> {
    let shape = rec.shape(codebook).to_vec();
    let pull = clusters.pull(rec, values);
    let grad = rec.early_backward(from, values, pull, codebook)?;
    let params = Params {
        count: rec.len(codebook) as u32,
        lr,
        momentum,
    };
    let count = params.count as usize;
    let velocity = rec.state("velocity", &shape, 0.0)?;
    let moved = rec.temporary("moved codebook", &shape);
    let tensors = [codebook, grad.unwrap_or(pull), velocity, moved];
    rec.dispatch(&ADVANCE, &params, &tensors, count);
    rec.share_gradient(moved, codebook);
    rec.after_backward(move |rec| {
        rec.dispatch(&COMMIT, &params, &[moved, codebook], count);
        Ok(())
    });
    Ok(moved)
}
