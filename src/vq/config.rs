//! Options of the quantiser, under the names of the seed's README.

use serde::{Deserialize, Serialize};

use super::fsq::MAX_CHANNELS;
use crate::error::{Error, Result};
use crate::options::{
    AFFINE_GROUPS, AFFINE_LR, BETA, DIM, EMA_DECAY, FEATURE_SIZE, INPLACE_LR, INPLACE_MOMENTUM,
    NUM_CODES, PENALTY_WEIGHT, REPLACE_FREQ, SYNC_NU, not_in_place,
};

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
    /// What a code becomes that is replaced.
    pub replace_policy: ReplacePolicy,
    /// Learning rate and momentum of the in-place step of the codebook.
    pub inplace_optimizer: Option<(f32, f32)>,
    /// The codebook is an exponential moving average of its vectors with this decay.
    pub ema_decay: Option<f32>,
    /// SimVQ: the codebook is frozen, a linear map of it is learned.
    pub simvq: bool,
    /// Finite scalar quantisation: the number of values of each channel, in place of a codebook.
    pub fsq_levels: Option<Vec<usize>>,
    /// How the gradient passes the quantiser.
    pub estimator: Estimator,
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
            replace_policy: ReplacePolicy::InputRandom,
            inplace_optimizer: None,
            ema_decay: None,
            simvq: false,
            fsq_levels: None,
            estimator: Estimator::StraightThrough,
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
    /// [`Error::Option`] names the option, its value and the range; [`Error::Conflict`] names the
    /// options that do not go together.
    pub fn validate(&self) -> Result<()> {
        // Before the number of codes, which they make.
        self.validate_levels()?;
        self.validate_ranges()?;
        self.validate_together()?;
        self.refuse_pairs()?;
        self.refuse_beside_levels()
    }

    fn validate_ranges(&self) -> Result<()> {
        FEATURE_SIZE.check(self.feature_size)?;
        NUM_CODES.check(self.num_codes)?;
        BETA.check(self.beta)?;
        SYNC_NU.check(self.sync_nu)?;
        AFFINE_LR.check(self.affine_lr)?;
        AFFINE_GROUPS.check(self.affine_groups)?;
        PENALTY_WEIGHT.check(self.penalty_weight)?;
        REPLACE_FREQ.check(self.replace_freq)?;
        DIM.check(self.dim)?;
        if let Some(decay) = self.ema_decay {
            EMA_DECAY.check(decay)?;
        }
        if let Some((lr, momentum)) = self.inplace_optimizer {
            let right = INPLACE_LR.check(lr).and(INPLACE_MOMENTUM.check(momentum));
            right.map_err(|_| not_in_place(&format!("{lr},{momentum}")))?;
        }
        Ok(())
    }

    fn validate_together(&self) -> Result<()> {
        let refuse = |message: String| Err(Error::Conflict(message));
        if !self.num_codes.is_multiple_of(self.affine_groups) {
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
        if self.using_statistics && !self.affine() {
            return refuse(
                "using_statistics says how the codebook is affine, so it needs affine_lr above 0"
                    .into(),
            );
        }
        if self.norm == Norm::Gn && !self.feature_size.is_multiple_of(32) {
            return refuse(format!(
                "norm gn has 32 groups, which do not divide feature_size ({})",
                self.feature_size
            ));
        }
        if self.inplace_optimizer.is_some() && self.beta != 1.0 {
            return refuse(format!(
                "inplace_optimizer moves the codebook towards z, all of the commitment loss: it needs beta 1, not {}",
                self.beta
            ));
        }
        Ok(())
    }

    /// Whether C' is an affine function of C, learned or not.
    #[must_use]
    pub fn affine(&self) -> bool {
        self.affine_lr > 0.0 || self.use_learnable_std
    }

    /// The options that are switched on and work on a codebook, by name.
    fn of_a_codebook(&self) -> Vec<&'static str> {
        let all = [
            ("affine_lr", self.affine_lr > 0.0),
            ("use_learnable_std", self.use_learnable_std),
            ("use_learnable_gamma", self.use_learnable_gamma),
            ("sync_nu", self.sync_nu > 0.0),
            ("inplace_optimizer", self.inplace_optimizer.is_some()),
            ("ema_decay", self.ema_decay.is_some()),
            ("simvq", self.simvq),
            ("replace_freq", self.replace_freq > 0),
            ("cb_norm", self.cb_norm != CodebookNorm::None),
            ("kmeans_init", self.kmeans_init),
            ("dist cosine", self.dist == Distance::Cosine),
            ("estimator rotation", self.estimator == Estimator::Rotation),
        ];
        let on = all.into_iter().filter(|(_, on)| *on);
        on.map(|(name, _)| name).collect()
    }

    /// Pairs of options that exclude each other.
    fn refuse_pairs(&self) -> Result<()> {
        let on = self.of_a_codebook();
        let pairs = [
            (
                "ema_decay",
                &["inplace_optimizer"][..],
                "both move the codebook",
            ),
            (
                "ema_decay",
                &["affine_lr", "use_learnable_std"],
                "the average puts each code where its vectors are, whatever the scale",
            ),
            (
                "simvq",
                &[
                    "inplace_optimizer",
                    "ema_decay",
                    "replace_freq",
                    "kmeans_init",
                ],
                "the codebook of simvq is frozen, only its linear map is learned",
            ),
        ];
        for (name, others, why) in pairs {
            let other = others.iter().find(|other| on.contains(other));
            if let (true, Some(other)) = (on.contains(&name), other) {
                return Err(Error::Conflict(format!(
                    "{name} and {other} exclude each other: {why}"
                )));
            }
        }
        if self.ema_decay.is_some() && self.sync_nu > 0.0 && !self.use_learnable_gamma {
            return Err(Error::Conflict(
                "sync_nu sends the decoder's gradient to the codes, and with ema_decay no gradient reaches them".into(),
            ));
        }
        Ok(())
    }

    /// The codes that `fsq_levels` make; `None` where they are too many to count.
    fn codes_of_levels(levels: &[usize]) -> Option<usize> {
        levels.iter().try_fold(1_usize, |a, l| a.checked_mul(*l))
    }

    /// Whether `fsq_levels` are in range.
    fn validate_levels(&self) -> Result<()> {
        let Some(levels) = &self.fsq_levels else {
            return Ok(());
        };
        let codes = Self::codes_of_levels(levels);
        let right = (1..=MAX_CHANNELS).contains(&levels.len())
            && levels.iter().all(|l| *l >= 3)
            && codes.is_some_and(|codes| NUM_CODES.check(codes).is_ok());
        if !right {
            return Err(Error::Option {
                name: "fsq_levels".into(),
                value: format!("{levels:?}"),
                want: format!(
                    "1 to {MAX_CHANNELS} whole numbers of at least 3, their product at most 16777216"
                ),
            });
        }
        Ok(())
    }

    /// Whether `fsq_levels` make the codes, and stand alone.
    fn refuse_beside_levels(&self) -> Result<()> {
        let Some(levels) = &self.fsq_levels else {
            return Ok(());
        };
        let refuse = |message: String| Err(Error::Conflict(message));
        let codes = Self::codes_of_levels(levels);
        if codes != Some(self.num_codes) {
            return refuse(format!(
                "fsq_levels {levels:?} make {} codes, but num_codes is {}",
                codes.map_or("too many".into(), |c| c.to_string()),
                self.num_codes
            ));
        }
        match self.of_a_codebook().first() {
            None => Ok(()),
            Some(other) => refuse(format!(
                "fsq_levels and {other} exclude each other: finite scalar quantisation has no codebook"
            )),
        }
    }
}
