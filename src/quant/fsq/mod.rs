//! Finite scalar quantisation (Mentzer et al. 2023): no codebook, no commitment loss.

mod layer;
mod levels;
mod rounding;

pub use layer::{Fsq, FsqConfig};
pub use levels::levels;
pub(crate) use rounding::KERNELS;
pub use rounding::{MAX_CHANNELS, Rounded, decode, fsq};
