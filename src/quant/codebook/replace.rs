//! Replacement of dead codes.
//!
//! Dead is a code by its age or by its size, n_k its vectors in a step:
//!
//! ```text
//! age   a countdown a code, t at first; each step minus 1; a used code goes back to t; dead at 0, and t again
//! size  N_k <- d N_k + (1-d) n_k, 1 at first; dead below the threshold, which then is its size
//!
//! code k <- row + 0.01 |row| N(0, 1)
//! input_random  row: a random vector of the batch, each one once before one comes twice
//! input_kmeans  row: a centroid of the batch, as many centroids as codes are due (Lloyd, from
//!               random rows, over at most 4096 rows of the batch)
//! self          row: a code drawn with weight exp(2 share) - 1, share that of its vectors
//! ```
//!
//! The effective code, `bias + scale C_k`, is what becomes the row: `C_k = (row - bias) / scale`, each
//! scale at least 0.01 from 0; a linear map ([`simvq`]) is undone too. Without a transform, or in the PyTorch package's way, it is C_k itself.
//! A norm of the codebook acts on it in the next forward pass, so that the code is the nearest in
//! its range.
//!
//! All of it happens in the plan, after the backward pass and before the optimiser; nothing is
//! read back. The random numbers are a function of (seed, step, name of the layer, code).

use super::clusters::move_to_means;
use super::{Dead, Replace, ReplacePolicy, affine, search, simvq};
use crate::error::Result;
use crate::gpu::{Element, GRID, RANDOM, Recorder, Var, kernels, uniform_struct};
use crate::ops::add::copy;
use crate::quant::usage::counts;
use crate::quant::vectors::{VECTORS, Vectors};
use crate::rng;

/// Rows that k-means looks at, and its iterations: enough for starting points that the training
/// moves on from, at a small part of a step's time.
const SAMPLES: usize = 4096;
const ITERATIONS: usize = 5;
/// Decay of the cluster sizes, where no moving average of the codes keeps them.
const SIZE_DECAY: f32 = 0.8;

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
        groups: u32,
        below: f32,
        decay: f32,
        fresh: f32,
    }
}

kernels! {
    "replace", [GRID, VECTORS, RANDOM], step [step: u32, seed_low: u32, seed_high: u32];
    TICK = "tick", 256, Params::FIELDS, [Read 1, Write 2, Write 3, Write 4];
    MARK_SMALL = "mark_small", 256, Params::FIELDS, [Read 1, Write 16, Write 3, Write 4];
    FROM_ROWS = "from_rows", 64, Params::FIELDS, [Read 5, Read 7, Read 19, Read 20, Write 8, Step 15];
    WEIGH_CODES = "weigh_codes", 256, Params::FIELDS, [Read 1, Write 17];
    DRAW_PARENTS = "draw_parents", 64, Params::FIELDS, [Read 1, Read 6, Read 18, Write 9, Step 15];
    FROM_CODES = "from_codes", 64, Params::FIELDS, [Read 5, Read 10, Read 19, Read 20, Write 8, Step 15];
    SAMPLE_ROWS = "sample_rows", 64, Params::FIELDS, [Read 7, Write 11, Step 15];
    SEED_CENTROIDS = "seed_centroids", 64, Params::FIELDS, [Read 6, Read 12, Write 13, Step 15];
    FROM_CENTROIDS = "from_centroids", 64, Params::FIELDS, [Read 5, Read 14, Read 19, Read 20, Write 8, Step 15];
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
    /// The stored codebook `[K, F]`.
    pub codebook: Var,
    /// What a linear map makes of it, and the map, which is undone.
    pub mapped: Option<(Var, Var)>,
    /// Scale and bias that are undone, so that the effective code is put on the row.
    pub transform: Option<affine::Transform>,
    /// Cluster sizes `[K]` of a moving average; they start anew with the code.
    pub sizes: Option<Var>,
}

/// Records the replacement of dead codes, after the backward pass.
///
/// # Errors
/// Those of declaring the state.
pub fn replace(rec: &mut Recorder<'_>, how: Replace, on: Replacement) -> Result<()> {
    rec.statistic(on.counts, Element::U32);
    let codes = rec.len(on.counts);
    let state = match (how.dead, on.sizes) {
        (Dead::Unused(steps), _) => rec.state("countdown", &[codes], steps as f32)?,
        (Dead::Small(_), Some(sizes)) => sizes,
        (Dead::Small(_), None) => rec.state("cluster_size", &[codes], 1.0)?,
    };
    let params = Params {
        codes: codes as u32,
        features: on.vectors.features as u32,
        count: on.vectors.count() as u32,
        positions: on.vectors.positions as u32,
        samples: on.vectors.count().min(SAMPLES) as u32,
        stream: rng::number_of(rec.name(state)),
        groups: on.transform.map_or(1, |t| rec.shape(t.bias)[0]) as u32,
        decay: if on.sizes.is_some() { 1.0 } else { SIZE_DECAY },
        fresh: 1.0,
        ..Params::default()
    };
    let params = match how.dead {
        Dead::Unused(steps) => Params {
            patience: steps as f32,
            ..params
        },
        Dead::Small(below) => Params {
            below,
            fresh: below,
            ..params
        },
    };
    rec.after_backward(move |rec| {
        let slots = rec.temporary("slots", &[codes]);
        let due = rec.temporary("due", &[1]);
        let mark = match how.dead {
            Dead::Unused(_) => &TICK,
            Dead::Small(_) => &MARK_SMALL,
        };
        rec.dispatch_per_group(mark, &params, &[on.counts, state, slots, due], 1);
        let (from, rows) = match how.policy {
            ReplacePolicy::InputRandom => (&FROM_ROWS, on.z),
            ReplacePolicy::Own => {
                let parents = rec.temporary("parents", &[codes]);
                let sums = rec.temporary("sums of weights", &[257]);
                rec.dispatch_per_group(&WEIGH_CODES, &params, &[on.counts, sums], 1);
                let tensors = [on.counts, due, sums, parents];
                rec.dispatch(&DRAW_PARENTS, &params, &tensors, codes);
                (&FROM_CODES, parents)
            }
            ReplacePolicy::InputKmeans => (&FROM_CENTROIDS, centroids(rec, &params, on.z, due)),
        };
        // Without a transform the bindings are there all the same, and are not read.
        let (scale, bias) = on.transform.map_or((slots, slots), |t| (t.scale, t.bias));
        let target = on
            .mapped
            .map_or(on.codebook, |(mapped, _)| copy(rec, mapped));
        let tensors = [slots, rows, scale, bias, target];
        let place = f64::from(u8::from(on.transform.is_some()));
        rec.dispatch(from, &params, &tensors, codes)
            .constants(&[("PLACE", place)]);
        if let Some((_, map)) = on.mapped {
            simvq::place(rec, (slots, due), map, target, on.codebook);
        }
        if let (Some(sizes), Dead::Unused(_)) = (on.sizes, how.dead) {
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
