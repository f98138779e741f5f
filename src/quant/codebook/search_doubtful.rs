//! The second part of [`super::search`]: vectors whose best two codes are nearer to each other than
//! rounding allows to tell are searched anew, by differences and with their rounding carried along.

use super::search_params::{Params, SEARCHES};
use crate::gpu::{GRID, LOOP_BUDGET, NUMBER, Recorder, Var, kernels};
use crate::quant::vectors::VECTORS;

kernels! {
    "search_doubtful", [GRID, NUMBER, VECTORS, SEARCHES];
    JUDGE = "judge", 64, Params::FIELDS, [Read 4, Read 6, Write 8, Write 9];
    EXACT = "exact", 256, Params::FIELDS, [Read 1, Read 4, Read 6, Write 7, Write 8];
}

/// Vectors that a workgroup searches for at once.
pub(crate) const TILE: usize = 8;

/// What the search of all vectors used and found.
pub(super) struct Tensors {
    pub z: Var,
    pub codebook: Var,
    pub offsets: Var,
    pub leads: Var,
    pub q: Var,
    pub doubtful: Var,
}

/// Puts the right code of each doubtful vector into `q`. `params.first` is 0, which the shader counts on.
pub(super) fn record(rec: &mut Recorder<'_>, params: &Params, t: &Tensors) {
    let count = params.count as usize;
    rec.dispatch(
        &JUDGE,
        params,
        &[t.z, t.offsets, t.doubtful, t.leads],
        count,
    );
    let tensors = [t.codebook, t.z, t.offsets, t.q, t.doubtful];
    // There are few of them as a rule, and a software adapter works through the threads of idle workgroups too.
    let wanted = if rec.traits().software { 8 } else { 256 };
    rec.dispatch_per_group(&EXACT, params, &tensors, groups(params, wanted));
}

/// Workgroups that share the doubtful vectors: `wanted` if there are enough of them, and so many that an
/// invocation stays within [`crate::gpu::MAX_ITERATIONS`] if all are.
fn groups(params: &Params, wanted: usize) -> usize {
    let codes = params.codes.div_ceil(256) as usize;
    let each = codes * (2 + params.features.div_ceil(4) as usize) + 2;
    let tiles = (params.count as usize).div_ceil(TILE);
    tiles
        .div_ceil((LOOP_BUDGET / each).max(1))
        .max(tiles.min(wanted))
}
