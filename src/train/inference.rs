//! Plans without a backward half: evaluation and reconstruction.

use std::collections::BTreeMap;

use super::step::{sampled, values_of_evaluation};
use crate::error::{Error, Result};
use crate::gpu::{BuildOptions, Gpu, ParameterLayout, Plan, Recorder, StepValues, Store, Var};
use crate::models::{Builder, Model};
use crate::ops::gather::{to_bytes, to_values};
use crate::ops::loss::PixelLoss;
use crate::ops::ssim;
use crate::quant::{Seen, Vectors};

/// Test figures, over all images together.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Evaluation {
    /// Images.
    pub images: usize,
    /// Mean absolute error a pixel, in the model's pixel range.
    pub l1: f64,
    /// Mean squared error a pixel.
    pub mse: f64,
    /// Peak signal-to-noise ratio in dB, the mean over images; absent where an image came out without any error.
    #[serde(default)]
    pub psnr: Option<f64>,
    /// Structural similarity, the mean over images, see [`ssim`]; absent for images smaller than its window.
    #[serde(default)]
    pub ssim: Option<f64>,
    /// Perplexity of the codes of all images; absent without a quantiser.
    pub perplexity: Option<f64>,
    /// Percent of the codes that the images use; absent without a quantiser.
    pub active_ratio: Option<f64>,
    /// The two of each of several quantisers, as `NAME.perplexity`, or of several code maps of one, whose own are the
    /// means of them.
    #[serde(flatten)]
    pub others: BTreeMap<String, f64>,
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
    /// Sum over the images of their peak signal-to-noise ratios in dB.
    pub psnr: f64,
    /// Structural similarity, where the images are large enough.
    pub ssim: Option<f32>,
    /// Codes of each quantiser: of each of its code maps.
    pub codes: Vec<Vec<u32>>,
    /// Vectors before the quantisers that are NaN or infinite.
    pub bad_vectors: usize,
    /// A value of the reconstructions, before they were clamped, that is NaN or infinite.
    pub bad_value: Option<f32>,
}

impl Inferred {
    /// Whether the codes and the reconstructions can be believed.
    ///
    /// # Errors
    /// [`Error::NotFinite`] says what is NaN or infinite.
    pub fn check(&self) -> Result<()> {
        check_vectors(self.bad_vectors)?;
        check_values(self.bad_value)
    }
}

/// [`Error::NotFinite`] when there are `bad` vectors before the quantiser.
pub(super) fn check_vectors(bad: usize) -> Result<()> {
    if bad == 0 {
        return Ok(());
    }
    Err(Error::NotFinite {
        what: format!(
            "{bad} vectors before the quantiser, or their squared distances, are NaN or infinite"
        ),
    })
}

/// [`Error::NotFinite`] when the reconstructions hold a `bad` value.
pub(super) fn check_values(bad: Option<f32>) -> Result<()> {
    bad.map_or(Ok(()), |value| {
        Err(Error::NotFinite {
            what: format!("the reconstruction holds {value}"),
        })
    })
}

/// A value that is no finite number.
pub(super) fn not_finite(values: &[f32]) -> Option<f32> {
    values.iter().copied().find(|v| !v.is_finite())
}

/// A plan for a batch of images from the host.
#[derive(Debug)]
pub struct Inference {
    plan: Plan,
    values: StepValues,
    images: Var,
    output: Var,
    l1: Var,
    mse: Var,
    ssim: Option<Var>,
    /// Bad vectors and codes of each quantiser.
    quantizers: Vec<[Var; 2]>,
    /// What each quantiser was given, and how its vectors lie there.
    latents: Vec<(Var, Vectors)>,
    unclamped: Option<Var>,
    range: (f32, f32),
    images_at_once: usize,
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
        let of = |(_, seen): &(String, Seen)| [seen.bad_vectors, seen.q];
        let quantizers = net.seen().iter().map(of).collect();
        let latents: Vec<_> = net.seen().iter().map(|(_, s)| (s.z, s.vectors)).collect();
        let unclamped = net.unclamped();
        rec.keep(output);
        for (z, _) in &latents {
            rec.keep(*z);
        }
        let l1 = PixelLoss::L1.apply(&mut rec, "l1", output, images, 0.0)?;
        let mse = PixelLoss::Mse.apply(&mut rec, "mse", output, images, 0.0)?;
        let range = model.pixel_range();
        let ssim = match ssim::fits(shape) {
            true => Some(ssim::ssim(
                &mut rec,
                "ssim",
                output,
                images,
                range.1 - range.0,
            )?),
            false => None,
        };
        let plan = rec.finish().build(gpu, store, BuildOptions::default())?;
        Ok(Self {
            plan,
            values: values_of_evaluation(model),
            images,
            output,
            l1,
            mse,
            ssim,
            quantizers,
            latents,
            unclamped,
            range,
            images_at_once: shape[0].max(1),
        })
    }

    /// Runs it on `pixels` (bytes).
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] when the device fails.
    pub async fn run(&self, gpu: &Gpu, pixels: &[u8]) -> Result<Inferred> {
        self.run_with(gpu, pixels, &self.values).await
    }

    /// The same, the codes drawn from their posteriors by `seed`; the images stand behind `before` others.
    pub(super) async fn run_sampled(
        &self,
        gpu: &Gpu,
        pixels: &[u8],
        (seed, before): (u64, usize),
    ) -> Result<Inferred> {
        let values = sampled(&self.values, seed, before);
        self.run_with(gpu, pixels, &values).await
    }

    async fn run_with(&self, gpu: &Gpu, pixels: &[u8], told: &StepValues) -> Result<Inferred> {
        let values = to_values(pixels, self.range);
        self.plan.write(gpu, self.images, &values)?;
        self.plan.run(gpu, told)?;
        let vars: Vec<Var> = [self.output, self.l1, self.mse]
            .into_iter()
            .chain(self.ssim)
            .chain(self.unclamped)
            .chain(self.quantizers.iter().flatten().copied())
            .collect();
        let mut all = self.plan.read_many(gpu, &vars).await?.into_iter();
        let mut floats = || -> Vec<f32> {
            let words = all.next().unwrap_or_default();
            words.into_iter().map(f32::from_bits).collect()
        };
        let (images, l1, mse) = (floats(), floats()[0], floats()[0]);
        let ssim = self.ssim.map(|_| floats()[0]);
        let unclamped = self.unclamped.map(|_| floats()).unwrap_or_default();
        let (mut bad_vectors, mut codes) = (0, Vec::new());
        while let (Some(bad), Some(q)) = (all.next(), all.next()) {
            bad_vectors += f32::from_bits(bad[0]) as usize;
            codes.push(q);
        }
        Ok(Inferred {
            bad_value: not_finite(&images).or(not_finite(&unclamped)),
            psnr: self.psnr(&images, &values),
            ssim,
            images,
            bad_vectors,
            l1,
            mse,
            codes,
        })
    }
}

impl Inference {
    /// The vectors `[N, F]` that the quantiser of this number was given in the last run; empty where there is no such
    /// quantiser.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] when the device fails.
    pub async fn vectors(&self, gpu: &Gpu, quantizer: usize) -> Result<Vec<f32>> {
        let Some((z, vectors)) = self.latents.get(quantizer) else {
            return Ok(Vec::new());
        };
        let read = self.plan.read_many(gpu, &[*z]).await?;
        let z = read.into_iter().next().unwrap_or_default();
        let values: Vec<f32> = z.into_iter().map(f32::from_bits).collect();
        Ok(vectors.rows_of(&values))
    }

    /// The peak signal-to-noise ratios of `images` against the `wanted` ones, summed: 10 log10(range^2 / mse) of each.
    fn psnr(&self, images: &[f32], wanted: &[f32]) -> f64 {
        let range = f64::from(self.range.1) - f64::from(self.range.0);
        let pixels = (images.len() / self.images_at_once).max(1);
        let each = images.chunks_exact(pixels).zip(wanted.chunks_exact(pixels));
        let one = |(a, b): (&[f32], &[f32])| {
            let squares = a
                .iter()
                .zip(b)
                .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
            let mse = squares.sum::<f64>() / pixels as f64;
            10.0 * (range * range / mse).log10()
        };
        each.map(one).sum()
    }

    /// Values in the model's pixel range as bytes.
    #[must_use]
    pub fn to_bytes(&self, values: &[f32]) -> Vec<u8> {
        to_bytes(values, self.range)
    }
}

/// Perplexity and percent of active codes, from how many vectors each code has.
fn usage(counts: &[u64]) -> (f64, f64) {
    let total: u64 = counts.iter().sum();
    let share = |c: &u64| *c as f64 / total as f64;
    let entropy: f64 = counts.iter().map(share).map(|p| -p * (p + 1e-7).ln()).sum();
    let used = counts.iter().filter(|c| **c > 0).count();
    (entropy.exp(), 100.0 * used as f64 / counts.len() as f64)
}

/// Sums batches up to an [`Evaluation`].
#[derive(Debug, Default)]
pub(super) struct Tally {
    images: usize,
    l1: f64,
    mse: f64,
    psnr: f64,
    ssim: Option<f64>,
    /// Name of each code map, and the vectors of each of its codes.
    maps: Vec<(String, Vec<u64>)>,
    /// Whether they are of one quantiser.
    one: bool,
}

impl Tally {
    /// For code maps of these names and numbers of codes, all of `one` quantiser or not.
    pub(super) fn new(maps: Vec<(String, usize)>, one: bool) -> Self {
        let zeros = |(name, codes)| (name, vec![0; codes]);
        Self {
            maps: maps.into_iter().map(zeros).collect(),
            one,
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, images: usize, inferred: &Inferred) {
        self.images += images;
        self.l1 += images as f64 * f64::from(inferred.l1);
        self.mse += images as f64 * f64::from(inferred.mse);
        self.psnr += inferred.psnr;
        if let Some(ssim) = inferred.ssim {
            *self.ssim.get_or_insert(0.0) += images as f64 * f64::from(ssim);
        }
        for (codes, (_, counts)) in inferred.codes.iter().zip(&mut self.maps) {
            for q in codes {
                counts[*q as usize] += 1;
            }
        }
    }

    /// The figures; [`Error::NotFinite`] names one that is NaN or infinite.
    pub(super) fn finish(&self) -> Result<Evaluation> {
        let mut evaluation = Evaluation {
            images: self.images,
            l1: self.l1 / self.images as f64,
            mse: self.mse / self.images as f64,
            psnr: Some(self.psnr / self.images as f64).filter(|v| v.is_finite()),
            ssim: self.ssim.map(|sum| sum / self.images as f64),
            perplexity: None,
            active_ratio: None,
            others: BTreeMap::new(),
        };
        let maps = self.maps.len();
        for (name, counts) in &self.maps {
            let (perplexity, active_ratio) = usage(counts);
            if self.one {
                let [own, active] = [&mut evaluation.perplexity, &mut evaluation.active_ratio];
                *own.get_or_insert(0.0) += perplexity / maps as f64;
                *active.get_or_insert(0.0) += active_ratio / maps as f64;
            }
            if maps > 1 {
                let others = &mut evaluation.others;
                others.insert(format!("{name}.perplexity"), perplexity);
                others.insert(format!("{name}.active_ratio"), active_ratio);
            }
        }
        for (name, value) in [("l1", evaluation.l1), ("mse", evaluation.mse)] {
            if !value.is_finite() {
                let what = format!("{name} is {value}");
                return Err(Error::NotFinite { what });
            }
        }
        Ok(evaluation)
    }
}
