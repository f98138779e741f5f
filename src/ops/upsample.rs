//! Nearest-neighbour upsampling by a whole factor F.
//!
//! x `[B, C, H, L]`, y `[B, C, FH, FL]`:
//!
//! ```text
//! y[b,c,i,j]      = x[b,c, i/F, j/F]
//! grad_x[b,c,h,l] = sum_{u,v < F} grad_y[b,c, hF+u, lF+v]
//! ```
//!
//! The gradient is assigned.

use super::reference::{Real, Reference};
use crate::error::{Result, ShapeError};
use crate::gpu::{GRID, Recorder, Var, kernels, uniform_struct};

/// The shape contract.
#[derive(Debug, Clone, Copy)]
pub struct Upsample {
    shape: [usize; 4],
    factor: usize,
}

impl Upsample {
    /// Checks `x` `[B, C, H, L]`.
    ///
    /// # Errors
    /// [`ShapeError`] when x has another rank or the factor is 0.
    pub fn new(x: &[usize], factor: usize) -> Result<Self, ShapeError> {
        let shape = <[usize; 4]>::try_from(x).map_err(|_| {
            ShapeError::new("upsample", format!("x must be [B, C, H, W], not {x:?}"))
        })?;
        if factor == 0 {
            return Err(ShapeError::new("upsample", "the factor must be at least 1"));
        }
        Ok(Self { shape, factor })
    }

    /// `[B, C, FH, FL]`
    #[must_use]
    pub fn output_shape(&self) -> [usize; 4] {
        let [b, c, h, l] = self.shape;
        [b, c, h * self.factor, l * self.factor]
    }
}

uniform_struct! {
    /// Uniform of both entry points.
    struct Params { count: u32 }
}

kernels! {
    "upsample", [GRID];
    FORWARD = "forward", 64, Params::FIELDS, [Read 1, Write 2];
    BACKWARD = "backward", 64, Params::FIELDS, [Read 3, Write 4];
}

impl Upsample {
    fn count(&self) -> usize {
        self.shape.iter().product()
    }

    fn params(&self) -> Params {
        Params {
            count: self.count() as u32,
        }
    }

    fn constants(&self) -> [(&'static str, f64); 2] {
        [
            ("WIDTH", self.shape[3] as f64),
            ("FACTOR", self.factor as f64),
        ]
    }

    /// Records `y`.
    pub fn forward(&self, rec: &mut Recorder<'_>, y: Var, x: Var) {
        rec.dispatch(&FORWARD, &self.params(), &[x, y], self.count())
            .constants(&self.constants());
    }

    /// Records `grad_x`.
    pub fn backward(&self, rec: &mut Recorder<'_>, grad_x: Var, grad_y: Var) {
        rec.dispatch(&BACKWARD, &self.params(), &[grad_y, grad_x], self.count())
            .constants(&self.constants());
    }
}

/// Repeats each pixel of `x` `factor` times in both directions.
///
/// # Errors
/// [`ShapeError`], see [`Upsample::new`].
pub fn upsample_nearest(rec: &mut Recorder<'_>, x: Var, factor: usize) -> Result<Var> {
    let op = Upsample::new(rec.shape(x), factor)?;
    let y = rec.temporary("upsample", &op.output_shape());
    op.forward(rec, y, x);
    rec.on_backward(y, &[x], move |rec, grad_y| {
        rec.contribute(x, |rec, grad_x| {
            op.backward(rec, grad_x, grad_y);
            Ok(())
        })
    });
    Ok(y)
}

impl Upsample {
    /// The element of x that element `item` of y copies.
    fn source(&self, item: usize) -> usize {
        let [_, _, height, width] = self.output_shape();
        let (j, i, plane) = (item % width, item / width % height, item / (width * height));
        (plane * self.shape[2] + i / self.factor) * self.shape[3] + j / self.factor
    }
}

impl Reference for Upsample {
    fn forward<T: Real>(&self, inputs: &[Vec<T>]) -> Vec<T> {
        let items = 0..self.output_shape().iter().product();
        items.map(|item| inputs[0][self.source(item)]).collect()
    }

    fn backward<T: Real>(&self, inputs: &[Vec<T>], grad_y: &[T]) -> Vec<Vec<T>> {
        let mut grad_x = vec![T::of(0.0); inputs[0].len()];
        for (item, g) in grad_y.iter().enumerate() {
            grad_x[self.source(item)] += *g;
        }
        vec![grad_x]
    }
}
