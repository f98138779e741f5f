//! The vector quantiser with its remedies for codebook collapse; [`VectorQuant`] is the layer.
//!
//! A codebook goes through stages, each a `[K, F]` tensor: the raw C ([`simvq`]), the effective C' that
//! is searched ([`affine`], [`alpha`]), and the table T of what the codes stand for ([`gamma`]). Stages
//! that an option leaves out are the tensor before them. What moves C besides the optimiser:
//! [`inplace`], [`ema`], [`replace`], and [`mod@kmeans`] before the first step.

pub mod affine;
pub mod alpha;
pub mod clusters;
pub(crate) mod columns;
mod config;
pub mod ema;
pub mod gamma;
pub mod inplace;
pub mod kmeans;
mod layer;
mod mlp;
pub mod quantize;
pub mod replace;
pub mod search;
pub(crate) mod search_doubtful;
mod search_params;
pub(crate) mod search_wide;
pub mod simvq;
mod stages;

pub use config::{
    AlterPenalty, CodebookConfig, CodebookInit, CodebookNorm, Codes, Dead, Distance, Estimator,
    GammaPolicy, Penalty, Placement, Placing, Replace, ReplacePolicy, Rule, Transform,
};
pub use layer::VectorQuant;
pub(in crate::quant) use stages::{Coded, Stages};
