//! Group normalisation (Wu and He 2018), and instance normalisation, which is a group a channel.
//!
//! x `[B, C, H, L]`, G groups of C/G consecutive channels; n = C/G·H·L values a group of an image;
//! weight, bias `[C]`, or none:
//!
//! ```text
//! x^     = (x - mean) / sqrt(var + eps)      (moments of the group, biased)
//! y      = weight x^ + bias
//! grad_bias   = sum grad_y          grad_weight = sum grad_y x^       (over images and pixels)
//! grad_x = (h - mean(h) - x^ mean(h x^)) / sqrt(var + eps),  h = weight grad_y
//! ```
//!
//! All gradients are assigned. Training and evaluation do the same.

use super::reference::{Real, Reference};
use crate::error::{Result, ShapeError};
use crate::gpu::{GRID, NUMBER, REDUCE, Recorder, Var, kernels, uniform_struct};

/// The shape contract.
#[derive(Debug, Clone, Copy)]
pub struct GroupNorm {
    rows: usize,
    channels: usize,
    pixels: usize,
    groups: usize,
    eps: f32,
}

impl GroupNorm {
    /// Checks `x` `[B, C, H, L]`.
    ///
    /// # Errors
    /// [`ShapeError`] for another rank, when the groups do not divide C, or when a group has a
    /// single value.
    pub fn new(x: &[usize], groups: usize, eps: f32) -> Result<Self, ShapeError> {
        let refuse = |message: String| Err(ShapeError::new("group_norm", message));
        let &[rows, channels, height, width] = x else {
            return refuse(format!("x must be [B, C, H, W], not {x:?}"));
        };
        if groups == 0 || !channels.is_multiple_of(groups) {
            return refuse(format!(
                "{groups} groups do not divide the {channels} channels of x {x:?}"
            ));
        }
        if channels / groups * height * width < 2 {
            return refuse(format!(
                "a group of x {x:?} has a single value, which is always its own mean"
            ));
        }
        Ok(Self {
            rows,
            channels,
            pixels: height * width,
            groups,
            eps,
        })
    }
}

impl GroupNorm {
    /// Whether a group is too small for a workgroup of its own.
    fn is_small(&self) -> bool {
        self.channels / self.groups * self.pixels <= 256
    }
}

uniform_struct! {
    /// Uniform of all entry points.
    struct Params {
        rows: u32,
        channels: u32,
        pixels: u32,
        groups: u32,
        eps: f32,
    }
}

kernels! {
    "group_norm", [GRID, NUMBER, REDUCE];
    FORWARD = "forward", 256, Params::FIELDS, [Read 1, Read 2, Read 3, Write 4, Write 5];
    BACKWARD = "backward", 256, Params::FIELDS, [Read 1, Read 2, Read 6, Read 7, Write 8];
    FORWARD_SMALL = "forward_small", 64, Params::FIELDS, [Read 1, Read 2, Read 3, Write 4, Write 5];
    BACKWARD_SMALL = "backward_small", 64, Params::FIELDS, [Read 1, Read 2, Read 6, Read 7, Write 8];
    BACKWARD_WEIGHT = "backward_weight", 256, Params::FIELDS, [Read 1, Read 6, Read 7, Write 9, Write 10];
}

/// Normalises `x` `[B, C, H, L]` in `groups` groups; `affine` is weight and bias, each `[C]`.
///
/// # Errors
/// [`ShapeError`], see [`GroupNorm::new`].
pub fn group_norm(
    rec: &mut Recorder<'_>,
    x: Var,
    groups: usize,
    eps: f32,
    affine: Option<(Var, Var)>,
) -> Result<Var> {
    let op = GroupNorm::new(rec.shape(x), groups, eps)?;
    let params = Params {
        rows: op.rows as u32,
        channels: op.channels as u32,
        pixels: op.pixels as u32,
        groups: groups as u32,
        eps,
    };
    let constants = [("AFFINE", f64::from(u8::from(affine.is_some())))];
    let shape = rec.shape(x).to_vec();
    let y = rec.temporary("group_norm", &shape);
    let stats = rec.temporary("group_norm stats", &[op.rows * groups, 2]);
    // Without affine the bindings are there all the same; x stands in, and is not read through them.
    let (weight, bias) = affine.unwrap_or((x, x));
    let tensors = [x, weight, bias, y, stats];
    let count = op.rows * groups;
    let small = op.is_small();
    if small {
        rec.dispatch(&FORWARD_SMALL, &params, &tensors, count)
    } else {
        rec.dispatch_per_group(&FORWARD, &params, &tensors, count)
    }
    .constants(&constants);
    rec.on_backward(y, &[x, weight, bias], move |rec, grad_y| {
        if affine.is_some() {
            rec.contribute_always(weight, |rec, grad_weight| {
                rec.contribute_always(bias, |rec, grad_bias| {
                    let tensors = [x, grad_y, stats, grad_weight, grad_bias];
                    rec.dispatch_per_group(&BACKWARD_WEIGHT, &params, &tensors, op.channels);
                    Ok(())
                })
            })?;
        }
        rec.contribute(x, |rec, grad_x| {
            let tensors = [x, weight, grad_y, stats, grad_x];
            if small {
                rec.dispatch(&BACKWARD_SMALL, &params, &tensors, count)
            } else {
                rec.dispatch_per_group(&BACKWARD, &params, &tensors, count)
            }
            .constants(&constants);
            Ok(())
        })
    });
    Ok(y)
}

impl GroupNorm {
    /// The elements of a group of an image.
    fn range(&self, at: usize) -> std::ops::Range<usize> {
        let count = self.channels / self.groups * self.pixels;
        at * count..(at + 1) * count
    }

    fn channel(&self, i: usize) -> usize {
        i / self.pixels % self.channels
    }

    /// The normalised values, and the inverse deviation of each.
    fn hats<T: Real>(&self, x: &[T]) -> (Vec<T>, Vec<T>) {
        let (mut hats, mut inverses) = (x.to_vec(), x.to_vec());
        for at in 0..self.rows * self.groups {
            let n = T::of(self.range(at).len() as f64);
            let mean = self.range(at).map(|i| x[i]).sum::<T>() / n;
            let squares: T = self.range(at).map(|i| (x[i] - mean) * (x[i] - mean)).sum();
            let inverse = T::of(1.0) / (squares / n + T::of(f64::from(self.eps))).sqrt();
            for i in self.range(at) {
                hats[i] = (x[i] - mean) * inverse;
                inverses[i] = inverse;
            }
        }
        (hats, inverses)
    }
}

impl Reference for GroupNorm {
    /// Inputs `x`, and where there are any `weight, bias`.
    fn forward<T: Real>(&self, inputs: &[Vec<T>]) -> Vec<T> {
        let (mut y, _) = self.hats(&inputs[0]);
        if let [_, weight, bias] = inputs {
            for (i, v) in y.iter_mut().enumerate() {
                *v = weight[self.channel(i)] * *v + bias[self.channel(i)];
            }
        }
        y
    }

    fn backward<T: Real>(&self, inputs: &[Vec<T>], grad_y: &[T]) -> Vec<Vec<T>> {
        let (hats, inverses) = self.hats(&inputs[0]);
        let mut grads: Vec<Vec<T>> = inputs.iter().map(|v| vec![T::of(0.0); v.len()]).collect();
        let mut h = grad_y.to_vec();
        if inputs.len() == 3 {
            for (i, g) in grad_y.iter().enumerate() {
                let c = self.channel(i);
                grads[1][c] += *g * hats[i];
                grads[2][c] += *g;
                h[i] = *g * inputs[1][c];
            }
        }
        for at in 0..self.rows * self.groups {
            let n = T::of(self.range(at).len() as f64);
            let mean = self.range(at).map(|i| h[i]).sum::<T>() / n;
            let weighted = self.range(at).map(|i| h[i] * hats[i]).sum::<T>() / n;
            for i in self.range(at) {
                grads[0][i] = inverses[i] * (h[i] - mean - hats[i] * weighted);
            }
        }
        grads
    }
}
