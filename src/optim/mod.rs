//! Optimisers: one dispatch each, over the arenas of all parameters; the learning rate of each step; clipping.

pub mod adamw;
pub mod clip;
pub mod schedule;
pub mod sgd;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::gpu::{Phase, Recorder, StepValues, Var};
use crate::options::{BETA1, BETA2, EPS, MOMENTUM, WEIGHT_DECAY};

/// The optimiser and its constants; the learning rate comes with each step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "name")]
pub enum Optimizer {
    /// AdamW (Loshchilov and Hutter 2019).
    Adamw {
        /// Decay of the first moment.
        beta1: f32,
        /// Decay of the second moment.
        beta2: f32,
        /// Added to the root of the second moment.
        eps: f32,
        /// Decoupled weight decay.
        weight_decay: f32,
    },
    /// Stochastic gradient descent with momentum.
    Sgd {
        /// Decay of the velocity.
        momentum: f32,
        /// L2 penalty, added to the gradient.
        weight_decay: f32,
    },
}

impl Default for Optimizer {
    /// PyTorch's AdamW.
    fn default() -> Self {
        Self::Adamw {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 1e-2,
        }
    }
}

/// What an update of the parameters does besides the optimiser's own.
#[derive(Debug, Clone, Default)]
pub struct Update {
    /// What each gradient is multiplied by `[1]`, see [`clip::Clip`].
    pub factor: Option<Var>,
    /// Factors of the learning rate for stretches of the arena, in order, which together are all of it; empty where
    /// all parameters have the rate itself. Decoupled weight decay goes with a parameter's own rate, as in PyTorch's
    /// parameter groups.
    pub rates: Vec<(Range<usize>, f32)>,
}

impl Update {
    /// The stretches of an arena of `len` elements, with their factors.
    fn stretches(&self, len: usize) -> Vec<(Range<usize>, f32)> {
        match self.rates.is_empty() {
            true => vec![(0..len, 1.0)],
            false => self.rates.clone(),
        }
    }
}

impl Optimizer {
    /// The optimiser of this name with its defaults, those of PyTorch but for SGD's momentum of 0.9.
    ///
    /// # Errors
    /// [`Error::Option`] names those there are.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "adamw" => Ok(Self::default()),
            "sgd" => Ok(Self::Sgd {
                momentum: 0.9,
                weight_decay: 0.0,
            }),
            _ => Err(Error::Option {
                name: "optimizer.name".into(),
                value: name.into(),
                want: "adamw or sgd".into(),
            }),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Adamw { .. } => "adamw",
            Self::Sgd { .. } => "sgd",
        }
    }

    /// Whether its constants are in range: as PyTorch's, but finite, and eps above 0.
    ///
    /// # Errors
    /// [`Error::Option`] names the constant, its value and the range.
    pub fn validate(&self) -> Result<()> {
        match *self {
            Self::Adamw {
                beta1,
                beta2,
                eps,
                weight_decay,
            } => {
                BETA1.check(beta1)?;
                BETA2.check(beta2)?;
                EPS.check(eps)?;
                WEIGHT_DECAY.check(weight_decay)
            }
            Self::Sgd {
                momentum,
                weight_decay,
            } => {
                MOMENTUM.check(momentum)?;
                WEIGHT_DECAY.check(weight_decay)
            }
        }
    }

    /// Moments that it keeps of each parameter: 1 or 2.
    #[must_use]
    pub fn moments(&self) -> usize {
        match self {
            Self::Adamw { .. } => 2,
            Self::Sgd { .. } => 1,
        }
    }

    /// Records the update of all parameters from all gradients.
    pub fn record(&self, rec: &mut Recorder<'_>) {
        self.record_with(rec, &Update::default());
    }

    /// The same with clipped gradients, and with rates of their own for some parameters.
    pub fn record_with(&self, rec: &mut Recorder<'_>, how: &Update) {
        rec.enter(Phase::Optimiser);
        match *self {
            Self::Adamw {
                beta1,
                beta2,
                eps,
                weight_decay,
            } => adamw::record(rec, [beta1, beta2], eps, weight_decay, how),
            Self::Sgd {
                momentum,
                weight_decay,
            } => sgd::record(rec, momentum, weight_decay, how),
        }
    }

    /// The step's values `step` (from 1) and `lr`, and those of AdamW's bias corrections, `bias1`
    /// = 1 - beta1^step and `bias2_sqrt` = sqrt(1 - beta2^step), computed in f64.
    #[must_use]
    pub fn step(&self, step: u32, lr: f32) -> StepValues {
        let values = StepValues::default().with("step", step).with("lr", lr);
        let Self::Adamw { beta1, beta2, .. } = *self else {
            return values;
        };
        let power = |beta: f32| 1.0 - libm::pow(f64::from(beta), f64::from(step));
        values
            .with("bias1", power(beta1) as f32)
            .with("bias2_sqrt", power(beta2).sqrt() as f32)
    }
}
