//! Layers: an operation with its parameters, which are named and drawn as PyTorch does. Models and
//! quantisers are made of them.

mod conv;
mod linear;
mod norm;

pub use conv::{conv_transpose2d, conv2d, upsample_conv2d};
pub use linear::{linear, linear_without_bias, project};
pub use norm::{batch_norm, group_norm};

use crate::gpu::{Recorder, Var};
use crate::ops::add::zero_gradient;

/// What follows a layer with a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bias {
    /// Something that it has an effect on.
    Matters,
    /// A batch norm. In training that takes the bias out again, so its gradient is exactly zero; a sum would
    /// leave rounding noise, which AdamW blows up to full steps.
    BeforeNorm,
}

impl Bias {
    /// Whether the bias has no effect here.
    fn cancels(self, rec: &Recorder<'_>) -> bool {
        self == Self::BeforeNorm && rec.training()
    }

    /// `bias`, or where it has no effect, the same with a gradient of zero.
    fn of(self, rec: &mut Recorder<'_>, bias: Var) -> Var {
        if !self.cancels(rec) {
            return bias;
        }
        zero_gradient(rec, bias);
        rec.without_gradient(bias)
    }
}

/// The second axis of `x`: features or channels; 0 where there is none, which the operations refuse.
fn channels_of(rec: &Recorder<'_>, x: Var) -> usize {
    rec.shape(x).get(1).copied().unwrap_or(0)
}
