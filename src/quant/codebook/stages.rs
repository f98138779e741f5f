//! The stages of a codebook, from what is stored to what its codes stand for, and what moves it.

use super::affine;
use super::clusters::{Clusters, clusters};
use super::config::{CodebookConfig, CodebookInit, CodebookNorm, Codes, Rule, Transform};
use super::replace::{Replacement, replace};
use super::{alpha, ema, gamma, inplace, simvq};
use crate::error::Result;
use crate::gpu::{Init, Recorder, TapeMark, Var};
use crate::quant::norm::{self, Length};
use crate::quant::vectors::Vectors;

/// The tensors of a codebook, `[K, F]` each.
#[derive(Debug, Clone, Copy)]
pub(in crate::quant) struct Stages {
    /// As it is stored.
    pub(in crate::quant) stored: Var,
    /// Where [`Recorder::early_backward`] ends: behind the stored codebook.
    mark: TapeMark,
    /// After its norm and its linear map.
    raw: Var,
    /// The linear map, where there is one `[F, F]`.
    pub(in crate::quant) map: Option<Var>,
    /// Scale and bias of the effective codebook, where it has any.
    pub(in crate::quant) transform: Option<affine::Transform>,
    /// What is searched.
    pub(in crate::quant) effective: Var,
    /// The offset of the values.
    pub(in crate::quant) gamma: Option<Var>,
    /// What the codes stand for.
    pub(in crate::quant) values: Var,
}

/// The vectors of a step and their codes.
#[derive(Debug, Clone, Copy)]
pub(in crate::quant) struct Coded {
    /// The vectors, in their own layout.
    pub(in crate::quant) z: Var,
    /// How they lie.
    pub(in crate::quant) vectors: Vectors,
    /// Code of each `[N]`.
    pub(in crate::quant) q: Var,
    /// Vectors of each code `[K]`.
    pub(in crate::quant) counts: Var,
}

impl Coded {
    fn clusters(&self, rec: &mut Recorder<'_>) -> Clusters {
        clusters(rec, self.z, self.q, &self.vectors, self.counts)
    }
}

/// The codebook as it is stored: trained, unless something else moves it or nothing does.
fn stored(rec: &mut Recorder<'_>, config: &CodebookConfig) -> Result<Var> {
    let shape = [config.num_codes, config.feature_size];
    let name = "codebook.weight";
    let init = match config.placing().init {
        // K-means comes before the first step.
        CodebookInit::Normal | CodebookInit::Kmeans => Init::Normal(1.0),
        CodebookInit::Uniform => Init::Uniform((6.0 / (shape[0] * shape[1]) as f32).sqrt()),
    };
    match config.codes {
        Codes::Learned { .. } => rec.parameter(name, &shape, init),
        Codes::Averaged { .. } => rec.frozen(name, &shape, init),
        Codes::Mapped { .. } => rec.frozen(name, &shape, simvq::init(config.feature_size)),
    }
}

/// Records scale and bias of the effective codebook; statistics are taken from z, where there is one.
fn transform(
    rec: &mut Recorder<'_>,
    kind: Transform,
    raw: Var,
    z: Option<(Var, &Vectors)>,
) -> Result<Option<affine::Transform>> {
    rec.scope("affine_transform", |rec| {
        Ok(Some(match kind {
            Transform::Identity => return Ok(None),
            Transform::Affine { lr, groups } => affine::learned(rec, raw, groups, lr)?,
            Transform::Statistics { groups } => affine::match_moments(rec, z, raw, groups)?,
            Transform::Alpha { groups, .. } => {
                let moments = affine::match_moments(rec, z, raw, groups)?;
                affine::Transform {
                    scale: alpha::alpha(rec, raw, moments)?,
                    bias: moments.bias,
                }
            }
        }))
    })
}

impl Stages {
    /// Records the stages. Statistics are taken from `z`, where there is one.
    ///
    /// # Errors
    /// Those of declaring the parameters.
    pub(in crate::quant) fn record(
        rec: &mut Recorder<'_>,
        config: &CodebookConfig,
        z: Option<(Var, &Vectors)>,
    ) -> Result<Self> {
        let stored = stored(rec, config)?;
        let mark = rec.tape_mark();
        let mut raw = match config.cb_norm {
            CodebookNorm::None => stored,
            CodebookNorm::L2 => norm::normalize_codebook(rec, stored, Length::Limited(1e-8)),
            CodebookNorm::L2c => norm::normalize_codebook(rec, stored, Length::Unit(1e-8)),
        };
        let mut map = None;
        if let Codes::Mapped { .. } = config.codes {
            let (mapped, by) = simvq::transform(rec, raw)?;
            (raw, map) = (mapped, Some(by));
        }
        let transform = transform(rec, config.transform(), raw, z)?;
        let effective = transform.map_or(raw, |t| affine::apply(rec, raw, t));
        let gamma = |policy| rec.scope("gamma_learner", |rec| gamma::gamma(rec, effective, policy));
        let gamma = config.gamma().map(gamma).transpose()?;
        Ok(Self {
            stored,
            mark,
            raw,
            map,
            transform,
            effective,
            gamma,
            values: gamma.map_or(effective, |g| gamma::offset(rec, effective, g)),
        })
    }

    /// Records what moves the codebook besides the optimiser. The in-place step changes what the codes
    /// stand for in this very step, the others act behind the backward pass.
    ///
    /// # Errors
    /// Those of declaring what is kept from step to step.
    pub(in crate::quant) fn moved(
        mut self,
        rec: &mut Recorder<'_>,
        config: &CodebookConfig,
        on: &Coded,
    ) -> Result<Self> {
        let mut sizes = None;
        match config.codes {
            Codes::Learned {
                rule: Rule::InPlace { lr, momentum },
                ..
            } => {
                let clusters = on.clusters(rec);
                let step = (lr, momentum);
                let moved =
                    inplace::alternate(rec, step, self.raw, self.mark, self.values, &clusters)?;
                let transform = self.transform;
                let effective = transform.map_or(moved, |t| affine::apply(rec, moved, t));
                let gamma = self.gamma;
                self.values = gamma.map_or(effective, |g| gamma::offset(rec, effective, g));
            }
            Codes::Averaged { decay, .. } => {
                let clusters = on.clusters(rec);
                sizes = Some(ema::follow(rec, decay, self.raw, &clusters)?);
            }
            Codes::Learned { .. } | Codes::Mapped { .. } => {}
        }
        if let Some(how) = config.placing().replace {
            // With a linear map: what it makes of the stored codebook, and the way back.
            let mapped = self.map.map(|by| (self.raw, by));
            let effective = config.places_effective();
            let on = Replacement {
                z: on.z,
                vectors: on.vectors,
                counts: on.counts,
                codebook: if mapped.is_some() {
                    self.stored
                } else {
                    self.raw
                },
                mapped: mapped.filter(|_| effective),
                transform: self.transform.filter(|_| effective),
                sizes,
            };
            replace(rec, how, on)?;
        }
        Ok(self)
    }
}
