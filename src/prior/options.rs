//! What a prior is made of and trained with.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::optim::schedule::{Decay, Schedule};
use crate::options::LR;

/// Options of a prior; they are kept in its file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriorOptions {
    /// E, features of a position.
    pub width: usize,
    /// Heads of the attention, which divide the width into multiples of four.
    pub heads: usize,
    /// Blocks of attention and a layer of four times the width.
    pub blocks: usize,
    /// Images a step.
    pub batch: usize,
    /// Steps in all.
    pub steps: u32,
    /// The greatest learning rate: it grows over the first tenth of the steps, at most 100, and falls to a tenth.
    pub lr: f32,
    /// Seed of parameters and order.
    pub seed: u64,
}

impl Default for PriorOptions {
    fn default() -> Self {
        Self {
            width: 64,
            heads: 4,
            blocks: 3,
            batch: 64,
            steps: 2000,
            lr: 2e-3,
            seed: 0,
        }
    }
}

impl PriorOptions {
    /// Whether they are in range.
    ///
    /// # Errors
    /// [`Error::Option`] names the option, its value and the range; [`Error::Conflict`] heads that do not divide the
    /// width so.
    pub fn validate(&self) -> Result<()> {
        let range = |name: &str, value: usize, most: usize| match (1..=most).contains(&value) {
            true => Ok(()),
            false => Err(Error::Option {
                name: name.into(),
                value: value.to_string(),
                want: format!("a whole number from 1 to {most}"),
            }),
        };
        range("width", self.width, 4096)?;
        range("heads", self.heads, 256)?;
        range("blocks", self.blocks, 64)?;
        range("batch", self.batch, 65_536)?;
        range("steps", self.steps as usize, 1 << 30)?;
        LR.check(self.lr)?;
        if !self.width.is_multiple_of(4 * self.heads) {
            return Err(Error::Conflict(format!(
                "heads ({}) must divide width ({}) into multiples of four",
                self.heads, self.width
            )));
        }
        Ok(())
    }

    /// The rate of step `step`, from 1.
    #[must_use]
    pub fn lr_of(&self, step: u32) -> f32 {
        let schedule = Schedule {
            warmup: (self.steps / 10).min(100),
            decay: Decay::Cosine {
                min_lr: 0.1 * self.lr,
            },
        };
        schedule.lr(step, self.lr, Some(self.steps))
    }
}
