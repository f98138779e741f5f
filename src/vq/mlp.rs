//! The small network behind alpha and gamma: three times Linear, BatchNorm1d, ELU. The rows that
//! the batch norms run over are the F features.

use crate::error::Result;
use crate::gpu::{Init, Recorder, Var};
use crate::ops::activation::elu;
use crate::ops::batch_norm::{BatchNormState, batch_norm};
use crate::ops::linear::{Bias, linear};

/// Applies it to `rows` `[F, n]`; returns `[F, outputs]`. Parameter names are the seed's.
///
/// # Errors
/// Those of declaring the parameters.
pub fn mlp(rec: &mut Recorder<'_>, rows: Var, hidden: usize, outputs: usize) -> Result<Var> {
    let mut x = rows;
    for (i, out) in [hidden, hidden, outputs].into_iter().enumerate() {
        let inputs = rec.shape(x)[1];
        let init = Init::kaiming(inputs);
        let (w, bias) = rec.scope(&format!("_liner{}", i + 1), |rec| {
            Ok((
                rec.parameter("weight", &[out, inputs], init)?,
                rec.parameter("bias", &[out], init)?,
            ))
        })?;
        let state = rec.scope(&format!("_norm{}", i + 1), |rec| {
            Ok(BatchNormState {
                weight: rec.parameter("weight", &[out], Init::Constant(1.0))?,
                bias: rec.parameter("bias", &[out], Init::Constant(0.0))?,
                running_mean: rec.buffer("running_mean", &[out], 0.0)?,
                running_var: rec.buffer("running_var", &[out], 1.0)?,
            })
        })?;
        let effect = if rec.training() {
            Bias::Cancels
        } else {
            Bias::Matters
        };
        let y = linear(rec, x, w, bias, effect)?;
        let y = batch_norm(rec, y, state)?;
        x = elu(rec, y);
    }
    Ok(x)
}
