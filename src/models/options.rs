//! Which model, with its own options.

use std::sync::Arc;

use super::{Model, ResNet, ResNetOptions, Simple, SimpleOptions, Variant};
use crate::data::BuiltIn;
use crate::error::{Error, Result};
use crate::options::{BLOCKS, COMMITMENT_WEIGHT, MODELS};
use crate::quant::Quantizer;

/// A model's options; each model has its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ModelOptions {
    /// [`Simple`].
    Simple(SimpleOptions),
    /// [`ResNet`].
    ResNet(ResNetOptions),
}

impl Default for ModelOptions {
    fn default() -> Self {
        Self::Simple(SimpleOptions::default())
    }
}

impl ModelOptions {
    /// The names of all models.
    pub const NAMES: [&str; 3] = MODELS;

    /// The model of this name with its defaults.
    ///
    /// # Errors
    /// [`Error::Config`] lists those there are.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            Simple::NAME => Ok(Self::default()),
            "resnet32" => Ok(Self::ResNet(ResNetOptions::new(Variant::Resnet32))),
            "resnet64" => Ok(Self::ResNet(ResNetOptions::new(Variant::Resnet64))),
            _ => Err(Error::Config(format!(
                "unknown model `{name}`; there is: {}",
                Self::NAMES.join(", ")
            ))),
        }
    }

    /// Its model's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Simple(_) => Simple::NAME,
            Self::ResNet(options) => options.variant.name(),
        }
    }

    /// Weight of the quantiser's own loss.
    #[must_use]
    pub fn commitment_weight(&self) -> f32 {
        match self {
            Self::Simple(options) => options.commitment_weight,
            Self::ResNet(options) => options.commitment_weight,
        }
    }

    /// The same with another weight of the quantiser's own loss.
    #[must_use]
    pub fn with_commitment_weight(mut self, weight: f32) -> Self {
        match &mut self {
            Self::Simple(options) => options.commitment_weight = weight,
            Self::ResNet(options) => options.commitment_weight = weight,
        }
        self
    }

    /// Whether they are in range.
    ///
    /// # Errors
    /// [`Error::Option`] names the option, its value and the range.
    pub fn validate(&self) -> Result<()> {
        COMMITMENT_WEIGHT.check(self.commitment_weight())?;
        match self {
            Self::Simple(_) => Ok(()),
            Self::ResNet(options) => BLOCKS.check(options.blocks),
        }
    }

    /// The built-in images that its model is trained on where no others are named, and their height and width.
    #[must_use]
    pub fn built_in(&self) -> (BuiltIn, usize) {
        match self {
            Self::Simple(_) => (BuiltIn::Glyphs, BuiltIn::Glyphs.sizes()[0]),
            Self::ResNet(options) => match options.variant {
                Variant::Resnet32 => (BuiltIn::Scenes, 32),
                Variant::Resnet64 => (BuiltIn::Scenes, 64),
            },
        }
    }

    /// What divides the height and the width of its model's images, see [`Model::granularity`].
    #[must_use]
    pub fn granularity(&self) -> usize {
        match self {
            Self::Simple(_) => Simple::GRANULARITY,
            Self::ResNet(_) => ResNet::GRANULARITY,
        }
    }

    /// The parameter that the images meet first, whose second axis is their channels.
    #[must_use]
    pub fn first_parameter(&self) -> String {
        match self {
            Self::Simple(_) => Simple::FIRST.into(),
            Self::ResNet(options) => format!("{}.weight", options.variant.first()),
        }
    }

    /// The model around `quantizer`, for images of `channels` channels.
    #[must_use]
    pub fn build(&self, quantizer: Arc<dyn Quantizer>, channels: usize) -> Box<dyn Model> {
        match *self {
            Self::Simple(options) => {
                Box::new(Simple::new(quantizer, options).with_channels(channels))
            }
            Self::ResNet(options) => {
                Box::new(ResNet::new(quantizer, options).with_channels(channels))
            }
        }
    }
}
