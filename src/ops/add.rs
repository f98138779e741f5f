//! Addition of a second gradient path: `sum += part`, the one kernel that accumulates.

use super::{GRID, kernels};
use crate::gpu::{Recorder, Var, uniform_struct};

uniform_struct! {
    /// Uniform of the kernel.
    struct Params { count: u32 }
}

kernels! {
    "add", [GRID];
    ADD_ASSIGN = "add_assign", 256, Params::FIELDS, [Write 1, Read 2];
}

/// Records `sum += part` over tensors of the same length.
pub fn add_assign(rec: &mut Recorder<'_>, sum: Var, part: Var) {
    let count = rec.len(sum);
    let params = Params {
        count: count as u32,
    };
    rec.dispatch(&ADD_ASSIGN, &params, &[sum, part], count);
}
