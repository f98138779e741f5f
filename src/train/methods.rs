//! The methods: named settings of the quantiser's options, the remedies that people compare.

use serde::{Deserialize, Serialize};

use crate::quant::codebook::{CodebookNorm, Estimator, GammaPolicy};
use crate::quant::{Norm, VectorQuantConfig};

/// A named setting of the quantiser's options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Plain vector quantisation.
    Vq,
    /// Learnable standard deviation of the codebook.
    Approach1,
    /// The same with norms and replacement.
    #[serde(rename = "approach1++")]
    Approach1Plus,
    /// Learnable offset.
    Approach2,
    /// Learnable offset of each vector.
    Approach3,
    /// Learned affine transform of the codebook.
    Affine,
    /// VQ-STE++: affine, synchronised and alternating updates.
    #[serde(rename = "ste++")]
    Ste,
    /// The same with norms and replacement.
    #[serde(rename = "ste++++")]
    StePlus,
    /// Codebook as exponential moving average.
    Ema,
    /// Rotation trick.
    Rotation,
    /// Frozen codebook under a learned linear map.
    SimVq,
    /// Finite scalar quantisation.
    Fsq,
}

/// Levels whose product is near a power of two, as in table 1 of the FSQ paper; the first two are
/// for small codebooks.
const LEVELS: [&[usize]; 7] = [
    &[5, 3],
    &[8, 8],
    &[8, 6, 5],
    &[8, 5, 5, 5],
    &[7, 5, 5, 5, 5],
    &[8, 8, 8, 6, 5],
    &[8, 8, 8, 5, 5, 5],
];

/// The largest of the table that has at most `codes` codes.
fn levels(codes: usize) -> Vec<usize> {
    let fitting = LEVELS
        .into_iter()
        .rfind(|l| l.iter().product::<usize>() <= codes);
    fitting.unwrap_or(LEVELS[0]).to_vec()
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Vq,
        Self::Approach1,
        Self::Approach1Plus,
        Self::Approach2,
        Self::Approach3,
        Self::Affine,
        Self::Ste,
        Self::StePlus,
        Self::Ema,
        Self::Rotation,
        Self::SimVq,
        Self::Fsq,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Vq => "vq",
            Self::Approach1 => "approach1",
            Self::Approach1Plus => "approach1++",
            Self::Approach2 => "approach2",
            Self::Approach3 => "approach3",
            Self::Affine => "affine",
            Self::Ste => "ste++",
            Self::StePlus => "ste++++",
            Self::Ema => "ema",
            Self::Rotation => "rotation",
            Self::SimVq => "simvq",
            Self::Fsq => "fsq",
        }
    }

    /// One line: what it does.
    #[must_use]
    pub fn summary(self) -> &'static str {
        match self {
            Self::Vq => "plain vector quantisation, straight-through gradients: the baseline",
            Self::Approach1 => "learns alpha, the standard deviation of the codebook",
            Self::Approach1Plus => {
                "approach1, unit vectors, codes of length at most 10, dead codes replaced after 100 steps"
            }
            Self::Approach2 => "learns gamma, an offset of the quantised vectors",
            Self::Approach3 => "learns gamma for each vector and channel",
            Self::Affine => "learns a scale and a bias of the whole codebook",
            Self::Ste => {
                "affine, the decoder's gradient reaches the codes, and the codebook steps in place"
            }
            Self::StePlus => {
                "ste++, unit vectors, codes of length at most 10, dead codes replaced after 100 steps"
            }
            Self::Ema => "each code follows the moving average of its vectors",
            Self::Rotation => "the gradient is turned and scaled as the vector was",
            Self::SimVq => "a frozen codebook under a learned linear map",
            Self::Fsq => "no codebook: a few channels, each rounded to a few levels",
        }
    }

    /// Where it comes from.
    #[must_use]
    pub fn paper(self) -> &'static str {
        match self {
            Self::Vq | Self::Ema => {
                "van den Oord et al. 2017, Neural Discrete Representation Learning, arXiv 1711.00937"
            }
            Self::Approach1 | Self::Approach1Plus | Self::Approach2 | Self::Approach3 => {
                "the PyTorch package semivq, Soft-discretization"
            }
            Self::Affine | Self::Ste | Self::StePlus => {
                "Huh et al. 2023, Straightening Out the Straight-Through Estimator, arXiv 2305.08842"
            }
            Self::Rotation => {
                "Fifty et al. 2024, Restructuring Vector Quantization with the Rotation Trick, arXiv 2410.06424"
            }
            Self::SimVq => {
                "Zhu et al. 2024, Addressing Representation Collapse in VQ Models with One Linear Layer, arXiv 2411.02038"
            }
            Self::Fsq => {
                "Mentzer et al. 2023, Finite Scalar Quantization: VQ-VAE Made Simple, arXiv 2309.15505"
            }
        }
    }

    /// Sets the quantiser's options to this method's; F and K stay, but for finite scalar
    /// quantisation, whose K is the product of the levels nearest below.
    pub fn apply(self, config: &mut VectorQuantConfig) {
        *config = VectorQuantConfig {
            feature_size: config.feature_size,
            num_codes: config.num_codes,
            ..VectorQuantConfig::default()
        };
        match self {
            Self::Vq => {}
            Self::Approach1 => config.use_learnable_std = true,
            Self::Approach1Plus => {
                config.use_learnable_std = true;
                with_norms_and_replacement(config);
            }
            Self::Approach2 => config.use_learnable_gamma = true,
            Self::Approach3 => {
                config.use_learnable_gamma = true;
                config.gamma_policy = GammaPolicy::Personalize;
            }
            Self::Affine => config.affine_lr = 2.0,
            Self::Ste => ste(config),
            Self::StePlus => {
                ste(config);
                with_norms_and_replacement(config);
            }
            Self::Ema => config.ema_decay = Some(0.99),
            Self::Rotation => config.estimator = Estimator::Rotation,
            Self::SimVq => config.simvq = true,
            Self::Fsq => {
                let levels = levels(config.num_codes);
                config.num_codes = levels.iter().product();
                config.fsq_levels = Some(levels);
            }
        }
    }
}

fn ste(config: &mut VectorQuantConfig) {
    config.affine_lr = 2.0;
    config.sync_nu = 2.0;
    config.beta = 1.0;
    config.inplace_optimizer = Some((10.0, 0.9));
}

fn with_norms_and_replacement(config: &mut VectorQuantConfig) {
    config.replace_freq = 100;
    config.norm = Norm::L2;
    config.cb_norm = CodebookNorm::L2;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::QuantizerConfig;

    #[test]
    fn every_method_is_a_valid_setting_under_its_own_name() {
        for method in Method::ALL {
            for codes in [4, 40, 256, 1024, 100_000] {
                let mut config = VectorQuantConfig {
                    num_codes: codes,
                    ..VectorQuantConfig::default()
                };
                method.apply(&mut config);
                QuantizerConfig::try_from(&config).unwrap();
            }
            let name = serde_json::to_value(method).unwrap();
            assert_eq!(name, method.name());
        }
    }

    #[test]
    fn the_levels_of_256_codes_are_those_of_the_paper() {
        assert_eq!(levels(256), [8, 6, 5]);
        assert_eq!(levels(1024), [8, 5, 5, 5]);
        assert_eq!(levels(2), [5, 3]);
    }
}
