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
        crate::vq::affine::KERNELS,
        crate::vq::alpha::KERNELS,
        crate::vq::clusters::KERNELS,
        crate::vq::columns::KERNELS,
        crate::vq::ema::KERNELS,
        crate::vq::fsq::KERNELS,
        crate::vq::gamma::KERNELS,
        crate::vq::inplace::KERNELS,
        crate::vq::kmeans::KERNELS,
        crate::vq::norm::KERNELS,
        crate::vq::quantize::KERNELS,
        crate::vq::replace::KERNELS,
        crate::vq::search::KERNELS,
        crate::vq::search_doubtful::KERNELS,
        crate::vq::search_wide::KERNELS,
        crate::vq::usage::KERNELS,
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
        crate::vq::search::candidates(),
    ]
}
