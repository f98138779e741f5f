//! How the codes are used: what shows a collapse.
//!
//! q `[N]`, counts `[K]` (integers), p = counts / N:
//!
//! ```text
//! perplexity   = exp(-sum_k p_k log(p_k + 1e-7))
//! active_ratio = 100 #{p_k > 0} / K
//! ```

use crate::gpu::{Recorder, Var, uniform_struct};
use crate::ops::{GRID, REDUCE, kernels};

uniform_struct! {
    /// Uniform of all entry points.
    struct Params {
        count: u32,
        codes: u32,
    }
}

kernels! {
    "usage", [GRID, REDUCE];
    CLEAR = "clear", 64, Params::FIELDS, [Write 2];
    COUNT = "count", 64, Params::FIELDS, [Read 1, Write 2];
    SUMMARIZE = "summarize", 256, Params::FIELDS, [Read 3, Write 4, Write 5];
}

/// Counts and their two summaries.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Vectors of each code `[K]`, integers.
    pub counts: Var,
    /// A scalar in [1, K].
    pub perplexity: Var,
    /// Percent of the codes that were used, a scalar.
    pub active_ratio: Var,
}

/// Records the usage of `codes` codes by `q` `[N]`.
pub fn usage(rec: &mut Recorder<'_>, q: Var, codes: usize) -> Usage {
    let count = rec.len(q);
    let params = Params {
        count: count as u32,
        codes: codes as u32,
    };
    let counts = rec.temporary("counts", &[codes]);
    rec.dispatch(&CLEAR, &params, &[counts], codes);
    rec.dispatch(&COUNT, &params, &[q, counts], count);
    let perplexity = rec.temporary("perplexity", &[1]);
    let active_ratio = rec.temporary("active_ratio", &[1]);
    rec.dispatch(&SUMMARIZE, &params, &[counts, perplexity, active_ratio], 1);
    Usage {
        counts: rec.keep(counts),
        perplexity: rec.keep(perplexity),
        active_ratio: rec.keep(active_ratio),
    }
}
