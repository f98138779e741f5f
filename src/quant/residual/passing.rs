//! What passes from a layer to the next one, and the vectors of all of them together.

use crate::gpu::{GRID, Recorder, Var, kernels, uniform_struct};

uniform_struct! {
    /// Uniform of both entry points.
    struct Params {
        count: u32,
        first: u32,
    }
}

kernels! {
    "residual", [GRID];
    LEAVE = "leave", 256, Params::FIELDS, [Read 1, Read 2, Write 3];
    PUT = "put", 256, Params::FIELDS, [Read 4, Write 5];
}

/// Records what the quantised `z_q` leaves of `z`. It is held constant, so that the gradient of the rest is one of z.
pub(super) fn leave(rec: &mut Recorder<'_>, z: Var, z_q: Var) -> Var {
    let count = rec.len(z);
    let params = Params {
        count: count as u32,
        first: 0,
    };
    let shape = rec.shape(z).to_vec();
    let rest = rec.temporary("rest", &shape);
    rec.dispatch(&LEAVE, &params, &[z, z_q, rest], count);
    rec.share_gradient(rest, z);
    rest
}

/// Records `parts`, floats or integers of one length each, one behind the other in a tensor of `shape`.
pub(super) fn join(rec: &mut Recorder<'_>, parts: &[Var], shape: &[usize]) -> Var {
    let all = rec.temporary("of all layers", shape);
    for (at, part) in parts.iter().enumerate() {
        let count = rec.len(*part);
        let params = Params {
            count: count as u32,
            first: (at * count) as u32,
        };
        rec.dispatch(&PUT, &params, &[*part, all], count);
    }
    all
}
