//! Models: an encoder and a decoder around a quantiser, or several, described with a [`Builder`].

mod options;
mod resnet;
mod simple;

pub use options::ModelOptions;
pub use resnet::{ResNet, ResNetOptions, Variant};
pub use simple::{OutputClamp, Simple, SimpleOptions};

use crate::error::{Result, ShapeError};
use crate::gpu::{Recorder, Var};
use crate::nn::{self, Bias};
use crate::ops::activation::Activation;
use crate::ops::add::add;
use crate::ops::conv2d::Conv2dOptions;
use crate::ops::interpolate::interpolate;
use crate::ops::loss::PixelLoss;
use crate::ops::max_pool2d::max_pool2d;
use crate::ops::upsample::upsample_nearest;
use crate::quant::{Encoded, Quantizer, Seen, map_name};

/// An autoencoder that can be trained by [`crate::train::Session`].
pub trait Model {
    /// Its name, for reports and checkpoints.
    fn name(&self) -> &str;

    /// Its quantisers, in the order in which [`Self::encode`] uses them, each with the name of its
    /// parameters.
    fn quantizers(&self) -> Vec<(&str, &dyn Quantizer)>;

    /// Describes the way from `images` `[B, C, H, W]` to what its quantisers give, one each, see
    /// [`Builder::quantize`]. This and [`Self::decode`] are called once for each plan (training,
    /// evaluation, each batch size), and must declare the same parameters each time.
    ///
    /// # Errors
    /// [`crate::ShapeError`] when the layers do not fit the images.
    fn encode(&self, net: &mut Builder<'_, '_>, images: Var) -> Result<Vec<Var>>;

    /// Describes the way from what the quantisers gave to the reconstruction, of the images' shape.
    ///
    /// # Errors
    /// [`crate::ShapeError`] when the layers do not fit z.
    fn decode(&self, net: &mut Builder<'_, '_>, z: &[Var]) -> Result<Var>;

    /// All of it, from `images` to their reconstruction.
    ///
    /// # Errors
    /// Those of the parts, and [`crate::ShapeError`] when the reconstruction has another shape.
    fn forward(&self, net: &mut Builder<'_, '_>, images: Var) -> Result<Var> {
        let z = self.encode(net, images)?;
        let output = self.decode(net, &z)?;
        let (got, want) = (net.rec.shape(output), net.rec.shape(images));
        if got != want {
            let message = format!("the reconstruction is {got:?}, the images are {want:?}");
            return Err(ShapeError::new("model", message).into());
        }
        Ok(output)
    }

    /// What divides the height and the width of its images: the product of its strides.
    fn granularity(&self) -> usize {
        1
    }

    /// Values of a black and a white pixel.
    fn pixel_range(&self) -> (f32, f32) {
        (-1.0, 1.0)
    }

    /// What is trained besides the commitment loss.
    fn reconstruction_loss(&self) -> PixelLoss {
        PixelLoss::L1
    }

    /// Weight of the quantisers' own losses.
    fn commitment_weight(&self) -> f32 {
        10.0
    }
}

/// The layers of a model, each a method; parameters are named as in PyTorch's `state_dict`.
#[derive(Debug)]
pub struct Builder<'r, 'a> {
    /// The recording underneath, for operations that have no method here.
    pub rec: &'r mut Recorder<'a>,
    commitment_weight: f32,
    seen: Vec<(String, Seen)>,
    unclamped: Option<Var>,
    interpolating: bool,
}

impl<'r, 'a> Builder<'r, 'a> {
    /// A builder that adds to `rec`; quantisers add `commitment_weight` times their loss.
    pub fn new(rec: &'r mut Recorder<'a>, commitment_weight: f32) -> Self {
        Self {
            rec,
            commitment_weight,
            seen: Vec::new(),
            unclamped: None,
            interpolating: false,
        }
    }

    /// The same, but its quantisers are given what lies between the first and the last image of the batch, in equal
    /// steps, in place of what is encoded.
    #[must_use]
    pub fn interpolating(mut self) -> Self {
        self.interpolating = true;
        self
    }

    /// Whether this is the plan of a training step.
    #[must_use]
    pub fn training(&self) -> bool {
        self.rec.training()
    }

    /// What can be seen of the quantisers so far, by their names; nothing of one that does not quantise, and of one with
    /// several code maps what can be seen of each, as `NAME.layers.0` and so on.
    #[must_use]
    pub fn seen(&self) -> &[(String, Seen)] {
        &self.seen
    }

    /// `[B, C, H, W]` to `[B, channels, ..]`, initialised as PyTorch does.
    ///
    /// # Errors
    /// [`crate::ShapeError`] when the kernel does not fit.
    pub fn conv2d(
        &mut self,
        name: &str,
        x: Var,
        channels: usize,
        options: Conv2dOptions,
    ) -> Result<Var> {
        nn::conv2d(self.rec, name, x, channels, options, Bias::Matters)
    }

    /// The same in front of a batch norm, see [`Bias::BeforeNorm`].
    ///
    /// # Errors
    /// [`crate::ShapeError`] when the kernel does not fit.
    pub fn conv2d_before_norm(
        &mut self,
        name: &str,
        x: Var,
        channels: usize,
        options: Conv2dOptions,
    ) -> Result<Var> {
        nn::conv2d(self.rec, name, x, channels, options, Bias::BeforeNorm)
    }

    /// Transposed convolution of `[B, C, H, W]` to `[B, channels, ..]`, initialised as PyTorch does.
    ///
    /// # Errors
    /// [`crate::ShapeError`] when the kernel does not fit.
    pub fn conv_transpose2d(
        &mut self,
        name: &str,
        x: Var,
        channels: usize,
        options: Conv2dOptions,
    ) -> Result<Var> {
        nn::conv_transpose2d(self.rec, name, x, channels, options, Bias::Matters)
    }

    /// The same in front of a batch norm, see [`Bias::BeforeNorm`].
    ///
    /// # Errors
    /// [`crate::ShapeError`] when the kernel does not fit.
    pub fn conv_transpose2d_before_norm(
        &mut self,
        name: &str,
        x: Var,
        channels: usize,
        options: Conv2dOptions,
    ) -> Result<Var> {
        nn::conv_transpose2d(self.rec, name, x, channels, options, Bias::BeforeNorm)
    }

    /// The sum of two tensors of one shape.
    ///
    /// # Errors
    /// [`crate::ShapeError`] when their shapes differ.
    pub fn add(&mut self, a: Var, b: Var) -> Result<Var> {
        add(self.rec, a, b)
    }

    /// Nearest upsampling by two, then a 3 by 3 convolution with padding 1: `[B, C, H, W]` to
    /// `[B, channels, 2H, 2W]`, without the large image in between.
    ///
    /// # Errors
    /// [`crate::ShapeError`] when x is no image.
    pub fn upsample_conv2d(&mut self, name: &str, x: Var, channels: usize) -> Result<Var> {
        nn::upsample_conv2d(self.rec, name, x, channels)
    }

    /// `[R, I]` to `[R, outputs]`, initialised as PyTorch does.
    ///
    /// # Errors
    /// [`crate::ShapeError`] when x is no matrix.
    pub fn linear(&mut self, name: &str, x: Var, outputs: usize) -> Result<Var> {
        nn::linear(self.rec, name, x, outputs, Bias::Matters)
    }

    /// Batch norm of `[R, C]` or `[B, C, H, W]`.
    ///
    /// # Errors
    /// [`crate::ShapeError`] for another rank.
    pub fn batch_norm(&mut self, name: &str, x: Var) -> Result<Var> {
        nn::batch_norm(self.rec, name, x)
    }

    /// Maximum over windows.
    ///
    /// # Errors
    /// [`crate::ShapeError`] when a window does not fit.
    pub fn max_pool2d(&mut self, x: Var, window: usize, stride: usize) -> Result<Var> {
        max_pool2d(self.rec, x, window, stride)
    }

    /// Each pixel repeated `factor` times in both directions.
    ///
    /// # Errors
    /// [`crate::ShapeError`] when x is no image.
    pub fn upsample(&mut self, x: Var, factor: usize) -> Result<Var> {
        upsample_nearest(self.rec, x, factor)
    }

    /// An activation. What is clamped in evaluation can be read before it, because an infinity looks
    /// like any other value behind it.
    pub fn activation(&mut self, x: Var, activation: Activation) -> Var {
        if activation == Activation::Clamp && !self.training() {
            self.unclamped = Some(self.rec.keep(x));
        }
        activation.apply(self.rec, x)
    }

    /// What the last clamp of a plan for evaluation was given.
    pub(crate) fn unclamped(&self) -> Option<Var> {
        self.unclamped
    }

    /// Exact GELU.
    pub fn gelu(&mut self, x: Var) -> Var {
        self.activation(x, Activation::Gelu)
    }

    /// A quantiser between an encoder and a decoder; its own loss is trained, unless it
    /// [steps by itself](Quantizer::steps_by_itself).
    ///
    /// # Errors
    /// [`crate::ShapeError`] when z lacks the feature axis.
    pub fn quantize(
        &mut self,
        name: &str,
        encoded: impl Into<Encoded>,
        quantizer: &dyn Quantizer,
    ) -> Result<Var> {
        let mut encoded = encoded.into();
        if self.interpolating {
            encoded.z = interpolate(self.rec, encoded.z)?;
            let log_var = encoded.log_var.map(|var| interpolate(self.rec, var));
            encoded.log_var = log_var.transpose()?;
        }
        let weight = match quantizer.steps_by_itself() {
            true => 0.0,
            false => self.commitment_weight,
        };
        let quantized = self
            .rec
            .scope(name, |rec| quantizer.apply(rec, encoded, weight))?;
        let maps = quantized.seen.len();
        let seen = quantized.seen.into_iter().enumerate();
        self.seen
            .extend(seen.map(|(map, seen)| (map_name(name, maps, map), seen)));
        Ok(quantized.output)
    }
}
