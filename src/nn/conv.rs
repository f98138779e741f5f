//! Convolutions.

use super::{Bias, channels_of};
use crate::error::Result;
use crate::gpu::{Init, Recorder, Var};
use crate::ops::conv_transpose2d::conv_transpose2d as transposed;
use crate::ops::conv2d::{self as op, Conv2dOptions};

/// Weight `[channels, C, K, K]` and bias of a convolution of `x` `[B, C, ..]`.
fn parameters(
    rec: &mut Recorder<'_>,
    x: Var,
    channels: usize,
    kernel: usize,
) -> Result<(Var, Var)> {
    let inputs = channels_of(rec, x);
    let init = Init::kaiming(inputs * kernel * kernel);
    let w = rec.parameter("weight", &[channels, inputs, kernel, kernel], init)?;
    Ok((w, rec.parameter("bias", &[channels], init)?))
}

/// `[B, C, H, W]` to `[B, channels, ..]`.
///
/// # Errors
/// [`crate::ShapeError`] when the kernel does not fit.
pub fn conv2d(
    rec: &mut Recorder<'_>,
    name: &str,
    x: Var,
    channels: usize,
    options: Conv2dOptions,
    bias: Bias,
) -> Result<Var> {
    rec.scope(name, |rec| {
        let (w, b) = parameters(rec, x, channels, options.kernel)?;
        let b = bias.of(rec, b);
        op::conv2d(rec, x, w, Some(b), options)
    })
}

/// Transposed convolution of `[B, C, H, W]` to `[B, channels, ..]`.
///
/// # Errors
/// [`crate::ShapeError`] when the kernel does not fit.
pub fn conv_transpose2d(
    rec: &mut Recorder<'_>,
    name: &str,
    x: Var,
    channels: usize,
    options: Conv2dOptions,
    bias: Bias,
) -> Result<Var> {
    rec.scope(name, |rec| {
        let (inputs, kernel) = (channels_of(rec, x), options.kernel);
        // PyTorch takes the second axis of the weight for its inputs here too.
        let init = Init::kaiming(channels * kernel * kernel);
        let w = rec.parameter("weight", &[inputs, channels, kernel, kernel], init)?;
        let b = rec.parameter("bias", &[channels], init)?;
        let b = bias.of(rec, b);
        transposed(rec, x, w, b, options)
    })
}

/// Nearest upsampling by two, then a 3 by 3 convolution with padding 1: `[B, C, H, W]` to
/// `[B, channels, 2H, 2W]`, without the large image in between.
///
/// # Errors
/// [`crate::ShapeError`] when x is no image.
pub fn upsample_conv2d(rec: &mut Recorder<'_>, name: &str, x: Var, channels: usize) -> Result<Var> {
    rec.scope(name, |rec| {
        let (w, bias) = parameters(rec, x, channels, 3)?;
        op::upsample_conv2d(rec, x, w, Some(bias))
    })
}
