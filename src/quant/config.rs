//! Which quantiser, with its options as types; and the way from their flat form and back.

use std::sync::Arc;

use super::codebook::{
    CodebookConfig, CodebookInit, CodebookNorm, Codes, Dead, Distance, Estimator, Penalty, Placing,
    Replace, Rule, Transform, VectorQuant,
};
use super::flat::VectorQuantConfig;
use super::fsq::{Fsq, FsqConfig};
use super::identity::Identity;
use super::interface::Quantizer;
use super::residual::{Residual, ResidualConfig};
use super::stochastic::{Stochastic, StochasticConfig, Temperature};
use crate::error::{Error, Result};

/// A quantiser's options, in which what excludes each other cannot be written down. Files and flags
/// have them flat, as [`VectorQuantConfig`].
#[derive(Debug, Clone, PartialEq)]
pub enum QuantizerConfig {
    /// A codebook.
    Codebook(CodebookConfig),
    /// Codebooks one after the other.
    Residual(ResidualConfig),
    /// Finite scalar quantisation.
    Fsq(FsqConfig),
    /// Stochastic quantisation.
    Stochastic(StochasticConfig),
    /// No quantisation at all.
    Identity(Identity),
}

impl Default for QuantizerConfig {
    fn default() -> Self {
        Self::Codebook(CodebookConfig::default())
    }
}

impl QuantizerConfig {
    /// The quantiser.
    ///
    /// # Errors
    /// [`Error::Option`] names an option that is out of range, [`Error::Conflict`] those whose
    /// numbers do not fit each other.
    pub fn build(&self) -> Result<Arc<dyn Quantizer>> {
        // There and back: a rate, a weight or a patience of 0 is the same as none.
        Ok(match Self::try_from(&VectorQuantConfig::from(self))? {
            Self::Codebook(config) => Arc::new(VectorQuant::new(config)),
            Self::Residual(config) => Arc::new(Residual::new(config)),
            Self::Fsq(config) => Arc::new(Fsq::new(config)),
            Self::Stochastic(config) => Arc::new(Stochastic::new(config)),
            Self::Identity(identity) => Arc::new(identity),
        })
    }
}

/// How the options of a codebook are switched on in the flat form: name, and whether it is.
fn of_a_codebook(flat: &VectorQuantConfig) -> Vec<&'static str> {
    let all = [
        ("affine_lr", flat.affine_lr > 0.0),
        ("use_learnable_std", flat.use_learnable_std),
        ("use_learnable_gamma", flat.use_learnable_gamma),
        ("sync_nu", flat.sync_nu > 0.0),
        ("inplace_optimizer", flat.inplace_optimizer.is_some()),
        ("ema_decay", flat.ema_decay.is_some()),
        ("simvq", flat.simvq),
        ("replace_freq", flat.replace_freq > 0),
        ("replace_below", flat.replace_below > 0.0),
        ("cb_norm", flat.cb_norm != CodebookNorm::None),
        (
            "codebook_init kmeans",
            flat.codebook_init == CodebookInit::Kmeans,
        ),
        (
            "codebook_init uniform",
            flat.codebook_init == CodebookInit::Uniform,
        ),
        ("dist cosine", flat.dist == Distance::Cosine),
        ("estimator rotation", flat.estimator == Estimator::Rotation),
        ("residual", flat.residual > 1),
    ];
    let on = all.into_iter().filter(|(_, on)| *on);
    on.map(|(name, _)| name).collect()
}

/// [`Error::Conflict`] when the flat form has one of `others`, for which `name` has no place.
fn refuse(flat: &VectorQuantConfig, name: &str, others: &[&str], why: &str) -> Result<()> {
    let on = of_a_codebook(flat);
    match others.iter().find(|other| on.contains(other)) {
        None => Ok(()),
        Some(other) => Err(exclude(name, other, why)),
    }
}

fn exclude(name: &str, other: &str, why: &str) -> Error {
    Error::Conflict(format!("{name} and {other} exclude each other: {why}"))
}

impl VectorQuantConfig {
    /// The quantiser that the options describe.
    ///
    /// # Errors
    /// [`Error::Option`] names the option, its value and the range; [`Error::Conflict`] names the
    /// options that do not go together.
    pub fn build(&self) -> Result<Arc<dyn Quantizer>> {
        QuantizerConfig::try_from(self)?.build()
    }
}

impl TryFrom<&VectorQuantConfig> for QuantizerConfig {
    type Error = Error;

    /// # Errors
    /// [`Error::Option`] names the option, its value and the range; [`Error::Conflict`] names the
    /// options that do not go together.
    fn try_from(flat: &VectorQuantConfig) -> Result<Self> {
        flat.check()?;
        let codes = codes(flat)?;
        if let Some(levels) = &flat.fsq_levels {
            refuse_beside_levels(flat, levels)?;
        }
        if flat.stochastic.is_some() {
            let on = of_a_codebook(flat);
            let why = "stochastic quantisation learns its codes by their posterior alone";
            refuse(flat, "stochastic", &on, why)?;
            if flat.fsq_levels.is_some() {
                return Err(Error::Conflict(
                    "stochastic and fsq_levels exclude each other: each is a quantiser of its own"
                        .into(),
                ));
            }
        }
        if flat.no_vq {
            return Ok(Self::Identity(Identity {
                feature_size: flat.feature_size,
                dim: flat.dim,
            }));
        }
        if let Some(variance) = flat.stochastic {
            return Ok(Self::Stochastic(StochasticConfig {
                feature_size: flat.feature_size,
                num_codes: flat.num_codes,
                dim: flat.dim,
                norm: flat.norm,
                variance,
                temperature: Temperature {
                    start: flat.temperature,
                    decay: flat.temperature_decay,
                    least: flat.temperature_min,
                },
            }));
        }
        Ok(match &flat.fsq_levels {
            Some(levels) => Self::Fsq(FsqConfig {
                feature_size: flat.feature_size,
                dim: flat.dim,
                norm: flat.norm,
                levels: levels.clone(),
            }),
            None => {
                let layer = CodebookConfig {
                    feature_size: flat.feature_size,
                    num_codes: flat.num_codes,
                    dim: flat.dim,
                    norm: flat.norm,
                    cb_norm: flat.cb_norm,
                    dist: flat.dist,
                    estimator: flat.estimator,
                    codes,
                };
                match flat.residual {
                    1 => Self::Codebook(layer),
                    layers => Self::Residual(ResidualConfig {
                        layer,
                        layers,
                        shared: shared(flat)?,
                    }),
                }
            }
        })
    }
}

fn codes(flat: &VectorQuantConfig) -> Result<Codes> {
    let gamma = flat.use_learnable_gamma.then_some(flat.gamma_policy);
    let placing = Placing {
        init: flat.codebook_init,
        replace: dead(flat).map(|dead| Replace {
            dead,
            policy: flat.replace_policy,
        }),
        placement: flat.placement,
    };
    if flat.ema_decay.is_some() {
        let name = "ema_decay";
        refuse(flat, name, &["inplace_optimizer"], "both move the codebook")?;
        let why = "the average puts each code where its vectors are, whatever the scale";
        refuse(flat, name, &["affine_lr", "use_learnable_std"], why)?;
    }
    if flat.simvq {
        let others = ["inplace_optimizer", "ema_decay", "codebook_init uniform"];
        let why = "the codebook of simvq is frozen, only its linear map is learned";
        refuse(flat, "simvq", &others, why)?;
    }
    if let Some(decay) = flat.ema_decay {
        if flat.sync_nu > 0.0 && gamma.is_none() {
            return Err(Error::Conflict(
                "sync_nu sends the decoder's gradient to the codes, and with ema_decay no gradient reaches them".into(),
            ));
        }
        return Ok(Codes::Averaged {
            decay,
            beta: flat.beta,
            gamma: gamma.map(|policy| (policy, flat.sync_nu)),
            placing,
        });
    }
    let transform = transform(flat);
    if flat.simvq {
        return Ok(Codes::Mapped {
            beta: flat.beta,
            transform,
            gamma,
            sync_nu: flat.sync_nu,
            placing,
        });
    }
    Ok(Codes::Learned {
        rule: match flat.inplace_optimizer {
            Some((lr, momentum)) => Rule::InPlace { lr, momentum },
            None => Rule::Gradient { beta: flat.beta },
        },
        transform,
        gamma,
        sync_nu: flat.sync_nu,
        placing,
    })
}

/// Whether the codebooks of residual quantisation are one.
fn shared(flat: &VectorQuantConfig) -> Result<bool> {
    if flat.residual_shared {
        let name = "residual_shared";
        let why = "the in-place step would move the codebook before the others that share it have searched it";
        refuse(flat, name, &["inplace_optimizer"], why)?;
        let why = "it fits a codebook to the moments of the vectors that it quantises, and a shared one quantises several sets of them";
        refuse(flat, name, &["use_learnable_std"], why)?;
        if flat.using_statistics {
            return Err(exclude(name, "using_statistics", why));
        }
    }
    Ok(flat.residual_shared)
}

/// When a code is dead, where dead ones are replaced.
fn dead(flat: &VectorQuantConfig) -> Option<Dead> {
    let old = (flat.replace_freq > 0).then_some(Dead::Unused(flat.replace_freq));
    old.or((flat.replace_below > 0.0).then_some(Dead::Small(flat.replace_below)))
}

fn transform(flat: &VectorQuantConfig) -> Transform {
    let groups = flat.affine_groups;
    if flat.use_learnable_std {
        return Transform::Alpha {
            groups,
            penalty: (flat.penalty_weight > 0.0).then_some(Penalty {
                form: flat.alter_penalty,
                weight: flat.penalty_weight,
            }),
        };
    }
    match flat.using_statistics {
        _ if flat.affine_lr == 0.0 => Transform::Identity,
        true => Transform::Statistics { groups },
        false => Transform::Affine {
            lr: flat.affine_lr,
            groups,
        },
    }
}

/// [`Error::Conflict`] unless the levels make the codes, and stand alone.
fn refuse_beside_levels(flat: &VectorQuantConfig, levels: &[usize]) -> Result<()> {
    let codes = VectorQuantConfig::codes_of_levels(levels);
    if codes != Some(flat.num_codes) {
        return Err(Error::Conflict(format!(
            "fsq_levels {levels:?} make {} codes, but num_codes is {}",
            codes.map_or("too many".into(), |c| c.to_string()),
            flat.num_codes
        )));
    }
    let all = of_a_codebook(flat);
    let why = "finite scalar quantisation has no codebook";
    refuse(flat, "fsq_levels", &all, why)
}

impl From<&QuantizerConfig> for VectorQuantConfig {
    fn from(config: &QuantizerConfig) -> Self {
        match config {
            QuantizerConfig::Identity(identity) => Self {
                feature_size: identity.feature_size,
                dim: identity.dim,
                no_vq: true,
                ..Self::default()
            },
            QuantizerConfig::Fsq(fsq) => Self {
                feature_size: fsq.feature_size,
                dim: fsq.dim,
                norm: fsq.norm,
                // Too many to count are refused by the levels themselves.
                num_codes: Self::codes_of_levels(&fsq.levels).unwrap_or(usize::MAX),
                fsq_levels: Some(fsq.levels.clone()),
                ..Self::default()
            },
            QuantizerConfig::Stochastic(config) => Self {
                feature_size: config.feature_size,
                num_codes: config.num_codes,
                dim: config.dim,
                norm: config.norm,
                stochastic: Some(config.variance),
                temperature: config.temperature.start,
                temperature_decay: config.temperature.decay,
                temperature_min: config.temperature.least,
                ..Self::default()
            },
            QuantizerConfig::Codebook(codebook) => flat_codebook(codebook),
            QuantizerConfig::Residual(config) => Self {
                residual: config.layers,
                residual_shared: config.shared,
                ..flat_codebook(&config.layer)
            },
        }
    }
}

/// A rate that stands for "affine" where its value has no effect: that of the method `affine`.
const ANY_RATE: f32 = 2.0;

fn flat_codebook(config: &CodebookConfig) -> VectorQuantConfig {
    let placing = config.placing();
    let mut flat = VectorQuantConfig {
        feature_size: config.feature_size,
        num_codes: config.num_codes,
        dim: config.dim,
        norm: config.norm,
        cb_norm: config.cb_norm,
        dist: config.dist,
        estimator: config.estimator,
        beta: config.beta(),
        sync_nu: config.sync_nu(),
        codebook_init: placing.init,
        placement: placing.placement,
        use_learnable_gamma: config.gamma().is_some(),
        gamma_policy: config.gamma().unwrap_or_default(),
        ..VectorQuantConfig::default()
    };
    match config.codes {
        Codes::Learned {
            rule: Rule::InPlace { lr, momentum },
            ..
        } => flat.inplace_optimizer = Some((lr, momentum)),
        Codes::Learned { .. } => {}
        Codes::Averaged { decay, .. } => flat.ema_decay = Some(decay),
        Codes::Mapped { .. } => flat.simvq = true,
    }
    if let Some(replace) = placing.replace {
        match replace.dead {
            Dead::Unused(steps) => flat.replace_freq = steps,
            Dead::Small(below) => flat.replace_below = below,
        }
        flat.replace_policy = replace.policy;
    }
    match config.transform() {
        Transform::Identity => {}
        Transform::Affine { lr, .. } => flat.affine_lr = lr,
        Transform::Statistics { .. } => {
            flat.affine_lr = ANY_RATE;
            flat.using_statistics = true;
        }
        Transform::Alpha { penalty, .. } => {
            flat.use_learnable_std = true;
            if let Some(penalty) = penalty {
                flat.alter_penalty = penalty.form;
                flat.penalty_weight = penalty.weight;
            }
        }
    }
    flat.affine_groups = config.transform().groups().max(1);
    flat
}
