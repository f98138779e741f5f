//! Models: an encoder and a decoder around a [`VectorQuant`], described with a [`Builder`].

mod resnet;
mod simple;

pub use resnet::{ResNet, Variant};
pub use simple::{OutputClamp, Simple};

use crate::error::{Result, ShapeError};
use crate::gpu::{Recorder, Var};
use crate::nn::{self, Bias};
use crate::ops::activation::Activation;
use crate::ops::add::add;
use crate::ops::conv2d::Conv2dOptions;
use crate::ops::loss::PixelLoss;
use crate::ops::max_pool2d::max_pool2d;
use crate::ops::upsample::upsample_nearest;
use crate::quant::codebook::{Record, VectorQuant};

/// An autoencoder that can be trained by [`crate::train::Session`].
pub trait Model {
    /// Its name, for reports and checkpoints.
    fn name(&self) -> &str;

    /// Describes the way from `images` `[B, C, H, W]` to z `[B, F, ..]`. This and [`Self::decode`]
    /// are called once for each plan (training, evaluation, each batch size), and must declare the
    /// same parameters each time.
    ///
    /// # Errors
    /// [`crate::ShapeError`] when the layers do not fit the images.
    fn encode(&self, net: &mut Builder<'_, '_>, images: Var) -> Result<Var>;

    /// The quantiser between the two, and the name of its parameters.
    fn quantizer(&self) -> (&str, &VectorQuant);

    /// Describes the way from the quantised z to the reconstruction, of the images' shape.
    ///
    /// # Errors
    /// [`crate::ShapeError`] when the layers do not fit z.
    fn decode(&self, net: &mut Builder<'_, '_>, z: Var) -> Result<Var>;

    /// All of it, from `images` to their reconstruction.
    ///
    /// # Errors
    /// Those of the parts, and [`crate::ShapeError`] when the reconstruction has another shape.
    fn forward(&self, net: &mut Builder<'_, '_>, images: Var) -> Result<Var> {
        let z = self.encode(net, images)?;
        let (name, quantizer) = self.quantizer();
        let z = net.vector_quant(name, z, quantizer)?;
        let output = self.decode(net, z)?;
        let (got, want) = (net.rec.shape(output), net.rec.shape(images));
        if got != want {
            let message = format!("the reconstruction is {got:?}, the images are {want:?}");
            return Err(ShapeError::new("model", message).into());
        }
        Ok(output)
    }

    /// Values of a black and a white pixel.
    fn pixel_range(&self) -> (f32, f32) {
        (-1.0, 1.0)
    }

    /// What is trained besides the commitment loss.
    fn reconstruction_loss(&self) -> PixelLoss {
        PixelLoss::L1
    }

    /// Weight of the commitment loss.
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
    record: Option<Record>,
    unclamped: Option<Var>,
}

impl<'r, 'a> Builder<'r, 'a> {
    /// A builder that adds to `rec`; quantisers add `commitment_weight` times their loss.
    pub fn new(rec: &'r mut Recorder<'a>, commitment_weight: f32) -> Self {
        Self {
            rec,
            commitment_weight,
            record: None,
            unclamped: None,
        }
    }

    /// Whether this is the plan of a training step.
    #[must_use]
    pub fn training(&self) -> bool {
        self.rec.training()
    }

    /// The record of the quantiser, once there was one.
    #[must_use]
    pub fn record(&self) -> Option<Record> {
        self.record
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

    /// The quantiser; its record becomes the model's. With the in-place optimiser, which takes care of
    /// the commitment loss, that loss is left out of what is trained.
    ///
    /// # Errors
    /// [`crate::ShapeError`] when z lacks the feature axis.
    pub fn vector_quant(&mut self, name: &str, z: Var, quantizer: &VectorQuant) -> Result<Var> {
        let inplace = quantizer.config().inplace_optimizer.is_some();
        let weight = if inplace { 0.0 } else { self.commitment_weight };
        let (out, record) = self
            .rec
            .scope(name, |rec| quantizer.apply(rec, z, weight))?;
        self.record = record;
        Ok(out)
    }
}
