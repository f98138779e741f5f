//! The search of [`super::search`] in tiles of sixteen vectors by thirty-two codes, for adapters that
//! run on a CPU: a load costs several multiply-adds there, and registers are no limit.

use super::VECTORS;
use super::search::Params;
use crate::gpu::{Dispatch, Recorder, Var};
use crate::ops::{GRID, kernels};

kernels! {
    "search_wide", [GRID, VECTORS];
    SEARCH = "search", 32, Params::FIELDS, [Read 1, Read 2, Read 3, Read 4, Write 5];
}

/// Vectors of a thread.
const TILE: usize = 16;

/// The least number of vectors that it is for: four workgroups of them.
pub(super) const LEAST: usize = 4 * 32 * TILE;

/// Records the search; half norms (and behind them the number of codes) are there already.
pub(super) fn record<'r>(
    rec: &'r mut Recorder<'_>,
    params: Params,
    [codebook, half_norms, z, q]: [Var; 4],
) -> &'r mut Dispatch {
    let aligned = f64::from(u8::from(params.positions.is_multiple_of(4)));
    let threads = (params.count as usize).div_ceil(TILE);
    rec.dispatch(&SEARCH, &params, &[codebook, half_norms, z, z, q], threads)
        .constants(&[("ALIGNED", aligned)])
}
