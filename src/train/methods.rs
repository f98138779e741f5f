//! The methods: named settings of the quantiser's options, the remedies that people compare.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::ops::loss::PixelLoss;
use crate::quant::{VectorQuantConfig, fsq};

/// A named setting of the quantiser's options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Plain vector quantisation.
    Vq,
    /// Dead codes become vectors.
    Replace,
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
    /// The same with unit vectors and codes.
    Cosine,
    /// Rotation trick.
    Rotation,
    /// Frozen codebook under a learned linear map.
    SimVq,
    /// Finite scalar quantisation.
    Fsq,
    /// Stochastic quantisation, one variance.
    SqVae,
    /// A variance for each image.
    #[serde(rename = "sqvae-2")]
    SqVae2,
    /// A variance for each vector.
    #[serde(rename = "sqvae-3")]
    SqVae3,
    /// A variance for each value.
    #[serde(rename = "sqvae-4")]
    SqVae4,
    /// Stochastic quantisation of directions.
    Vmf,
    /// What reconstructs best of what a codebook can be set to, by measurement.
    Best,
}

/// What a method sets an option of the quantiser to.
#[derive(Clone, Copy)]
enum To {
    Yes,
    Whole(usize),
    Number(f32),
    Pair(f32, f32),
    Word(&'static str),
    /// The levels for the number of codes, which becomes their product.
    Levels,
}

impl To {
    fn json(self, codes: usize) -> Value {
        match self {
            Self::Yes => json!(true),
            Self::Whole(n) => json!(n),
            Self::Number(x) => json!(x),
            Self::Pair(a, b) => json!([a, b]),
            Self::Word(word) => json!(word),
            Self::Levels => json!(fsq::levels(codes)),
        }
    }
}

/// A method with all there is to say of it.
struct Row {
    method: Method,
    name: &'static str,
    /// One line: what it does.
    summary: &'static str,
    /// Where it comes from.
    paper: &'static str,
    /// The options that it sets; the others have their defaults.
    sets: &'static [(&'static str, To)],
}

const VQ_VAE: &str =
    "van den Oord et al. 2017, Neural Discrete Representation Learning, arXiv 1711.00937";
const SEED: &str = "the PyTorch package semivq, Soft-discretization";
const SQ_VAE: &str = "Takida et al. 2022, SQ-VAE: Variational Bayes on Discrete Representation with Self-annealed Stochastic Quantization, arXiv 2205.07547";
const STE: &str =
    "Huh et al. 2023, Straightening Out the Straight-Through Estimator, arXiv 2305.08842";

/// The methods, in the order of [`Method`].
const TABLE: [Row; 20] = [
    Row {
        method: Method::Vq,
        name: "vq",
        summary: "plain vector quantisation, straight-through gradients: the baseline",
        paper: VQ_VAE,
        sets: &[],
    },
    Row {
        method: Method::Replace,
        name: "replace",
        summary: "vq, and codes unused for 20 steps become vectors of the batch",
        paper: "Dhariwal et al. 2020, Jukebox: A Generative Model for Music, arXiv 2005.00341",
        sets: &[("replace_freq", To::Whole(20))],
    },
    Row {
        method: Method::Approach1,
        name: "approach1",
        summary: "learns alpha, the standard deviation of the codebook",
        paper: SEED,
        sets: &[("use_learnable_std", To::Yes)],
    },
    Row {
        method: Method::Approach1Plus,
        name: "approach1++",
        summary: "approach1, unit vectors, codes of length at most 10, dead codes replaced after 100 steps",
        paper: SEED,
        sets: &[
            ("use_learnable_std", To::Yes),
            ("replace_freq", To::Whole(100)),
            ("norm", To::Word("l2")),
            ("cb_norm", To::Word("l2")),
        ],
    },
    Row {
        method: Method::Approach2,
        name: "approach2",
        summary: "learns gamma, an offset of the quantised vectors",
        paper: SEED,
        sets: &[("use_learnable_gamma", To::Yes)],
    },
    Row {
        method: Method::Approach3,
        name: "approach3",
        summary: "learns gamma for each vector and channel",
        paper: SEED,
        sets: &[
            ("use_learnable_gamma", To::Yes),
            ("gamma_policy", To::Word("personalize")),
        ],
    },
    Row {
        method: Method::Affine,
        name: "affine",
        summary: "learns a scale and a bias of the whole codebook",
        paper: STE,
        sets: &[("affine_lr", To::Number(2.0))],
    },
    Row {
        method: Method::Ste,
        name: "ste++",
        summary: "affine, the decoder's gradient reaches the codes, and the codebook steps in place",
        paper: STE,
        sets: &[
            ("affine_lr", To::Number(2.0)),
            ("sync_nu", To::Number(2.0)),
            ("beta", To::Number(1.0)),
            ("inplace_optimizer", To::Pair(10.0, 0.9)),
        ],
    },
    Row {
        method: Method::StePlus,
        name: "ste++++",
        summary: "ste++, unit vectors, codes of length at most 10, dead codes replaced after 100 steps",
        paper: STE,
        sets: &[
            ("affine_lr", To::Number(2.0)),
            ("sync_nu", To::Number(2.0)),
            ("beta", To::Number(1.0)),
            ("inplace_optimizer", To::Pair(10.0, 0.9)),
            ("replace_freq", To::Whole(100)),
            ("norm", To::Word("l2")),
            ("cb_norm", To::Word("l2")),
        ],
    },
    Row {
        method: Method::Ema,
        name: "ema",
        summary: "each code follows the moving average of its vectors",
        paper: VQ_VAE,
        sets: &[
            ("ema_decay", To::Number(0.8)),
            ("codebook_init", To::Word("uniform")),
        ],
    },
    Row {
        method: Method::Cosine,
        name: "cosine",
        summary: "unit vectors and unit codes, so that the nearest code is that of the least angle; codes follow the moving average",
        paper: "Yu et al. 2022, Vector-quantized Image Modeling with Improved VQGAN, arXiv 2110.04627",
        sets: &[
            ("ema_decay", To::Number(0.8)),
            ("codebook_init", To::Word("uniform")),
            ("norm", To::Word("l2")),
            ("cb_norm", To::Word("l2c")),
        ],
    },
    Row {
        method: Method::Rotation,
        name: "rotation",
        summary: "ema, and the gradient is turned and scaled as the vector was",
        paper: "Fifty et al. 2024, Restructuring Vector Quantization with the Rotation Trick, arXiv 2410.06424",
        sets: &[
            ("estimator", To::Word("rotation")),
            ("ema_decay", To::Number(0.8)),
            ("codebook_init", To::Word("uniform")),
            ("beta", To::Number(0.9)),
        ],
    },
    Row {
        method: Method::SimVq,
        name: "simvq",
        summary: "a frozen codebook under a learned linear map, and the rotation trick",
        paper: "Zhu et al. 2024, Addressing Representation Collapse in VQ Models with One Linear Layer, arXiv 2411.02038",
        sets: &[("simvq", To::Yes), ("estimator", To::Word("rotation"))],
    },
    Row {
        method: Method::Fsq,
        name: "fsq",
        summary: "no codebook: a few channels, each rounded to a few levels",
        paper: "Mentzer et al. 2023, Finite Scalar Quantization: VQ-VAE Made Simple, arXiv 2309.15505",
        sets: &[("fsq_levels", To::Levels)],
    },
    Row {
        method: Method::SqVae,
        name: "sqvae",
        summary: "codes are drawn from a posterior over all of them, whose one variance is learned and falls by itself",
        paper: SQ_VAE,
        sets: &[("stochastic", To::Word("gaussian_1"))],
    },
    Row {
        method: Method::SqVae2,
        name: "sqvae-2",
        summary: "sqvae with a variance for each image, from the encoder",
        paper: SQ_VAE,
        sets: &[("stochastic", To::Word("gaussian_2"))],
    },
    Row {
        method: Method::SqVae3,
        name: "sqvae-3",
        summary: "sqvae with a variance for each vector, from the encoder",
        paper: SQ_VAE,
        sets: &[("stochastic", To::Word("gaussian_3"))],
    },
    Row {
        method: Method::SqVae4,
        name: "sqvae-4",
        summary: "sqvae with a variance for each value of each vector, from the encoder",
        paper: SQ_VAE,
        sets: &[("stochastic", To::Word("gaussian_4"))],
    },
    Row {
        method: Method::Vmf,
        name: "vmf",
        summary: "sqvae of directions: unit vectors and codes, drawn by their angle",
        paper: SQ_VAE,
        sets: &[("stochastic", To::Word("vmf"))],
    },
    Row {
        method: Method::Best,
        name: "best",
        summary: "the best of a codebook by measurement: k-means start, moving average, and codes of few vectors replaced",
        paper: VQ_VAE,
        sets: &[
            ("ema_decay", To::Number(0.8)),
            ("codebook_init", To::Word("kmeans")),
            ("replace_below", To::Number(2.0)),
        ],
    },
];

impl Method {
    /// All of them.
    pub const ALL: [Self; TABLE.len()] = {
        let mut all = [Self::Vq; TABLE.len()];
        let mut i = 0;
        while i < all.len() {
            all[i] = TABLE[i].method;
            i += 1;
        }
        all
    };

    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// One line: what it does.
    #[must_use]
    pub fn summary(self) -> &'static str {
        self.row().summary
    }

    /// Where it comes from.
    #[must_use]
    pub fn paper(self) -> &'static str {
        self.row().paper
    }

    /// The quantiser's options that it sets with `codes` codes (K), by name, with their values as
    /// JSON; the others have their defaults.
    #[must_use]
    pub fn sets(self, codes: usize) -> Vec<(&'static str, Value)> {
        let sets = self.row().sets.iter();
        sets.map(|(name, to)| (*name, to.json(codes))).collect()
    }

    /// Reconstruction loss and weight of the quantiser's own, where the method is no remedy of a codebook but an evidence
    /// bound of its own, in which the two have no other weights.
    #[must_use]
    pub fn bound(self) -> Option<(PixelLoss, f32)> {
        match self {
            Self::SqVae | Self::SqVae2 | Self::SqVae3 | Self::SqVae4 | Self::Vmf => {
                Some((PixelLoss::Elbo, 1.0))
            }
            _ => None,
        }
    }

    /// Sets the quantiser's options to this method's; F and K stay, but for finite scalar
    /// quantisation, whose K is the product of the levels nearest below.
    pub fn apply(self, config: &mut VectorQuantConfig) {
        let mut all = json!(VectorQuantConfig {
            feature_size: config.feature_size,
            num_codes: config.num_codes,
            ..VectorQuantConfig::default()
        });
        for (name, value) in self.sets(config.num_codes) {
            all[name] = value;
        }
        if self == Self::Fsq {
            all["num_codes"] = json!(fsq::levels(config.num_codes).iter().product::<usize>());
        }
        *config = serde_json::from_value(all)
            .unwrap_or_else(|e| unreachable!("the table of methods is tested: {e}"));
    }
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
}
