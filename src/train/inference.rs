//! Plans without a backward half: evaluation and reconstruction.

use crate::error::Result;
use crate::gpu::{BuildOptions, Gpu, ParameterLayout, Plan, Recorder, StepUniform, Store, Var};
use crate::models::{Builder, Model};
use crate::ops::loss::PixelLoss;
use crate::vq::Record;

/// Test figures, over all images together.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Evaluation {
    /// Images.
    pub images: usize,
    /// Mean absolute error a pixel, in the model's pixel range.
    pub l1: f64,
    /// Mean squared error a pixel.
    pub mse: f64,
    /// Perplexity of the codes of all images; absent without a quantiser.
    pub perplexity: Option<f64>,
    /// Percent of the codes that the images use; absent without a quantiser.
    pub active_ratio: Option<f64>,
}

/// What one batch of images gave.
#[derive(Debug, Clone)]
pub struct Inferred {
    /// Reconstructions, in the model's pixel range.
    pub images: Vec<f32>,
    /// Mean absolute error.
    pub l1: f32,
    /// Mean squared error.
    pub mse: f32,
    /// Codes; empty without a quantiser.
    pub codes: Vec<u32>,
}

/// A plan for a batch of images from the host.
#[derive(Debug)]
pub struct Inference {
    plan: Plan,
    images: Var,
    output: Var,
    l1: Var,
    mse: Var,
    record: Option<Record>,
    range: (f32, f32),
}

impl Inference {
    /// A plan of `model` in evaluation mode for images of `shape` `[B, C, H, W]`.
    ///
    /// # Errors
    /// [`crate::ShapeError`] when the images do not fit the model; [`crate::Error::Limit`] when
    /// the batch is too large for the device.
    pub fn new(gpu: &Gpu, store: &Store, model: &dyn Model, shape: &[usize]) -> Result<Self> {
        let mut layout: ParameterLayout = store.layout().clone();
        let mut rec = Recorder::new(&mut layout, false).tuned_for(gpu);
        let images = rec.input("images", shape);
        let mut net = Builder::new(&mut rec, model.commitment_weight());
        let output = model.forward(&mut net, images)?;
        let record = net.record();
        rec.keep(output);
        let l1 = PixelLoss::L1.apply(&mut rec, "l1", output, images, 0.0)?;
        let mse = PixelLoss::Mse.apply(&mut rec, "mse", output, images, 0.0)?;
        let plan = rec.finish().build(gpu, store, BuildOptions::default())?;
        Ok(Self {
            plan,
            images,
            output,
            l1,
            mse,
            record,
            range: model.pixel_range(),
        })
    }

    /// Runs it on `pixels` (bytes).
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] when the device fails.
    pub async fn run(&self, gpu: &Gpu, pixels: &[u8]) -> Result<Inferred> {
        let values = to_values(pixels, self.range);
        self.plan.write(gpu, self.images, &values)?;
        self.plan.run(gpu, &StepUniform::default());
        Ok(Inferred {
            images: self.plan.read(gpu, self.output).await?,
            l1: self.plan.read(gpu, self.l1).await?[0],
            mse: self.plan.read(gpu, self.mse).await?[0],
            codes: match self.record {
                Some(record) => self.plan.read_u32(gpu, record.q).await?,
                None => Vec::new(),
            },
        })
    }
}

impl Inference {
    /// Values in the model's pixel range as bytes.
    #[must_use]
    pub fn to_bytes(&self, values: &[f32]) -> Vec<u8> {
        to_bytes(values, self.range)
    }
}

/// Bytes as values between those of a black and a white pixel.
pub(super) fn to_values(pixels: &[u8], (low, high): (f32, f32)) -> Vec<f32> {
    let value = |p: &u8| low + (high - low) / 255.0 * f32::from(*p);
    pixels.iter().map(value).collect()
}

/// The way back.
pub(super) fn to_bytes(values: &[f32], (low, high): (f32, f32)) -> Vec<u8> {
    let byte = |v: &f32| (255.0 * (v - low) / (high - low)).round().clamp(0.0, 255.0) as u8;
    values.iter().map(byte).collect()
}

/// Sums batches up to an [`Evaluation`].
#[derive(Debug, Default)]
pub(super) struct Tally {
    images: usize,
    l1: f64,
    mse: f64,
    counts: Vec<u64>,
}

impl Tally {
    pub(super) fn new(codes: usize) -> Self {
        Self {
            counts: vec![0; codes],
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, images: usize, inferred: &Inferred) {
        self.images += images;
        self.l1 += images as f64 * f64::from(inferred.l1);
        self.mse += images as f64 * f64::from(inferred.mse);
        for q in &inferred.codes {
            self.counts[*q as usize] += 1;
        }
    }

    pub(super) fn finish(&self) -> Evaluation {
        let total: u64 = self.counts.iter().sum();
        let share = |c: &u64| *c as f64 / total as f64;
        let entropy: f64 = self
            .counts
            .iter()
            .map(share)
            .map(|p| -p * (p + 1e-7).ln())
            .sum();
        let used = self.counts.iter().filter(|c| **c > 0).count();
        let quantized = total > 0;
        Evaluation {
            images: self.images,
            l1: self.l1 / self.images as f64,
            mse: self.mse / self.images as f64,
            perplexity: quantized.then(|| entropy.exp()),
            active_ratio: quantized.then(|| 100.0 * used as f64 / self.counts.len() as f64),
        }
    }
}
