//! Normalisation with a learned scale and shift.

use super::channels_of;
use crate::error::Result;
use crate::gpu::{Init, Recorder, Var};
use crate::ops::batch_norm::{self as batch, BatchNormState};
use crate::ops::group_norm as group;

/// Scale, drawn as one, and shift, drawn as zero, of so many channels.
fn parameters(rec: &mut Recorder<'_>, channels: usize) -> Result<(Var, Var)> {
    let weight = rec.parameter("weight", &[channels], Init::Constant(1.0))?;
    Ok((
        weight,
        rec.parameter("bias", &[channels], Init::Constant(0.0))?,
    ))
}

/// Batch norm of `[R, C]` or `[B, C, H, W]`.
///
/// # Errors
/// [`crate::ShapeError`] for another rank.
pub fn batch_norm(rec: &mut Recorder<'_>, name: &str, x: Var) -> Result<Var> {
    let channels = channels_of(rec, x);
    rec.scope(name, |rec| {
        let (weight, bias) = parameters(rec, channels)?;
        let state = BatchNormState {
            weight,
            bias,
            running_mean: rec.buffer("running_mean", &[channels], 0.0)?,
            running_var: rec.buffer("running_var", &[channels], 1.0)?,
        };
        batch::batch_norm(rec, x, state)
    })
}

/// Group norm of `[B, C, H, W]` in `groups` groups.
///
/// # Errors
/// [`crate::ShapeError`] when the channels are no multiple of the groups.
pub fn group_norm(
    rec: &mut Recorder<'_>,
    name: &str,
    x: Var,
    groups: usize,
    eps: f32,
) -> Result<Var> {
    let channels = channels_of(rec, x);
    rec.scope(name, |rec| {
        let affine = parameters(rec, channels)?;
        group::group_norm(rec, x, groups, eps, Some(affine))
    })
}
