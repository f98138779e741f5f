//! Quantisers. [`Quantizer`] is what the rest knows of them; [`QuantizerConfig`] says which one, with
//! its options as types, and [`VectorQuantConfig`] is its flat form in files and flags. Each has a room:
//! [`codebook`] with the remedies for its collapse, [`residual`] with several of them one after the other, [`stochastic`],
//! [`fsq`], and none at all.

pub mod codebook;
mod config;
mod feature_norm;
mod flat;
pub mod fsq;
mod identity;
mod interface;
pub mod norm;
pub mod residual;
pub mod stochastic;
pub mod usage;
mod vectors;

pub use config::QuantizerConfig;
pub use feature_norm::Norm;
pub use flat::VectorQuantConfig;
pub use identity::Identity;
pub(crate) use interface::map_name;
pub use interface::{Encoded, Factor, Latent, Quantized, Quantizer, Seen, Start, tensor};
pub use vectors::Vectors;
