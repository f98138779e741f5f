//! Reconstruction losses of two tensors of the same shape: means over all n elements, and what a negative ELBO
//! says of B images of D = n / B values each: the Gaussian whose variance all values share, but for constants.
//!
//! ```text
//! S = sum (y - target)^2
//!
//! l1  = mean |y - target|                    grad_y = weight / n * sign(y - target)    (0 at equality)
//! mse = S / n                                grad_y = weight / n * 2 (y - target)
//!
//! elbo = D / 2 ln(S / B)                     grad_y = weight * D / S * (y - target)
//! elbo_learned = S / (2 B e^s) + D / 2 s     grad_y = weight / (B e^s) * (y - target)
//!                                            grad_s = weight * (D / 2 - S / (2 B e^s))
//! ```
//!
//! `elbo` has the variance that is best for the batch, so that S in it is at least [`FLOOR`]; `elbo_learned` has a
//! parameter s `[1]`, its logarithm. With gradient accumulation each part of a batch has an S of its own: means over the
//! parts are those of the whole batch, but with `elbo`, which then has the best variance of each part.
//!
//! A loss is a root of the backward pass: `weight` is what it counts in the training loss. The
//! gradients are assigned; the target has none.

use super::reference::{Real, Reference};
use crate::error::{Result, ShapeError};
use crate::gpu::{GRID, Init, NUMBER, REDUCE, Recorder, Var, kernels, uniform_struct};

/// What a model's reconstruction is trained with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PixelLoss {
    /// Mean absolute difference.
    L1,
    /// Mean squared difference.
    Mse,
    /// As in a negative ELBO, its variance the best one of the batch (SQ-VAE, Takida et al. 2022).
    Elbo,
    /// As in a negative ELBO, its variance learned.
    ElboLearned,
}

/// The parameter of [`PixelLoss::ElboLearned`]: the logarithm of the variance, 0 at first.
pub const LOG_VAR: &str = "log_var_x";

/// The least sum of squares that [`PixelLoss::Elbo`] knows, so that images which are equal have a loss and a gradient.
pub const FLOOR: f32 = 1e-30;

uniform_struct! {
    /// Uniform of all entry points.
    struct Params {
        count: u32,
        parts: u32,
        images: f32,
        values: f32,
        scale: f32,
    }
}

kernels! {
    "loss", [GRID, NUMBER, REDUCE];
    FORWARD = "forward", 256, Params::FIELDS, [Read 1, Read 2, Write 3];
    BACKWARD = "backward", 256, Params::FIELDS, [Read 1, Read 2, Write 4];
    ELBO = "elbo", 256, Params::FIELDS, [Read 5, Write 7, Write 8];
    ELBO_LEARNED = "elbo_learned", 256, Params::FIELDS, [Read 5, Read 6, Write 7, Write 8];
    ELBO_BACKWARD = "elbo_backward", 256, Params::FIELDS, [Read 1, Read 2, Read 5, Write 4];
    LOG_VAR_BACKWARD = "log_var_backward", 1, Params::FIELDS, [Read 5, Write 8];
}

impl Params {
    /// For `y` `[B, ..]`; `scale` is the factor of gradients.
    fn new(rec: &Recorder<'_>, y: Var, scale: f32) -> Self {
        let count = rec.len(y);
        let images = rec.shape(y).first().copied().unwrap_or(1).max(1);
        Self {
            count: count as u32,
            parts: count.div_ceil(256 * 16).clamp(1, 256) as u32,
            images: images as f32,
            values: (count / images) as f32,
            scale,
        }
    }
}

/// Records sums of absolute or squared differences, some for each workgroup.
fn sums(rec: &mut Recorder<'_>, y: Var, target: Var, squared: bool) -> Var {
    let params = Params::new(rec, y, 0.0);
    let parts = rec.temporary("loss parts", &[params.parts as usize]);
    let groups = [params.parts, 1, 1];
    rec.dispatch_groups(&FORWARD, &params, &[y, target, parts], groups)
        .constants(&constants(squared));
    parts
}

fn constants(squared: bool) -> [(&'static str, f64); 1] {
    [("SQUARED", f64::from(u8::from(squared)))]
}

fn check_shapes(rec: &Recorder<'_>, y: Var, target: Var) -> Result<()> {
    if rec.shape(y) == rec.shape(target) {
        return Ok(());
    }
    let message = format!(
        "y {:?} and target {:?} differ",
        rec.shape(y),
        rec.shape(target)
    );
    Err(ShapeError::new("loss", message).into())
}

/// A mean over all values.
fn mean(
    rec: &mut Recorder<'_>,
    name: &str,
    [y, target]: [Var; 2],
    weight: f32,
    squared: bool,
) -> Var {
    let count = rec.len(y) as f32;
    let parts = sums(rec, y, target, squared);
    let out = super::sum::sum(rec, name, parts, 1.0 / count);
    rec.on_backward_root(&[y], move |rec| {
        rec.contribute(y, |rec, grad_y| {
            let params = Params::new(rec, y, weight / count);
            rec.dispatch(
                &BACKWARD,
                &params,
                &[y, target, grad_y],
                params.count as usize,
            )
            .constants(&constants(squared));
            Ok(())
        })
    });
    out
}

/// The loss in an ELBO of `y` `[B, ..]` as a scalar called `name`, and `weight` times its gradient: with `log_var` `[1]`,
/// the logarithm of the variance, or without it the variance that is best for the batch.
///
/// # Errors
/// [`ShapeError`] when the shapes differ, or `log_var` is not one number.
pub fn elbo(
    rec: &mut Recorder<'_>,
    name: &str,
    y: Var,
    target: Var,
    log_var: Option<Var>,
    weight: f32,
) -> Result<Var> {
    check_shapes(rec, y, target)?;
    let parts = sums(rec, y, target, true);
    let params = Params::new(rec, y, weight);
    let out = rec.scalar(name);
    // Factor of y - target in its gradient, gradient of the log variance.
    let slopes = rec.temporary("loss slopes", &[2]);
    if let Some(log_var) = log_var {
        if rec.len(log_var) != 1 {
            let message = format!("the log variance {:?} is not one", rec.shape(log_var));
            return Err(ShapeError::new("loss", message).into());
        }
        rec.dispatch(&ELBO_LEARNED, &params, &[parts, log_var, slopes, out], 1);
    } else {
        rec.dispatch(&ELBO, &params, &[parts, slopes, out], 1);
    }
    let inputs: Vec<Var> = std::iter::once(y).chain(log_var).collect();
    rec.on_backward_root(&inputs, move |rec| {
        rec.contribute(y, |rec, grad_y| {
            let tensors = [y, target, slopes, grad_y];
            rec.dispatch(&ELBO_BACKWARD, &params, &tensors, params.count as usize);
            Ok(())
        })?;
        let Some(log_var) = log_var else {
            return Ok(());
        };
        rec.contribute(log_var, |rec, grad| {
            rec.dispatch(&LOG_VAR_BACKWARD, &params, &[slopes, grad], 1);
            Ok(())
        })
    });
    Ok(out)
}

impl PixelLoss {
    /// The loss as a scalar called `name`, and `weight` times its gradient. [`Self::ElboLearned`] declares [`LOG_VAR`].
    ///
    /// # Errors
    /// [`ShapeError`] when the shapes differ.
    pub fn apply(
        self,
        rec: &mut Recorder<'_>,
        name: &str,
        y: Var,
        target: Var,
        weight: f32,
    ) -> Result<Var> {
        check_shapes(rec, y, target)?;
        match self {
            Self::L1 | Self::Mse => Ok(mean(rec, name, [y, target], weight, self == Self::Mse)),
            Self::Elbo => elbo(rec, name, y, target, None, weight),
            Self::ElboLearned => {
                let log_var = rec.parameter(LOG_VAR, &[1], Init::Constant(0.0))?;
                elbo(rec, name, y, target, Some(log_var), weight)
            }
        }
    }
}

/// The reference of a loss of so many images.
#[derive(Debug, Clone, Copy)]
pub struct OfImages {
    /// Which loss.
    pub loss: PixelLoss,
    /// B.
    pub images: usize,
}

impl OfImages {
    /// S, B and D.
    fn figures<T: Real>(&self, inputs: &[Vec<T>]) -> [T; 3] {
        let pairs = inputs[0].iter().zip(&inputs[1]);
        let sum = pairs.map(|(y, t)| (*y - *t) * (*y - *t)).sum();
        let values = inputs[0].len() / self.images;
        [sum, T::of(self.images as f64), T::of(values as f64)]
    }
}

fn floored<T: Real>(sum: T) -> T {
    let floor = T::of(f64::from(FLOOR));
    if sum < floor { floor } else { sum }
}

impl Reference for OfImages {
    /// Inputs `y, target`, with [`PixelLoss::ElboLearned`] also the log variance; the output is one number.
    fn forward<T: Real>(&self, inputs: &[Vec<T>]) -> Vec<T> {
        let n = T::of(inputs[0].len() as f64);
        let two = T::of(2.0);
        let [sum, images, values] = self.figures(inputs);
        let out = match self.loss {
            PixelLoss::L1 => {
                let pairs = inputs[0].iter().zip(&inputs[1]);
                pairs.map(|(y, t)| (*y - *t).abs()).sum::<T>() / n
            }
            PixelLoss::Mse => sum / n,
            PixelLoss::Elbo => values / two * (floored(sum) / images).ln(),
            PixelLoss::ElboLearned => {
                let s = inputs[2][0];
                sum / (two * images * s.exp()) + values / two * s
            }
        };
        vec![out]
    }

    fn backward<T: Real>(&self, inputs: &[Vec<T>], grad_y: &[T]) -> Vec<Vec<T>> {
        let n = T::of(inputs[0].len() as f64);
        let two = T::of(2.0);
        let [sum, images, values] = self.figures(inputs);
        let slope = |d: T| match self.loss {
            PixelLoss::L1 if d > T::of(0.0) => T::of(1.0) / n,
            PixelLoss::L1 if d < T::of(0.0) => T::of(-1.0) / n,
            PixelLoss::L1 => T::of(0.0),
            PixelLoss::Mse => two * d / n,
            PixelLoss::Elbo => values / floored(sum) * d,
            PixelLoss::ElboLearned => d / (images * inputs[2][0].exp()),
        };
        let pairs = inputs[0].iter().zip(&inputs[1]);
        let of_y = pairs.map(|(y, t)| grad_y[0] * slope(*y - *t)).collect();
        let mut grads = vec![of_y, Vec::new()];
        if self.loss == PixelLoss::ElboLearned {
            let s = inputs[2][0];
            let of_s = values / two - sum / (two * images * s.exp());
            grads.push(vec![grad_y[0] * of_s]);
        }
        grads
    }
}
