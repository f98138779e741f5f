//! The search of [`super::search`] in tiles of sixteen vectors by thirty-two codes, for adapters that
//! run on a CPU: a load costs several multiply-adds there, and registers are no limit.

use super::VECTORS;
use super::search_params::{Params, SEARCHES};
use crate::gpu::{Dispatch, GRID, Kernel, NUMBER, Recorder, Var, kernels};

kernels! {
    "search_wide", [GRID, NUMBER, VECTORS, SEARCHES];
    SEARCH = "search", 32, Params::FIELDS, [Read 4, Read 11, Read 5, Read 6, Write 7, Write 9];
}

/// Vectors of a thread.
const TILE: usize = 16;

/// The least number of vectors that it is for: four workgroups of them.
pub(super) const LEAST: usize = 4 * 32 * TILE;

pub(super) fn kernel() -> &'static Kernel {
    &SEARCH
}

/// Records a dispatch of the search, of the tensors of [`super::search`]'s own kernel.
pub(super) fn record<'r>(
    rec: &'r mut Recorder<'_>,
    params: Params,
    [z, centered, offsets, q, leads]: [Var; 5],
) -> &'r mut Dispatch {
    let aligned = f64::from(u8::from(params.positions.is_multiple_of(4)));
    let threads = (params.count as usize).div_ceil(TILE);
    let tensors = [z, z, centered, offsets, q, leads];
    rec.dispatch(&SEARCH, &params, &tensors, threads)
        .constants(&[("ALIGNED", aligned)])
}
