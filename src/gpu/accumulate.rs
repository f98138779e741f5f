//! `sum += part`: a second path of a gradient. It is the one kernel that accumulates, and the one that
//! the engine needs itself.

use super::recorder::Recorder;
use super::recording::Var;
use super::{GRID, kernels, uniform_struct};

uniform_struct! {
    struct Params { count: u32 }
}

kernels! {
    "accumulate", [GRID];
    ADD_ASSIGN = "add_assign", 256, Params::FIELDS, [Write 1, Read 2];
}

/// Records `sum += part` over tensors of the same length.
pub(crate) fn add_assign(rec: &mut Recorder<'_>, sum: Var, part: Var) {
    let count = rec.len(sum);
    let params = Params {
        count: count as u32,
    };
    rec.dispatch(&ADD_ASSIGN, &params, &[sum, part], count);
}
