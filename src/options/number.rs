//! The numeric options: name and range. Their checks, and what an error says, are made of them, so
//! that a value is refused alike on the command line, in JSON and in a library call.

use std::fmt::Display;
use std::str::FromStr;

use serde_json::{Number as JsonNumber, Value};

use crate::error::{Error, Result};

/// What a numeric option can be. Numbers are finite, in float32.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Range {
    /// Whole, from the first to the last.
    Whole(u64, u64),
    /// Above 0.
    Positive,
    /// At least 0.
    NotNegative,
    /// In [0, 1].
    Share,
    /// In [0, 1): how much of a running value stays.
    Decay,
}

impl Range {
    /// Whether a number that need not be whole is in range.
    #[must_use]
    pub fn holds(self, value: f64) -> bool {
        value.is_finite()
            && match self {
                Self::Whole(..) => false,
                Self::Positive => value > 0.0,
                Self::NotNegative => value >= 0.0,
                Self::Share => (0.0..=1.0).contains(&value),
                Self::Decay => (0.0..1.0).contains(&value),
            }
    }

    /// Whether a whole number is in range.
    #[must_use]
    pub fn holds_whole(self, value: u64) -> bool {
        matches!(self, Self::Whole(from, to) if (from..=to).contains(&value))
    }

    /// In words: "must be ..".
    fn words(self) -> String {
        match self {
            Self::Whole(from, to) => format!("a whole number from {from} to {to}"),
            Self::Positive => "a number above 0".into(),
            Self::NotNegative => "a number of at least 0".into(),
            Self::Share => "in [0, 1]".into(),
            Self::Decay => "in [0, 1)".into(),
        }
    }
}

/// A numeric option.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number {
    /// The object of [`crate::train::TrainOptions`] that holds it; empty for the options themselves.
    pub group: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// What it can be.
    pub range: Range,
}

const fn number(group: &'static str, name: &'static str, range: Range) -> Number {
    Number { group, name, range }
}

/// Largest whole number up to which float32 holds each one; codes and countdowns are held in it.
const IN_FLOAT: u64 = 1 << 24;
/// Most of what is counted in u32.
const IN_U32: u64 = u32::MAX as u64;

/// Learning rate.
pub const LR: Number = number("", "lr", Range::Positive);
/// Images a step; a data set sets a lower bound of its own.
pub const BATCH: Number = number("", "batch", Range::Whole(1, IN_FLOAT));
/// Height and width that images are resized and cropped to.
pub const IMAGE_SIZE: Number = number("", "image_size", Range::Whole(8, 1024));
/// Steps in all.
pub const STEPS: Number = number("", "steps", Range::Whole(1, IN_U32));
/// Passes over the training images, in place of steps.
pub const EPOCHS: Number = number("", "epochs", Range::Whole(1, IN_U32));
/// Steps over which the learning rate grows.
pub const WARMUP: Number = number("", "warmup", Range::Whole(0, IN_U32));
/// The least rate of a cosine.
pub const MIN_LR: Number = number("", "min_lr", Range::NotNegative);
/// Steps between two falls of the rate.
pub const DECAY_EVERY: Number = number("", "decay_every", Range::Whole(1, IN_U32));
/// What the rate is multiplied by at a fall.
pub const DECAY_FACTOR: Number = number("", "decay_factor", Range::Share);
/// Factor of the learning rate for what a quantiser trains besides its codebook.
pub const QUANTIZER_LR: Number = number("", "quantizer_lr", Range::NotNegative);
/// Greatest norm of all gradients together; 0 for no limit.
pub const CLIP_NORM: Number = number("", "clip_norm", Range::NotNegative);
/// Parts of a step's images that pass one after the other.
pub const ACCUMULATE: Number = number("", "accumulate", Range::Whole(1, IN_FLOAT));
/// Steps between two evaluations; 0 for one at the end.
pub const EVAL_EVERY: Number = number("", "eval_every", Range::Whole(0, IN_U32));
/// Checkpoints that are kept.
pub const KEEP_LAST: Number = number("", "keep_last", Range::Whole(1, IN_U32));
/// Evaluations without improvement after which a run ends; 0 for never.
pub const PATIENCE: Number = number("", "patience", Range::Whole(0, IN_U32));
/// How far the test loss must fall to be an improvement.
pub const MIN_DELTA: Number = number("", "min_delta", Range::NotNegative);
/// Steps a metrics line.
pub const LOG_EVERY: Number = number("", "log_every", Range::Whole(1, IN_U32));
/// Seed.
pub const SEED: Number = number("", "seed", Range::Whole(0, u64::MAX));
/// Weight of the commitment loss.
pub const COMMITMENT_WEIGHT: Number = number("", "commitment_weight", Range::NotNegative);
/// Channels inside a residual model, which its first convolution has half of.
pub const WIDTH: Number = number("", "width", Range::Whole(2, 16_384));
/// Residual blocks in the encoder; each is some ten kernels, recorded and compiled beforehand.
pub const BLOCKS: Number = number("", "blocks", Range::Whole(1, 64));
/// AdamW: decay of the first moment.
pub const BETA1: Number = number("optimizer", "beta1", Range::Decay);
/// AdamW: decay of the second moment.
pub const BETA2: Number = number("optimizer", "beta2", Range::Decay);
/// AdamW: added to the root of the second moment. Above 0, since a parameter without a gradient
/// would be 0 / 0 otherwise.
pub const EPS: Number = number("optimizer", "eps", Range::Positive);
/// Weight decay.
pub const WEIGHT_DECAY: Number = number("optimizer", "weight_decay", Range::NotNegative);
/// SGD: decay of the velocity.
pub const MOMENTUM: Number = number("optimizer", "momentum", Range::Decay);
/// F
pub const FEATURE_SIZE: Number = number("vq", "feature_size", Range::Whole(1, 16_384));
/// K
pub const NUM_CODES: Number = number("vq", "num_codes", Range::Whole(1, IN_FLOAT));
/// Weight of the codebook side of the commitment loss.
pub const BETA: Number = number("vq", "beta", Range::Share);
/// Share of the decoder's gradient that reaches the codes.
pub const SYNC_NU: Number = number("vq", "sync_nu", Range::NotNegative);
/// Learning-rate factor of the affine codebook.
pub const AFFINE_LR: Number = number("vq", "affine_lr", Range::NotNegative);
/// Groups of codes with a scale of their own.
pub const AFFINE_GROUPS: Number = number("vq", "affine_groups", Range::Whole(1, IN_FLOAT));
/// Weight of the penalty on alpha.
pub const PENALTY_WEIGHT: Number = number("vq", "penalty_weight", Range::NotNegative);
/// Steps unused before a code is replaced.
pub const REPLACE_FREQ: Number = number("vq", "replace_freq", Range::Whole(0, IN_FLOAT));
/// Cluster size below which a code is replaced.
pub const REPLACE_BELOW: Number = number("vq", "replace_below", Range::NotNegative);
/// Decay of the codebook's moving average.
pub const EMA_DECAY: Number = number("vq", "ema_decay", Range::Decay);
/// D, codebooks one after the other.
pub const RESIDUAL: Number = number("vq", "residual", Range::Whole(1, 16));
/// Temperature of the noise of stochastic quantisation in the first step.
pub const TEMPERATURE: Number = number("vq", "temperature", Range::Positive);
/// By how much its logarithm falls a step.
pub const TEMPERATURE_DECAY: Number = number("vq", "temperature_decay", Range::NotNegative);
/// Where it stays.
pub const TEMPERATURE_MIN: Number = number("vq", "temperature_min", Range::Positive);
/// Axis of the features; the vectors' layout must have it.
pub const DIM: Number = number("vq", "dim", Range::Whole(0, 7));
/// The in-place step's learning rate and momentum are a pair in JSON; these are its parts.
pub const INPLACE_LR: Number = number("vq.inplace_optimizer", "0", Range::Positive);
/// See [`INPLACE_LR`].
pub const INPLACE_MOMENTUM: Number = number("vq.inplace_optimizer", "1", Range::Decay);
/// Centroids of k-means.
pub const CLUSTERS: Number = number("k-means", "clusters", Range::Whole(1, IN_FLOAT));
/// Lloyd iterations of k-means; with none the centroids are those of the seeding.
pub const MAX_ITERATIONS: Number = number("k-means", "max_iterations", Range::Whole(0, IN_U32));

/// A value of a numeric option.
pub trait Numeric: Copy + Display + FromStr {
    /// Whether `range` holds it.
    fn within(self, range: Range) -> bool;
}

impl Numeric for f32 {
    fn within(self, range: Range) -> bool {
        range.holds(self.into())
    }
}

impl Numeric for u32 {
    fn within(self, range: Range) -> bool {
        range.holds_whole(self.into())
    }
}

impl Numeric for u64 {
    fn within(self, range: Range) -> bool {
        range.holds_whole(self)
    }
}

impl Numeric for usize {
    fn within(self, range: Range) -> bool {
        range.holds_whole(self as u64)
    }
}

impl Number {
    fn refuse(&self, value: impl Display) -> Error {
        Error::Option {
            name: self.name.into(),
            value: value.to_string(),
            want: self.range.words(),
        }
    }

    /// Whether `value` is in range.
    ///
    /// # Errors
    /// [`Error::Option`] names the option, its value and the range.
    pub fn check<T: Numeric>(&self, value: T) -> Result<()> {
        if value.within(self.range) {
            return Ok(());
        }
        Err(self.refuse(value))
    }

    /// The value in `text`.
    ///
    /// # Errors
    /// [`Error::Option`], also where it is no number.
    pub fn parse<T: Numeric>(&self, text: &str) -> Result<T> {
        let value: T = text.trim().parse().map_err(|_| self.refuse(text))?;
        if value.within(self.range) {
            return Ok(value);
        }
        // What was typed may be in range, and what float32 makes of it not.
        match text.trim().parse::<f64>() {
            Ok(typed) if self.range.holds(typed) => {
                Err(self.refuse(format_args!("{text}, which float32 rounds to {value}")))
            }
            _ => Err(self.refuse(text)),
        }
    }

    /// The number in `text` as JSON, rounded to float32 where it need not be whole.
    pub(super) fn parse_json(&self, text: &str) -> Result<Value> {
        Ok(match self.range {
            Range::Whole(..) => self.parse::<u64>(text)?.into(),
            _ => self.parse::<f32>(text)?.into(),
        })
    }

    /// Whether `value` is a number and in range.
    pub(super) fn check_json(&self, value: &Value) -> Result<()> {
        let holds = |number: &JsonNumber| match self.range {
            Range::Whole(..) => number.as_u64().is_some_and(|v| v.within(self.range)),
            _ => number
                .as_f64()
                .is_some_and(|v| (v as f32).within(self.range)),
        };
        if value.as_number().is_some_and(holds) {
            return Ok(());
        }
        Err(self.refuse(value).within(self.group))
    }
}

/// What to say of an `inplace_optimizer` that is out of range.
#[must_use]
pub fn not_in_place(value: &str) -> Error {
    Error::Option {
        name: "inplace_optimizer".into(),
        value: value.into(),
        want: "a learning rate above 0 and a momentum in [0, 1)".into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::check_json;
    use super::*;

    /// What `torch.optim.AdamW` and `SGD` of PyTorch 2 take and refuse; NaN and infinity, some of
    /// which they let through, are refused here, and so is an eps of 0.
    #[test]
    fn ranges_of_the_optimisers() {
        for decay in [BETA1, BETA2, MOMENTUM] {
            for (text, right) in [
                ("0", true),
                ("0.999999", true),
                ("1", false),
                ("-0.5", false),
                ("nan", false),
                ("inf", false),
                ("1e308", false),
                // The nearest float32 is 1.
                ("0.99999999", false),
            ] {
                assert_eq!(decay.parse::<f32>(text).is_ok(), right, "{text}");
            }
        }
        for (text, right) in [("0", true), ("5", true), ("-1", false), ("inf", false)] {
            assert_eq!(WEIGHT_DECAY.parse::<f32>(text).is_ok(), right, "{text}");
        }
        for text in ["0", "-1e-8", "nan", "1e-50", "1e39", "", "x", "0x10"] {
            assert!(EPS.parse::<f32>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn errors_say_name_value_and_range() {
        for (error, want) in [
            (
                SEED.parse::<u64>("-1").unwrap_err(),
                "seed must be a whole number from 0 to 18446744073709551615, not -1",
            ),
            (
                BETA1.parse::<f32>("1").unwrap_err(),
                "beta1 must be in [0, 1), not 1",
            ),
            (
                LR.parse::<f32>("1e-50").unwrap_err(),
                "lr must be a number above 0, not 1e-50, which float32 rounds to 0",
            ),
            (
                LR.parse::<f32>("1e39").unwrap_err(),
                "lr must be a number above 0, not 1e39, which float32 rounds to inf",
            ),
            (
                check_json(&json!({"optimizer": {"beta1": 1}})).unwrap_err(),
                "optimizer.beta1 must be in [0, 1), not 1",
            ),
            (
                check_json(&json!({"batch": -1})).unwrap_err(),
                "batch must be a whole number from 1 to 16777216, not -1",
            ),
            (
                check_json(&json!({"lr": null})).unwrap_err(),
                "lr must be a number above 0, not null",
            ),
            (
                check_json(&json!({"lr": 1e39})).unwrap_err(),
                "lr must be a number above 0, not 1e+39",
            ),
        ] {
            assert_eq!(error.to_string(), want);
        }
    }
}
