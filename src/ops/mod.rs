//! Operations, forward and backward.
//!
//! An operation is one name in two rooms: `shaders/NAME.wgsl` holds its mathematics, and
//! `src/ops/NAME.rs` its contract, in this order: the formulas, the shape contract, the kernels,
//! the host functions that record them (outputs first), and a plain-loop [reference](mod@reference).
//!
//! Gradients are assigned, never accumulated, by every kernel here but [`add`]: where two paths
//! meet, [`crate::gpu::Recorder::contribute`] adds the second one.

pub mod activation;
pub mod add;
pub mod batch_norm;
pub mod conv2d;
pub mod conv2d_weight;
pub mod conv2d_weight_wide;
pub mod conv_transpose2d;
pub mod gather;
pub mod group_norm;
pub mod linear;
pub mod loss;
pub mod max_pool2d;
pub mod reference;
pub mod sum;
pub mod upsample;

use crate::gpu::Kernel;

/// The fragment with `linear_group`.
pub(crate) const GRID: (&str, &str) =
    ("lib/grid.wgsl", include_str!("../../shaders/lib/grid.wgsl"));
/// The fragment that tells NaN and infinity by their bits.
pub(crate) const NUMBER: (&str, &str) = (
    "lib/number.wgsl",
    include_str!("../../shaders/lib/number.wgsl"),
);
/// The fragment with sums over a workgroup; needs [`NUMBER`].
pub(crate) const REDUCE: (&str, &str) = (
    "lib/reduce.wgsl",
    include_str!("../../shaders/lib/reduce.wgsl"),
);
/// The fragment with the step's uniform at binding 15.
pub(crate) const STEP: (&str, &str) =
    ("lib/step.wgsl", include_str!("../../shaders/lib/step.wgsl"));

/// The fragment with random numbers; needs [`STEP`].
pub(crate) const RANDOM: (&str, &str) = (
    "lib/random.wgsl",
    include_str!("../../shaders/lib/random.wgsl"),
);

/// Declares the shader of a file and its kernels.
macro_rules! kernels {
    (
        $file:literal, [$($fragment:expr),*];
        $($(#[$doc:meta])* $name:ident = $entry:literal, $workgroup:literal, $params:expr, [$($access:ident $index:literal),*];)*
    ) => {
        static SHADER: $crate::gpu::Shader = $crate::gpu::Shader {
            name: $file,
            source: include_str!(concat!("../../shaders/", $file, ".wgsl")),
            fragments: &[$($fragment),*],
        };
        $($(#[$doc])* static $name: $crate::gpu::Kernel = $crate::gpu::Kernel {
            shader: &SHADER,
            entry: $entry,
            workgroup: [$workgroup, 1, 1],
            params: $params,
            bindings: &[$($crate::gpu::Binding($index, $crate::gpu::Access::$access)),*],
        };)*
        /// All kernels of this file, for the contract tests.
        pub(crate) static KERNELS: &[&$crate::gpu::Kernel] = &[$(&$name),*];
    };
}
pub(crate) use kernels;

/// Every kernel of the crate, for the contract tests and the documentation.
#[must_use]
pub fn all_kernels() -> Vec<&'static Kernel> {
    let files = [
        activation::KERNELS,
        add::KERNELS,
        batch_norm::KERNELS,
        conv2d::KERNELS,
        conv2d_weight::KERNELS,
        conv2d_weight_wide::KERNELS,
        conv_transpose2d::KERNELS,
        gather::KERNELS,
        group_norm::KERNELS,
        linear::KERNELS,
        loss::KERNELS,
        max_pool2d::KERNELS,
        sum::KERNELS,
        upsample::KERNELS,
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
        crate::bench::KERNELS,
    ];
    files.concat()
}
