//! The nearest code of each vector.
//!
//! z holds N vectors of F features, codebook `[K, F]`, q `[N]`:
//!
//! ```text
//! q[n] = argmin_k |z_n - C_k|      (the lowest k on a tie)
//! ```
//!
//! The N by K distances are never stored. Adapters that run on a CPU get a kernel with wider tiles,
//! `search_wide`. There is no gradient: [`super::quantize`] passes it
//! straight through.

use super::{VECTORS, Vectors};
use crate::gpu::{Recorder, Var, uniform_struct};
use crate::ops::reference::Real;
use crate::ops::{GRID, kernels};

uniform_struct! {
    /// Uniform of all entry points.
    pub(super) struct Params {
        count: u32,
        features: u32,
        codes: u32,
        positions: u32,
    }
}

kernels! {
    "search", [GRID, VECTORS];
    NORMS = "norms", 64, Params::FIELDS, [Read 1, Write 2];
    NORMS_OF_FIRST = "norms_of_first", 64, Params::FIELDS, [Read 1, Read 6, Write 2];
    SEARCH = "search", 64, Params::FIELDS, [Read 1, Read 3, Read 4, Write 5];
}

/// Records the search of `codebook` `[K, F]` and returns the codes `[N]` (integers).
pub fn search(rec: &mut Recorder<'_>, z: Var, vectors: &Vectors, codebook: Var) -> Var {
    record(rec, z, vectors, codebook, None)
}

/// The same among the first `limit[0]` (an integer on the device) codes; with none of them 0.
pub fn search_first(
    rec: &mut Recorder<'_>,
    z: Var,
    vectors: &Vectors,
    codebook: Var,
    limit: Var,
) -> Var {
    record(rec, z, vectors, codebook, Some(limit))
}

fn record(
    rec: &mut Recorder<'_>,
    z: Var,
    vectors: &Vectors,
    codebook: Var,
    limit: Option<Var>,
) -> Var {
    let codes = rec.shape(codebook)[0];
    let params = Params {
        count: vectors.count() as u32,
        features: vectors.features as u32,
        codes: codes as u32,
        positions: vectors.positions as u32,
    };
    let half_norms = rec.temporary("half norms", &[codes + 1]);
    match limit {
        None => rec.dispatch(&NORMS, &params, &[codebook, half_norms], codes),
        Some(limit) => {
            let tensors = [codebook, limit, half_norms];
            rec.dispatch(&NORMS_OF_FIRST, &params, &tensors, codes)
        }
    };
    let q = rec.temporary("q", &[vectors.count()]);
    let flops = 2 * vectors.count() * codes * vectors.features;
    // Few vectors are few wide tiles, idle cores and a long compilation for nothing.
    if rec.on_cpu() && vectors.count() >= super::search_wide::LEAST {
        super::search_wide::record(rec, params, [codebook, half_norms, z, q]).flops(flops);
    } else {
        let threads = vectors.count().div_ceil(4);
        let tensors = [codebook, z, half_norms, q];
        rec.dispatch(&SEARCH, &params, &tensors, threads)
            .flops(flops);
    }
    q
}

/// The search as plain loops.
pub fn reference<T: Real>(z: &[T], vectors: &Vectors, codebook: &[T]) -> Vec<u32> {
    let distance = |n: usize, code: &[T]| -> T {
        let differences = code
            .iter()
            .enumerate()
            .map(|(f, c)| z[vectors.index(n, f)] - *c);
        differences.map(|d| d * d).sum()
    };
    let nearest = |n: usize| {
        let mut best = (0, distance(n, &codebook[..vectors.features]));
        for (k, code) in codebook.chunks_exact(vectors.features).enumerate() {
            let candidate = distance(n, code);
            if candidate < best.1 {
                best = (k as u32, candidate);
            }
        }
        best.0
    };
    (0..vectors.count()).map(nearest).collect()
}
