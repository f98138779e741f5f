//! Batch normalisation over the rows (and pixels) of each channel, as in PyTorch.
//!
//! x `[R, C]` or `[R, C, H, L]`; n = R or R·H·L values a channel; weight, bias `[C]`:
//!
//! ```text
//! training: mean, var = moments of x (biased);  running <- 0.9 running + 0.1 (mean, n/(n-1) var)
//! evaluation: mean, var = running
//! x^     = (x - mean) / sqrt(var + 1e-5)
//! y      = weight x^ + bias
//! grad_bias   = sum grad_y          grad_weight = sum grad_y x^
//! grad_x = weight / sqrt(var + 1e-5) (grad_y - [training] (grad_bias + x^ grad_weight) / n)
//! ```
//!
//! All gradients are assigned; the running values are updated in place, in training only.

use super::reference::{Real, Reference};
use crate::error::{Result, ShapeError};
use crate::gpu::{GRID, Kernel, NUMBER, REDUCE, Recorder, Var, kernels, uniform_struct};

const EPS: f32 = 1e-5;
const MOMENTUM: f32 = 0.1;

/// The shape contract.
#[derive(Debug, Clone, Copy)]
pub struct BatchNorm {
    rows: usize,
    channels: usize,
    pixels: usize,
    training: bool,
}

impl BatchNorm {
    /// Checks `x` `[R, C]` or `[R, C, H, L]`.
    ///
    /// # Errors
    /// [`ShapeError`] for another rank, or when training sees one value a channel.
    pub fn new(x: &[usize], training: bool) -> Result<Self, ShapeError> {
        let (rows, channels, pixels) = match *x {
            [rows, channels] => (rows, channels, 1),
            [rows, channels, height, width] => (rows, channels, height * width),
            _ => {
                let message = format!("x must be [R, C] or [B, C, H, W], not {x:?}");
                return Err(ShapeError::new("batch_norm", message));
            }
        };
        if training && rows * pixels < 2 {
            let message = format!("training needs more than one value a channel, x is {x:?}");
            return Err(ShapeError::new("batch_norm", message));
        }
        Ok(Self {
            rows,
            channels,
            pixels,
            training,
        })
    }
}

uniform_struct! {
    /// Uniform of both entry points.
    struct Params {
        rows: u32,
        channels: u32,
        pixels: u32,
        eps: f32,
        momentum: f32,
    }
}

kernels! {
    "batch_norm", [GRID, NUMBER, REDUCE];
    FORWARD = "forward", 256, Params::FIELDS, [Read 1, Read 2, Read 3, Write 4, Write 5, Write 6, Write 7];
    BACKWARD = "backward", 256, Params::FIELDS, [Read 1, Read 2, Read 8, Read 9, Write 10, Write 11, Write 12];
    FORWARD_NARROW = "forward_narrow", 64, Params::FIELDS, [Read 1, Read 2, Read 3, Write 4, Write 5, Write 6, Write 7];
    BACKWARD_NARROW = "backward_narrow", 64, Params::FIELDS, [Read 1, Read 2, Read 8, Read 9, Write 10, Write 11, Write 12];
}

/// Values of a channel up to which a thread a channel does: the threads of a workgroup would have nothing to do
/// but to wait for each other.
const NARROW: usize = 128;

/// The trained and the running tensors of a batch norm, each `[C]`.
#[derive(Debug, Clone, Copy)]
pub struct BatchNormState {
    /// Scale
    pub weight: Var,
    /// Shift
    pub bias: Var,
    /// Running mean
    pub running_mean: Var,
    /// Running variance (unbiased)
    pub running_var: Var,
}

impl BatchNorm {
    fn params(&self) -> Params {
        Params {
            rows: self.rows as u32,
            channels: self.channels as u32,
            pixels: self.pixels as u32,
            eps: EPS,
            momentum: MOMENTUM,
        }
    }

    fn constants(&self) -> [(&'static str, f64); 1] {
        [("TRAINING", f64::from(u8::from(self.training)))]
    }

    /// Records the kernel of a workgroup a channel, or that of a thread a channel.
    fn dispatch(&self, rec: &mut Recorder<'_>, kernels: [&'static Kernel; 2], tensors: &[Var; 7]) {
        let [wide, narrow] = kernels;
        let dispatch = if self.rows * self.pixels <= NARROW {
            rec.dispatch(narrow, &self.params(), tensors, self.channels)
        } else {
            rec.dispatch_per_group(wide, &self.params(), tensors, self.channels)
        };
        dispatch.constants(&self.constants());
    }

    /// Records `y`, and mean and inverse deviation into `stats` `[C, 2]`.
    pub fn forward(
        &self,
        rec: &mut Recorder<'_>,
        y: Var,
        stats: Var,
        x: Var,
        state: BatchNormState,
    ) {
        let tensors = [
            x,
            state.weight,
            state.bias,
            y,
            stats,
            state.running_mean,
            state.running_var,
        ];
        self.dispatch(rec, [&FORWARD, &FORWARD_NARROW], &tensors);
    }

    /// Records `grad_x`, `grad_weight` and `grad_bias`.
    pub fn backward(
        &self,
        rec: &mut Recorder<'_>,
        grads: [Var; 3],
        grad_y: Var,
        x: Var,
        weight: Var,
        stats: Var,
    ) {
        let tensors = [x, weight, grad_y, stats, grads[0], grads[1], grads[2]];
        self.dispatch(rec, [&BACKWARD, &BACKWARD_NARROW], &tensors);
    }
}

/// Normalises `x`; training or evaluation as the recording says.
///
/// # Errors
/// [`ShapeError`], see [`BatchNorm::new`].
pub fn batch_norm(rec: &mut Recorder<'_>, x: Var, state: BatchNormState) -> Result<Var> {
    let op = BatchNorm::new(rec.shape(x), rec.training())?;
    let shape = rec.shape(x).to_vec();
    let y = rec.temporary("batch_norm", &shape);
    let stats = rec.temporary("batch_norm stats", &[op.channels, 2]);
    op.forward(rec, y, stats, x, state);
    let BatchNormState { weight, bias, .. } = state;
    rec.on_backward(y, &[x, weight, bias], move |rec, grad_y| {
        rec.contribute_always(weight, |rec, grad_weight| {
            rec.contribute_always(bias, |rec, grad_bias| {
                rec.contribute_always(x, |rec, grad_x| {
                    op.backward(
                        rec,
                        [grad_x, grad_weight, grad_bias],
                        grad_y,
                        x,
                        weight,
                        stats,
                    );
                    Ok(())
                })
            })
        })
    });
    Ok(y)
}

impl BatchNorm {
    fn channel(&self, i: usize) -> usize {
        i / self.pixels % self.channels
    }

    /// Mean and inverse deviation of each channel: of `x`, or running.
    fn stats<T: Real>(&self, inputs: &[Vec<T>]) -> Vec<(T, T)> {
        let n = T::of((self.rows * self.pixels) as f64);
        let of_channel = |c: usize| {
            if !self.training {
                return (
                    inputs[3][c],
                    T::of(1.0) / (inputs[4][c] + T::of(f64::from(EPS))).sqrt(),
                );
            }
            let values: Vec<T> = inputs[0]
                .iter()
                .enumerate()
                .filter(|(i, _)| self.channel(*i) == c)
                .map(|(_, v)| *v)
                .collect();
            let mean = values.iter().copied().sum::<T>() / n;
            let var = values.iter().map(|v| (*v - mean) * (*v - mean)).sum::<T>() / n;
            (mean, T::of(1.0) / (var + T::of(f64::from(EPS))).sqrt())
        };
        (0..self.channels).map(of_channel).collect()
    }
}

impl Reference for BatchNorm {
    /// Inputs `x, weight, bias`, and for evaluation `running_mean, running_var`.
    fn forward<T: Real>(&self, inputs: &[Vec<T>]) -> Vec<T> {
        let stats = self.stats(inputs);
        let y = inputs[0].iter().enumerate().map(|(i, v)| {
            let c = self.channel(i);
            (*v - stats[c].0) * stats[c].1 * inputs[1][c] + inputs[2][c]
        });
        y.collect()
    }

    fn backward<T: Real>(&self, inputs: &[Vec<T>], grad_y: &[T]) -> Vec<Vec<T>> {
        let stats = self.stats(inputs);
        let hat = |i: usize| (inputs[0][i] - stats[self.channel(i)].0) * stats[self.channel(i)].1;
        let mut grad_weight = vec![T::of(0.0); self.channels];
        let mut grad_bias = vec![T::of(0.0); self.channels];
        for (i, g) in grad_y.iter().enumerate() {
            grad_weight[self.channel(i)] += *g * hat(i);
            grad_bias[self.channel(i)] += *g;
        }
        let n = T::of((self.rows * self.pixels) as f64);
        let grad_x = grad_y.iter().enumerate().map(|(i, g)| {
            let c = self.channel(i);
            let mut inner = *g;
            if self.training {
                inner = inner - (grad_bias[c] + hat(i) * grad_weight[c]) / n;
            }
            inputs[1][c] * stats[c].1 * inner
        });
        vec![grad_x.collect(), grad_weight, grad_bias]
    }
}
