//! What draws pictures: an autoregressive prior over the code maps of a trained model, a causal transformer, on the same
//! engine. [`Prior`] trains on [`Tokens`], says how well it foretells others, and draws new ones; the model's decoder
//! makes pictures of them ([`crate::train::Session::decode`]). [`Histogram`] is what it is measured against: every code
//! by itself.

pub mod cross_entropy;
pub mod embedding;
mod growing;
mod histogram;
mod options;
pub mod sampler;
mod sequences;
mod state;
mod training;
mod transformer;

pub use histogram::Histogram;
pub use options::PriorOptions;
pub use sampler::Sampling;
pub use sequences::{Map, Sequences};
pub use state::Origin;
pub use training::{Prior, Tokens, Trained};
pub use transformer::Transformer;
