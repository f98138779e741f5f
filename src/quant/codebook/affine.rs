//! The effective codebook and the statistics behind it.
//!
//! C `[K, F]`, G groups of K/G consecutive codes, z with N vectors; running moments `[G, F]` with
//! momentum 0.1, the first batch copied:
//!
//! ```text
//! scale0 = sqrt(var_z / (var_c + 1e-8))        bias0 = mean_z - scale0 mean_c      (no gradient)
//! rows[f] = [C[:, f]; scale0[:, f]; bias0[:, f]]        grad_C[k, f] = grad_rows[f, k]
//! learned:  scale = 1 + lr s      bias = lr b         grad_s = lr grad_scale,  grad_b = lr grad_bias
//! C'[k]   = bias + scale C[k]
//! grad_C  = scale grad_C'         grad_scale = sum_{k in group} grad_C' C
//!                                 grad_bias  = sum_{k in group} grad_C'
//! ```
//!
//! `scale` stands as `[F, G]`, the way the MLP of [`super::alpha`] leaves it; s and b are `[G, F]`.
//! All gradients are assigned; the running values are updated in place, in training only.

use crate::error::Result;
use crate::gpu::{GRID, Init, NUMBER, REDUCE, Recorder, Var, kernels, uniform_struct};
use crate::ops::reference::{Real, Reference};
use crate::quant::vectors::{VECTORS, Vectors};

uniform_struct! {
    /// Uniform of all entry points.
    struct Params {
        codes: u32,
        features: u32,
        groups: u32,
        count: u32,
        positions: u32,
        momentum: f32,
        rate: f32,
    }
}

kernels! {
    "affine", [GRID, NUMBER, REDUCE, VECTORS];
    Z_STATISTICS = "z_statistics", 256, Params::FIELDS, [Read 1, Write 3, Write 4, Write 7];
    CODEBOOK_STATISTICS = "codebook_statistics", 256, Params::FIELDS, [Read 2, Write 5, Write 6, Write 7];
    MARK_INITIALIZED = "mark_initialized", 1, &[], [Write 7];
    LEARNED = "learned", 64, Params::FIELDS, [Read 18, Read 19, Write 8, Write 9];
    LEARNED_BACKWARD_SCALE = "learned_backward_scale", 64, Params::FIELDS, [Read 20, Write 21];
    LEARNED_BACKWARD_BIAS = "learned_backward_bias", 64, Params::FIELDS, [Read 20, Write 21];
    MATCH_MOMENTS = "match_moments", 64, Params::FIELDS, [Write 3, Write 4, Write 5, Write 6, Write 8, Write 9];
    ROWS = "rows", 64, Params::FIELDS, [Read 2, Read 10, Read 11, Write 12];
    ROWS_BACKWARD = "rows_backward", 64, Params::FIELDS, [Read 13, Write 14];
    APPLY = "apply", 64, Params::FIELDS, [Read 2, Read 10, Read 11, Write 12];
    APPLY_BACKWARD = "apply_backward", 256, Params::FIELDS, [Read 2, Read 10, Read 13, Write 14, Write 16, Write 17];
}

fn params(codes: usize, features: usize, groups: usize) -> Params {
    Params {
        codes: codes as u32,
        features: features as u32,
        groups: groups as u32,
        momentum: 0.1,
        ..Params::default()
    }
}

fn size(rec: &Recorder<'_>, codebook: Var) -> (usize, usize) {
    let shape = rec.shape(codebook);
    (shape[0], shape[1])
}

/// A scale `[F, G]` and a bias `[G, F]` of the codebook.
#[derive(Debug, Clone, Copy)]
pub struct Transform {
    /// Factor of the codes.
    pub scale: Var,
    /// What is added to them.
    pub bias: Var,
}

/// Records the learned transform; both its parameters start at zero, so it starts as identity.
///
/// # Errors
/// Those of declaring the parameters.
pub fn learned(rec: &mut Recorder<'_>, codebook: Var, groups: usize, lr: f32) -> Result<Transform> {
    let (codes, features) = size(rec, codebook);
    let params = Params {
        rate: lr,
        ..params(codes, features, groups)
    };
    let count = groups * features;
    let s = rec.parameter("scale", &[groups, features], Init::Constant(0.0))?;
    let b = rec.parameter("bias", &[groups, features], Init::Constant(0.0))?;
    let transform = Transform {
        scale: rec.temporary("scale", &[features, groups]),
        bias: rec.temporary("bias", &[groups, features]),
    };
    let tensors = [s, b, transform.scale, transform.bias];
    rec.dispatch(&LEARNED, &params, &tensors, count);
    for (output, input, kernel) in [
        (transform.scale, s, &LEARNED_BACKWARD_SCALE),
        (transform.bias, b, &LEARNED_BACKWARD_BIAS),
    ] {
        rec.on_backward(output, &[input], move |rec, grad| {
            rec.contribute(input, |rec, grad_input| {
                rec.dispatch(kernel, &params, &[grad, grad_input], count);
                Ok(())
            })
        });
    }
    Ok(transform)
}

/// Records the update of the running moments (in training) and, from them, the transform that
/// gives the codebook the moments of z.
///
/// # Errors
/// Those of declaring the buffers.
pub fn match_moments(
    rec: &mut Recorder<'_>,
    z: Option<(Var, &Vectors)>,
    codebook: Var,
    groups: usize,
) -> Result<Transform> {
    let (codes, features) = size(rec, codebook);
    let params = params(codes, features, groups);
    let shape = [groups, features];
    let ze_mean = rec.buffer("running_ze_mean", &shape, 0.0)?;
    let ze_var = rec.buffer("running_ze_var", &shape, 1.0)?;
    let c_mean = rec.buffer("running_c_mean", &shape, 0.0)?;
    let c_var = rec.buffer("running_c_var", &shape, 1.0)?;
    let initialized = rec.buffer("running_statistics_initialized", &[1], 0.0)?;
    if let Some((z, vectors)) = z.filter(|_| rec.training()) {
        let params = Params {
            count: vectors.count() as u32,
            positions: vectors.positions as u32,
            ..params
        };
        let tensors = [z, ze_mean, ze_var, initialized];
        rec.dispatch_per_group(&Z_STATISTICS, &params, &tensors, features);
        let tensors = [codebook, c_mean, c_var, initialized];
        rec.dispatch_per_group(&CODEBOOK_STATISTICS, &params, &tensors, groups * features);
        rec.dispatch(&MARK_INITIALIZED, &(), &[initialized], 1);
    }
    let moments = Transform {
        scale: rec.temporary("scale0", &[features, groups]),
        bias: rec.temporary("bias0", &shape),
    };
    let tensors = [ze_mean, ze_var, c_mean, c_var, moments.scale, moments.bias];
    rec.dispatch(&MATCH_MOMENTS, &params, &tensors, groups * features);
    Ok(moments)
}

/// Records the MLP's rows `[F, K + 2G]`; without moments the transposed codebook `[F, K]`.
pub fn rows(rec: &mut Recorder<'_>, codebook: Var, moments: Option<Transform>) -> Var {
    let (codes, features) = size(rec, codebook);
    let groups = moments.map_or(0, |m| rec.shape(m.bias)[0]);
    let params = params(codes, features, groups);
    let width = codes + 2 * groups;
    let result = rec.temporary("rows", &[features, width]);
    let (scale0, bias0) = moments.map_or((codebook, codebook), |m| (m.scale, m.bias));
    rec.dispatch(
        &ROWS,
        &params,
        &[codebook, scale0, bias0, result],
        features * width,
    );
    rec.on_backward(result, &[codebook], move |rec, grad| {
        rec.contribute(codebook, |rec, grad_codebook| {
            rec.dispatch(
                &ROWS_BACKWARD,
                &params,
                &[grad, grad_codebook],
                codes * features,
            );
            Ok(())
        })
    });
    result
}

/// A scale nearer to 0 counts as this where it is undone.
pub(crate) const LEAST: f32 = 0.01;

/// Undoes a transform on the host: what is stored of `rows` `[K, F]` so that the effective codes are these,
/// with `scale` `[F, G]` and `bias` `[G, F]`. The twin of `stored` in `shaders/replace.wgsl`.
pub fn undo(rows: &mut [f32], scale: &[f32], bias: &[f32], features: usize) {
    let (codes, groups) = (rows.len() / features, bias.len() / features);
    let each = codes / groups;
    for (item, value) in rows.iter_mut().enumerate() {
        let (g, f) = (item / features / each, item % features);
        let s = scale[f * groups + g];
        let s = if s.abs() < LEAST {
            LEAST.copysign(s)
        } else {
            s
        };
        *value = (*value - bias[g * features + f]) / s;
    }
}

/// The shape contract of [`apply`].
#[derive(Debug, Clone, Copy)]
pub struct Apply {
    /// K
    pub codes: usize,
    /// F
    pub features: usize,
    /// G
    pub groups: usize,
}

/// Records `bias + scale * codebook`.
pub fn apply(rec: &mut Recorder<'_>, codebook: Var, transform: Transform) -> Var {
    let Transform { scale, bias } = transform;
    let (codes, features) = size(rec, codebook);
    let groups = rec.shape(bias)[0];
    let params = params(codes, features, groups);
    let result = rec.temporary("effective codebook", &[codes, features]);
    rec.dispatch(
        &APPLY,
        &params,
        &[codebook, scale, bias, result],
        codes * features,
    );
    rec.on_backward(result, &[codebook, scale, bias], move |rec, grad| {
        rec.contribute_always(codebook, |rec, to_codebook| {
            rec.contribute_always(scale, |rec, to_scale| {
                rec.contribute_always(bias, |rec, to_bias| {
                    let tensors = [codebook, scale, grad, to_codebook, to_scale, to_bias];
                    rec.dispatch_per_group(&APPLY_BACKWARD, &params, &tensors, groups * features);
                    Ok(())
                })
            })
        })
    });
    result
}

impl Apply {
    /// Group and feature of element `item` of the codebook.
    fn place(&self, item: usize) -> (usize, usize) {
        (
            item / self.features / (self.codes / self.groups),
            item % self.features,
        )
    }
}

impl Reference for Apply {
    /// Inputs `codebook, scale [F, G], bias [G, F]`.
    fn forward<T: Real>(&self, inputs: &[Vec<T>]) -> Vec<T> {
        let effective = inputs[0].iter().enumerate().map(|(item, c)| {
            let (g, f) = self.place(item);
            inputs[2][g * self.features + f] + inputs[1][f * self.groups + g] * *c
        });
        effective.collect()
    }

    fn backward<T: Real>(&self, inputs: &[Vec<T>], grad_y: &[T]) -> Vec<Vec<T>> {
        let mut grads: Vec<Vec<T>> = inputs.iter().map(|v| vec![T::of(0.0); v.len()]).collect();
        for (item, g) in grad_y.iter().enumerate() {
            let (group, f) = self.place(item);
            grads[0][item] += inputs[1][f * self.groups + group] * *g;
            grads[1][f * self.groups + group] += inputs[0][item] * *g;
            grads[2][group * self.features + f] += *g;
        }
        grads
    }
}
