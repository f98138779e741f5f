//! Sums by code in a fixed order: a thread owns a feature of a chunk of the N vectors and adds into its own
//! column of K codes; then the chunks are added up.
//!
//! ```text
//! partial[chunk, k, f] = sum of value[n, f] over n in chunk, q[n] = k        (the kernel of who asks)
//! sums[k, f]           = sum of partial[chunk, k, f] over the chunks
//! ```

use crate::gpu::{GRID, LOOP_BUDGET, Recorder, Var, kernels, uniform_struct};
use crate::ops::add::clear;

/// The fragment of the first stage.
pub(super) const COLUMNS: (&str, &str) = (
    "lib/columns.wgsl",
    include_str!("../../../shaders/lib/columns.wgsl"),
);

uniform_struct! {
    struct Params {
        chunks: u32,
        size: u32,
    }
}

kernels! {
    "columns", [GRID];
    JOIN = "join", 64, Params::FIELDS, [Read 1, Write 2];
}

/// The sizes of such a sum.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    count: usize,
    codes: usize,
    features: usize,
    /// Parts that the vectors are divided into.
    pub(super) chunks: usize,
}

/// A dispatch of the first stage: whether it clears its columns itself, and which vectors of each chunk it
/// adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Round {
    pub(super) clear: u32,
    pub(super) first: u32,
    pub(super) end: u32,
}

impl Columns {
    /// Of `count` vectors: at most 4 MiB of partial sums, at least 32 vectors a chunk.
    pub(super) fn new(count: usize, codes: usize, features: usize) -> Self {
        let chunks = ((1 << 20) / (codes * features))
            .clamp(1, 256)
            .min(count.div_ceil(32));
        Self {
            count,
            codes,
            features,
            chunks,
        }
    }

    /// The dispatches that keep an invocation within [`crate::gpu::MAX_ITERATIONS`]: one, but for large
    /// codebooks or very many vectors. Where none of them clears, the columns must be cleared beforehand.
    fn rounds(&self) -> Vec<Round> {
        let share = self.count.div_ceil(self.chunks);
        let clears = self.codes <= LOOP_BUDGET / 2;
        let length = LOOP_BUDGET - if clears { self.codes } else { 0 };
        let round = |first: usize| Round {
            clear: u32::from(clears && first == 0),
            first: first as u32,
            end: (first + length).min(share) as u32,
        };
        (0..share).step_by(length).map(round).collect()
    }

    /// Records the sum into `sums` `[K, F]`. `add` records a dispatch of the first stage, of so many threads,
    /// for a round, into the partial sums.
    pub(super) fn sum(
        &self,
        rec: &mut Recorder<'_>,
        sums: Var,
        mut add: impl FnMut(&mut Recorder<'_>, Round, Var, usize),
    ) {
        let size = self.codes * self.features;
        let partial = rec.temporary("partial", &[self.chunks, self.codes, self.features]);
        let rounds = self.rounds();
        if rounds[0].clear == 0 {
            clear(rec, partial);
        }
        for round in rounds {
            add(rec, round, partial, self.chunks * self.features);
        }
        let params = Params {
            chunks: self.chunks as u32,
            size: size as u32,
        };
        rec.dispatch(&JOIN, &params, &[partial, sums], size);
    }
}
