//! From codes to quantised vectors, the commitment loss, and the straight-through gradient.
//!
//! N vectors of F features; T `[K, F]` what a code stands for (codebook plus gamma), w the weight
//! of the loss in training, g the gradient of the output, nu the share that reaches the codes:
//!
//! ```text
//! z_q[n] = T[q[n]]      d[n] = |z_n - C'[q[n]]|      loss = mean (z - z_q)^2
//! grad_z    = e + w (1-beta) 2/(NF) (z - z_q)
//!     straight through  e = g
//!     rotation          e = |z_q|/|z| R^T g,  R = I - 2 r r^T + 2 v u^T turns z towards z_q,
//!                       u = z/|z|,  v = z_q/|z_q|,  r = (u + v)/|u + v|
//! grad_z_q  = nu g + w beta 2/(NF) (z_q - z)
//! grad_T[k] = sum_{n: q[n] = k} grad_z_q[n]
//! ```
//!
//! Both parts of the commitment loss have the same value, so beta only shows in the gradients.
//! All gradients are assigned. The rotation trick is Fifty et al. 2024; |z_q|/|z| and R are held
//! constant. With `cosine` both z and C' are unit vectors and d is `1 - cos`. The output z_d = z + sg(z_q - z) is z_q itself, so the same tensor.

use super::Estimator;
use super::columns::{COLUMNS, Columns, Round};
use crate::error::Result;
use crate::gpu::{GRID, NUMBER, Recorder, Var, kernels, uniform_struct};
use crate::ops::sum;
use crate::quant::vectors::{VECTORS, Vectors};

uniform_struct! {
    /// Uniform of all entry points.
    struct Params {
        count: u32,
        features: u32,
        codes: u32,
        positions: u32,
        chunks: u32,
        clear: u32,
        first: u32,
        end: u32,
        through: f32,
        to_z: f32,
        to_code: f32,
        nu: f32,
    }
}

kernels! {
    "quantize", [GRID, NUMBER, VECTORS, COLUMNS];
    FORWARD = "forward", 64, Params::FIELDS, [Read 1, Read 2, Read 3, Read 4, Write 5, Write 6, Write 7];
    LOOKUP = "lookup", 64, Params::FIELDS, [Read 2, Read 4, Write 5];
    BACKWARD_Z = "backward_z", 256, Params::FIELDS, [Read 1, Read 8, Read 9, Write 10];
    BACKWARD_Z_ROTATED = "backward_z_rotated", 64, Params::FIELDS, [Read 1, Read 8, Read 9, Write 10];
    BACKWARD_VALUES = "backward_values", 64, Params::FIELDS, [Read 1, Read 2, Read 8, Read 9, Write 11];
}

/// What [`quantize`] computes.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// z_q, and the layer's output, in the layout of z.
    pub z_q: Var,
    /// Distance of each vector to its code `[N]`.
    pub d: Var,
    /// Commitment loss, a scalar.
    pub loss: Var,
    /// Squared distance of each vector to what its code stands for `[N]`.
    pub squares: Var,
}

/// How the gradients are formed.
#[derive(Debug, Clone, Copy)]
pub struct Weights {
    /// How the gradient of the output becomes that of z.
    pub estimator: Estimator,
    /// Whether z and the codebook are unit vectors, and the distance is that of cosines.
    pub cosine: bool,
    /// Weight of the commitment loss in training.
    pub commitment: f32,
    /// Share of the codebook side in it.
    pub beta: f32,
    /// Share of the decoder's gradient that reaches the codes.
    pub sync_nu: f32,
}

/// Records `values[q]` with its loss and its way back to `z` and `values`. `codebook` is what was
/// searched, `values` what the codes stand for, both `[K, F]`.
///
/// # Errors
/// None of its own; those of the backward recording.
pub fn quantize(
    rec: &mut Recorder<'_>,
    z: Var,
    q: Var,
    codebook: Var,
    values: Var,
    vectors: &Vectors,
    weights: Weights,
) -> Result<Output> {
    let (count, features) = (vectors.count(), vectors.features);
    let codes = rec.shape(values)[0];
    let scale = 2.0 * f64::from(weights.commitment) / (count * features) as f64;
    let columns = Columns::new(count, codes, features);
    let params = Params {
        count: count as u32,
        features: features as u32,
        codes: codes as u32,
        positions: vectors.positions as u32,
        chunks: columns.chunks as u32,
        through: 1.0,
        to_z: (scale * (1.0 - f64::from(weights.beta))) as f32,
        to_code: (scale * f64::from(weights.beta)) as f32,
        nu: weights.sync_nu,
        ..Params::default()
    };
    let shape = rec.shape(z).to_vec();
    let z_q = rec.temporary("z_q", &shape);
    let d = rec.temporary("d", &[count]);
    let squares = rec.temporary("squares", &[count]);
    let tensors = [z, q, codebook, values, z_q, d, squares];
    let cosine = f64::from(u8::from(weights.cosine));
    rec.dispatch(&FORWARD, &params, &tensors, count)
        .constants(&[("COSINE", cosine)]);
    let loss = sum::sum(rec, "cmt_loss", squares, 1.0 / (count * features) as f32);
    // The loss is a root, so this runs whether or not something comes from above.
    rec.mark_derived(z_q, &[z, values]);
    rec.on_backward_root(&[z, values], move |rec| {
        let upstream = rec.gradient(z_q);
        let grad_out = upstream.unwrap_or(z_q);
        let params = Params {
            through: f32::from(u8::from(upstream.is_some())),
            ..params
        };
        rec.contribute(values, |rec, grad_values| {
            columns.sum(
                rec,
                grad_values,
                |rec, Round { clear, first, end }, partial, threads| {
                    let params = Params {
                        clear,
                        first,
                        end,
                        ..params
                    };
                    let tensors = [z, q, z_q, grad_out, partial];
                    rec.dispatch(&BACKWARD_VALUES, &params, &tensors, threads);
                },
            );
            Ok(())
        })?;
        rec.contribute(z, |rec, grad_z| {
            let tensors = [z, z_q, grad_out, grad_z];
            match weights.estimator {
                Estimator::StraightThrough => {
                    rec.dispatch(&BACKWARD_Z, &params, &tensors, count * features)
                }
                Estimator::Rotation => rec.dispatch(&BACKWARD_Z_ROTATED, &params, &tensors, count),
            };
            Ok(())
        })
    });
    Ok(Output {
        z_q,
        d,
        loss,
        squares,
    })
}

/// Records `values[q]` alone, in the layout that `vectors` says: what codes stand for, without z.
pub fn lookup(rec: &mut Recorder<'_>, q: Var, values: Var, vectors: &Vectors) -> Var {
    let params = Params {
        count: vectors.count() as u32,
        features: vectors.features as u32,
        codes: rec.shape(values)[0] as u32,
        positions: vectors.positions as u32,
        ..Params::default()
    };
    let shape = [vectors.outer, vectors.features, vectors.positions];
    let z_q = rec.temporary("z_q", &shape);
    rec.dispatch(&LOOKUP, &params, &[q, values, z_q], vectors.count());
    z_q
}
