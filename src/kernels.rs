//! All kernels, of every room.

use crate::gpu::{CandidateInfo, Kernel};

/// Every kernel of the crate, for the contract tests and the documentation.
#[must_use]
pub fn all() -> Vec<&'static Kernel> {
    let files = [
        crate::ops::activation::KERNELS,
        crate::ops::add::KERNELS,
        crate::ops::attention::KERNELS,
        crate::ops::batch_norm::KERNELS,
        crate::ops::conv2d::KERNELS,
        crate::ops::conv2d_weight::KERNELS,
        crate::ops::conv2d_weight_wide::KERNELS,
        crate::ops::conv_transpose2d::KERNELS,
        crate::ops::gather::KERNELS,
        crate::ops::group_norm::KERNELS,
        crate::ops::interpolate::KERNELS,
        crate::ops::linear::KERNELS,
        crate::ops::loss::KERNELS,
        crate::ops::max_pool2d::KERNELS,
        crate::ops::ssim::KERNELS,
        crate::ops::sum::KERNELS,
        crate::ops::upsample::KERNELS,
        crate::optim::adamw::KERNELS,
        crate::prior::cross_entropy::KERNELS,
        crate::prior::embedding::KERNELS,
        crate::prior::sampler::KERNELS,
        crate::optim::clip::KERNELS,
        crate::optim::sgd::KERNELS,
        crate::quant::codebook::affine::KERNELS,
        crate::quant::codebook::alpha::KERNELS,
        crate::quant::codebook::clusters::KERNELS,
        crate::quant::codebook::columns::KERNELS,
        crate::quant::codebook::ema::KERNELS,
        crate::quant::fsq::KERNELS,
        crate::quant::codebook::gamma::KERNELS,
        crate::quant::codebook::inplace::KERNELS,
        crate::quant::codebook::kmeans::KERNELS,
        crate::quant::norm::KERNELS,
        crate::quant::codebook::quantize::KERNELS,
        crate::quant::codebook::replace::KERNELS,
        crate::quant::codebook::simvq::KERNELS,
        crate::quant::codebook::search::KERNELS,
        crate::quant::codebook::search_doubtful::KERNELS,
        crate::quant::codebook::search_wide::KERNELS,
        crate::quant::residual::KERNELS,
        crate::quant::stochastic::KERNELS,
        crate::quant::stochastic::BACKWARD_KERNELS,
        crate::quant::usage::KERNELS,
        crate::gpu::accumulate::KERNELS,
        crate::gpu::micro_batches::KERNELS,
        crate::bench::KERNELS,
    ];
    files.concat()
}

/// The kernels that an operation chooses from, a table an operation; see [`crate::gpu::Traits`].
#[must_use]
pub fn candidates() -> Vec<Vec<CandidateInfo>> {
    vec![
        crate::ops::conv2d::candidates(),
        crate::ops::conv2d_weight::candidates(),
        crate::ops::linear::candidates(),
        crate::quant::codebook::search::candidates(),
    ]
}

/// A number that a shader and its Rust side both have: a `const` of the WGSL file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SharedConstant {
    /// The shader.
    pub shader: &'static str,
    /// The constant's name in it.
    pub name: &'static str,
    /// Its value on the Rust side.
    pub value: f64,
}

/// The numbers that are written down twice; `tests/contracts.rs` compares them with the shaders'.
#[must_use]
pub fn shared_constants() -> Vec<SharedConstant> {
    use crate::ops::activation::Activation;
    use crate::ops::{conv2d, linear, loss};
    use crate::quant::codebook::{AlterPenalty, affine, kmeans, search, search_doubtful, simvq};
    use crate::quant::{norm, usage};

    let convolutions = ["conv2d", "conv2d_weight", "conv2d_weight_wide"];
    let searches = ["search", "search_wide", "search_doubtful"];
    let mut all = vec![
        ("activation", "GELU", f64::from(Activation::Gelu as u8)),
        ("activation", "ELU", f64::from(Activation::Elu as u8)),
        ("activation", "RELU", f64::from(Activation::Relu as u8)),
        (
            "activation",
            "SIGMOID",
            f64::from(Activation::Sigmoid as u8),
        ),
        ("activation", "CLAMP", f64::from(Activation::Clamp as u8)),
        ("alpha", "DEFAULT", f64::from(AlterPenalty::Default as u8)),
        ("alpha", "BETWEEN1", f64::from(AlterPenalty::Between1 as u8)),
        ("bench", "ROUNDS", crate::bench::ROUNDS as f64),
        ("linear", "TILE", linear::TILE as f64),
        ("loss", "FLOOR", loss::FLOOR.into()),
        ("replace", "LEAST", affine::LEAST.into()),
        ("simvq", "MOST", simvq::MOST as f64),
        ("kmeans", "MAX_TRIALS", kmeans::MAX_TRIALS as f64),
        ("norm", "MAX", norm::MAX),
        ("ssim", "WINDOW", crate::ops::ssim::WINDOW as f64),
        ("search_doubtful", "TILE", search_doubtful::TILE as f64),
        ("usage", "BUCKETS", usage::BUCKETS as f64),
    ];
    for shader in convolutions {
        all.push((shader, "OCTET", conv2d::OCTET as f64));
        all.push((shader, "THREADS", conv2d::THREADS as f64));
    }
    for shader in searches {
        all.push((shader, "BLOCK", search::BLOCK as f64));
        all.push((shader, "CHUNK", search::CHUNK as f64));
    }
    let shared = |(shader, name, value)| SharedConstant {
        shader,
        name,
        value,
    };
    all.into_iter().map(shared).collect()
}
