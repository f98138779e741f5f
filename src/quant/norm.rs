//! The length of vectors: of z before the search, and of the codes.
//!
//! x holds N vectors of F features; y has its layout:
//!
//! ```text
//! unit     y = x / max(|x|, eps)
//!          grad_x = (grad_y - y (y . grad_y)) / |x|          (grad_y / eps below eps)
//! limited  y = x m / (|x| + eps),  m = min(|x|, 10) held constant
//!          grad_x = m / (|x| + eps) (grad_y - x (x . grad_y) / (|x| (|x| + eps)))
//! ```
//!
//! The gradient is assigned. A codebook is rewritten in place, without a gradient, in training;
//! evaluation uses a rewritten copy.

use super::vectors::{VECTORS, Vectors};
use crate::gpu::{GRID, NUMBER, Recorder, Var, kernels, uniform_struct};
use crate::ops::reference::{Real, Reference};

/// Longest vector that [`Length::Limited`] lets through.
pub(crate) const MAX: f64 = 10.0;

/// What becomes of a vector's length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Length {
    /// 1; the value guards against division by zero.
    Unit(f32),
    /// At most 10; the value is added to the length that is divided by.
    Limited(f32),
}

uniform_struct! {
    /// Uniform of all entry points.
    struct Params {
        count: u32,
        features: u32,
        positions: u32,
        eps: f32,
    }
}

kernels! {
    "norm", [GRID, NUMBER, VECTORS];
    FORWARD = "forward", 64, Params::FIELDS, [Read 1, Write 2];
    IN_PLACE = "in_place", 64, Params::FIELDS, [Write 2];
    BACKWARD = "backward", 64, Params::FIELDS, [Read 1, Read 3, Write 4];
}

/// The shape contract.
#[derive(Debug, Clone, Copy)]
pub struct VectorNorm {
    /// How the vectors lie.
    pub vectors: Vectors,
    /// What becomes of them.
    pub length: Length,
}

impl VectorNorm {
    fn eps(&self) -> f32 {
        match self.length {
            Length::Unit(eps) | Length::Limited(eps) => eps,
        }
    }

    fn limited(&self) -> bool {
        matches!(self.length, Length::Limited(_))
    }

    fn params(&self) -> Params {
        Params {
            count: self.vectors.count() as u32,
            features: self.vectors.features as u32,
            positions: self.vectors.positions as u32,
            eps: self.eps(),
        }
    }

    fn constants(&self) -> [(&'static str, f64); 1] {
        [("LIMITED", f64::from(u8::from(self.limited())))]
    }
}

/// Records the vectors of `x` with the length that `length` says, in the layout of `x`.
pub fn normalize(rec: &mut Recorder<'_>, x: Var, vectors: &Vectors, length: Length) -> Var {
    let op = VectorNorm {
        vectors: *vectors,
        length,
    };
    let count = vectors.count();
    let shape = rec.shape(x).to_vec();
    let y = rec.temporary("norm", &shape);
    rec.dispatch(&FORWARD, &op.params(), &[x, y], count)
        .constants(&op.constants());
    rec.on_backward(y, &[x], move |rec, grad_y| {
        rec.contribute(x, |rec, grad_x| {
            rec.dispatch(&BACKWARD, &op.params(), &[x, grad_y, grad_x], count)
                .constants(&op.constants());
            Ok(())
        })
    });
    y
}

/// Records the norm of the codebook and returns what is used from here on: `codebook` itself,
/// rewritten, in training; a copy in evaluation, which changes nothing.
pub fn normalize_codebook(rec: &mut Recorder<'_>, codebook: Var, length: Length) -> Var {
    let vectors = Vectors::rows(rec.shape(codebook));
    let op = VectorNorm { vectors, length };
    if !rec.training() {
        let shape = rec.shape(codebook).to_vec();
        let copy = rec.temporary("normalized codebook", &shape);
        rec.dispatch(&FORWARD, &op.params(), &[codebook, copy], vectors.count())
            .constants(&op.constants());
        rec.share_gradient(copy, codebook);
        return copy;
    }
    rec.dispatch(&IN_PLACE, &op.params(), &[codebook], vectors.count())
        .constants(&op.constants());
    codebook
}

impl VectorNorm {
    fn dot<T: Real>(&self, a: &[T], b: &[T], n: usize) -> T {
        let at = (0..self.vectors.features).map(|f| self.vectors.index(n, f));
        at.map(|i| a[i] * b[i]).sum()
    }

    fn factor<T: Real>(&self, length: T) -> T {
        let eps = T::of(f64::from(self.eps()));
        let at_most = |v: T, most: T| if v < most { v } else { most };
        if self.limited() {
            at_most(length, T::of(MAX)) / (length + eps)
        } else if length > eps {
            T::of(1.0) / length
        } else {
            T::of(1.0) / eps
        }
    }
}

impl Reference for VectorNorm {
    fn forward<T: Real>(&self, inputs: &[Vec<T>]) -> Vec<T> {
        let mut y = inputs[0].clone();
        for n in 0..self.vectors.count() {
            let scale = self.factor(self.dot(&inputs[0], &inputs[0], n).sqrt());
            for f in 0..self.vectors.features {
                let at = self.vectors.index(n, f);
                y[at] = scale * y[at];
            }
        }
        y
    }

    fn backward<T: Real>(&self, inputs: &[Vec<T>], grad_y: &[T]) -> Vec<Vec<T>> {
        let x = &inputs[0];
        let eps = T::of(f64::from(self.eps()));
        let mut grad = grad_y.to_vec();
        for n in 0..self.vectors.count() {
            let squares = self.dot(x, x, n);
            let length = squares.sqrt();
            let along = if self.limited() {
                self.dot(x, grad_y, n) / (length * (length + eps))
            } else {
                self.dot(x, grad_y, n) / squares
            };
            for f in 0..self.vectors.features {
                let at = self.vectors.index(n, f);
                grad[at] = self.factor(length) * (grad_y[at] - along * x[at]);
            }
        }
        vec![grad]
    }
}
