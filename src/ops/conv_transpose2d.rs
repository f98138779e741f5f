//! Transposed convolution: the way back of a convolution, taken as the way forward.
//!
//! x `[B, C, H, L]`, w `[C, O, K, K]`, stride s, padding p, bias `[O]`; y `[B, O, H', L']`,
//! H' = (H-1) s - 2p + K:
//!
//! ```text
//! y[b,o,i,j]    = bias[o] + sum_{c,u,v: i+p = h s + u, j+p = l s + v} x[b,c,h,l] w[c,o,u,v]
//! grad_x        = conv2d(grad_y, w)
//! grad_w        = that of the same convolution, x in the place of its upstream gradient
//! grad_bias[o]  = sum grad_y
//! ```
//!
//! All gradients are assigned.

use super::conv2d::{Conv2d, Conv2dOptions};
use super::reference::{Real, Reference};
use crate::error::{Result, ShapeError};
use crate::gpu::{GRID, NUMBER, REDUCE, Recorder, Var, kernels, uniform_struct};

uniform_struct! {
    /// Uniform of both entry points.
    struct Params {
        batch: u32,
        channels: u32,
        pixels: u32,
    }
}

kernels! {
    "channel_bias", [GRID, NUMBER, REDUCE];
    ADD_BIAS = "forward", 256, Params::FIELDS, [Write 1, Read 2];
    BIAS_BACKWARD = "backward", 256, Params::FIELDS, [Read 3, Write 4];
}

/// The shape contract: the convolution from y to x.
#[derive(Debug, Clone, Copy)]
pub struct ConvTranspose2d {
    inner: Conv2d,
    output: [usize; 4],
}

impl ConvTranspose2d {
    /// Checks `x` `[B, C, H, L]` against `w` `[C, O, K, K]`.
    ///
    /// # Errors
    /// [`ShapeError`] when they do not fit, or the padding leaves nothing.
    pub fn new(x: &[usize], w: &[usize], options: Conv2dOptions) -> Result<Self, ShapeError> {
        let refuse = || {
            let message = format!(
                "w {w:?} does not fit x {x:?} with {options:?}; want [C, O, K, K] and [B, C, H, W]"
            );
            ShapeError::new("conv_transpose2d", message)
        };
        let (&[batch, _, height, width], &[_, outputs, ..]) = (x, w) else {
            return Err(refuse());
        };
        let size = |n: usize| {
            let full = n.checked_sub(1)? * options.stride + options.kernel;
            full.checked_sub(2 * options.padding).filter(|n| *n > 0)
        };
        let (Some(height), Some(width)) = (size(height), size(width)) else {
            return Err(refuse());
        };
        let output = [batch, outputs, height, width];
        let inner = Conv2d::new(&output, w, options)?;
        if inner.output_shape() != x {
            return Err(refuse());
        }
        Ok(Self { inner, output })
    }
}

/// Applies `w` `[C, O, K, K]` to `x` `[B, C, H, L]`.
///
/// # Errors
/// [`ShapeError`], see [`ConvTranspose2d::new`].
pub fn conv_transpose2d(
    rec: &mut Recorder<'_>,
    x: Var,
    w: Var,
    bias: Var,
    options: Conv2dOptions,
) -> Result<Var> {
    let op = ConvTranspose2d::new(rec.shape(x), rec.shape(w), options)?;
    let [batch, channels, height, width] = op.output;
    let params = Params {
        batch: batch as u32,
        channels: channels as u32,
        pixels: (height * width) as u32,
    };
    let y = rec.temporary("conv_transpose2d", &op.output);
    op.inner.backward_input(rec, y, x, w);
    let count = batch * channels * height * width;
    rec.dispatch(&ADD_BIAS, &params, &[y, bias], count);
    rec.on_backward(y, &[x, w, bias], move |rec, grad_y| {
        rec.contribute(bias, |rec, grad_bias| {
            rec.dispatch_per_group(&BIAS_BACKWARD, &params, &[grad_y, grad_bias], channels);
            Ok(())
        })?;
        rec.contribute(w, |rec, grad_w| {
            op.inner.backward_weight(rec, grad_w, None, x, grad_y);
            Ok(())
        })?;
        rec.contribute(x, |rec, grad_x| {
            op.inner.forward(rec, grad_x, grad_y, w, None);
            Ok(())
        })
    });
    Ok(y)
}

impl Reference for ConvTranspose2d {
    /// Inputs `x, w, bias`.
    fn forward<T: Real>(&self, inputs: &[Vec<T>]) -> Vec<T> {
        let count: usize = self.output.iter().product();
        let zeros = vec![T::of(0.0); count];
        let from = [zeros, inputs[1].clone()];
        let mut y = self.inner.backward(&from, &inputs[0]).swap_remove(0);
        for (i, v) in y.iter_mut().enumerate() {
            *v += inputs[2][i / (self.output[2] * self.output[3]) % self.output[1]];
        }
        y
    }

    fn backward<T: Real>(&self, inputs: &[Vec<T>], grad_y: &[T]) -> Vec<Vec<T>> {
        let from = [grad_y.to_vec(), inputs[1].clone()];
        let grad_x = Reference::forward(&self.inner, &from);
        let grad_w = self.inner.backward(&from, &inputs[0]).swap_remove(1);
        let mut grad_bias = vec![T::of(0.0); self.output[1]];
        for (i, g) in grad_y.iter().enumerate() {
            grad_bias[i / (self.output[2] * self.output[3]) % self.output[1]] += *g;
        }
        vec![grad_x, grad_w, grad_bias]
    }
}
