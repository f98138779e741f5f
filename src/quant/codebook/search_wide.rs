//! The search of [`super::search`] in tiles of sixteen vectors by thirty-two codes, for adapters that
//! run on a CPU: a load costs several multiply-adds there, and registers are no limit.

use super::search_params::{Params, SEARCHES};
use crate::gpu::{GRID, NUMBER, kernels};
use crate::quant::vectors::VECTORS;

kernels! {
    "search_wide", [GRID, NUMBER, VECTORS, SEARCHES];
    SEARCH = "search", 32, Params::FIELDS, [Read 4, Read 11, Read 5, Read 6, Write 7, Write 9];
}

/// Vectors of a thread.
pub(super) const TILE: usize = 16;

/// The least number of vectors that it is for: four workgroups of them.
pub(super) const LEAST: usize = 4 * 32 * TILE;
