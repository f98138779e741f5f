//! Quantisers, and what they share: how vectors lie in a tensor, their norms, how codes are used.

pub mod codebook;
pub mod fsq;
pub mod norm;
pub mod usage;
mod vectors;

pub use vectors::Vectors;
