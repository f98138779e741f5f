//! Reconstruction losses: means over all n elements of two tensors of the same shape.
//!
//! ```text
//! l1  = mean |y - target|        grad_y = weight / n * sign(y - target)    (0 at equality)
//! mse = mean (y - target)^2      grad_y = weight / n * 2 (y - target)
//! ```
//!
//! A loss is a root of the backward pass: `weight` is what it counts in the training loss. The
//! gradient is assigned; the target has none.

use super::reference::{Real, Reference};
use crate::error::{Result, ShapeError};
use crate::gpu::{GRID, NUMBER, REDUCE, Recorder, Var, kernels, uniform_struct};

/// L1 or mean squared error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PixelLoss {
    /// Mean absolute difference.
    L1,
    /// Mean squared difference.
    Mse,
}

uniform_struct! {
    /// Uniform of both entry points.
    struct Params {
        count: u32,
        parts: u32,
        scale: f32,
    }
}

kernels! {
    "loss", [GRID, NUMBER, REDUCE];
    FORWARD = "forward", 256, Params::FIELDS, [Read 1, Read 2, Write 3];
    BACKWARD = "backward", 256, Params::FIELDS, [Read 1, Read 2, Write 4];
}

impl PixelLoss {
    fn constants(self) -> [(&'static str, f64); 1] {
        [("SQUARED", f64::from(u8::from(self == Self::Mse)))]
    }

    /// Records the loss as a scalar called `name`.
    pub fn forward(self, rec: &mut Recorder<'_>, name: &str, y: Var, target: Var) -> Var {
        let count = rec.len(y);
        let groups = count.div_ceil(256 * 16).clamp(1, 256);
        let params = Params {
            count: count as u32,
            parts: groups as u32,
            scale: 0.0,
        };
        let parts = rec.temporary("loss parts", &[groups]);
        rec.dispatch_groups(
            &FORWARD,
            &params,
            &[y, target, parts],
            [groups as u32, 1, 1],
        )
        .constants(&self.constants());
        super::sum::sum(rec, name, parts, 1.0 / count as f32)
    }

    /// Records `grad_y`.
    pub fn backward(self, rec: &mut Recorder<'_>, grad_y: Var, y: Var, target: Var, weight: f32) {
        let count = rec.len(y);
        let params = Params {
            count: count as u32,
            parts: 0,
            scale: weight / count as f32,
        };
        rec.dispatch(&BACKWARD, &params, &[y, target, grad_y], count)
            .constants(&self.constants());
    }

    /// The loss as a scalar called `name`, and `weight` times its gradient.
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
        if rec.shape(y) != rec.shape(target) {
            let message = format!(
                "y {:?} and target {:?} differ",
                rec.shape(y),
                rec.shape(target)
            );
            return Err(ShapeError::new("loss", message).into());
        }
        let out = self.forward(rec, name, y, target);
        rec.on_backward_root(&[y], move |rec| {
            rec.contribute(y, |rec, grad_y| {
                self.backward(rec, grad_y, y, target, weight);
                Ok(())
            })
        });
        Ok(out)
    }
}

impl Reference for PixelLoss {
    /// Inputs `y, target`; the output is one number.
    fn forward<T: Real>(&self, inputs: &[Vec<T>]) -> Vec<T> {
        let n = T::of(inputs[0].len() as f64);
        let differences = inputs[0].iter().zip(&inputs[1]).map(|(y, t)| *y - *t);
        let sum: T = match self {
            Self::L1 => differences.map(Real::abs).sum(),
            Self::Mse => differences.map(|d| d * d).sum(),
        };
        vec![sum / n]
    }

    fn backward<T: Real>(&self, inputs: &[Vec<T>], grad_y: &[T]) -> Vec<Vec<T>> {
        let scale = grad_y[0] / T::of(inputs[0].len() as f64);
        let slope = |d: T| match self {
            Self::Mse => T::of(2.0) * d,
            Self::L1 if d > T::of(0.0) => T::of(1.0),
            Self::L1 if d < T::of(0.0) => T::of(-1.0),
            Self::L1 => T::of(0.0),
        };
        let grads = inputs[0]
            .iter()
            .zip(&inputs[1])
            .map(|(y, t)| scale * slope(*y - *t));
        vec![grads.collect(), Vec::new()]
    }
}
