//! The items of a batch on the line between its first and its last one:
//!
//! ```text
//! y[b] = x[0] (1 - b / (B-1)) + x[B-1] b / (B-1)
//! ```
//!
//! There is no gradient.

use crate::error::{Result, ShapeError};
use crate::gpu::{GRID, Recorder, Var, kernels, uniform_struct};

uniform_struct! {
    /// Uniform of the kernel.
    struct Params {
        size: u32,
        count: u32,
    }
}

kernels! {
    "interpolate", [GRID];
    INTERPOLATE = "interpolate", 64, Params::FIELDS, [Read 1, Write 2];
}

/// Records the line between the ends of `x` `[B, ..]`, of which the items in between are not read.
///
/// # Errors
/// [`ShapeError`] when there are less than two items.
pub fn interpolate(rec: &mut Recorder<'_>, x: Var) -> Result<Var> {
    let shape = rec.shape(x).to_vec();
    let count = shape.first().copied().unwrap_or(0);
    if count < 2 {
        let message = format!("x {shape:?} must have two items at least");
        return Err(ShapeError::new("interpolate", message).into());
    }
    let params = Params {
        size: (rec.len(x) / count) as u32,
        count: count as u32,
    };
    let y = rec.temporary("interpolated", &shape);
    let threads = rec.len(x);
    rec.dispatch(&INTERPOLATE, &params, &[x, y], threads);
    Ok(y)
}
