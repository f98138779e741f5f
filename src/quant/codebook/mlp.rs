//! The small network behind alpha and gamma: three times Linear, BatchNorm1d, ELU. The rows that
//! the batch norms run over are the F features.

use crate::error::Result;
use crate::gpu::{Recorder, Var};
use crate::nn::{Bias, batch_norm, linear};
use crate::ops::activation::elu;

/// Applies it to `rows` `[F, n]`; returns `[F, outputs]`. The names of its parameters are those of the
/// PyTorch package.
///
/// # Errors
/// Those of declaring the parameters.
pub fn mlp(rec: &mut Recorder<'_>, rows: Var, hidden: usize, outputs: usize) -> Result<Var> {
    let mut x = rows;
    for (i, out) in [hidden, hidden, outputs].into_iter().enumerate() {
        let y = linear(rec, &format!("_liner{}", i + 1), x, out, Bias::BeforeNorm)?;
        let y = batch_norm(rec, &format!("_norm{}", i + 1), y)?;
        x = elu(rec, y);
    }
    Ok(x)
}
