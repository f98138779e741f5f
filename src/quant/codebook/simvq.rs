//! SimVQ (Zhu et al. 2024): a frozen codebook under a learned linear map.
//!
//! ```text
//! C[k] = W c_k          c `[K, F]` normal with deviation 1/sqrt(F), never trained; W `[F, F]`
//! ```
//!
//! A gradient of one code moves W and with it all codes, so that none is left behind.

use crate::error::Result;
use crate::gpu::{Init, Recorder, Var};
use crate::nn;

/// How the frozen codebook is drawn.
#[must_use]
pub fn init(features: usize) -> Init {
    Init::Normal(1.0 / (features as f32).sqrt())
}

/// Records the map of the `frozen` codebook `[K, F]`.
///
/// # Errors
/// Those of declaring the parameter.
pub fn transform(rec: &mut Recorder<'_>, frozen: Var) -> Result<Var> {
    let features = rec.shape(frozen)[1];
    nn::linear_without_bias(rec, "codebook_transform", frozen, features)
}
