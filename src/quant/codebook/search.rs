//! The nearest code of each vector.
//!
//! z holds N vectors of F features, codebook `[K, F]`, q `[N]`, m a centre near all codes:
//!
//! ```text
//! q[n] = argmin_k |z_n - C_k|      (the lowest k on a tie; a code with a NaN before all others)
//!      = argmax_k z_n.c'_k - m.c'_k - |c'_k|^2/2,   c' = C - m
//! ```
//!
//! The N by K products are never stored. Where the best two of a vector are nearer to each other
//! than rounding allows to tell, it is searched anew by the differences z - C. Long codebooks take
//! several dispatches, see [`crate::gpu::MAX_ITERATIONS`]. Adapters that run on a CPU get a kernel with wider
//! tiles, `search_wide`. There is no gradient: [`super::quantize`] passes it straight through.

use super::search_params::{Params, SEARCHES};
use super::{search_doubtful, search_wide};
use crate::gpu::{
    Candidate, CandidateInfo, GRID, Kernel, LOOP_BUDGET, NUMBER, Recorder, Var, infos, kernels,
};
use crate::ops::reference::Real;
use crate::quant::vectors::{VECTORS, Vectors};

kernels! {
    "search", [GRID, NUMBER, VECTORS, SEARCHES];
    NORMS = "norms", 64, Params::FIELDS, [Read 1, Write 2, Write 3, Write 8];
    NORMS_OF_FIRST = "norms_of_first", 64, Params::FIELDS, [Read 1, Read 10, Write 2, Write 3, Write 8];
    SEARCH = "search", 64, Params::FIELDS, [Read 4, Read 5, Read 6, Write 7, Write 9];
}

/// Codes that a workgroup compares with at once, and features of them that it holds.
pub(crate) const BLOCK: usize = 32;
pub(crate) const CHUNK: usize = 32;
/// Vectors of a thread.
const TILE: usize = 4;

/// A kernel, and the vectors of a thread.
#[derive(Debug, Clone, Copy)]
struct Way {
    kernel: &'static Kernel,
    tile: usize,
    /// Whether it binds z a second time, by fours, and is told if vectors lie so.
    by_four: bool,
}

/// By the number of vectors.
static SEARCHERS: [Candidate<usize, Way>; 2] = [
    Candidate {
        info: CandidateInfo::plain("search_wide::search"),
        can: |_| true,
        // Few vectors are few wide tiles, idle cores and a long compilation for nothing.
        suits: |traits, count| traits.software && *count >= search_wide::LEAST,
        way: Way {
            kernel: &search_wide::SEARCH,
            tile: search_wide::TILE,
            by_four: true,
        },
    },
    Candidate {
        info: CandidateInfo::plain("search::search"),
        can: |_| true,
        suits: |_, _| true,
        way: Way {
            kernel: &SEARCH,
            tile: TILE,
            by_four: false,
        },
    },
];
infos!(SEARCHERS);

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
    let (count, features) = (vectors.count(), vectors.features);
    let codes = rec.shape(codebook)[0];
    let params = Params {
        count: count as u32,
        features: features as u32,
        codes: codes as u32,
        positions: vectors.positions as u32,
        first: 0,
        end: codes as u32,
    };
    let padded = codes.next_multiple_of(BLOCK);
    let centered = rec.temporary("centered codes", &[padded / BLOCK, features, BLOCK]);
    let offsets = rec.temporary("offsets", &[codes + 2 + features]);
    let doubtful = rec.temporary("doubtful vectors", &[1 + count]);
    let prepared = [codebook, centered, offsets, doubtful];
    match limit {
        None => rec.dispatch(&NORMS, &params, &prepared, padded),
        Some(limit) => {
            let tensors = [codebook, limit, centered, offsets, doubtful];
            rec.dispatch(&NORMS_OF_FIRST, &params, &tensors, padded)
        }
    };
    let q = rec.temporary("q", &[count]);
    let leads = rec.temporary("leads", &[count, 2]);
    let Way {
        kernel,
        tile,
        by_four,
    } = rec.traits().choose(&SEARCHERS, &count).way;
    let span = span(features, kernel.invocations() as usize);
    for first in (0..codes).step_by(span) {
        let end = (first + span).min(codes);
        let part = Params {
            first: first as u32,
            end: end as u32,
            ..params
        };
        let flops = 2 * count * (end - first) * features;
        let threads = count.div_ceil(tile);
        let dispatch = if by_four {
            let aligned = f64::from(u8::from(vectors.positions.is_multiple_of(4)));
            let tensors = [z, z, centered, offsets, q, leads];
            rec.dispatch(kernel, &part, &tensors, threads)
                .constants(&[("ALIGNED", aligned)])
        } else {
            let tensors = [z, centered, offsets, q, leads];
            rec.dispatch(kernel, &part, &tensors, threads)
        };
        dispatch.flops(flops);
    }
    let tensors = search_doubtful::Tensors {
        z,
        codebook,
        offsets,
        leads,
        q,
        doubtful,
    };
    search_doubtful::record(rec, &params, &tensors);
    q
}

/// Codes of a dispatch, such that an invocation stays within [`crate::gpu::MAX_ITERATIONS`].
fn span(features: usize, threads: usize) -> usize {
    let load = (8 * CHUNK).div_ceil(threads);
    // A driver counts the pass that ends a loop, too.
    let block = 2 + features + features.div_ceil(CHUNK) * (3 + load);
    (LOOP_BUDGET / block).max(1) * BLOCK
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
