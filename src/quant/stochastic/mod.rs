//! Stochastic quantisation (Takida et al. 2022, SQ-VAE): vectors are drawn from a categorical posterior over the
//! codes, whose spread is learned.

mod layer;
mod posterior;

pub use layer::{Probe, Stochastic, StochasticConfig, Temperature};
pub(crate) use posterior::KERNELS;
pub use posterior::{Drawn, Inputs, Posterior, Variance};
