//! `resnet32` and `resnet64`: residual autoencoders for colour images, in two variants.

use std::sync::Arc;

use super::{Builder, Model};
use crate::error::Result;
use crate::gpu::Var;
use crate::ops::activation::Activation;
use crate::ops::conv2d::Conv2dOptions;
use crate::ops::loss::PixelLoss;
use crate::quant::{Encoded, Quantizer};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// Batch norm and ReLU behind the encoder's last convolution; as many residual blocks in the
    /// decoder as in the encoder.
    Resnet32,
    /// Neither; one block fewer.
    Resnet64,
}

/// The name of the quantiser.
const QUANTIZER: &str = "_vq";

/// The name of the second head.
const LOG_VAR: &str = "_log_var";

const HALVE: Conv2dOptions = Conv2dOptions {
    kernel: 4,
    stride: 2,
    padding: 1,
};
const POINT: Conv2dOptions = Conv2dOptions {
    kernel: 1,
    stride: 1,
    padding: 0,
};

/// Two convolutions that halve the size, residual blocks, the quantiser, residual blocks, two
/// transposed convolutions that double it, sigmoid; images `[B, C, H, W]` in [0, 1], H and W
/// divisible by 4. The loss is MSE + 5 times that of the quantiser. A second head is a 1 by 1 convolution of z.
#[derive(Debug, Clone)]
pub struct ResNet {
    options: ResNetOptions,
    channels: usize,
    quantizer: Arc<dyn Quantizer>,
}

/// Options of [`ResNet`]; its width is the quantiser's features.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResNetOptions {
    /// Which of the two.
    pub variant: Variant,
    /// Residual blocks in the encoder, at least 1.
    pub blocks: usize,
    /// Weight of the quantiser's own loss, at least 0.
    pub commitment_weight: f32,
}

impl ResNetOptions {
    /// Those of the original: six blocks, and the quantiser's loss five times.
    #[must_use]
    pub fn new(variant: Variant) -> Self {
        Self {
            variant,
            blocks: 6,
            commitment_weight: 5.0,
        }
    }
}

impl Variant {
    /// The model's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Resnet32 => "resnet32",
            Self::Resnet64 => "resnet64",
        }
    }

    /// The name of the first convolution.
    pub(super) fn first(self) -> &'static str {
        match self {
            Self::Resnet32 => "_encoder.conv.0",
            Self::Resnet64 => "_encoder.conv.0.0",
        }
    }
}

impl ResNet {
    /// What divides the height and the width of its images.
    pub const GRANULARITY: usize = HALVE.stride * HALVE.stride;

    /// The model around `quantizer`, whose features are the width of the net, for images of three
    /// channels.
    #[must_use]
    pub fn new(quantizer: Arc<dyn Quantizer>, options: ResNetOptions) -> Self {
        Self {
            options,
            channels: 3,
            quantizer,
        }
    }

    /// The same for images of `channels` channels.
    #[must_use]
    pub fn with_channels(self, channels: usize) -> Self {
        Self { channels, ..self }
    }

    fn width(&self) -> usize {
        self.quantizer.latent().features
    }
}

/// `x + block(x)`.
fn residual(net: &mut Builder<'_, '_>, name: &str, x: Var, width: usize) -> Result<Var> {
    let at = |i: usize| format!("{name}.block.{i}");
    let y = net.activation(x, Activation::Relu);
    let y = net.conv2d_before_norm(&at(1), y, width, Conv2dOptions::SAME_3X3)?;
    let y = net.batch_norm(&at(2), y)?;
    let y = net.activation(y, Activation::Relu);
    let y = net.conv2d_before_norm(&at(4), y, width, POINT)?;
    let y = net.batch_norm(&at(5), y)?;
    net.add(x, y)
}

impl Model for ResNet {
    fn name(&self) -> &'static str {
        self.options.variant.name()
    }

    fn pixel_range(&self) -> (f32, f32) {
        (0.0, 1.0)
    }

    fn reconstruction_loss(&self) -> PixelLoss {
        PixelLoss::Mse
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
        let width = self.width();
        let ResNetOptions {
            variant, blocks, ..
        } = self.options;
        let closed = variant == Variant::Resnet32;
        let x = net.conv2d_before_norm(variant.first(), images, width / 2, HALVE)?;
        let x = net.batch_norm("_encoder.conv.1", x)?;
        let x = net.activation(x, Activation::Relu);
        let x = net.conv2d_before_norm("_encoder.conv.3", x, width, HALVE)?;
        let x = net.batch_norm("_encoder.conv.4", x)?;
        let x = net.activation(x, Activation::Relu);
        let same = Conv2dOptions::SAME_3X3;
        let mut x = if closed {
            let x = net.conv2d_before_norm("_encoder.conv.6", x, width, same)?;
            let x = net.batch_norm("_encoder.conv.7", x)?;
            net.activation(x, Activation::Relu)
        } else {
            net.conv2d("_encoder.conv.6", x, width, same)?
        };
        for i in 1..blocks {
            x = residual(net, &format!("_encoder.res.{}", i - 1), x, width)?;
        }
        let z = residual(net, "_encoder.res_m", x, width)?;
        let log_var = match self.quantizer.latent().log_var {
            true => Some(net.conv2d(LOG_VAR, z, width, POINT)?),
            false => None,
        };
        let encoded = Encoded { z, log_var };
        Ok(vec![net.quantize(
            QUANTIZER,
            encoded,
            self.quantizer.as_ref(),
        )?])
    }

    fn decode(&self, net: &mut Builder<'_, '_>, z: &[Var]) -> Result<Var> {
        let width = self.width();
        let blocks = match self.options.variant {
            Variant::Resnet32 => self.options.blocks,
            Variant::Resnet64 => self.options.blocks - 1,
        };
        let mut x = z[0];
        for i in 0..blocks {
            x = residual(net, &format!("_decoder.res.{i}"), x, width)?;
        }
        let same = Conv2dOptions::SAME_3X3;
        let name = |i: usize| format!("_decoder.convt.{i}");
        let x = net.conv_transpose2d_before_norm(&name(0), x, width, same)?;
        let x = net.batch_norm(&name(1), x)?;
        let x = net.activation(x, Activation::Relu);
        let x = net.conv_transpose2d_before_norm(&name(3), x, width / 2, HALVE)?;
        let x = net.batch_norm(&name(4), x)?;
        let x = net.activation(x, Activation::Relu);
        let x = net.conv_transpose2d(&name(6), x, self.channels, HALVE)?;
        Ok(net.activation(x, Activation::Sigmoid))
    }
}
