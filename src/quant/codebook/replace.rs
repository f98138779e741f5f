//! Replacement of dead codes.
//!
//! A countdown a code, t at first; each step minus 1; a used code goes back to t; at 0
//!
//! ```text
//! C_k <- row + 0.01 |row| N(0, 1)      and its countdown t
//! input_random  row: a random vector of the batch
//! input_kmeans  row: a centroid of the batch, as many centroids as codes are due (Lloyd, from
//!               random rows, over at most 4096 rows of the batch)
//! self          row: a code drawn with weight exp(2 share) - 1, share that of its vectors
//! ```
//!
//! All of it happens in the plan, after the backward pass and before the optimiser; nothing is
//! read back. The random numbers are a function of (seed, step, name of the layer, code).

use super::clusters::move_to_means;
use super::{ReplacePolicy, search};
use crate::error::Result;
use crate::gpu::{Element, GRID, RANDOM, Recorder, Var, kernels, uniform_struct};
use crate::quant::usage::counts;
use crate::quant::vectors::{VECTORS, Vectors};
use crate::rng;

/// Rows that k-means looks at, and its iterations: enough for starting points that the training
/// moves on from, at a small part of a step's time.
const SAMPLES: usize = 4096;
const ITERATIONS: usize = 5;

uniform_struct! {
    /// Uniform of all entry points.
    struct Params {
        codes: u32,
        features: u32,
        count: u32,
        positions: u32,
        patience: f32,
        samples: u32,
        stream: u32,
    }
}

kernels! {
    "replace", [GRID, VECTORS, RANDOM], step [step: u32, seed_low: u32, seed_high: u32];
    TICK = "tick", 256, Params::FIELDS, [Read 1, Write 2, Write 3, Write 4];
    FROM_ROWS = "from_rows", 64, Params::FIELDS, [Read 5, Read 7, Write 8, Step 15];
    WEIGH_CODES = "weigh_codes", 256, Params::FIELDS, [Read 1, Write 17];
    DRAW_PARENTS = "draw_parents", 64, Params::FIELDS, [Read 1, Read 6, Read 18, Write 9, Step 15];
    FROM_CODES = "from_codes", 64, Params::FIELDS, [Read 5, Read 10, Write 8, Step 15];
    SAMPLE_ROWS = "sample_rows", 64, Params::FIELDS, [Read 7, Write 11, Step 15];
    SEED_CENTROIDS = "seed_centroids", 64, Params::FIELDS, [Read 6, Read 12, Write 13, Step 15];
    FROM_CENTROIDS = "from_centroids", 64, Params::FIELDS, [Read 5, Read 14, Write 8, Step 15];
    RESET_SIZES = "reset_sizes", 64, Params::FIELDS, [Read 5, Write 16];
}

/// What [`replace`] works on.
#[derive(Debug, Clone, Copy)]
pub struct Replacement {
    /// The vectors, in their own layout.
    pub z: Var,
    /// How they lie.
    pub vectors: Vectors,
    /// Vectors of each code `[K]`, integers.
    pub counts: Var,
    /// The raw codebook `[K, F]`.
    pub codebook: Var,
    /// Cluster sizes `[K]` of a moving average; they start anew with the code.
    pub sizes: Option<Var>,
}

/// Records the replacement of codes that were unused for `patience` steps, after the backward
/// pass.
///
/// # Errors
/// Those of declaring the state.
pub fn replace(
    rec: &mut Recorder<'_>,
    patience: usize,
    policy: ReplacePolicy,
    on: Replacement,
) -> Result<()> {
    rec.statistic(on.counts, Element::U32);
    let codes = rec.len(on.counts);
    let countdown = rec.state("countdown", &[codes], patience as f32)?;
    let params = Params {
        codes: codes as u32,
        features: on.vectors.features as u32,
        count: on.vectors.count() as u32,
        positions: on.vectors.positions as u32,
        patience: patience as f32,
        samples: on.vectors.count().min(SAMPLES) as u32,
        stream: rng::number_of(rec.name(countdown)),
    };
    rec.after_backward(move |rec| {
        let slots = rec.temporary("slots", &[codes]);
        let due = rec.temporary("due", &[1]);
        let tensors = [on.counts, countdown, slots, due];
        rec.dispatch_per_group(&TICK, &params, &tensors, 1);
        match policy {
            ReplacePolicy::InputRandom => {
                rec.dispatch(&FROM_ROWS, &params, &[slots, on.z, on.codebook], codes);
            }
            ReplacePolicy::Own => {
                let parents = rec.temporary("parents", &[codes]);
                let sums = rec.temporary("sums of weights", &[257]);
                rec.dispatch_per_group(&WEIGH_CODES, &params, &[on.counts, sums], 1);
                let tensors = [on.counts, due, sums, parents];
                rec.dispatch(&DRAW_PARENTS, &params, &tensors, codes);
                rec.dispatch(&FROM_CODES, &params, &[slots, parents, on.codebook], codes);
            }
            ReplacePolicy::InputKmeans => {
                let centroids = centroids(rec, &params, on.z, due);
                let tensors = [slots, centroids, on.codebook];
                rec.dispatch(&FROM_CENTROIDS, &params, &tensors, codes);
            }
        }
        if let Some(sizes) = on.sizes {
            rec.dispatch(&RESET_SIZES, &params, &[slots, sizes], codes);
        }
        Ok(())
    });
    Ok(())
}

/// As many centroids of the batch as codes are due, the first rows of `[K, F]`.
fn centroids(rec: &mut Recorder<'_>, params: &Params, z: Var, due: Var) -> Var {
    let (codes, features) = (params.codes as usize, params.features as usize);
    let rows = Vectors::rows(&[params.samples as usize, features]);
    let samples = rec.temporary("samples", &[rows.outer, features]);
    let centroids = rec.temporary("centroids", &[codes, features]);
    rec.dispatch(&SAMPLE_ROWS, params, &[z, samples], rows.outer);
    rec.dispatch(&SEED_CENTROIDS, params, &[due, samples, centroids], codes);
    for _ in 0..ITERATIONS {
        let q = search::search_first(rec, samples, &rows, centroids, due);
        let counts = counts(rec, q, codes);
        move_to_means(rec, samples, q, &rows, counts, centroids);
    }
    centroids
}
