//! All kernels, of every room.

use crate::gpu::{CandidateInfo, Kernel};

/// Every kernel of the crate, for the contract tests and the documentation.
#[must_use]
pub fn all() -> Vec<&'static Kernel> {
    let files = [
        crate::ops::activation::KERNELS,
        crate::ops::add::KERNELS,
        crate::ops::batch_norm::KERNELS,
        crate::ops::conv2d::KERNELS,
        crate::ops::conv2d_weight::KERNELS,
        crate::ops::conv2d_weight_wide::KERNELS,
        crate::ops::conv_transpose2d::KERNELS,
        crate::ops::gather::KERNELS,
        crate::ops::group_norm::KERNELS,
        crate::ops::linear::KERNELS,
        crate::ops::loss::KERNELS,
        crate::ops::max_pool2d::KERNELS,
        crate::ops::sum::KERNELS,
        crate::ops::upsample::KERNELS,
        crate::optim::adamw::KERNELS,
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
        crate::quant::codebook::search::KERNELS,
        crate::quant::codebook::search_doubtful::KERNELS,
        crate::quant::codebook::search_wide::KERNELS,
        crate::quant::usage::KERNELS,
        crate::gpu::accumulate::KERNELS,
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
        crate::quant::codebook::search::candidates(),
    ]
}
