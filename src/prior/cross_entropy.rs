//! How well codes are foretold, in nats: of row r, whose code is c, over the codes K(t) that its position can have:
//!
//! ```text
//! loss[r]      = log sum_{k in K(t)} exp(x[r,k]) - x[r,c]
//! grad_x[r,k]  = weight / R (softmax(x[r])[k] - (k = c)),  0 for k not in K(t)
//! ```
//!
//! A loss is a root of the backward pass; its gradient is assigned.

use crate::error::{Result, ShapeError};
use crate::gpu::{GRID, NUMBER, REDUCE, Recorder, Var, kernels, uniform_struct};
use crate::ops::sum;

uniform_struct! {
    /// Uniform of both entry points.
    struct Params {
        rows: u32,
        codes: u32,
        length: u32,
        scale: f32,
    }
}

kernels! {
    "cross_entropy", [GRID, NUMBER, REDUCE];
    FORWARD = "forward", 256, Params::FIELDS, [Read 1, Read 2, Read 3, Write 4, Write 5];
    FORWARD_SMALL = "forward_small", 64, Params::FIELDS, [Read 1, Read 2, Read 3, Write 4, Write 5];
    BACKWARD = "backward", 256, Params::FIELDS, [Read 1, Read 2, Read 3, Read 6, Write 7];
}

/// Up to so many codes a row is the work of a thread, beyond of a workgroup.
const SMALL: usize = 1024;

/// What [`cross_entropy`] tells.
#[derive(Debug, Clone, Copy)]
pub struct Foretold {
    /// The mean over all rows, a scalar.
    pub loss: Var,
    /// That of each row `[R]`.
    pub losses: Var,
}

/// The cross-entropy of `x` `[R, V]` and the codes `goal` `[R]`, each below V; `ranges` `[L, 2]` says for each position of
/// a sequence the first code that it can have, and how many follow each other from there.
///
/// # Errors
/// [`ShapeError`] when the shapes do not fit.
pub fn cross_entropy(
    rec: &mut Recorder<'_>,
    x: Var,
    goal: Var,
    ranges: Var,
    weight: f32,
) -> Result<Foretold> {
    let (&[rows, codes], &[length, 2]) = (rec.shape(x), rec.shape(ranges)) else {
        let message = format!(
            "x {:?} and ranges {:?} must be [R, V] and [L, 2]",
            rec.shape(x),
            rec.shape(ranges)
        );
        return Err(ShapeError::new("cross_entropy", message).into());
    };
    if rec.len(goal) != rows {
        let message = format!("{} codes do not fit {rows} rows", rec.len(goal));
        return Err(ShapeError::new("cross_entropy", message).into());
    }
    let params = Params {
        rows: rows as u32,
        codes: codes as u32,
        length: length as u32,
        scale: weight / rows as f32,
    };
    let losses = rec.temporary("cross entropy", &[rows]);
    let levels = rec.temporary("log sum exp", &[rows]);
    let tensors = [x, goal, ranges, losses, levels];
    if codes <= SMALL {
        rec.dispatch(&FORWARD_SMALL, &params, &tensors, rows);
    } else {
        rec.dispatch_per_group(&FORWARD, &params, &tensors, rows);
    }
    let loss = sum::sum(rec, "cross_entropy", losses, 1.0 / rows as f32);
    rec.on_backward_root(&[x], move |rec| {
        rec.contribute(x, |rec, grad_x| {
            let tensors = [x, goal, ranges, levels, grad_x];
            rec.dispatch(&BACKWARD, &params, &tensors, rows * codes);
            Ok(())
        })
    });
    Ok(Foretold { loss, losses })
}
