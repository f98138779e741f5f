//! Approaches 2 and 3: gamma, the learned offset of the quantised vector.
//!
//! z_q + gamma depends on a vector only through its code, so it is a table T `[K, F]`, whatever
//! the number of vectors:
//!
//! ```text
//! default      gamma = MLP(C'^T)^T [1, F]
//! personalize  per channel f, with mean and biased variance over the codes,
//!              u0 = w0 mean + w1 C'[k,f] + b    u1 = w0 C'[k,f] + w1 var + b
//!              gamma[k,f] = v0 relu(u0) + v1 relu(u1) + e
//! T = C' + gamma      grad_C' = grad_T          grad_gamma = grad_T, default: summed over k
//! ```
//!
//! All gradients are assigned; those of `personalize` go through mean and variance too.

use super::mlp::mlp;
use super::{GammaPolicy, affine};
use crate::error::Result;
use crate::gpu::{GRID, Init, NUMBER, REDUCE, Recorder, Var, kernels, uniform_struct};
use crate::ops::reference::{Real, Reference};

uniform_struct! {
    /// Uniform of all entry points.
    struct Params {
        codes: u32,
        features: u32,
        each: u32,
    }
}

kernels! {
    "gamma", [GRID, NUMBER, REDUCE];
    OFFSET = "offset", 64, Params::FIELDS, [Read 1, Read 2, Write 3];
    OFFSET_BACKWARD = "offset_backward", 256, Params::FIELDS, [Read 4, Write 5, Write 6];
    PERSONALIZE = "personalize", 256, Params::FIELDS, [Read 1, Write 3, Read 7, Read 8, Read 9, Read 10];
    BACKWARD_OUT = "personalize_backward_out", 256, Params::FIELDS, [Read 1, Read 4, Read 7, Read 8, Write 13, Write 14];
    BACKWARD_IN = "personalize_backward_in", 256, Params::FIELDS,
        [Read 1, Read 4, Write 5, Read 7, Read 8, Read 9, Write 11, Write 12];
}

/// Records gamma: `[F, 1]` for all codes or, personalized, `[K, F]`.
///
/// # Errors
/// Those of declaring the parameters.
pub fn gamma(rec: &mut Recorder<'_>, codebook: Var, policy: GammaPolicy) -> Result<Var> {
    match policy {
        GammaPolicy::Default => {
            let features = rec.shape(codebook)[1];
            let rows = affine::rows(rec, codebook, None);
            rec.scope("_layer", |rec| mlp(rec, rows, features, 1))
        }
        GammaPolicy::Personalize => {
            let features = rec.shape(codebook)[1];
            let init = Init::kaiming(2);
            let mut layer = |name: &str| {
                rec.scope(&format!("_layer.{name}"), |rec| {
                    let weight = rec.parameter("weight", &[features, 1, 2, 1], init)?;
                    Ok((weight, rec.parameter("bias", &[features], init)?))
                })
            };
            let ((w, b), (v, e)) = (layer("0")?, layer("2")?);
            Ok(personalize(rec, codebook, [w, b, v, e]))
        }
    }
}

/// The shape contract of [`personalize`].
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// K
    pub codes: usize,
    /// F
    pub features: usize,
}

fn params(rec: &Recorder<'_>, codebook: Var) -> Params {
    let shape = rec.shape(codebook);
    Params {
        codes: shape[0] as u32,
        features: shape[1] as u32,
        each: 0,
    }
}

/// Records `codebook + gamma`, gamma one value a feature or one a code and feature.
pub fn offset(rec: &mut Recorder<'_>, codebook: Var, gamma: Var) -> Var {
    let params = Params {
        each: u32::from(rec.len(gamma) == rec.len(codebook)),
        ..params(rec, codebook)
    };
    let shape = rec.shape(codebook).to_vec();
    let table = rec.temporary("table", &shape);
    rec.dispatch(
        &OFFSET,
        &params,
        &[codebook, gamma, table],
        shape[0] * shape[1],
    );
    rec.on_backward(table, &[codebook, gamma], move |rec, grad| {
        rec.contribute_always(gamma, |rec, grad_gamma| {
            rec.contribute_always(codebook, |rec, grad_codebook| {
                let tensors = [grad, grad_codebook, grad_gamma];
                rec.dispatch_per_group(&OFFSET_BACKWARD, &params, &tensors, shape[1]);
                Ok(())
            })
        })
    });
    table
}

/// Records gamma `[K, F]` of Approach 3 from `[w [F,2], b [F], v [F,2], e [F]]`.
pub fn personalize(rec: &mut Recorder<'_>, codebook: Var, [w, b, v, e]: [Var; 4]) -> Var {
    let params = params(rec, codebook);
    let shape = rec.shape(codebook).to_vec();
    let features = shape[1];
    let gamma = rec.temporary("gamma", &shape);
    rec.dispatch_per_group(
        &PERSONALIZE,
        &params,
        &[codebook, gamma, w, b, v, e],
        features,
    );
    rec.on_backward(gamma, &[codebook, w, b, v, e], move |rec, grad| {
        rec.contribute_always(v, |rec, grad_v| {
            rec.contribute_always(e, |rec, grad_e| {
                let tensors = [codebook, grad, w, b, grad_v, grad_e];
                rec.dispatch_per_group(&BACKWARD_OUT, &params, &tensors, features);
                Ok(())
            })
        })?;
        rec.contribute_always(codebook, |rec, grad_codebook| {
            rec.contribute_always(w, |rec, grad_w| {
                rec.contribute_always(b, |rec, grad_b| {
                    let tensors = [codebook, grad, grad_codebook, w, b, v, grad_w, grad_b];
                    rec.dispatch_per_group(&BACKWARD_IN, &params, &tensors, features);
                    Ok(())
                })
            })
        })
    });
    gamma
}

impl Table {
    fn column<T: Real>(&self, codebook: &[T], f: usize) -> (T, T) {
        let k = T::of(self.codes as f64);
        let values = || (0..self.codes).map(|k| codebook[k * self.features + f]);
        let mean = values().sum::<T>() / k;
        (
            mean,
            values().map(|c| (c - mean) * (c - mean)).sum::<T>() / k,
        )
    }
}

/// Approach 3; inputs `codebook, w, b, v, e`.
impl Reference for Table {
    fn forward<T: Real>(&self, inputs: &[Vec<T>]) -> Vec<T> {
        let [codebook, w, b, v, e] = inputs else {
            return Vec::new();
        };
        let relu = |u: T| if u > T::of(0.0) { u } else { T::of(0.0) };
        let mut out = vec![T::of(0.0); codebook.len()];
        for f in 0..self.features {
            let (mean, var) = self.column(codebook, f);
            for k in 0..self.codes {
                let c = codebook[k * self.features + f];
                let u0 = w[2 * f] * mean + w[2 * f + 1] * c + b[f];
                let u1 = w[2 * f] * c + w[2 * f + 1] * var + b[f];
                out[k * self.features + f] = v[2 * f] * relu(u0) + v[2 * f + 1] * relu(u1) + e[f];
            }
        }
        out
    }

    fn backward<T: Real>(&self, inputs: &[Vec<T>], grad_y: &[T]) -> Vec<Vec<T>> {
        let [codebook, w, b, v, _] = inputs else {
            return Vec::new();
        };
        let zero = T::of(0.0);
        let mut grads: Vec<Vec<T>> = inputs.iter().map(|i| vec![zero; i.len()]).collect();
        for f in 0..self.features {
            let (mean, var) = self.column(codebook, f);
            let (w0, w1) = (w[2 * f], w[2 * f + 1]);
            let (mut to_mean, mut to_var) = (zero, zero);
            for k in 0..self.codes {
                let item = k * self.features + f;
                let (c, g) = (codebook[item], grad_y[item]);
                let u0 = w0 * mean + w1 * c + b[f];
                let u1 = w0 * c + w1 * var + b[f];
                let gate = |u: T, v: T| if u > zero { g * v } else { zero };
                let (d0, d1) = (gate(u0, v[2 * f]), gate(u1, v[2 * f + 1]));
                grads[0][item] += d0 * w1 + d1 * w0;
                grads[1][2 * f] += d0 * mean + d1 * c;
                grads[1][2 * f + 1] += d0 * c + d1 * var;
                grads[2][f] += d0 + d1;
                grads[3][2 * f] += if u0 > zero { g * u0 } else { zero };
                grads[3][2 * f + 1] += if u1 > zero { g * u1 } else { zero };
                grads[4][f] += g;
                to_mean += d0 * w0;
                to_var += d1 * w1;
            }
            for k in 0..self.codes {
                let item = k * self.features + f;
                let spread = T::of(2.0) * (codebook[item] - mean) * to_var;
                grads[0][item] += (to_mean + spread) / T::of(self.codes as f64);
            }
        }
        grads
    }
}
