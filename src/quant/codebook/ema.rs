//! The codebook as an exponential moving average (van den Oord et al. 2017, appendix A.1).
//!
//! n_k vectors of code k with sum `sums[k]`, d the decay, eps 1e-5 (Laplace smoothing):
//!
//! ```text
//! N_k <- d N_k + (1-d) n_k            S_k = (N_k + eps) / (sum N + K eps) sum N
//! m_k <- d m_k + (1-d) sums[k]        C_k = m_k / S_k
//! ```
//!
//! m is C S, so the only state is N, the cluster sizes `[K]`, which start at 1. The codebook moves
//! after the backward pass; no gradient reaches it.

use super::clusters::Clusters;
use crate::error::Result;
use crate::gpu::{Element, GRID, NUMBER, REDUCE, Recorder, Var, kernels, uniform_struct};

const EPS: f32 = 1e-5;

uniform_struct! {
    /// Uniform of both entry points.
    struct Params {
        codes: u32,
        features: u32,
        decay: f32,
        eps: f32,
    }
}

kernels! {
    "ema", [GRID, NUMBER, REDUCE];
    TRACK = "track", 256, Params::FIELDS, [Read 1, Write 2, Write 3];
    MOVE_CODES = "move_codes", 64, Params::FIELDS, [Read 4, Read 5, Write 6];
}

/// Records the move of `codebook` `[K, F]` towards the vectors of its codes, after the backward
/// pass. Returns the cluster sizes `[K]`.
///
/// # Errors
/// Those of declaring the state.
pub fn follow(
    rec: &mut Recorder<'_>,
    decay: f32,
    codebook: Var,
    clusters: &Clusters,
) -> Result<Var> {
    let shape = rec.shape(codebook).to_vec();
    let params = Params {
        codes: shape[0] as u32,
        features: shape[1] as u32,
        decay,
        eps: EPS,
    };
    let sizes = rec.state("cluster_size", &[shape[0]], 1.0)?;
    let counts = rec.statistic(clusters.counts, Element::U32);
    let sums = rec.statistic(clusters.sums, Element::F32);
    rec.after_backward(move |rec| {
        let smoothed = rec.temporary("smoothed sizes", &[shape[0], 2]);
        rec.dispatch_per_group(&TRACK, &params, &[counts, sizes, smoothed], 1);
        let tensors = [smoothed, sums, codebook];
        rec.dispatch(&MOVE_CODES, &params, &tensors, shape[0] * shape[1]);
        Ok(())
    });
    Ok(sizes)
}
