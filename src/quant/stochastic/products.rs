//! The products of what lies by code and row, by the kernels of [`crate::ops::linear`].

use crate::error::Result;
use crate::gpu::accumulate::add_assign;
use crate::gpu::{Recorder, Var};
use crate::ops::linear::{Bias, Linear};

/// The product of `a` `[K, C]` and the rows of `b` `[R, C]`: `[K, R]`.
pub(super) fn product(rec: &mut Recorder<'_>, name: &str, a: Var, b: Var) -> Result<Var> {
    let op = Linear::new(rec.shape(a), rec.shape(b), Bias::Absent)?;
    let shape = [rec.shape(a)[0], rec.shape(b)[0]];
    let out = rec.temporary(name, &shape);
    op.forward(rec, out, a, b, b);
    Ok(out)
}

/// The sums over the codes of `weights` `[K, R]` times the rows of `a` `[K, C]`: `[R, C]`.
pub(super) fn over_codes(rec: &mut Recorder<'_>, name: &str, weights: Var, a: Var) -> Result<Var> {
    let [rows, columns] = [rec.shape(weights)[1], rec.shape(a)[1]];
    let op = Linear::new(rec.shape(a), &[rows, columns], Bias::Absent)?;
    let out = rec.temporary(name, &[rows, columns]);
    let unused = rec.temporary("no bias", &[rows]);
    op.backward_weight(rec, out, unused, weights, a);
    Ok(out)
}

/// The sums over the rows of `weights` `[K, R]` times the rows of `b` `[R, C]`: `[K, C]`, added to what is in `sum`
/// already.
pub(super) fn over_rows(
    rec: &mut Recorder<'_>,
    name: &str,
    (weights, b): (Var, Var),
    sum: &mut Option<Var>,
) -> Result<()> {
    let [codes, columns] = [rec.shape(weights)[0], rec.shape(b)[1]];
    let op = Linear::new(&[codes, columns], rec.shape(b), Bias::Absent)?;
    let out = rec.temporary(name, &[codes, columns]);
    op.backward_input(rec, out, weights, b);
    match *sum {
        None => *sum = Some(out),
        Some(sum) => add_assign(rec, sum, out),
    }
    Ok(())
}
