//! Residual quantisation (Lee et al. 2022; Zeghidour et al. 2021): codebooks one after the other, each of which
//! quantises what those before it left over.
//!
//! ```text
//! r_0 = z      e_d = layer_d(r_d)      r_{d+1} = r_d - sg(e_d)      z_q = e_0 + .. + e_{D-1}
//! loss = sum_d loss_d                  grad_z = sum_d (that of layer d at r_d)
//! ```
//!
//! What a layer gets is held constant but for z itself, so that the gradient g of z_q reaches z through each of the
//! layers: D times with the straight-through estimator, as in vector-quantize-pytorch's `ResidualVQ`. Each layer is a
//! [`super::codebook::VectorQuant`] with all of its remedies; the norm of z comes once, before the first.

mod layer;
mod passing;

pub use layer::{Residual, ResidualConfig};
pub(crate) use passing::KERNELS;
