//! The layer: what is recorded in which order.

use super::config::{CodebookConfig, CodebookInit, Codes, Distance, Estimator, Rule, Transform};
use super::quantize::{self, Output, Weights};
use super::stages::{Coded, Stages};
use super::{alpha, search};
use crate::error::Result;
use crate::gpu::{Recorder, Var};
use crate::ops::sum;
use crate::quant::interface::{
    Encoded, Factor, Latent, Quantized, Quantizer, Seen, Start, check_maps, tensor,
};
use crate::quant::norm::{self, Length};
use crate::quant::usage;
use crate::quant::vectors::Vectors;

/// Guards the division of PyTorch's `normalize`.
const COSINE: Length = Length::Unit(1e-12);

/// The quantiser.
#[derive(Debug, Clone)]
pub struct VectorQuant {
    config: CodebookConfig,
}

/// Unit vectors along the rows of a codebook.
fn normalize_rows(rec: &mut Recorder<'_>, codebook: Var) -> Var {
    let rows = Vectors::rows(rec.shape(codebook));
    norm::normalize(rec, codebook, &rows, COSINE)
}

impl VectorQuant {
    pub(in crate::quant) fn new(config: CodebookConfig) -> Self {
        Self { config }
    }

    pub(in crate::quant) fn vectors(&self, shape: &[usize]) -> Result<Vectors> {
        let config = &self.config;
        Ok(Vectors::new(shape, config.dim, config.feature_size)?)
    }

    /// Records output and loss by distance; the loss is trained with the weight `commitment`. The second
    /// of the two says what the loss and the distances are.
    fn quantize(
        &self,
        rec: &mut Recorder<'_>,
        book: &Stages,
        on: &Coded,
        (near, searched): (Var, Var),
        commitment: f32,
    ) -> Result<(Output, Output)> {
        let config = &self.config;
        let plain = Weights {
            estimator: config.estimator,
            cosine: false,
            commitment,
            beta: config.beta(),
            sync_nu: config.sync_nu(),
        };
        let Coded { z, q, vectors, .. } = on;
        let (z, q) = (*z, *q);
        if config.dist == Distance::Euclidean {
            let out = quantize::quantize(rec, z, q, searched, book.values, vectors, plain)?;
            return Ok((out, out));
        }
        // Everything but the output works on unit vectors.
        let weights = Weights {
            commitment: 0.0,
            ..plain
        };
        let out = quantize::quantize(rec, z, q, book.effective, book.values, vectors, weights)?;
        let unit = normalize_rows(rec, book.values);
        let weights = Weights {
            estimator: Estimator::StraightThrough,
            cosine: true,
            sync_nu: 0.0,
            ..plain
        };
        let measured = quantize::quantize(rec, near, q, searched, unit, vectors, weights)?;
        Ok((out, measured))
    }

    /// Records what there is to see of alpha: mean and penalty.
    fn figures_of_alpha(&self, rec: &mut Recorder<'_>, alpha: Var) -> Vec<(&'static str, Var)> {
        let count = rec.len(alpha);
        let mean = sum::sum(rec, "alpha_mean", alpha, 1.0 / count as f32);
        let penalty = |p: super::Penalty| alpha::penalty(rec, alpha, p.form, p.weight);
        let penalty = self.config.penalty().map(penalty);
        let penalty = penalty.map(|penalty| ("alpha_penalty", penalty));
        [("alpha_mean", mean)].into_iter().chain(penalty).collect()
    }

    /// Records the codebook; statistics are taken from z, where there is one.
    pub(in crate::quant) fn book(
        &self,
        rec: &mut Recorder<'_>,
        z: Option<(Var, &Vectors)>,
    ) -> Result<Stages> {
        Stages::record(rec, &self.config, z)
    }

    /// Whether anything but the optimiser moves the codebook, by the vectors that it quantises.
    pub(in crate::quant) fn moves_by_itself(&self) -> bool {
        let followed = matches!(self.config.codes, Codes::Averaged { .. });
        followed || self.steps_by_itself() || self.config.placing().replace.is_some()
    }

    /// Records what moves `book` besides the optimiser.
    pub(in crate::quant) fn moved(
        &self,
        rec: &mut Recorder<'_>,
        book: Stages,
        on: &Coded,
    ) -> Result<Stages> {
        book.moved(rec, &self.config, on)
    }

    /// Records the quantisation of `z` by `book`, which moves by these vectors where it `moves`.
    pub(in crate::quant) fn quantize_by(
        &self,
        rec: &mut Recorder<'_>,
        mut book: Stages,
        (z, vectors): (Var, Vectors),
        weight: f32,
        moves: bool,
    ) -> Result<Quantized> {
        let config = &self.config;
        let (near, searched) = match config.dist {
            Distance::Euclidean => (z, book.effective),
            Distance::Cosine => (
                norm::normalize(rec, z, &vectors, COSINE),
                normalize_rows(rec, book.effective),
            ),
        };
        let q = search::search(rec, near, &vectors, searched);
        let used = usage::of(rec, q, config.num_codes)?;
        let on = Coded {
            z,
            vectors,
            q,
            counts: used.usage.counts,
        };
        if moves && rec.training() {
            book = self.moved(rec, book, &on)?;
        }
        let (out, measured) = self.quantize(rec, &book, &on, (near, searched), weight)?;
        let scale = book.transform.map(|t| rec.keep(t.scale));
        let mut scalars = vec![("cmt_loss", measured.loss)];
        scalars.extend(used.scalars());
        if let (Transform::Alpha { .. }, Some(alpha)) = (config.transform(), scale) {
            scalars.extend(self.figures_of_alpha(rec, alpha));
        }
        let bad_vectors = usage::count_bad(rec, measured.squares);
        let tensors = [
            (tensor::DISTANCE, Some(rec.keep(measured.d))),
            (tensor::CODEBOOK, Some(book.stored)),
            (tensor::EFFECTIVE, Some(rec.keep(book.effective))),
            (tensor::SCALE, scale),
            (tensor::BIAS, book.transform.map(|t| rec.keep(t.bias))),
            (tensor::MAP, book.map),
            (tensor::GAMMA, book.gamma.map(|gamma| rec.keep(gamma))),
        ];
        let seen = Seen {
            z: rec.keep(z),
            z_q: rec.keep(out.z_q),
            vectors,
            codes: config.num_codes,
            q: rec.keep(q),
            usage: used.usage,
            window: used.window,
            bad_vectors,
            scalars,
            tensors: tensors
                .into_iter()
                .filter_map(|(name, var)| Some((name, var?)))
                .collect(),
        };
        Ok(Quantized {
            output: out.z_q,
            seen: vec![seen],
        })
    }

    /// Records what the codes `q` of `book` stand for.
    pub(in crate::quant) fn decode_book(
        &self,
        rec: &mut Recorder<'_>,
        book: Stages,
        q: Var,
        shape: &[usize],
    ) -> Result<Var> {
        let vectors = self.vectors(shape)?;
        let z_q = quantize::lookup(rec, q, book.values, &vectors);
        Ok(rec.view(z_q, shape))
    }
}

impl Quantizer for VectorQuant {
    fn latent(&self) -> Latent {
        Latent {
            features: self.config.feature_size,
            axis: self.config.dim,
            log_var: false,
        }
    }

    fn apply(&self, rec: &mut Recorder<'_>, encoded: Encoded, weight: f32) -> Result<Quantized> {
        let vectors = self.vectors(rec.shape(encoded.z))?;
        let z = self.config.norm.apply(rec, encoded.z, &vectors)?;
        let book = self.book(rec, Some((z, &vectors)))?;
        self.quantize_by(rec, book, (z, vectors), weight, true)
    }

    fn decode(&self, rec: &mut Recorder<'_>, q: &[Var], shape: &[usize]) -> Result<Var> {
        check_maps(q, 1)?;
        let book = self.book(rec, None)?;
        self.decode_book(rec, book, q[0], shape)
    }

    fn steps_by_itself(&self) -> bool {
        matches!(
            self.config.codes,
            Codes::Learned {
                rule: Rule::InPlace { .. },
                ..
            }
        )
    }

    fn start(&self) -> Start {
        let placing = self.config.placing();
        match placing.init {
            CodebookInit::Kmeans => Start::KMeans {
                effective: self.config.places_effective(),
            },
            CodebookInit::Normal | CodebookInit::Uniform => Start::Drawn,
        }
    }

    fn factors(&self) -> Vec<Factor> {
        let config = &self.config;
        let affine = match config.transform() {
            Transform::Affine { lr, .. } => lr,
            _ => 0.0,
        };
        let in_place = match config.codes {
            Codes::Learned {
                rule: Rule::InPlace { lr, .. },
                ..
            } => lr,
            _ => 0.0,
        };
        let penalty = config.penalty().map_or(0.0, |p| p.weight);
        [
            ("penalty_weight", penalty, 1.0),
            ("sync_nu", config.sync_nu(), 2.0),
            ("affine_lr", affine, 2.0),
            ("inplace_optimizer", in_place, 10.0),
        ]
        .map(|(name, value, usual)| Factor { name, value, usual })
        .into()
    }

    fn unbounded(&self) -> Option<(&'static str, &'static str)> {
        let penalty = self.config.penalty()?;
        let bounded = penalty.form == super::AlterPenalty::Between1;
        (!bounded).then_some(("penalty_weight", "the penalty on alpha has no lower bound"))
    }
}
