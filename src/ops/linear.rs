//! Linear layer.
//!
//! x `[R, I]`, w `[O, I]`, bias `[O]`, y `[R, O]`:
//!
//! ```text
//! y[r,o]       = bias[o] + sum_i x[r,i] w[o,i]
//! grad_x[r,i]  = sum_o grad_y[r,o] w[o,i]
//! grad_w[o,i]  = sum_r grad_y[r,o] x[r,i]
//! grad_bias[o] = sum_r grad_y[r,o]
//! ```
//!
//! All gradients are assigned. In front of a training batch norm the bias has no effect, so its
//! gradient is exactly 0; [`Bias::Cancels`] says so, because a sum would leave rounding noise, which
//! AdamW would blow up to full steps.

use super::reference::{Real, Reference};
use crate::error::{Result, ShapeError};
use crate::gpu::{
    Candidate, CandidateInfo, GRID, Kernel, LOOP_BUDGET, Recorder, Var, infos, kernels,
    uniform_struct,
};

/// Whether the bias has an effect on what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bias {
    /// It has.
    Matters,
    /// A batch norm in training subtracts it again.
    Cancels,
    /// There is none.
    Absent,
}

/// The shape contract.
#[derive(Debug, Clone, Copy)]
pub struct Linear {
    rows: usize,
    inputs: usize,
    outputs: usize,
    bias: Bias,
}

impl Linear {
    /// Checks `x` `[R, I]` against `w` `[O, I]`.
    ///
    /// # Errors
    /// [`ShapeError`] when they do not fit.
    pub fn new(x: &[usize], w: &[usize], bias: Bias) -> Result<Self, ShapeError> {
        match (x, w) {
            (&[rows, inputs], &[outputs, i]) if i == inputs => Ok(Self {
                rows,
                inputs,
                outputs,
                bias,
            }),
            _ => Err(ShapeError::new(
                "linear",
                format!("w {w:?} does not fit x {x:?}; want [O, I] and [R, I]"),
            )),
        }
    }
}

uniform_struct! {
    /// Uniform of all entry points.
    struct Params {
        rows: u32,
        inputs: u32,
        outputs: u32,
        first: u32,
        end: u32,
        a_item: u32,
        a_term: u32,
        b_item: u32,
        b_term: u32,
    }
}

kernels! {
    "linear", [GRID];
    FORWARD = "forward", 64, Params::FIELDS, [Read 1, Read 2, Read 3, Write 4];
    BACKWARD_INPUT = "backward_input", 64, Params::FIELDS, [Read 2, Read 5, Write 6];
    BACKWARD_WEIGHT = "backward_weight", 64, Params::FIELDS, [Read 1, Read 5, Write 7, Write 8];
    MULTIPLY = "multiply", 16, Params::FIELDS, [Read 9, Read 10, Read 3, Write 11];
    BACKWARD_BIAS = "backward_bias", 64, Params::FIELDS, [Read 5, Write 8];
}

/// Rows and columns of a product that a thread of `multiply` holds.
pub(crate) const TILE: usize = 16;

/// How the products are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Tiles of sixteen by sixteen items a thread.
    Tiles,
    /// An item a thread.
    Items,
}

/// In the order of preference; the last one takes every shape.
static CANDIDATES: [Candidate<Linear, Way>; 2] = [
    Candidate {
        info: CandidateInfo::plain("linear::multiply"),
        can: |_| true,
        // Each product has two of the three for its items.
        suits: |traits, l| traits.software && l.rows.min(l.inputs).min(l.outputs) >= TILE / 2,
        way: Way::Tiles,
    },
    Candidate {
        info: CandidateInfo::plain("linear::forward"),
        can: |_| true,
        suits: |_, _| true,
        way: Way::Items,
    },
];
infos!(CANDIDATES);

/// A factor of a product: the tensor, and how far its items and the terms of the sum lie apart.
type Factor = (Var, usize, usize);

impl Linear {
    /// Records `kernel` for a sum of `terms` terms an item, in as many dispatches as that takes.
    fn dispatch(
        &self,
        rec: &mut Recorder<'_>,
        kernel: &'static Kernel,
        tensors: &[Var],
        (items, terms): (usize, usize),
        constants: &[(&'static str, f64)],
    ) {
        for first in (0..terms).step_by(LOOP_BUDGET) {
            let end = (first + LOOP_BUDGET).min(terms);
            let params = Params {
                rows: self.rows as u32,
                inputs: self.inputs as u32,
                outputs: self.outputs as u32,
                first: first as u32,
                end: end as u32,
                ..Params::default()
            };
            rec.dispatch(kernel, &params, tensors, items)
                .constants(constants)
                .flops(2 * items * (end - first));
        }
    }

    /// Records `c[m,n] = bias[n] + sum_t a[m,t] b[n,t]` for so many m, n and t.
    fn multiply(
        rec: &mut Recorder<'_>,
        (a, b, c): (Factor, Factor, Var),
        bias: Option<Var>,
        (rows, columns, terms): (usize, usize, usize),
    ) {
        let has_bias = f64::from(u8::from(bias.is_some()));
        let tensors = [a.0, b.0, bias.unwrap_or(a.0), c];
        let items = rows.div_ceil(TILE) * columns.div_ceil(TILE);
        for first in (0..terms).step_by(LOOP_BUDGET) {
            let end = (first + LOOP_BUDGET).min(terms);
            let params = Params {
                rows: rows as u32,
                inputs: 0,
                outputs: columns as u32,
                first: first as u32,
                end: end as u32,
                a_item: a.1 as u32,
                a_term: a.2 as u32,
                b_item: b.1 as u32,
                b_term: b.2 as u32,
            };
            rec.dispatch(&MULTIPLY, &params, &tensors, items)
                .constants(&[("HAS_BIAS", has_bias)])
                .flops(2 * rows * columns * (end - first));
        }
    }

    fn way(&self, rec: &Recorder<'_>) -> Way {
        rec.traits().choose(&CANDIDATES, self).way
    }

    /// Records `y`.
    pub fn forward(&self, rec: &mut Recorder<'_>, y: Var, x: Var, w: Var, bias: Var) {
        let has_bias = self.bias != Bias::Absent;
        if self.way(rec) == Way::Tiles {
            let factors = ((x, self.inputs, 1), (w, self.inputs, 1), y);
            let sizes = (self.rows, self.outputs, self.inputs);
            return Self::multiply(rec, factors, has_bias.then_some(bias), sizes);
        }
        let size = (self.rows * self.outputs, self.inputs);
        let constants = [("HAS_BIAS", f64::from(u8::from(has_bias)))];
        self.dispatch(rec, &FORWARD, &[x, w, bias, y], size, &constants);
    }

    /// Records `grad_x`.
    pub fn backward_input(&self, rec: &mut Recorder<'_>, grad_x: Var, grad_y: Var, w: Var) {
        if self.way(rec) == Way::Tiles {
            let factors = ((grad_y, self.outputs, 1), (w, 1, self.inputs), grad_x);
            let sizes = (self.rows, self.inputs, self.outputs);
            return Self::multiply(rec, factors, None, sizes);
        }
        let size = (self.rows * self.inputs, self.outputs);
        self.dispatch(rec, &BACKWARD_INPUT, &[w, grad_y, grad_x], size, &[]);
    }

    /// Records `grad_w` and `grad_bias`.
    pub fn backward_weight(
        &self,
        rec: &mut Recorder<'_>,
        grad_w: Var,
        grad_bias: Var,
        grad_y: Var,
        x: Var,
    ) {
        let cancels = f64::from(u8::from(self.bias != Bias::Matters));
        let constants = [("BIAS_CANCELS", cancels)];
        if self.way(rec) == Way::Tiles {
            let factors = ((grad_y, 1, self.outputs), (x, 1, self.inputs), grad_w);
            let sizes = (self.outputs, self.inputs, self.rows);
            Self::multiply(rec, factors, None, sizes);
            let size = (self.outputs, self.rows);
            self.dispatch(rec, &BACKWARD_BIAS, &[grad_y, grad_bias], size, &constants);
            return;
        }
        let size = (self.outputs * self.inputs, self.rows);
        let tensors = [x, grad_y, grad_w, grad_bias];
        self.dispatch(rec, &BACKWARD_WEIGHT, &tensors, size, &constants);
    }
}

/// Applies the layer to the rows of `x` `[R, I]`.
///
/// # Errors
/// [`ShapeError`], see [`Linear::new`].
pub fn linear(rec: &mut Recorder<'_>, x: Var, w: Var, bias: Var, effect: Bias) -> Result<Var> {
    let op = Linear::new(rec.shape(x), rec.shape(w), effect)?;
    let y = rec.temporary("linear", &[op.rows, op.outputs]);
    op.forward(rec, y, x, w, bias);
    rec.on_backward(y, &[x, w, bias], move |rec, grad_y| {
        rec.contribute_always(w, |rec, grad_w| {
            rec.contribute_always(bias, |rec, grad_bias| {
                op.backward_weight(rec, grad_w, grad_bias, grad_y, x);
                Ok(())
            })
        })?;
        rec.contribute(x, |rec, grad_x| {
            op.backward_input(rec, grad_x, grad_y, w);
            Ok(())
        })
    });
    Ok(y)
}

/// Applies `w` `[O, I]` to the rows of `x` `[R, I]`.
///
/// # Errors
/// [`ShapeError`], see [`Linear::new`].
pub fn linear_without_bias(rec: &mut Recorder<'_>, x: Var, w: Var) -> Result<Var> {
    let op = Linear::new(rec.shape(x), rec.shape(w), Bias::Absent)?;
    let y = rec.temporary("linear", &[op.rows, op.outputs]);
    // The binding is there all the same; w stands in, and is not read through it.
    op.forward(rec, y, x, w, w);
    rec.on_backward(y, &[x, w], move |rec, grad_y| {
        rec.contribute(w, |rec, grad_w| {
            let unused = rec.temporary("no bias", &[op.outputs]);
            op.backward_weight(rec, grad_w, unused, grad_y, x);
            Ok(())
        })?;
        rec.contribute(x, |rec, grad_x| {
            op.backward_input(rec, grad_x, grad_y, w);
            Ok(())
        })
    });
    Ok(y)
}

impl Reference for Linear {
    /// Inputs `x, w`, and `bias` where there is one.
    fn forward<T: Real>(&self, inputs: &[Vec<T>]) -> Vec<T> {
        let mut y = Vec::new();
        for r in 0..self.rows {
            for o in 0..self.outputs {
                let products = (0..self.inputs)
                    .map(|i| inputs[0][r * self.inputs + i] * inputs[1][o * self.inputs + i]);
                let bias = inputs.get(2).map_or(T::of(0.0), |bias| bias[o]);
                y.push(bias + products.sum());
            }
        }
        y
    }

    fn backward<T: Real>(&self, inputs: &[Vec<T>], grad_y: &[T]) -> Vec<Vec<T>> {
        let mut grads: Vec<Vec<T>> = inputs.iter().map(|v| vec![T::of(0.0); v.len()]).collect();
        for r in 0..self.rows {
            for o in 0..self.outputs {
                let g = grad_y[r * self.outputs + o];
                for i in 0..self.inputs {
                    grads[0][r * self.inputs + i] += g * inputs[1][o * self.inputs + i];
                    grads[1][o * self.inputs + i] += g * inputs[0][r * self.inputs + i];
                }
                if self.bias == Bias::Matters {
                    grads[2][o] += g;
                }
            }
        }
        grads
    }
}
