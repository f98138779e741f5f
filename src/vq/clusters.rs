//! The sum of the vectors of each code, and what is computed from it.
//!
//! z holds N vectors of F features, q `[N]` their codes, n_k the vectors of code k:
//!
//! ```text
//! sums[k]      = sum_{n: q[n] = k} z_n
//! pull         grad_T[k] = 2/(NF) (n_k T[k] - sums[k])      (of mean (T[q] - z)^2)
//! means        c_k <- c_k + sum_{n: q[n] = k} (z_n - c_k) / n_k where n_k > 0
//! ```

use super::{VECTORS, Vectors};
use crate::gpu::{Kernel, LOOP_BUDGET, Recorder, Var, uniform_struct};
use crate::ops::add::clear;
use crate::ops::{GRID, kernels};

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
        factor: f32,
    }
}

kernels! {
    "clusters", [GRID, VECTORS];
    ADD_UP = "add_up", 64, Params::FIELDS, [Read 1, Read 2, Write 3];
    ADD_UP_DIFFERENCES = "add_up_differences", 64, Params::FIELDS, [Read 1, Read 2, Read 8, Write 3];
    JOIN = "join", 64, Params::FIELDS, [Read 4, Write 5];
    PULL = "pull", 64, Params::FIELDS, [Read 6, Read 7, Read 8, Write 9];
    MOVE = "move_centroids", 64, Params::FIELDS, [Read 6, Read 7, Write 10];
}

/// Parts that N vectors are divided into for a deterministic sum over `[K, F]`: at most 4 MiB of
/// partial sums, at least 32 vectors a part.
pub(super) fn chunks(count: usize, codes: usize, features: usize) -> usize {
    ((1 << 20) / (codes * features))
        .clamp(1, 256)
        .min(count.div_ceil(32))
}

/// A dispatch of such a sum: whether it clears its columns itself, and which vectors of each chunk it
/// adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Round {
    pub(super) clear: u32,
    pub(super) first: u32,
    pub(super) end: u32,
}

/// The dispatches that keep an invocation within [`crate::gpu::MAX_ITERATIONS`]: one, but for large codebooks or
/// very many vectors. Where none of them clears, the columns must be cleared beforehand.
pub(super) fn rounds(count: usize, codes: usize, chunks: usize) -> Vec<Round> {
    let share = count.div_ceil(chunks);
    let clears = codes <= LOOP_BUDGET / 2;
    let length = if clears {
        LOOP_BUDGET - codes
    } else {
        LOOP_BUDGET
    };
    let round = |first: usize| Round {
        clear: u32::from(clears && first == 0),
        first: first as u32,
        end: (first + length).min(share) as u32,
    };
    (0..share).step_by(length).map(round).collect()
}

/// How many vectors each code has, and their sum.
#[derive(Debug, Clone, Copy)]
pub struct Clusters {
    /// Vectors of each code `[K]`, integers.
    pub counts: Var,
    /// Their sums `[K, F]`.
    pub sums: Var,
    params: Params,
}

/// Records the sums of the vectors of `z` by their codes `q`; `counts` `[K]` are there already.
pub fn clusters(
    rec: &mut Recorder<'_>,
    z: Var,
    q: Var,
    vectors: &Vectors,
    counts: Var,
) -> Clusters {
    let params = params(vectors, rec.len(counts));
    let sums = sums(rec, &params, &ADD_UP, &[z, q]);
    Clusters {
        counts,
        sums,
        params,
    }
}

/// Records the move of `centroids` `[K, F]` to the means of their vectors.
pub fn move_to_means(
    rec: &mut Recorder<'_>,
    z: Var,
    q: Var,
    vectors: &Vectors,
    counts: Var,
    centroids: Var,
) {
    let params = params(vectors, rec.len(counts));
    let sums = sums(rec, &params, &ADD_UP_DIFFERENCES, &[z, q, centroids]);
    let count = rec.len(centroids);
    rec.dispatch(&MOVE, &params, &[sums, counts, centroids], count);
}

fn params(vectors: &Vectors, codes: usize) -> Params {
    let (count, features) = (vectors.count(), vectors.features);
    Params {
        count: count as u32,
        features: features as u32,
        codes: codes as u32,
        positions: vectors.positions as u32,
        chunks: chunks(count, codes, features) as u32,
        factor: (2.0 / (count * features) as f64) as f32,
        ..Params::default()
    }
}

/// Records `kernel`, whose last tensor besides `inputs` is the partial sums, and their sum `[K, F]`.
fn sums(rec: &mut Recorder<'_>, params: &Params, kernel: &'static Kernel, inputs: &[Var]) -> Var {
    let size = |n: u32| n as usize;
    let (chunks, codes) = (size(params.chunks), size(params.codes));
    let features = size(params.features);
    let partial = rec.temporary("partial", &[chunks, codes, features]);
    let rounds = rounds(size(params.count), codes, chunks);
    if rounds[0].clear == 0 {
        clear(rec, partial);
    }
    for Round { clear, first, end } in rounds {
        let params = Params {
            clear,
            first,
            end,
            ..*params
        };
        let tensors = [inputs, &[partial]].concat();
        rec.dispatch(kernel, &params, &tensors, chunks * features);
    }
    let sums = rec.temporary("sums", &[codes, features]);
    rec.dispatch(&JOIN, params, &[partial, sums], codes * features);
    sums
}

impl Clusters {
    /// Records the gradient `[K, F]` of `mean (T[q] - z)^2` with respect to T.
    pub fn pull(&self, rec: &mut Recorder<'_>, values: Var) -> Var {
        let shape = rec.shape(values).to_vec();
        let grad = rec.temporary("pull", &shape);
        let tensors = [self.sums, self.counts, values, grad];
        rec.dispatch(&PULL, &self.params, &tensors, shape[0] * shape[1]);
        grad
    }
}
