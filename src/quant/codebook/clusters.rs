//! The sum of the vectors of each code, and what is computed from it.
//!
//! z holds N vectors of F features, q `[N]` their codes, n_k the vectors of code k:
//!
//! ```text
//! sums[k]      = sum_{n: q[n] = k} z_n
//! pull         grad_T[k] = 2/(NF) (n_k T[k] - sums[k])      (of mean (T[q] - z)^2)
//! means        c_k <- c_k + sum_{n: q[n] = k} (z_n - c_k) / n_k where n_k > 0
//! ```

use super::columns::{COLUMNS, Columns, Round};
use crate::gpu::{GRID, Kernel, Recorder, Var, kernels, uniform_struct};
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
        factor: f32,
    }
}

kernels! {
    "clusters", [GRID, VECTORS, COLUMNS];
    ADD_UP = "add_up", 64, Params::FIELDS, [Read 1, Read 2, Write 3];
    ADD_UP_DIFFERENCES = "add_up_differences", 64, Params::FIELDS, [Read 1, Read 2, Read 8, Write 3];
    PULL = "pull", 64, Params::FIELDS, [Read 6, Read 7, Read 8, Write 9];
    MOVE = "move_centroids", 64, Params::FIELDS, [Read 6, Read 7, Write 10];
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
        chunks: Columns::new(count, codes, features).chunks as u32,
        factor: (2.0 / (count * features) as f64) as f32,
        ..Params::default()
    }
}

/// Records the sum `[K, F]` that `kernel` makes of `inputs`.
fn sums(rec: &mut Recorder<'_>, params: &Params, kernel: &'static Kernel, inputs: &[Var]) -> Var {
    let [count, codes, features] =
        [params.count, params.codes, params.features].map(|n| n as usize);
    let sums = rec.temporary("sums", &[codes, features]);
    let columns = Columns::new(count, codes, features);
    columns.sum(
        rec,
        sums,
        |rec, Round { clear, first, end }, partial, threads| {
            let params = Params {
                clear,
                first,
                end,
                ..*params
            };
            let tensors = [inputs, &[partial]].concat();
            rec.dispatch(kernel, &params, &tensors, threads);
        },
    );
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
