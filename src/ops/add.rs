//! Addition of two tensors, as in a residual model:
//!
//! ```text
//! y = a + b      grad_a = grad_y      grad_b = grad_y
//! ```

use crate::error::{Result, ShapeError};
use crate::gpu::{GRID, Recorder, Var, kernels, uniform_struct};

uniform_struct! {
    /// Uniform of all entry points.
    struct Params { count: u32 }
}

kernels! {
    "add", [GRID];
    ADD = "add", 256, Params::FIELDS, [Write 1, Read 2, Read 3];
    COPY = "copy", 256, Params::FIELDS, [Write 1, Read 2];
    CLEAR = "clear", 256, Params::FIELDS, [Write 1];
}

fn params(rec: &Recorder<'_>, var: Var) -> (Params, usize) {
    let count = rec.len(var);
    let params = Params {
        count: count as u32,
    };
    (params, count)
}

/// Records `a + b`.
///
/// # Errors
/// [`ShapeError`] when their shapes differ.
pub fn add(rec: &mut Recorder<'_>, a: Var, b: Var) -> Result<Var> {
    let shape = rec.shape(a).to_vec();
    if rec.shape(b) != shape {
        let message = format!("{shape:?} and {:?} have different shapes", rec.shape(b));
        return Err(ShapeError::new("add", message).into());
    }
    let (params, count) = params(rec, a);
    let y = rec.temporary("add", &shape);
    rec.dispatch(&ADD, &params, &[y, a, b], count);
    rec.on_backward(y, &[a, b], move |rec, grad_y| {
        for input in [a, b] {
            rec.contribute(input, |rec, grad| {
                rec.dispatch(&COPY, &params, &[grad, grad_y], count);
                Ok(())
            })?;
        }
        Ok(())
    });
    Ok(y)
}

/// Records a copy of `var`.
pub(crate) fn copy(rec: &mut Recorder<'_>, var: Var) -> Var {
    let (params, count) = params(rec, var);
    let shape = rec.shape(var).to_vec();
    let y = rec.temporary("copy", &shape);
    rec.dispatch(&COPY, &params, &[y, var], count);
    y
}

/// Records `var = 0`.
pub fn clear(rec: &mut Recorder<'_>, var: Var) {
    let (params, count) = params(rec, var);
    rec.dispatch(&CLEAR, &params, &[var], count);
}

/// Records that the gradient of `var` is zero, where nothing depends on it.
pub fn zero_gradient(rec: &mut Recorder<'_>, var: Var) {
    rec.on_backward_root(&[var], move |rec| {
        rec.contribute(var, |rec, grad| {
            clear(rec, grad);
            Ok(())
        })
    });
}
