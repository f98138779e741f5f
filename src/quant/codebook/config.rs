//! Options of the codebook quantiser, as types: what excludes each other cannot be written down.

use serde::{Deserialize, Serialize};

use crate::quant::feature_norm::Norm;

/// Penalty on alpha (Approach 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlterPenalty {
    /// `-sum alpha^2`
    #[default]
    Default,
    /// `sum (1 - alpha)^2`
    Between1,
    /// `-t/2 sum alpha^2`, t counting the steps from 1
    Small,
}

/// What gamma depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GammaPolicy {
    /// One offset a feature (Approach 2).
    #[default]
    Default,
    /// One offset a vector and channel (Approach 3).
    Personalize,
}

/// Normalisation of the codebook, in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CodebookNorm {
    /// None.
    #[default]
    None,
    /// Length at most 10.
    L2,
    /// Unit length.
    L2c,
}

/// Distance of the search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Distance {
    /// `|z - c|`
    #[default]
    Euclidean,
    /// `1 - cos(z, c)`
    Cosine,
}

/// What a dead code becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplacePolicy {
    /// A random vector of the batch.
    #[default]
    InputRandom,
    /// A centroid of the batch.
    InputKmeans,
    /// A copy of a code in use, the likelier the more vectors it has.
    #[serde(rename = "self")]
    Own,
}

/// How the codebook begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CodebookInit {
    /// Drawn from N(0, 1).
    #[default]
    Normal,
    /// Small: uniform within `sqrt(6 / (K F))`, as vector-quantize-pytorch draws it.
    Uniform,
    /// The centroids of a warm-up batch, by k-means.
    Kmeans,
}

/// What comes to lie on the vector where a code is put on one, by replacement or k-means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Placement {
    /// The effective code, but with alpha the raw one: alpha is a function of all codes, so that putting them where
    /// they belong under the alpha of before makes another alpha, which carries all of them off.
    #[default]
    Auto,
    /// The effective code, which is searched: scale and bias are undone.
    Effective,
    /// The stored code, as in the PyTorch package: scale and bias then carry it off.
    Raw,
}

impl Placement {
    /// Whether it is the effective code, with `alpha` or without.
    #[must_use]
    pub fn effective(self, alpha: bool) -> bool {
        match self {
            Self::Auto => !alpha,
            Self::Effective => true,
            Self::Raw => false,
        }
    }
}

/// How the gradient of the quantised vector becomes that of the vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Estimator {
    /// As it is (Bengio et al. 2013).
    #[default]
    StraightThrough,
    /// Turned and scaled as the vector must be to become its code: the rotation trick (Fifty et
    /// al. 2024).
    Rotation,
}

/// The penalty on alpha in the training loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Penalty {
    /// What it rewards.
    pub form: AlterPenalty,
    /// Its weight, above 0.
    pub weight: f32,
}

/// What lies between the codebook as it is stored and the one that is searched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Transform {
    /// Nothing.
    Identity,
    /// A learned scale and bias of each group of codes.
    Affine {
        /// Factor on the learning rate, above 0.
        lr: f32,
        /// Groups of consecutive codes; they divide K.
        groups: usize,
    },
    /// Scale and bias from running moments of z and the codebook.
    Statistics {
        /// As above.
        groups: usize,
    },
    /// Approach 1: alpha, a learned standard deviation.
    Alpha {
        /// As above.
        groups: usize,
        /// The penalty on alpha, where it is trained with.
        penalty: Option<Penalty>,
    },
}

impl Transform {
    /// Groups of codes with a scale of their own; 0 without a scale.
    #[must_use]
    pub fn groups(self) -> usize {
        match self {
            Self::Identity => 0,
            Self::Affine { groups, .. }
            | Self::Statistics { groups }
            | Self::Alpha { groups, .. } => groups,
        }
    }
}

/// What moves a codebook that is learned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// The optimiser, by the gradient.
    Gradient {
        /// Weight of the codebook side of the commitment loss, in [0, 1].
        beta: f32,
    },
    /// A step of its own towards the vectors, before they are decoded; it takes the place of the
    /// commitment loss, all of which is the codebook's (beta 1).
    InPlace {
        /// Learning rate.
        lr: f32,
        /// Momentum.
        momentum: f32,
    },
}

/// When a code is dead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Dead {
    /// Unused for so many steps, at least 1.
    Unused(usize),
    /// Its cluster size, a moving average of its vectors in a step, is below this, above 0.
    Small(f32),
}

/// What becomes of codes that are not used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Replace {
    /// Which codes are replaced.
    pub dead: Dead,
    /// What it becomes.
    pub policy: ReplacePolicy,
}

/// Where codes are put, besides by what moves all of them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Placing {
    /// How the codebook begins.
    pub init: CodebookInit,
    /// The replacement of dead codes.
    pub replace: Option<Replace>,
    /// What comes to lie on the vectors.
    pub placement: Placement,
}

/// How the codebook comes about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Codes {
    /// It is learned.
    Learned {
        /// How.
        rule: Rule,
        /// From the stored codebook to the searched one.
        transform: Transform,
        /// Approaches 2 and 3: the learned offset of z_q.
        gamma: Option<GammaPolicy>,
        /// Share of the decoder's gradient that reaches the codes.
        sync_nu: f32,
        /// Where codes are put besides.
        placing: Placing,
    },
    /// An exponential moving average of the vectors; no gradient reaches it, and it lies where its vectors
    /// are, whatever a transform would do.
    Averaged {
        /// Decay of the average.
        decay: f32,
        /// Weight of the codebook side of the commitment loss, which nothing comes of: the encoder gets the rest.
        beta: f32,
        /// The offset, and the share of the decoder's gradient that reaches it.
        gamma: Option<(GammaPolicy, f32)>,
        /// Where codes are put besides.
        placing: Placing,
    },
    /// `SimVQ`: frozen, under a learned linear map.
    Mapped {
        /// Weight of the codebook side of the commitment loss.
        beta: f32,
        /// From the mapped codebook to the searched one.
        transform: Transform,
        /// The offset.
        gamma: Option<GammaPolicy>,
        /// Share of the decoder's gradient that reaches the map.
        sync_nu: f32,
        /// Where codes are put besides.
        placing: Placing,
    },
}

/// All options of a [`super::VectorQuant`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CodebookConfig {
    /// F, features of a vector.
    pub feature_size: usize,
    /// K, codes of the codebook.
    pub num_codes: usize,
    /// Axis of the features.
    pub dim: usize,
    /// Normalisation of z.
    pub norm: Norm,
    /// Normalisation of the codebook.
    pub cb_norm: CodebookNorm,
    /// Distance of the search.
    pub dist: Distance,
    /// How the gradient passes the quantiser.
    pub estimator: Estimator,
    /// How the codebook comes about.
    pub codes: Codes,
}

impl Default for CodebookConfig {
    /// Plain vector quantisation, with F and K of the PyTorch package's README.
    fn default() -> Self {
        Self {
            feature_size: 32,
            num_codes: 256,
            dim: 1,
            norm: Norm::None,
            cb_norm: CodebookNorm::None,
            dist: Distance::Euclidean,
            estimator: Estimator::StraightThrough,
            codes: Codes::Learned {
                rule: Rule::Gradient { beta: 0.97125 },
                transform: Transform::Identity,
                gamma: None,
                sync_nu: 0.0,
                placing: Placing::default(),
            },
        }
    }
}

impl CodebookConfig {
    /// Weight of the codebook side of the commitment loss.
    #[must_use]
    pub fn beta(&self) -> f32 {
        match self.codes {
            Codes::Learned {
                rule: Rule::InPlace { .. },
                ..
            } => 1.0,
            Codes::Learned {
                rule: Rule::Gradient { beta },
                ..
            }
            | Codes::Averaged { beta, .. }
            | Codes::Mapped { beta, .. } => beta,
        }
    }

    /// Share of the decoder's gradient that reaches what makes the codes.
    #[must_use]
    pub fn sync_nu(&self) -> f32 {
        match self.codes {
            Codes::Learned { sync_nu, .. } | Codes::Mapped { sync_nu, .. } => sync_nu,
            Codes::Averaged { gamma, .. } => gamma.map_or(0.0, |(_, nu)| nu),
        }
    }

    /// What lies between the stored codebook and the searched one.
    #[must_use]
    pub fn transform(&self) -> Transform {
        match self.codes {
            Codes::Learned { transform, .. } | Codes::Mapped { transform, .. } => transform,
            Codes::Averaged { .. } => Transform::Identity,
        }
    }

    /// What gamma depends on, with Approaches 2 and 3.
    #[must_use]
    pub fn gamma(&self) -> Option<GammaPolicy> {
        match self.codes {
            Codes::Learned { gamma, .. } | Codes::Mapped { gamma, .. } => gamma,
            Codes::Averaged { gamma, .. } => gamma.map(|(policy, _)| policy),
        }
    }

    /// Where codes are put, besides by what moves all of them.
    #[must_use]
    pub fn placing(&self) -> Placing {
        match self.codes {
            Codes::Learned { placing, .. }
            | Codes::Averaged { placing, .. }
            | Codes::Mapped { placing, .. } => placing,
        }
    }

    /// Whether the effective code is what is put on vectors.
    #[must_use]
    pub fn places_effective(&self) -> bool {
        let alpha = matches!(self.transform(), Transform::Alpha { .. });
        self.placing().placement.effective(alpha)
    }

    /// The penalty on alpha, where it is trained with.
    #[must_use]
    pub fn penalty(&self) -> Option<Penalty> {
        match self.transform() {
            Transform::Alpha { penalty, .. } => penalty,
            _ => None,
        }
    }
}
