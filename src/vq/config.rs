//! Options of the quantiser, under the names of the seed's README.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

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

/// Normalisation of z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Norm {
    /// None.
    #[default]
    None,
    /// Unit length.
    L2,
    /// Length at most 10.
    L2c,
    /// Batch norm.
    Bn,
    /// Group norm, 32 groups.
    Gn,
    /// Instance norm.
    In,
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

/// All options of a [`super::VectorQuant`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VectorQuantConfig {
    /// F, features of a vector.
    pub feature_size: usize,
    /// K, codes of the codebook.
    pub num_codes: usize,
    /// Weight of the codebook side of the commitment loss, in [0, 1].
    pub beta: f32,
    /// Share of the decoder's gradient that reaches the code vectors.
    pub sync_nu: f32,
    /// Learning-rate factor of the affine codebook; 0 switches it off.
    pub affine_lr: f32,
    /// Groups of consecutive codes with a scale (alpha) of their own.
    pub affine_groups: usize,
    /// Affine codebook from running moments.
    pub using_statistics: bool,
    /// Approach 1: alpha, the learned standard deviation of the codebook.
    pub use_learnable_std: bool,
    /// The penalty on alpha.
    pub alter_penalty: AlterPenalty,
    /// Weight of the penalty in the training loss; 0 leaves it out.
    pub penalty_weight: f32,
    /// Approaches 2 and 3: gamma, the learned offset of z_q.
    pub use_learnable_gamma: bool,
    /// What gamma depends on.
    pub gamma_policy: GammaPolicy,
    /// Steps unused before a code is replaced; 0 never.
    pub replace_freq: usize,
    /// Learning rate and momentum of the in-place step of the codebook.
    pub inplace_optimizer: Option<(f32, f32)>,
    /// Axis of the features.
    pub dim: usize,
    /// Normalisation of z.
    pub norm: Norm,
    /// Normalisation of the codebook.
    pub cb_norm: CodebookNorm,
    /// Codebook from k-means of a warm-up batch.
    pub kmeans_init: bool,
    /// Distance of the search.
    pub dist: Distance,
    /// Identity: no quantisation at all.
    pub no_vq: bool,
}

impl Default for VectorQuantConfig {
    /// The seed's defaults, with the README's F and K.
    fn default() -> Self {
        Self {
            feature_size: 32,
            num_codes: 256,
            beta: 0.97125,
            sync_nu: 0.0,
            affine_lr: 0.0,
            affine_groups: 1,
            using_statistics: false,
            use_learnable_std: false,
            alter_penalty: AlterPenalty::Default,
            penalty_weight: 0.0,
            use_learnable_gamma: false,
            gamma_policy: GammaPolicy::Default,
            replace_freq: 0,
            inplace_optimizer: None,
            dim: 1,
            norm: Norm::None,
            cb_norm: CodebookNorm::None,
            kmeans_init: false,
            dist: Distance::Euclidean,
            no_vq: false,
        }
    }
}

impl VectorQuantConfig {
    /// Whether the options are in range and go together.
    ///
    /// # Errors
    /// [`Error::Config`] names the option, its value and the range.
    pub fn validate(&self) -> Result<()> {
        let refuse = |message: String| Err(Error::Config(message));
        if self.feature_size == 0 {
            return refuse("feature_size must be at least 1".into());
        }
        if self.num_codes == 0 {
            return refuse("num_codes must be at least 1".into());
        }
        if !(0.0..=1.0).contains(&self.beta) {
            return refuse(format!("beta must be in [0, 1], not {}", self.beta));
        }
        for (name, value) in [
            ("sync_nu", self.sync_nu),
            ("affine_lr", self.affine_lr),
            ("penalty_weight", self.penalty_weight),
        ] {
            if !value.is_finite() || value < 0.0 {
                return refuse(format!(
                    "{name} must be a number of at least 0, not {value}"
                ));
            }
        }
        if self.affine_groups == 0 || !self.num_codes.is_multiple_of(self.affine_groups) {
            return refuse(format!(
                "affine_groups ({}) must divide num_codes ({})",
                self.affine_groups, self.num_codes
            ));
        }
        if self.use_learnable_std && self.num_codes < 4 {
            return refuse(format!(
                "use_learnable_std needs num_codes of at least 4 (its MLP has num_codes/4 hidden units), not {}",
                self.num_codes
            ));
        }
        if self.penalty_weight > 0.0 && !self.use_learnable_std {
            return refuse(
                "penalty_weight weighs the penalty on alpha, so it needs use_learnable_std".into(),
            );
        }
        self.refuse_unbuilt()
    }

    /// Options of the seed that this version does not have yet.
    fn refuse_unbuilt(&self) -> Result<()> {
        let unbuilt = [
            ("affine_lr", self.affine_lr > 0.0 && !self.use_learnable_std),
            (
                "using_statistics",
                self.using_statistics && !self.use_learnable_std,
            ),
            ("replace_freq", self.replace_freq > 0),
            ("inplace_optimizer", self.inplace_optimizer.is_some()),
            ("norm", self.norm != Norm::None),
            ("cb_norm", self.cb_norm != CodebookNorm::None),
            ("kmeans_init", self.kmeans_init),
            ("dist", self.dist != Distance::Euclidean),
        ];
        match unbuilt.iter().find(|(_, asked)| *asked) {
            None => Ok(()),
            Some((name, _)) => Err(Error::Config(format!(
                "{name} is not available in this version; leave it at its default"
            ))),
        }
    }
}
