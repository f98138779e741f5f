//! Activations, element by element, any shape. With `erf` the error function:
//!
//! ```text
//! gelu(x) = x/2 (1 + erf(x / sqrt 2))      elu(x) = x > 0 ? x : exp(x) - 1
//! relu(x) = max(x, 0)   sigmoid(x) = 1 / (1 + exp(-x))   clamp(x) = min(max(x, -1), 1)
//! grad_x  = f'(x) grad_y
//! ```
//!
//! The gradient is assigned. At the kinks the slope is that of PyTorch: 0 for `relu`, 1 for
//! `clamp`.

use super::reference::{Real, Reference};
use crate::gpu::{GRID, Kernel, NUMBER, Recorder, Var, kernels, uniform_struct};

/// Which function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Gaussian error linear unit, exact.
    Gelu,
    /// Exponential linear unit with alpha 1.
    Elu,
    /// Rectified linear unit.
    Relu,
    /// Logistic function.
    Sigmoid,
    /// To [-1, 1].
    Clamp,
}

uniform_struct! {
    /// Uniform of both entry points.
    struct Params { count: u32 }
}

kernels! {
    "activation", [GRID, NUMBER];
    FORWARD = "forward", 256, Params::FIELDS, [Read 1, Write 2];
    BACKWARD = "backward", 256, Params::FIELDS, [Read 1, Read 3, Write 4];
    FORWARD4 = "forward4", 64, Params::FIELDS, [Read 5, Write 6];
    BACKWARD4 = "backward4", 64, Params::FIELDS, [Read 5, Read 7, Write 8];
}

impl Activation {
    /// Records `y = f(x)`.
    pub fn forward(self, rec: &mut Recorder<'_>, y: Var, x: Var) {
        self.record(rec, [&FORWARD, &FORWARD4], &[x, y]);
    }

    /// Records `grad_x = f'(x) grad_y`.
    pub fn backward(self, rec: &mut Recorder<'_>, grad_x: Var, grad_y: Var, x: Var) {
        self.record(rec, [&BACKWARD, &BACKWARD4], &[x, grad_y, grad_x]);
    }

    /// By vectors of four where the length allows it.
    fn record(self, rec: &mut Recorder<'_>, [one, four]: [&'static Kernel; 2], tensors: &[Var]) {
        let count = rec.len(tensors[0]);
        let params = Params {
            count: count as u32,
        };
        let constants = [("KIND", f64::from(self as u8))];
        if count.is_multiple_of(4) {
            rec.dispatch(four, &params, tensors, count / 4)
        } else {
            rec.dispatch(one, &params, tensors, count)
        }
        .constants(&constants);
    }

    /// Applies it to `x`.
    pub fn apply(self, rec: &mut Recorder<'_>, x: Var) -> Var {
        let shape = rec.shape(x).to_vec();
        let y = rec.temporary(&format!("{self:?}").to_ascii_lowercase(), &shape);
        self.forward(rec, y, x);
        rec.on_backward(y, &[x], move |rec, grad_y| {
            rec.contribute(x, |rec, grad_x| {
                self.backward(rec, grad_x, grad_y, x);
                Ok(())
            })
        });
        y
    }
}

/// ReLU of `x`.
pub fn relu(rec: &mut Recorder<'_>, x: Var) -> Var {
    Activation::Relu.apply(rec, x)
}

/// Exact GELU of `x`.
pub fn gelu(rec: &mut Recorder<'_>, x: Var) -> Var {
    Activation::Gelu.apply(rec, x)
}

/// ELU of `x`.
pub fn elu(rec: &mut Recorder<'_>, x: Var) -> Var {
    Activation::Elu.apply(rec, x)
}

/// `x` clamped to [-1, 1].
pub fn clamp(rec: &mut Recorder<'_>, x: Var) -> Var {
    Activation::Clamp.apply(rec, x)
}

impl Reference for Activation {
    fn forward<T: Real>(&self, inputs: &[Vec<T>]) -> Vec<T> {
        let (zero, one) = (T::of(0.0), T::of(1.0));
        let f = |v: T| match self {
            Self::Gelu => T::of(0.5) * v * (one + (v * T::of(0.5f64.sqrt())).erf()),
            Self::Elu if v > zero => v,
            Self::Elu => v.exp() - one,
            Self::Relu if v > zero => v,
            Self::Relu => zero,
            Self::Sigmoid => one / (one + (-v).exp()),
            Self::Clamp if v > one => one,
            Self::Clamp if v < -one => -one,
            Self::Clamp => v,
        };
        inputs[0].iter().map(|v| f(*v)).collect()
    }

    fn backward<T: Real>(&self, inputs: &[Vec<T>], grad_y: &[T]) -> Vec<Vec<T>> {
        let (zero, one) = (T::of(0.0), T::of(1.0));
        let step = |on: bool| if on { one } else { zero };
        let slope = |v: T| match self {
            Self::Gelu => {
                let density =
                    (T::of(-0.5) * v * v).exp() * T::of(1.0 / std::f64::consts::TAU.sqrt());
                T::of(0.5) * (one + (v * T::of(0.5f64.sqrt())).erf()) + v * density
            }
            Self::Elu if v > zero => one,
            Self::Elu => v.exp(),
            Self::Relu => step(v > zero),
            Self::Sigmoid => {
                let s = one / (one + (-v).exp());
                s * (one - s)
            }
            Self::Clamp => step(v >= -one && v <= one),
        };
        vec![
            inputs[0]
                .iter()
                .zip(grad_y)
                .map(|(v, g)| slope(*v) * *g)
                .collect(),
        ]
    }
}
