//! What a session shows of itself, and what its model makes of images: figures, reconstructions, codes.

use super::Session;
use super::batches::Batches;
use super::codes::{Decoder, Encoder, no_codes};
use super::inference::{Evaluation, Inference, Inferred, Tally, check_values, not_finite};
use crate::data::{Codes, Images, Source};
use crate::error::{Error, Result, ShapeError};
use crate::gpu::Var;
use crate::ops::gather::{to_bytes, to_values};
use crate::quant::usage::window_of;
use crate::quant::{Seen, tensor};

/// How the codes were used, see [`Session::code_usage`].
#[derive(Debug, Clone, PartialEq)]
pub struct CodeUsage {
    /// Vectors of each code over the last epoch's worth of them.
    pub counts: Vec<f32>,
    /// Steps since each code was used last.
    pub ages: Vec<f32>,
}

/// What the quantiser held at the last step, see [`Session::inspect`].
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    /// F
    pub features: usize,
    /// Vectors of the batch before the quantiser `[N, F]`.
    pub vectors: Vec<f32>,
    /// The codebook that was searched `[K, F]`; with finite scalar quantisation the values that
    /// the vectors were rounded to, `[N, F]`.
    pub codes: Vec<f32>,
    /// Code of each vector `[N]`.
    pub q: Vec<u32>,
    /// Scale of the codebook `[F, G]`, alpha in Approach 1; empty without one.
    pub scale: Vec<f32>,
    /// Gamma `[F]` or `[K, F]`; empty without one.
    pub gamma: Vec<f32>,
}

/// An evaluation under way, see [`Session::begin_evaluation`].
#[derive(Debug)]
pub struct Evaluating {
    batches: Batches<Inference>,
    tally: Tally,
    done: usize,
    /// The seed that codes are drawn by from their posteriors, where they are.
    seed: Option<u64>,
}

impl Evaluating {
    /// Images that are in it.
    #[must_use]
    pub fn done(&self) -> usize {
        self.done
    }

    /// The figures over those.
    ///
    /// # Errors
    /// [`Error::NotFinite`] names a figure that is NaN or infinite.
    pub fn finish(&self) -> Result<Evaluation> {
        self.tally.finish()
    }
}

/// Words as the floats that they are.
fn floats(words: Vec<u32>) -> Vec<f32> {
    words.into_iter().map(f32::from_bits).collect()
}

impl Session {
    /// The usage histogram over the last epoch's worth of vectors and the ages of the codes (steps
    /// since a code was used last), each `[K]`, of the quantiser of this number, code maps of one counted one after the
    /// other; `None` where there is no such quantiser.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the device fails.
    pub async fn code_usage(&self, quantizer: usize) -> Result<Option<CodeUsage>> {
        let Some((_, seen)) = self.seen.get(quantizer) else {
            return Ok(None);
        };
        let Some(window) = seen.window else {
            return Ok(None);
        };
        // Only a step sums the window up; after a checkpoint there was none yet.
        let fresh = self.step == self.began;
        let counts = if fresh { window.ring } else { window.counts };
        let [counts, ages] = self.read_floats([counts, window.age]).await?;
        Ok(Some(CodeUsage {
            counts: if fresh {
                window_of(&counts, seen.codes, self.step, self.epoch_steps())
            } else {
                counts
            },
            ages,
        }))
    }

    /// K of the quantiser of this number; `None` where there is no such quantiser.
    #[must_use]
    pub fn code_count(&self, quantizer: usize) -> Option<usize> {
        self.seen.get(quantizer).map(|(_, seen)| seen.codes)
    }

    /// Several tensors of the plan at once.
    async fn read_floats<const N: usize>(&self, vars: [Var; N]) -> Result<[Vec<f32>; N]> {
        let all = self.plan.read_many(&self.gpu, &vars).await?;
        let mut all = all.into_iter().map(floats);
        Ok(std::array::from_fn(|_| all.next().unwrap_or_default()))
    }

    /// Codebook, vectors and transform of the quantiser (or code map, see [`Self::code_usage`]) of this number as the
    /// last step saw them; `None` where there is no such quantiser or before the first step.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the device fails.
    pub async fn inspect(&self, quantizer: usize) -> Result<Option<Inspection>> {
        let Some((_, seen)) = self.seen.get(quantizer).filter(|_| self.step > 0) else {
            return Ok(None);
        };
        // Without a codebook the values that were rounded to are what there is.
        let effective = seen.tensor(tensor::EFFECTIVE);
        let codes = effective.unwrap_or(seen.z_q);
        let optional = [seen.tensor(tensor::SCALE), seen.tensor(tensor::GAMMA)];
        let vars: Vec<Var> = [seen.z, codes, seen.q]
            .into_iter()
            .chain(optional.into_iter().flatten())
            .collect();
        let mut all = self.plan.read_many(&self.gpu, &vars).await?.into_iter();
        let mut next = || all.next().unwrap_or_default();
        let (z, codes, q) = (floats(next()), floats(next()), next());
        let [scale, gamma] = optional.map(|var| var.map(|_| floats(next())).unwrap_or_default());
        Ok(Some(Inspection {
            features: seen.vectors.features,
            vectors: seen.vectors.rows_of(&z),
            codes: if effective.is_some() {
                codes
            } else {
                seen.vectors.rows_of(&codes)
            },
            q,
            scale,
            gamma,
        }))
    }

    /// A plan that reconstructs images of `shape` `[B, C, H, W]` again and again, with the
    /// parameters of the moment.
    ///
    /// # Errors
    /// As [`Inference::new`].
    pub fn inference(&self, shape: &[usize]) -> Result<Inference> {
        Inference::new(&self.gpu, &self.store, self.model.as_ref(), shape)
    }

    /// Figures over `images`, in evaluation mode; nothing of the model changes.
    ///
    /// # Errors
    /// [`Error::NotFinite`] names a figure that is NaN or infinite; as [`Inference::new`] and
    /// [`Inference::run`]; those of [`Source::read`].
    pub async fn evaluate(&self, images: &dyn Source) -> Result<Evaluation> {
        let mut evaluating = self.begin_evaluation();
        self.evaluate_all(&mut evaluating, images).await
    }

    /// Figures over `images` with the codes that are drawn from the posteriors of their vectors, with no temperature, by
    /// random numbers of `seed` and place, in place of the likeliest ones.
    ///
    /// # Errors
    /// [`Error::Config`] when no quantiser has a posterior; as [`Self::evaluate`].
    pub async fn evaluate_sampled(&self, images: &dyn Source, seed: u64) -> Result<Evaluation> {
        let posterior = |(_, seen): &(String, Seen)| seen.scalar("posterior_entropy").is_some();
        if !self.seen.iter().any(posterior) {
            return Err(Error::Config(
                "the model's codes have no posterior to be sampled from: only those of stochastic quantisation have \
                 (methods sqvae, sqvae-2, sqvae-3, sqvae-4, vmf); evaluate without sampling"
                    .into(),
            ));
        }
        let mut evaluating = self.begin_evaluation();
        evaluating.seed = Some(seed);
        self.evaluate_all(&mut evaluating, images).await
    }

    async fn evaluate_all(
        &self,
        evaluating: &mut Evaluating,
        images: &dyn Source,
    ) -> Result<Evaluation> {
        while evaluating.done < images.len() {
            self.evaluate_batch(evaluating, images).await?;
        }
        evaluating.finish()
    }

    /// An evaluation batch by batch, for who wants to show how far it is, or to end it early.
    #[must_use]
    pub fn begin_evaluation(&self) -> Evaluating {
        let maps = self.seen.iter().map(|(name, s)| (name.clone(), s.codes));
        Evaluating {
            batches: Batches::default(),
            tally: Tally::new(maps.collect(), self.model.quantizers().len() == 1),
            done: 0,
            seed: None,
        }
    }

    /// Takes the next batch of `images` into `evaluating`, which this session began; nothing where all are in it.
    ///
    /// # Errors
    /// As [`Self::evaluate`].
    pub async fn evaluate_batch(
        &self,
        evaluating: &mut Evaluating,
        images: &dyn Source,
    ) -> Result<()> {
        let Evaluating {
            batches,
            done,
            seed,
            ..
        } = evaluating;
        if let Some((count, inferred)) = self.infer_batch(images, *done, batches, *seed).await? {
            evaluating.tally.add(count, &inferred);
            evaluating.done += count;
        }
        Ok(())
    }

    /// What the model makes of the next of `images`, from `start`, and how many they are; `None` at the end.
    async fn infer_batch(
        &self,
        images: &dyn Source,
        start: usize,
        batches: &mut Batches<Inference>,
        seed: Option<u64>,
    ) -> Result<Option<(usize, Inferred)>> {
        if start >= images.len() {
            return Ok(None);
        }
        let [c, h, w] = images.shape();
        let make = |count| self.inference(&[count, c, h, w]);
        let (count, inference) = batches.next(images.len() - start, make)?;
        let bytes = images.read_range(start..start + count)?;
        let inferred = match seed {
            Some(seed) => {
                let place = (seed, start);
                inference.run_sampled(&self.gpu, &bytes, place).await?
            }
            None => inference.run(&self.gpu, &bytes).await?,
        };
        inferred.check()?;
        Ok(Some((count, inferred)))
    }

    /// Reconstructions of `images`, as bytes.
    ///
    /// # Errors
    /// [`Error::NotFinite`] when they hold NaN or infinity; as [`Inference::new`] and
    /// [`Inference::run`]; those of [`Source::read`].
    pub async fn reconstruct(&self, images: &dyn Source) -> Result<Images> {
        let mut pixels = Vec::new();
        let range = self.model.pixel_range();
        let mut batches = Batches::default();
        let mut start = 0;
        while let Some((count, inferred)) =
            self.infer_batch(images, start, &mut batches, None).await?
        {
            pixels.extend(to_bytes(&inferred.images, range));
            start += count;
        }
        Ok(Images {
            shape: images.shape(),
            pixels,
            labels: None,
        })
    }

    /// The codes of `images` in evaluation mode, those of each quantiser; of one with several code maps
    /// ([`crate::quant::Quantizer::maps`]) those of each.
    ///
    /// # Errors
    /// As [`Encoder::new`] and [`Encoder::run`]; those of [`Source::read`].
    pub async fn encode(&self, images: &dyn Source) -> Result<Vec<Codes>> {
        let [c, h, w] = images.shape();
        let mut all: Vec<Codes> = Vec::new();
        let mut batches = Batches::default();
        let mut start = 0;
        while start < images.len() {
            let model = self.model.as_ref();
            let make = |count| Encoder::new(&self.gpu, &self.store, model, &[count, c, h, w]);
            let (count, encoder) = batches.next(images.len() - start, make)?;
            let bytes = images.read_range(start..start + count)?;
            let values = to_values(&bytes, self.model.pixel_range());
            let codes = encoder.run(&self.gpu, &values).await?;
            if all.is_empty() {
                all = codes;
            } else {
                for (all, codes) in all.iter_mut().zip(codes) {
                    all.shape[0] += count;
                    all.values.extend(codes.values);
                }
            }
            start += count;
        }
        if all.is_empty() {
            return Err(Error::Config("there are no images to encode".into()));
        }
        Ok(all)
    }

    /// The images that `codes`, those of each quantiser, stand for, as bytes, in evaluation mode.
    ///
    /// # Errors
    /// [`ShapeError`] when a code does not exist, or the quantisers' are not as many; as [`Decoder::new`] and
    /// [`Decoder::run`].
    pub async fn decode(&self, codes: &[Codes]) -> Result<Images> {
        self.check_codes(codes)?;
        let mut pixels = Vec::new();
        let mut shape = [0; 3];
        let mut batches = Batches::default();
        let mut start = 0;
        let len = codes[0].len();
        let part =
            |start, end| -> Vec<Codes> { codes.iter().map(|c| c.range(start, end)).collect() };
        while start < len {
            let make = |count| self.decoder(&part(start, start + count));
            let (count, decoder) = batches.next(len - start, make)?;
            let images = self.decode_by(decoder, &part(start, start + count)).await?;
            pixels.extend(images.pixels);
            shape = images.shape;
            start += count;
        }
        Ok(Images {
            shape,
            pixels,
            labels: None,
        })
    }

    fn decoder(&self, codes: &[Codes]) -> Result<Decoder> {
        let shapes = codes.iter().map(|c| c.shape.clone()).collect();
        Decoder::new(&self.gpu, &self.store, self.model.as_ref(), shapes)
    }

    /// The images of `codes` by a decoder of their shape.
    async fn decode_by(&self, decoder: &Decoder, codes: &[Codes]) -> Result<Images> {
        let values = decoder.run(&self.gpu, codes).await?;
        check_values(not_finite(&values))?;
        let mut shape = [0; 3];
        shape.copy_from_slice(&decoder.image_shape()[1..]);
        Ok(Images {
            shape,
            pixels: to_bytes(&values, self.model.pixel_range()),
            labels: None,
        })
    }

    /// As [`Self::decode`], for codes of one shape again and again: with the decoder that the last
    /// call gave back.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub async fn decode_with(
        &self,
        decoder: Option<Decoder>,
        codes: &[Codes],
    ) -> Result<(Images, Decoder)> {
        self.check_codes(codes)?;
        let decoder = match decoder {
            Some(decoder) if decoder.takes(codes) => decoder,
            _ => self.decoder(codes)?,
        };
        let images = self.decode_by(&decoder, codes).await?;
        Ok((images, decoder))
    }

    fn check_codes(&self, codes: &[Codes]) -> Result<()> {
        let refuse = |message: String| Err(ShapeError::new("decode", message).into());
        let (got, want) = (codes.len(), self.seen.len());
        if want == 0 {
            return Err(no_codes());
        }
        if got != want || codes.iter().any(|c| c.len() != codes[0].len()) {
            let of = match self.model.quantizers().len() {
                1 => "code maps",
                _ => "quantisers",
            };
            return refuse(format!(
                "codes of {want} {of}, as many images of each, are wanted, not of {got}"
            ));
        }
        for (codes, (_, seen)) in codes.iter().zip(&self.seen) {
            let number = seen.codes;
            let exists = |code: &i32| usize::try_from(*code).is_ok_and(|code| code < number);
            if let Some(bad) = codes.values.iter().find(|code| !exists(code)) {
                return refuse(format!(
                    "code {bad} does not exist: the model has {number}, from 0"
                ));
            }
        }
        Ok(())
    }
}
