//! The learning rate of each step: a linear warm-up, then constant, a cosine, or steps down.
//!
//! With s steps done before, of a run of T with W of warm-up and the rate `lr`, as PyTorch's `LinearLR` in front of
//! `CosineAnnealingLR` or `StepLR`:
//!
//! ```text
//! s < W      lr (s + 1) / W
//! constant   lr
//! cosine     min_lr + (lr - min_lr) (1 + cos(pi (s - W) / (T - W))) / 2
//! step       lr factor^floor((s - W) / every)
//! ```

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::options::{DECAY_EVERY, DECAY_FACTOR, MIN_LR, WARMUP};

/// The kinds of decay by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// [`Decay::Constant`].
    #[default]
    Constant,
    /// [`Decay::Cosine`].
    Cosine,
    /// [`Decay::Step`].
    Step,
}

/// What the rate does after the warm-up.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Decay {
    /// It stays.
    #[default]
    Constant,
    /// Half a cosine down to `min_lr`, which the step behind the last would have (Loshchilov and Hutter 2017).
    Cosine {
        /// The least rate.
        min_lr: f32,
    },
    /// Times `factor` after each `every` steps.
    Step {
        /// Steps; none for a third of those after the warm-up.
        every: Option<u32>,
        /// In [0, 1].
        factor: f32,
    },
}

/// How the rate changes over the steps of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Schedule {
    /// Steps over which the rate grows to `lr`.
    pub warmup: u32,
    /// What it does then.
    pub decay: Decay,
}

impl Schedule {
    /// Its name, that of its decay.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.decay {
            Decay::Constant => Kind::Constant,
            Decay::Cosine { .. } => Kind::Cosine,
            Decay::Step { .. } => Kind::Step,
        }
    }

    /// Whether all steps have the same rate.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        self.warmup == 0 && self.decay == Decay::Constant
    }

    /// Whether it is in range, and goes with the rate `lr`.
    ///
    /// # Errors
    /// [`Error::Option`] names the option that is out of range; [`Error::Conflict`] a least rate above `lr`.
    pub fn validate(&self, lr: f32) -> Result<()> {
        WARMUP.check(self.warmup)?;
        match self.decay {
            Decay::Constant => Ok(()),
            Decay::Cosine { min_lr } => {
                MIN_LR.check(min_lr)?;
                if min_lr <= lr {
                    return Ok(());
                }
                Err(Error::Conflict(format!(
                    "min_lr ({min_lr:e}) is above lr ({lr:e}), from which the cosine goes down to it"
                )))
            }
            Decay::Step { every, factor } => {
                every.map_or(Ok(()), |every| DECAY_EVERY.check(every))?;
                DECAY_FACTOR.check(factor)
            }
        }
    }

    /// Whether a run of `steps` can have it.
    ///
    /// # Errors
    /// [`Error::Config`] where it needs the number of steps and there is none, or the warm-up leaves none.
    pub fn validate_goal(&self, steps: Option<u32>) -> Result<()> {
        let needs = match self.decay {
            Decay::Constant | Decay::Step { every: Some(_), .. } => return Ok(()),
            Decay::Cosine { .. } => "the cosine ends with them",
            Decay::Step { every: None, .. } => {
                "without `decay_every` the rate falls after each third of them"
            }
        };
        match steps {
            None => Err(Error::Config(format!(
                "a `schedule` needs the number of steps, because {needs}: give `steps` or `epochs`"
            ))),
            Some(steps) if steps <= self.warmup => Err(Error::Config(format!(
                "`warmup` ({}) leaves none of the {steps} steps to the decay: shorten it",
                self.warmup
            ))),
            Some(_) => Ok(()),
        }
    }

    /// The rate of step `step` (from 1) of a run of `steps`, whose rate is `lr`; computed in f64. Beyond the last step
    /// a cosine stays at its least rate, and without a number of steps it has not begun.
    #[must_use]
    pub fn lr(&self, step: u32, lr: f32, steps: Option<u32>) -> f32 {
        let done = step.saturating_sub(1);
        let full = f64::from(lr);
        let Some(after) = done.checked_sub(self.warmup) else {
            return (full * f64::from(step) / f64::from(self.warmup)) as f32;
        };
        let whole = steps.map(|steps| steps.saturating_sub(self.warmup));
        let rate = match self.decay {
            Decay::Constant => full,
            Decay::Cosine { min_lr } => {
                let least = f64::from(min_lr);
                let share = whole.map_or(0.0, |n| f64::from(after) / f64::from(n.max(1)));
                least + (full - least) * (1.0 + libm::cos(PI * share.min(1.0))) / 2.0
            }
            Decay::Step { every, factor } => {
                let every = every.or(whole.map(|n| n.div_ceil(3))).unwrap_or(u32::MAX);
                full * libm::pow(f64::from(factor), f64::from(after / every.max(1)))
            }
        };
        rate as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COSINE: Schedule = Schedule {
        warmup: 10,
        decay: Decay::Cosine { min_lr: 1e-4 },
    };

    #[test]
    fn a_cosine_by_its_closed_form() {
        let lr = |step| COSINE.lr(step, 1e-2, Some(110));
        for (step, want) in [
            (1, 1e-3),
            (5, 5e-3),
            (10, 1e-2),
            // The top of the cosine, its middle, a quarter of it, and its end.
            (11, 1e-2),
            (61, (1e-2 + 1e-4) / 2.0),
            (36, 1e-4 + 9.9e-3 * (1.0 + 0.5_f64.sqrt()) / 2.0),
            (111, 1e-4),
            (5000, 1e-4),
        ] {
            let got = f64::from(lr(step));
            assert!((got - want).abs() < 1e-9, "step {step}: {got}, not {want}");
        }
        assert!((1..110).all(|s| (s < 11) == (lr(s + 1) >= lr(s)) || s == 10));
    }

    #[test]
    fn steps_down() {
        let schedule = |every| Schedule {
            warmup: 2,
            decay: Decay::Step { every, factor: 0.5 },
        };
        let lr = |every| {
            let schedule = schedule(every);
            (1..=11).map(move |s| schedule.lr(s, 1.0, Some(11)))
        };
        let want = [0.5, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25];
        assert!(lr(Some(3)).eq(want));
        // A third of the nine.
        assert!(lr(None).eq(want));
        assert_eq!(schedule(Some(3)).lr(6, 1.0, None), 0.5);
    }

    #[test]
    fn without_a_schedule_the_rate_is_bit_for_bit_what_was_given() {
        for lr in [3e-4_f32, 1e-3, 0.1, f32::MIN_POSITIVE, 1e30] {
            let got = Schedule::default().lr(7, lr, None);
            assert_eq!(got.to_bits(), lr.to_bits());
        }
    }

    #[test]
    fn what_does_not_go_together() {
        assert!(COSINE.validate(1e-2).is_ok());
        assert!(COSINE.validate(1e-5).is_err());
        for (steps, right) in [(None, false), (Some(10), false), (Some(11), true)] {
            assert_eq!(COSINE.validate_goal(steps).is_ok(), right, "{steps:?}");
        }
        let warm = Schedule {
            decay: Decay::Constant,
            ..COSINE
        };
        assert!(warm.validate_goal(None).is_ok());
    }
}
