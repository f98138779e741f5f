//! Stochastic quantisation (Takida et al. 2022, SQ-VAE): vectors are drawn from a categorical posterior over the
//! codes, whose spread is learned.

mod layer;
mod posterior;
mod posterior_backward;
mod products;
mod sizes;
mod variance;

pub use layer::{Probe, Stochastic, StochasticConfig, Temperature};
pub(crate) use posterior::KERNELS;
pub use posterior::{Drawn, Inputs};
pub(crate) use posterior_backward::KERNELS as BACKWARD_KERNELS;
pub use sizes::Posterior;
pub use variance::Variance;
