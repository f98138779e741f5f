//! A quantiser's options as files and flags have them: flat, under the names of the PyTorch package.

use serde::{Deserialize, Deserializer, Serialize, de};

use super::codebook::{
    AlterPenalty, CodebookInit, CodebookNorm, Distance, Estimator, GammaPolicy, Placement,
    ReplacePolicy, simvq,
};
use super::feature_norm::Norm;
use super::fsq::MAX_CHANNELS;
use super::stochastic::Variance;
use crate::error::{Error, Result};
use crate::options::{
    AFFINE_GROUPS, AFFINE_LR, BETA, DIM, EMA_DECAY, FEATURE_SIZE, INPLACE_LR, INPLACE_MOMENTUM,
    NUM_CODES, PENALTY_WEIGHT, REPLACE_BELOW, REPLACE_FREQ, RESIDUAL, SYNC_NU, TEMPERATURE,
    TEMPERATURE_DECAY, TEMPERATURE_MIN, not_in_place,
};

/// A quantiser's options, each by itself; [`super::QuantizerConfig`] is made of them.
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
    /// Cluster size, a moving average of a code's vectors in a step, below which it is replaced; 0 never.
    pub replace_below: f32,
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
    /// Stochastic quantisation: what has a variance of its own.
    pub stochastic: Option<Variance>,
    /// Temperature of its noise in the first step.
    pub temperature: f32,
    /// By how much the logarithm of the temperature falls a step.
    pub temperature_decay: f32,
    /// Least temperature.
    pub temperature_min: f32,
    /// How the gradient passes the quantiser.
    pub estimator: Estimator,
    /// Axis of the features.
    pub dim: usize,
    /// Normalisation of z.
    pub norm: Norm,
    /// Normalisation of the codebook.
    pub cb_norm: CodebookNorm,
    /// How the codebook begins. `kmeans_init`, the switch of earlier versions, is read too.
    #[serde(alias = "kmeans_init", deserialize_with = "init_or_switch")]
    pub codebook_init: CodebookInit,
    /// What comes to lie on the vectors where codes are put on them. Where it is not said, as in
    /// files of earlier versions, it is their way, the raw code.
    #[serde(default = "raw")]
    pub placement: Placement,
    /// Distance of the search.
    pub dist: Distance,
    /// Residual quantisation: D, codebooks one after the other, each for what those before it left over; 1 is none.
    pub residual: usize,
    /// Whether they are one codebook.
    pub residual_shared: bool,
    /// Identity: no quantisation at all.
    pub no_vq: bool,
}

/// What earlier versions did.
fn raw() -> Placement {
    Placement::Raw
}

/// The word, or the switch for k-means of earlier versions.
fn init_or_switch<'de, D: Deserializer<'de>>(
    from: D,
) -> std::result::Result<CodebookInit, D::Error> {
    struct Either;
    impl de::Visitor<'_> for Either {
        type Value = CodebookInit;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("normal, uniform or kmeans")
        }

        fn visit_bool<E: de::Error>(self, kmeans: bool) -> std::result::Result<CodebookInit, E> {
            Ok(if kmeans {
                CodebookInit::Kmeans
            } else {
                CodebookInit::Normal
            })
        }

        fn visit_str<E: de::Error>(self, word: &str) -> std::result::Result<CodebookInit, E> {
            CodebookInit::deserialize(de::value::StrDeserializer::new(word))
        }
    }
    from.deserialize_any(Either)
}

impl Default for VectorQuantConfig {
    /// The PyTorch package's defaults, with its README's F and K.
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
            replace_below: 0.0,
            replace_policy: ReplacePolicy::InputRandom,
            inplace_optimizer: None,
            ema_decay: None,
            simvq: false,
            fsq_levels: None,
            stochastic: None,
            temperature: 1.0,
            temperature_decay: 1e-5,
            temperature_min: 0.001,
            estimator: Estimator::StraightThrough,
            dim: 1,
            norm: Norm::None,
            cb_norm: CodebookNorm::None,
            codebook_init: CodebookInit::Normal,
            placement: Placement::Auto,
            dist: Distance::Euclidean,
            residual: 1,
            residual_shared: false,
            no_vq: false,
        }
    }
}

impl VectorQuantConfig {
    /// Whether the numbers are in range and fit each other.
    ///
    /// # Errors
    /// [`Error::Option`] names the option, its value and the range; [`Error::Conflict`] names the
    /// options that do not fit.
    pub(super) fn check(&self) -> Result<()> {
        // Before the number of codes, which they make.
        self.validate_levels()?;
        self.validate_ranges()?;
        self.validate_together()
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
        REPLACE_BELOW.check(self.replace_below)?;
        DIM.check(self.dim)?;
        RESIDUAL.check(self.residual)?;
        TEMPERATURE.check(self.temperature)?;
        TEMPERATURE_DECAY.check(self.temperature_decay)?;
        TEMPERATURE_MIN.check(self.temperature_min)?;
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
        if self.replace_freq > 0 && self.replace_below > 0.0 {
            return refuse(
                "replace_freq and replace_below exclude each other: both say when a code is dead, by its age or by its cluster size; set one of them to 0"
                    .into(),
            );
        }
        let placed = self.replace_freq > 0
            || self.replace_below > 0.0
            || self.codebook_init == CodebookInit::Kmeans;
        if self.simvq
            && placed
            && self.placement.effective(self.use_learnable_std)
            && self.feature_size > simvq::MOST
        {
            return refuse(format!(
                "placement effective inverts the map of simvq, which needs a feature_size of at most {}, not {}; placement raw does without",
                simvq::MOST,
                self.feature_size
            ));
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

    /// The codes that `fsq_levels` make; `None` where they are too many to count.
    pub(super) fn codes_of_levels(levels: &[usize]) -> Option<usize> {
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
}
