//! `simple`: the autoencoder of the PyTorch package's README.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Builder, Model};
use crate::error::Result;
use crate::gpu::Var;
use crate::ops::activation::Activation;
use crate::ops::conv2d::Conv2dOptions;
use crate::quant::{Encoded, Latent, Quantizer};

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
/// clamp; images `[B, C, H, W]` in [-1, 1], H and W divisible by 4. A second head is a Conv F 3x3 with
/// its MaxPool2 beside the first.
#[derive(Debug, Clone)]
pub struct Simple {
    quantizer: Arc<dyn Quantizer>,
    options: SimpleOptions,
    channels: usize,
}

/// Options of [`Simple`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SimpleOptions {
    /// Where the output is clamped.
    pub output_clamp: OutputClamp,
    /// Weight of the quantiser's own loss, at least 0.
    pub commitment_weight: f32,
}

impl Default for SimpleOptions {
    fn default() -> Self {
        Self {
            output_clamp: OutputClamp::default(),
            commitment_weight: 10.0,
        }
    }
}

/// The name of the quantiser.
const QUANTIZER: &str = "layers.5";

/// The name of the second head.
const LOG_VAR: &str = "log_var";

/// Window and stride of the two pools.
const HALVE: usize = 2;

impl Simple {
    /// The model's name.
    pub const NAME: &str = "simple";
    /// The parameter that the images meet first.
    pub(super) const FIRST: &str = "layers.0.weight";
    /// What divides the height and the width of its images.
    pub const GRANULARITY: usize = HALVE * HALVE;

    /// The model around `quantizer`, for images of one channel.
    #[must_use]
    pub fn new(quantizer: Arc<dyn Quantizer>, options: SimpleOptions) -> Self {
        Self {
            quantizer,
            options,
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
        Self::NAME
    }

    fn commitment_weight(&self) -> f32 {
        self.options.commitment_weight
    }

    fn granularity(&self) -> usize {
        Self::GRANULARITY
    }

    fn quantizers(&self) -> Vec<(&str, &dyn Quantizer)> {
        vec![(QUANTIZER, self.quantizer.as_ref())]
    }

    fn encode(&self, net: &mut Builder<'_, '_>, images: Var) -> Result<Vec<Var>> {
        let Latent {
            features, log_var, ..
        } = self.quantizer.latent();
        let same = Conv2dOptions::SAME_3X3;
        let x = net.conv2d("layers.0", images, 16, same)?;
        let x = net.max_pool2d(x, HALVE, HALVE)?;
        let x = net.gelu(x);
        let mut head = |name: &str| {
            let x = net.conv2d(name, x, features, same)?;
            net.max_pool2d(x, HALVE, HALVE)
        };
        let encoded = Encoded {
            z: head("layers.3")?,
            log_var: log_var.then(|| head(LOG_VAR)).transpose()?,
        };
        Ok(vec![net.quantize(
            QUANTIZER,
            encoded,
            self.quantizer.as_ref(),
        )?])
    }

    fn decode(&self, net: &mut Builder<'_, '_>, z: &[Var]) -> Result<Var> {
        let x = net.upsample_conv2d("layers.7", z[0], 16)?;
        let x = net.gelu(x);
        let x = net.upsample_conv2d("layers.10", x, self.channels)?;
        if self.options.output_clamp == OutputClamp::Train || !net.training() {
            return Ok(net.activation(x, Activation::Clamp));
        }
        Ok(x)
    }
}
