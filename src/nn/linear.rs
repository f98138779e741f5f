//! Linear maps: of rows, and of the vectors of an image.

use super::{Bias, channels_of};
use crate::error::Result;
use crate::gpu::{Init, Recorder, Var};
use crate::ops::conv2d::{Conv2dOptions, conv2d};
use crate::ops::linear as op;

/// Weight `[outputs, inputs]` and bias.
fn parameters(rec: &mut Recorder<'_>, inputs: usize, outputs: usize) -> Result<(Var, Var)> {
    let init = Init::kaiming(inputs);
    let w = rec.parameter("weight", &[outputs, inputs], init)?;
    Ok((w, rec.parameter("bias", &[outputs], init)?))
}

/// `[R, I]` to `[R, outputs]`.
///
/// # Errors
/// [`crate::ShapeError`] when x is no matrix.
pub fn linear(
    rec: &mut Recorder<'_>,
    name: &str,
    x: Var,
    outputs: usize,
    bias: Bias,
) -> Result<Var> {
    let inputs = channels_of(rec, x);
    rec.scope(name, |rec| {
        let (w, b) = parameters(rec, inputs, outputs)?;
        let effect = if bias.cancels(rec) {
            op::Bias::Cancels
        } else {
            op::Bias::Matters
        };
        op::linear(rec, x, w, b, effect)
    })
}

/// The same without a bias.
///
/// # Errors
/// [`crate::ShapeError`] when x is no matrix.
pub fn linear_without_bias(
    rec: &mut Recorder<'_>,
    name: &str,
    x: Var,
    outputs: usize,
) -> Result<Var> {
    let inputs = channels_of(rec, x);
    let w = rec.scope(name, |rec| {
        rec.parameter("weight", &[outputs, inputs], Init::kaiming(inputs))
    })?;
    op::linear_without_bias(rec, x, w)
}

/// A linear map of the vectors of `x` `[outer, I, positions]` to `[outer, outputs, positions]`.
///
/// # Errors
/// [`crate::ShapeError`] when x has other axes.
pub fn project(rec: &mut Recorder<'_>, name: &str, x: Var, outputs: usize) -> Result<Var> {
    let &[outer, inputs, positions] = rec.shape(x) else {
        let message = format!("{:?} are no vectors [outer, F, positions]", rec.shape(x));
        return Err(crate::ShapeError::new("project", message).into());
    };
    rec.scope(name, |rec| {
        let (w, bias) = parameters(rec, inputs, outputs)?;
        // A 1 by 1 convolution of an image of one row.
        let image = rec.view(x, &[outer, inputs, 1, positions]);
        let w = rec.view(w, &[outputs, inputs, 1, 1]);
        let options = Conv2dOptions {
            kernel: 1,
            stride: 1,
            padding: 0,
        };
        let y = conv2d(rec, image, w, Some(bias), options)?;
        Ok(rec.view(y, &[outer, outputs, positions]))
    })
}
