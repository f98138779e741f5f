//! Which model, with its own options.

use std::sync::Arc;

use super::{Model, Simple, SimpleOptions};
use crate::data::BuiltIn;
use crate::error::Result;
use crate::options::COMMITMENT_WEIGHT;
use crate::quant::Quantizer;

/// A model's options; each model has its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ModelOptions {
    /// [`Simple`].
    Simple(SimpleOptions),
}

impl Default for ModelOptions {
    fn default() -> Self {
        Self::Simple(SimpleOptions::default())
    }
}

impl ModelOptions {
    /// The names of all models.
    pub const NAMES: [&str; 1] = [Simple::NAME];

    /// Its model's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Simple(_) => Simple::NAME,
        }
    }

    /// Whether they are in range.
    ///
    /// # Errors
    /// [`crate::Error::Option`] names the option, its value and the range.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Simple(options) => COMMITMENT_WEIGHT.check(options.commitment_weight),
        }
    }

    /// The built-in images that its model is trained on where no others are named, and their height and width.
    #[must_use]
    pub fn built_in(&self) -> (BuiltIn, usize) {
        let set = match self {
            Self::Simple(_) => BuiltIn::Glyphs,
        };
        (set, set.sizes()[0])
    }

    /// What divides the height and the width of its model's images, see [`Model::granularity`].
    #[must_use]
    pub fn granularity(&self) -> usize {
        match self {
            Self::Simple(_) => Simple::GRANULARITY,
        }
    }

    /// The model around `quantizer`, for images of `channels` channels.
    #[must_use]
    pub fn build(&self, quantizer: Arc<dyn Quantizer>, channels: usize) -> Box<dyn Model> {
        match *self {
            Self::Simple(options) => {
                Box::new(Simple::new(quantizer, options).with_channels(channels))
            }
        }
    }
}
