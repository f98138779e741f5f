//! `simple`: the autoencoder of the seed's README.

use serde::{Deserialize, Serialize};

use super::{Builder, Model};
use crate::error::Result;
use crate::gpu::Var;
use crate::ops::activation::Activation;
use crate::ops::conv2d::Conv2dOptions;
use crate::quant::codebook::VectorQuant;

/// Where the output is clamped to [-1, 1].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputClamp {
    /// Always, as in the README: a pixel driven beyond the range has no gradient any more.
    Train,
    /// Outside training only.
    #[default]
    Eval,
}

/// Conv 16 3x3, MaxPool2, GELU, Conv F 3x3, MaxPool2, VQ, Up2, Conv 16 3x3, GELU, Up2, Conv C 3x3,
/// clamp; images `[B, C, H, W]` in [-1, 1], H and W divisible by 4.
#[derive(Debug, Clone)]
pub struct Simple {
    quantizer: VectorQuant,
    output_clamp: OutputClamp,
    commitment_weight: f32,
    channels: usize,
}

impl Simple {
    /// The model around `quantizer`, for images of one channel.
    #[must_use]
    pub fn new(quantizer: VectorQuant, output_clamp: OutputClamp, commitment_weight: f32) -> Self {
        Self {
            quantizer,
            output_clamp,
            commitment_weight,
            channels: 1,
        }
    }

    /// The same for images of `channels` channels.
    #[must_use]
    pub fn with_channels(self, channels: usize) -> Self {
        Self { channels, ..self }
    }
}

impl Model for Simple {
    fn name(&self) -> &'static str {
        "simple"
    }

    fn commitment_weight(&self) -> f32 {
        self.commitment_weight
    }

    fn encode(&self, net: &mut Builder<'_, '_>, images: Var) -> Result<Var> {
        let features = self.quantizer.config().feature_size;
        let same = Conv2dOptions::SAME_3X3;
        let x = net.conv2d("layers.0", images, 16, same)?;
        let x = net.max_pool2d(x, 2, 2)?;
        let x = net.gelu(x);
        let x = net.conv2d("layers.3", x, features, same)?;
        net.max_pool2d(x, 2, 2)
    }

    fn quantizer(&self) -> (&str, &VectorQuant) {
        ("layers.5", &self.quantizer)
    }

    fn decode(&self, net: &mut Builder<'_, '_>, z: Var) -> Result<Var> {
        let x = net.upsample_conv2d("layers.7", z, 16)?;
        let x = net.gelu(x);
        let x = net.upsample_conv2d("layers.10", x, self.channels)?;
        if self.output_clamp == OutputClamp::Train || !net.training() {
            return Ok(net.activation(x, Activation::Clamp));
        }
        Ok(x)
    }
}
