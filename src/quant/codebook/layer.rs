//! The layer: what is recorded in which order.

use super::affine::{self, Transform};
use super::clusters::clusters;
use super::replace::{Replacement, replace};
use super::{
    CodebookNorm, Distance, Norm, VectorQuantConfig, alpha, ema, gamma, inplace, quantize, search,
    simvq,
};
use crate::error::Result;
use crate::gpu::{Init, Recorder, Var};
use crate::nn;
use crate::ops::group_norm::group_norm;
use crate::ops::sum;
use crate::quant::norm::{self, Length};
use crate::quant::usage::{self, Window};
use crate::quant::{Vectors, fsq};

/// The record of a quantisation. All of it can be read back.
#[derive(Debug, Clone, Copy)]
pub struct Record {
    /// The vectors that were quantised, after the feature norm, in their own layout.
    pub z: Var,
    /// The quantised vectors, in the layout of z; the layer's output.
    pub z_q: Var,
    /// Distance of each vector to its code `[N]`.
    pub d: Var,
    /// Codes `[N]`, integers.
    pub q: Var,
    /// Commitment loss, a scalar.
    pub loss: Var,
    /// Perplexity of the batch, a scalar.
    pub perplexity: Var,
    /// Percent of the codes that the batch uses, a scalar.
    pub active_ratio: Var,
    /// Percent of the vectors that the most used code has, a scalar.
    pub top_share: Var,
    /// Vectors of each code `[K]`, integers.
    pub counts: Var,
    /// Usage over the last epoch's worth of vectors and ages of the codes; in training.
    pub window: Option<Window>,
    /// Vectors whose squared distance is NaN or infinite, a scalar.
    pub bad_vectors: Var,
    /// The raw codebook `[K, F]`; absent with finite scalar quantisation.
    pub codebook: Option<Var>,
    /// The codebook that is searched `[K, F]`, after its norm and transform; as `codebook`.
    pub effective: Option<Var>,
    /// Gamma, `[F, 1]` or `[K, F]`, with Approaches 2 and 3.
    pub gamma: Option<Var>,
    /// The scale of the codebook `[F, G]`, alpha in Approach 1; with an affine codebook.
    pub scale: Option<Var>,
    /// Mean of alpha, a scalar, with Approach 1.
    pub alpha_mean: Option<Var>,
    /// The penalty on alpha, a scalar, where it has a weight.
    pub penalty: Option<Var>,
}

/// The quantiser.
#[derive(Debug, Clone)]
pub struct VectorQuant {
    config: VectorQuantConfig,
}

/// The stages of a codebook.
struct Codebook {
    raw: Var,
    effective: Var,
    transform: Option<Transform>,
    gamma: Option<Var>,
    values: Var,
}

impl VectorQuant {
    /// A quantiser with these options.
    ///
    /// # Errors
    /// [`crate::Error::Config`] when they are out of range or exclude each other.
    pub fn new(config: VectorQuantConfig) -> Result<Self> {
        config.validate()?;
        Ok(Self { config })
    }

    /// Its options.
    #[must_use]
    pub fn config(&self) -> &VectorQuantConfig {
        &self.config
    }

    /// Records the quantisation of `z` `[B, F, ..]` (features on axis `dim`) and adds
    /// `commitment_weight * loss` to what is trained. Returns the output, of the shape of z, and
    /// the record; with `no_vq` z itself and none.
    ///
    /// # Errors
    /// [`crate::ShapeError`] when z has no such axis.
    pub fn apply(
        &self,
        rec: &mut Recorder<'_>,
        z: Var,
        commitment_weight: f32,
    ) -> Result<(Var, Option<Record>)> {
        let config = &self.config;
        if config.no_vq {
            return Ok((z, None));
        }
        let vectors = Vectors::new(rec.shape(z), config.dim, config.feature_size)?;
        let z = self.normalized(rec, z, &vectors)?;
        if let Some(levels) = &config.fsq_levels {
            return round(rec, z, &vectors, levels, config.num_codes);
        }
        let raw = self.raw(rec)?;
        let mark = rec.tape_mark();
        let mut book = self.stages(rec, raw, Some((z, &vectors)))?;
        // Where the distance is that of cosines, everything but the output works on unit vectors.
        let cosine = config.dist == Distance::Cosine;
        let (near, searched) = match config.dist {
            Distance::Euclidean => (z, book.effective),
            Distance::Cosine => (
                norm::normalize(rec, z, &vectors, COSINE),
                normalize_rows(rec, book.effective),
            ),
        };
        let q = search::search(rec, near, &vectors, searched);
        let usage = usage::usage(rec, q, config.num_codes);
        let window = rec
            .training()
            .then(|| usage::window(rec, usage.counts))
            .transpose()?;
        if rec.training() {
            self.move_codebook(rec, &mut book, mark, z, q, &vectors, usage.counts)?;
        }
        let weights = quantize::Weights {
            estimator: config.estimator,
            cosine,
            commitment: if cosine { 0.0 } else { commitment_weight },
            beta: config.beta,
            sync_nu: config.sync_nu,
        };
        let Codebook {
            effective,
            values,
            gamma,
            ..
        } = book;
        let out = if cosine {
            let weights = quantize::Weights {
                cosine: false,
                ..weights
            };
            quantize::quantize(rec, z, q, effective, values, &vectors, weights)?
        } else {
            quantize::quantize(rec, z, q, searched, values, &vectors, weights)?
        };
        let measured = if cosine {
            let unit_values = normalize_rows(rec, values);
            let weights = quantize::Weights {
                commitment: commitment_weight,
                sync_nu: 0.0,
                estimator: super::Estimator::StraightThrough,
                ..weights
            };
            quantize::quantize(rec, near, q, searched, unit_values, &vectors, weights)?
        } else {
            out
        };
        let scale = book.transform.map(|t| rec.keep(t.scale));
        let alpha = scale.filter(|_| config.use_learnable_std);
        let alpha_mean = alpha.map(|alpha| {
            let count = rec.len(alpha);
            sum::sum(rec, "alpha_mean", alpha, 1.0 / count as f32)
        });
        let penalty = alpha
            .filter(|_| config.penalty_weight > 0.0)
            .map(|alpha| alpha::penalty(rec, alpha, config.alter_penalty, config.penalty_weight));
        let record = Record {
            z: rec.keep(z),
            z_q: rec.keep(out.z_q),
            d: rec.keep(measured.d),
            q: rec.keep(q),
            loss: measured.loss,
            perplexity: usage.perplexity,
            active_ratio: usage.active_ratio,
            top_share: usage.top_share,
            counts: usage.counts,
            window,
            bad_vectors: usage::count_bad(rec, measured.squares),
            codebook: Some(raw),
            effective: Some(rec.keep(effective)),
            gamma: gamma.map(|gamma| rec.keep(gamma)),
            scale,
            alpha_mean,
            penalty,
        };
        Ok((out.z_q, Some(record)))
    }

    /// Records what the codes `q` `[N]` stand for, in the layout of a z of `shape`: the way back
    /// from codes, in evaluation.
    ///
    /// # Errors
    /// [`crate::Error::Config`] with `no_vq`, where there are no codes; [`crate::ShapeError`] when
    /// `shape` has no axis of features.
    pub fn decode(&self, rec: &mut Recorder<'_>, q: Var, shape: &[usize]) -> Result<Var> {
        if self.config.no_vq {
            return Err(crate::Error::Config(
                "no_vq quantises nothing, so there are no codes".into(),
            ));
        }
        let vectors = Vectors::new(shape, self.config.dim, self.config.feature_size)?;
        let z_q = if let Some(levels) = &self.config.fsq_levels {
            fsq::decode(rec, q, &vectors, levels)?
        } else {
            let raw = self.raw(rec)?;
            let book = self.stages(rec, raw, None)?;
            quantize::lookup(rec, q, book.values, &vectors)
        };
        Ok(rec.view(z_q, shape))
    }

    /// z after its feature norm.
    fn normalized(&self, rec: &mut Recorder<'_>, z: Var, vectors: &Vectors) -> Result<Var> {
        let length = match self.config.norm {
            Norm::None => return Ok(z),
            Norm::L2 => Length::Unit(1e-6),
            Norm::L2c => Length::Limited(1e-8),
            Norm::Bn | Norm::Gn | Norm::In => return self.normalized_channels(rec, z, vectors),
        };
        Ok(norm::normalize(rec, z, vectors, length))
    }

    /// The norms that see z as images of F channels.
    fn normalized_channels(
        &self,
        rec: &mut Recorder<'_>,
        z: Var,
        vectors: &Vectors,
    ) -> Result<Var> {
        let shape = rec.shape(z).to_vec();
        let features = vectors.features;
        let image = [vectors.outer, features, vectors.positions, 1];
        let x = rec.view(z, &image);
        let y = match self.config.norm {
            Norm::In => rec.scope("norm_layer", |rec| group_norm(rec, x, features, 1e-5, None)),
            Norm::Gn => nn::group_norm(rec, "norm_layer", x, 32, 1e-6),
            _ => nn::batch_norm(rec, "norm_layer", x),
        }?;
        Ok(rec.view(y, &shape))
    }

    /// The codebook as it is stored: trained, unless something else moves it or nothing does.
    fn raw(&self, rec: &mut Recorder<'_>) -> Result<Var> {
        let config = &self.config;
        let shape = [config.num_codes, config.feature_size];
        let name = "codebook.weight";
        let raw = if config.simvq {
            rec.frozen(name, &shape, simvq::init(config.feature_size))?
        } else if config.ema_decay.is_some() {
            rec.frozen(name, &shape, Init::Normal(1.0))?
        } else {
            rec.parameter(name, &shape, Init::Normal(1.0))?
        };
        Ok(raw)
    }

    /// From C to T. Statistics are taken from z, where there is one.
    fn stages(
        &self,
        rec: &mut Recorder<'_>,
        raw: Var,
        z: Option<(Var, &Vectors)>,
    ) -> Result<Codebook> {
        let config = &self.config;
        let length = match config.cb_norm {
            CodebookNorm::None => None,
            CodebookNorm::L2 => Some(Length::Limited(1e-8)),
            CodebookNorm::L2c => Some(Length::Unit(1e-8)),
        };
        let mut raw = length.map_or(raw, |length| norm::normalize_codebook(rec, raw, length));
        if config.simvq {
            raw = simvq::transform(rec, raw)?;
        }
        let transform = config
            .affine()
            .then(|| rec.scope("affine_transform", |rec| self.transform(rec, raw, z)))
            .transpose()?;
        let effective = transform.map_or(raw, |t| affine::apply(rec, raw, t));
        let gamma = config
            .use_learnable_gamma
            .then(|| {
                rec.scope("gamma_learner", |rec| {
                    gamma::gamma(rec, effective, config.gamma_policy)
                })
            })
            .transpose()?;
        Ok(Codebook {
            raw,
            effective,
            transform,
            gamma,
            values: gamma.map_or(effective, |g| gamma::offset(rec, effective, g)),
        })
    }

    fn transform(
        &self,
        rec: &mut Recorder<'_>,
        raw: Var,
        z: Option<(Var, &Vectors)>,
    ) -> Result<Transform> {
        let config = &self.config;
        let groups = config.affine_groups;
        if !config.use_learnable_std && !config.using_statistics {
            return affine::learned(rec, raw, groups, config.affine_lr);
        }
        let moments = affine::match_moments(rec, z, raw, groups)?;
        if !config.use_learnable_std {
            return Ok(moments);
        }
        Ok(Transform {
            scale: alpha::alpha(rec, raw, moments)?,
            bias: moments.bias,
        })
    }

    /// What moves the codebook besides the optimiser. The in-place step changes what the codes
    /// stand for in this very step, the others act behind the backward pass.
    #[allow(
        clippy::too_many_arguments,
        reason = "one place, and each of them is what the step has so far"
    )]
    fn move_codebook(
        &self,
        rec: &mut Recorder<'_>,
        book: &mut Codebook,
        mark: crate::gpu::TapeMark,
        z: Var,
        q: Var,
        vectors: &Vectors,
        counts: Var,
    ) -> Result<()> {
        let config = &self.config;
        if let Some(step) = config.inplace_optimizer {
            let clusters = clusters(rec, z, q, vectors, counts);
            let moved = inplace::alternate(rec, step, book.raw, mark, book.values, &clusters)?;
            let effective = book
                .transform
                .map_or(moved, |t| affine::apply(rec, moved, t));
            book.values = book
                .gamma
                .map_or(effective, |g| gamma::offset(rec, effective, g));
        }
        let mut sizes = None;
        if let Some(decay) = config.ema_decay {
            let clusters = clusters(rec, z, q, vectors, counts);
            sizes = Some(ema::follow(rec, decay, book.raw, &clusters)?);
        }
        if config.replace_freq > 0 {
            let on = Replacement {
                z,
                vectors: *vectors,
                counts,
                codebook: book.raw,
                sizes,
            };
            replace(rec, config.replace_freq, config.replace_policy, on)?;
        }
        Ok(())
    }
}

/// Guards the division of PyTorch's `normalize`.
const COSINE: Length = Length::Unit(1e-12);

fn normalize_rows(rec: &mut Recorder<'_>, codebook: Var) -> Var {
    let rows = Vectors::rows(rec.shape(codebook));
    norm::normalize(rec, codebook, &rows, COSINE)
}

/// Finite scalar quantisation, with the same record. It has no commitment loss.
fn round(
    rec: &mut Recorder<'_>,
    z: Var,
    vectors: &Vectors,
    levels: &[usize],
    codes: usize,
) -> Result<(Var, Option<Record>)> {
    let rounded = fsq::fsq(rec, z, vectors, levels)?;
    let usage = usage::usage(rec, rounded.q, codes);
    let window = rec
        .training()
        .then(|| usage::window(rec, usage.counts))
        .transpose()?;
    let record = Record {
        z: rec.keep(z),
        z_q: rec.keep(rounded.z_q),
        d: rec.keep(rounded.d),
        q: rec.keep(rounded.q),
        loss: sum::sum(rec, "cmt_loss", rounded.squares, 0.0),
        perplexity: usage.perplexity,
        active_ratio: usage.active_ratio,
        top_share: usage.top_share,
        counts: usage.counts,
        window,
        bad_vectors: usage::count_bad(rec, rounded.squares),
        codebook: None,
        effective: None,
        gamma: None,
        scale: None,
        alpha_mean: None,
        penalty: None,
    };
    Ok((rounded.z_q, Some(record)))
}
