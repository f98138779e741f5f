//! What the plain-loop references are written with: a number that is f32 or f64.

use std::fmt::Debug;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// f32 or f64.
pub trait Real:
    Copy
    + Debug
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + Sum
{
    /// The nearest value to `v`.
    fn of(v: f64) -> Self;
    /// As f64.
    fn to_f64(self) -> f64;
    /// e to the power of self.
    fn exp(self) -> Self;
    /// The natural logarithm.
    fn ln(self) -> Self;
    /// The square root.
    fn sqrt(self) -> Self;
    /// The absolute value.
    fn abs(self) -> Self;
    /// The error function.
    fn erf(self) -> Self;
}

impl Real for f32 {
    fn of(v: f64) -> Self {
        v as Self
    }
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    fn exp(self) -> Self {
        self.exp()
    }
    fn ln(self) -> Self {
        self.ln()
    }
    fn sqrt(self) -> Self {
        self.sqrt()
    }
    fn abs(self) -> Self {
        self.abs()
    }
    fn erf(self) -> Self {
        libm::erff(self)
    }
}

impl Real for f64 {
    fn of(v: f64) -> Self {
        v
    }
    fn to_f64(self) -> f64 {
        self
    }
    fn exp(self) -> Self {
        self.exp()
    }
    fn ln(self) -> Self {
        self.ln()
    }
    fn sqrt(self) -> Self {
        self.sqrt()
    }
    fn abs(self) -> Self {
        self.abs()
    }
    fn erf(self) -> Self {
        libm::erf(self)
    }
}

/// An operation as plain loops, deliberately naive: what the kernels are tested against. Its own
/// backward is tested against central differences.
pub trait Reference {
    /// The output from the inputs.
    fn forward<T: Real>(&self, inputs: &[Vec<T>]) -> Vec<T>;

    /// The gradient of each input from that of the output; empty for an input that has none.
    fn backward<T: Real>(&self, inputs: &[Vec<T>], grad_y: &[T]) -> Vec<Vec<T>>;
}
