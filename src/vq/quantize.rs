//! From codes to quantised vectors, the commitment loss, and the straight-through gradient.
//!
//! N vectors of F features; T `[K, F]` what a code stands for (codebook plus gamma), w the weight
//! of the loss in training, g the gradient of the output, nu the share that reaches the codes:
//!
//! ```text
//! z_q[n] = T[q[n]]      d[n] = |z_n - C'[q[n]]|      loss = mean (z - z_q)^2
//! grad_z    = g + w (1-beta) 2/(NF) (z - z_q)
//! grad_z_q  = nu g + w beta 2/(NF) (z_q - z)
//! grad_T[k] = sum_{n: q[n] = k} grad_z_q[n]
//! ```
//!
//! Both parts of the commitment loss have the same value, so beta only shows in the gradients.
//! All gradients are assigned. The output z_d = z + sg(z_q - z) is z_q itself, so the same tensor.

use super::{VECTORS, Vectors};
use crate::error::Result;
use crate::gpu::{Recorder, Var, uniform_struct};
use crate::ops::{GRID, kernels, sum};

uniform_struct! {
    /// Uniform of all entry points.
    struct Params {
        count: u32,
        features: u32,
        codes: u32,
        positions: u32,
        chunks: u32,
        through: f32,
        to_z: f32,
        to_code: f32,
        nu: f32,
    }
}

kernels! {
    "quantize", [GRID, VECTORS];
    FORWARD = "forward", 64, Params::FIELDS, [Read 1, Read 2, Read 3, Read 4, Write 5, Write 6, Write 7];
    BACKWARD_Z = "backward_z", 256, Params::FIELDS, [Read 1, Read 8, Read 9, Write 10];
    BACKWARD_VALUES = "backward_values", 64, Params::FIELDS, [Read 1, Read 2, Read 8, Read 9, Write 11];
    BACKWARD_VALUES_SUM = "backward_values_sum", 64, Params::FIELDS, [Read 12, Write 13];
}

/// What [`quantize`] computes.
#[derive(Debug, Clone, Copy)]
pub struct Quantized {
    /// z_q, and the layer's output, in the layout of z.
    pub z_q: Var,
    /// Distance of each vector to its code `[N]`.
    pub d: Var,
    /// Commitment loss, a scalar.
    pub loss: Var,
}

/// Weights of the gradients.
#[derive(Debug, Clone, Copy)]
pub struct Weights {
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
) -> Result<Quantized> {
    let (count, features) = (vectors.count(), vectors.features);
    let codes = rec.shape(values)[0];
    let scale = 2.0 * f64::from(weights.commitment) / (count * features) as f64;
    // At most 4 MiB of partial sums, at least 32 vectors a thread.
    let chunks = ((1 << 20) / (codes * features))
        .clamp(1, 256)
        .min(count.div_ceil(32));
    let mut params = Params {
        count: count as u32,
        features: features as u32,
        codes: codes as u32,
        positions: vectors.positions as u32,
        chunks: chunks as u32,
        through: 1.0,
        to_z: (scale * (1.0 - f64::from(weights.beta))) as f32,
        to_code: (scale * f64::from(weights.beta)) as f32,
        nu: weights.sync_nu,
    };
    let shape = rec.shape(z).to_vec();
    let z_q = rec.temporary("z_q", &shape);
    let d = rec.temporary("d", &[count]);
    let squares = rec.temporary("squares", &[count]);
    let tensors = [z, q, codebook, values, z_q, d, squares];
    rec.dispatch(&FORWARD, &params, &tensors, count);
    let loss = sum::sum(rec, "cmt_loss", squares, 1.0 / (count * features) as f32);
    // The loss is a root, so this runs whether or not something comes from above.
    rec.mark_derived(z_q, &[z, values]);
    rec.on_backward_root(&[z, values], move |rec| {
        let upstream = rec.gradient(z_q);
        let grad_out = upstream.unwrap_or(z_q);
        params.through = f32::from(u8::from(upstream.is_some()));
        rec.contribute(values, |rec, grad_values| {
            let partial = rec.temporary("partial", &[chunks, codes, features]);
            rec.dispatch(
                &BACKWARD_VALUES,
                &params,
                &[z, q, z_q, grad_out, partial],
                chunks * features,
            );
            rec.dispatch(
                &BACKWARD_VALUES_SUM,
                &params,
                &[partial, grad_values],
                codes * features,
            );
            Ok(())
        })?;
        rec.contribute(z, |rec, grad_z| {
            rec.dispatch(
                &BACKWARD_Z,
                &params,
                &[z, z_q, grad_out, grad_z],
                count * features,
            );
            Ok(())
        })
    });
    Ok(Quantized { z_q, d, loss })
}
