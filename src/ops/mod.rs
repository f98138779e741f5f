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
pub mod attention;
pub mod batch_norm;
pub mod conv2d;
pub mod conv2d_weight;
pub mod conv2d_weight_wide;
pub mod conv_transpose2d;
pub mod gather;
pub mod group_norm;
pub mod interpolate;
pub mod linear;
pub mod loss;
pub mod max_pool2d;
pub mod reference;
pub mod ssim;
pub mod sum;
pub mod upsample;
