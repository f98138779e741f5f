//! Finite scalar quantisation (Mentzer et al. 2023): no codebook, no commitment loss.
//!
//! z holds N vectors of F features; W_in, W_out linear maps to and from D channels (left out when
//! F = D), each rounded to L_c values:
//!
//! ```text
//! u = W_in z + b_in      h = (L-1)(1 + 1e-3)/2,  o = 1/2 for even L else 0,  s = atanh(o / h)
//! b = tanh(u + s) h - o                y = round(b) / (L/2)       z_q = W_out y + b_out
//! q = sum_c (round(b_c) + L_c/2) prod_{j<c} L_j                    K = prod L_c
//! grad_u = grad_y (1 - tanh^2(u + s)) h / (L/2)                    (straight through the rounding)
//! ```
//!
//! The gradient is assigned. `d` is `|b - round(b)|` in the units of y.

use crate::error::Result;
use crate::gpu::{GRID, NUMBER, Recorder, Var, kernels, uniform_struct};
use crate::nn;
use crate::quant::vectors::{VECTORS, Vectors};

/// Most channels of a code.
pub const MAX_CHANNELS: usize = 8;

uniform_struct! {
    /// Uniform of all entry points.
    struct Params {
        count: u32,
        features: u32,
        positions: u32,
        level0: u32,
        level1: u32,
        level2: u32,
        level3: u32,
        level4: u32,
        level5: u32,
        level6: u32,
        level7: u32,
    }
}

kernels! {
    "fsq", [GRID, NUMBER, VECTORS];
    FORWARD = "forward", 64, Params::FIELDS, [Read 1, Write 2, Write 3, Write 4, Write 5];
    BACKWARD = "backward", 64, Params::FIELDS, [Read 1, Read 6, Write 7];
    DECODE = "decode", 64, Params::FIELDS, [Read 8, Write 2];
}

/// What [`fsq`] computes.
#[derive(Debug, Clone, Copy)]
pub struct Rounded {
    /// The quantised vectors, in the layout of z.
    pub z_q: Var,
    /// Codes `[N]`, integers.
    pub q: Var,
    /// Distance of each vector to its code `[N]`.
    pub d: Var,
    /// Squared length of each rounded vector `[N]`.
    pub squares: Var,
}

fn params(vectors: &Vectors, levels: &[usize]) -> Params {
    let level = |c: usize| levels.get(c).map_or(1, |l| *l as u32);
    Params {
        count: vectors.count() as u32,
        features: levels.len() as u32,
        positions: vectors.positions as u32,
        level0: level(0),
        level1: level(1),
        level2: level(2),
        level3: level(3),
        level4: level(4),
        level5: level(5),
        level6: level(6),
        level7: level(7),
    }
}

/// The map between the vectors and what is rounded, unless they have the same features.
fn project(rec: &mut Recorder<'_>, name: &str, x: Var, outputs: usize) -> Result<Var> {
    if rec.shape(x)[1] == outputs {
        return Ok(x);
    }
    nn::project(rec, name, x, outputs)
}

/// Records the rounding of `z`.
///
/// # Errors
/// Those of declaring the projections.
pub fn fsq(rec: &mut Recorder<'_>, z: Var, vectors: &Vectors, levels: &[usize]) -> Result<Rounded> {
    let shape = rec.shape(z).to_vec();
    let params = params(vectors, levels);
    let count = vectors.count();
    let vectors3 = [vectors.outer, vectors.features, vectors.positions];
    let z = rec.view(z, &vectors3);
    let u = project(rec, "project_in", z, levels.len())?;
    let y = rec.temporary("rounded", &[vectors.outer, levels.len(), vectors.positions]);
    let q = rec.temporary("q", &[count]);
    let d = rec.temporary("d", &[count]);
    let squares = rec.temporary("squares", &[count]);
    rec.dispatch(&FORWARD, &params, &[u, y, q, d, squares], count);
    rec.on_backward(y, &[u], move |rec, grad_y| {
        rec.contribute(u, |rec, grad_u| {
            rec.dispatch(&BACKWARD, &params, &[u, grad_y, grad_u], count);
            Ok(())
        })
    });
    let z_q = project(rec, "project_out", y, vectors.features)?;
    Ok(Rounded {
        z_q: rec.view(z_q, &shape),
        q,
        d,
        squares,
    })
}

/// Records what the codes `q` `[N]` stand for, in the layout that `vectors` says.
///
/// # Errors
/// Those of declaring the projection.
pub fn decode(rec: &mut Recorder<'_>, q: Var, vectors: &Vectors, levels: &[usize]) -> Result<Var> {
    let params = params(vectors, levels);
    let y = rec.temporary("rounded", &[vectors.outer, levels.len(), vectors.positions]);
    rec.dispatch(&DECODE, &params, &[q, y], vectors.count());
    project(rec, "project_out", y, vectors.features)
}
