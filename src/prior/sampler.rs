//! Sequences that grow by a code a step: what was attended to is remembered, and the code is drawn.

use crate::gpu::{GRID, RANDOM, Recorder, StepValues, Var, kernels, uniform_struct};
use crate::rng;

uniform_struct! {
    /// Uniform of both entry points.
    struct Params {
        sequences: u32,
        length: u32,
        size: u32,
        stream: u32,
    }
}

kernels! {
    "sampler", [GRID, RANDOM],
    step [position: u32, most: u32, temperature: f32, part: u32, step: u32, seed_low: u32, seed_high: u32];
    REMEMBER = "remember", 64, Params::FIELDS, [Read 1, Write 2, Step 15];
    DRAW = "draw", 256, Params::FIELDS, [Read 1, Read 3, Write 4, Write 5, Step 15];
}

/// How codes are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Seed of the random numbers.
    pub seed: u64,
    /// What the logits are divided by: below 1 likely codes become likelier still; at 0 the likeliest is taken.
    pub temperature: f32,
    /// Of how many of the likeliest codes one is drawn; none for all.
    pub top_k: Option<usize>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            seed: 0,
            temperature: 1.0,
            top_k: None,
        }
    }
}

impl Sampling {
    /// What the kernels are told of position `position`, of sequences of which the first is number `part` of all.
    pub(super) fn values(&self, position: usize, part: usize) -> StepValues {
        StepValues::default()
            .with("position", position as u32)
            .with("most", self.top_k.map_or(u32::MAX, |k| k.max(1) as u32))
            .with("temperature", self.temperature)
            .with("part", part as u32)
            .with("step", position as u32 + 1)
            .with_seed(self.seed)
    }
}

/// Records that `row` `[B, S]` is what `all` `[B, L, S]` holds at the position.
pub(super) fn remember(rec: &mut Recorder<'_>, row: Var, all: Var) {
    let (sequences, length) = (rec.shape(all)[0], rec.shape(all)[1]);
    let params = Params {
        sequences: sequences as u32,
        length: length as u32,
        size: (rec.len(row) / sequences) as u32,
        stream: 0,
    };
    let threads = rec.len(row);
    rec.dispatch(&REMEMBER, &params, &[row, all], threads);
}

/// Records the draw of the position's code by `logits` `[B, V]`, of those that `ranges` `[L, 2]` grants it, into `last`
/// `[B]` and `codes` `[B, L]`.
pub fn draw(rec: &mut Recorder<'_>, logits: Var, ranges: Var, last: Var, codes: Var) {
    let (sequences, length) = (rec.shape(codes)[0], rec.shape(codes)[1]);
    let params = Params {
        sequences: sequences as u32,
        length: length as u32,
        size: rec.shape(logits)[1] as u32,
        stream: rng::number_of("samples"),
    };
    rec.dispatch_per_group(&DRAW, &params, &[logits, ranges, last, codes], sequences);
}
