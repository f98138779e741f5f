//! How the codes are used: what shows a collapse.
//!
//! q `[N]`, counts `[K]` (integers), p = counts / N:
//!
//! ```text
//! perplexity   = exp(-sum_k p_k log(p_k + 1e-7))
//! active_ratio = 100 #{p_k > 0} / K          top_share = 100 max p
//! age_k        = steps since code k was used last
//! ```
//!
//! In training the first two are also taken over a window of the last epoch's worth of vectors: a
//! ring of 64 counts a code, each of one step or, where an epoch has more steps than that, of a few
//! (the window is then the last epoch to within a 64th).

use crate::error::Result;
use crate::gpu::{Element, GRID, NUMBER, REDUCE, Recorder, Var, kernels, uniform_struct};

/// Places of the ring.
pub(crate) const BUCKETS: usize = 64;

uniform_struct! {
    /// Uniform of all entry points.
    struct Params {
        count: u32,
        codes: u32,
    }
}

kernels! {
    "usage", [GRID, NUMBER, REDUCE], step [step: u32, epoch_steps: u32];
    CLEAR = "clear", 64, Params::FIELDS, [Write 2];
    COUNT = "count", 64, Params::FIELDS, [Read 1, Write 2];
    SUMMARIZE = "summarize", 256, Params::FIELDS, [Read 3, Write 4, Write 5, Write 16];
    TRACK = "track", 64, Params::FIELDS, [Read 3, Write 6, Write 7, Write 8, Step 15];
    SUMMARIZE_WINDOW = "summarize_window", 256, Params::FIELDS,
        [Read 9, Read 10, Write 4, Write 5, Write 11, Write 12];
    COUNT_BAD = "count_bad", 256, Params::FIELDS, [Read 13, Write 14];
}

/// Counts of a batch and their summaries.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Vectors of each code `[K]`, integers.
    pub counts: Var,
    /// A scalar in [1, K].
    pub perplexity: Var,
    /// Percent of the codes that were used, a scalar.
    pub active_ratio: Var,
    /// Percent of the vectors that the most used code has, a scalar.
    pub top_share: Var,
}

/// The same over the last epoch's worth of vectors, in training.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Vectors of each code `[K]`, as f32: the usage histogram.
    pub counts: Var,
    /// A scalar in [1, K].
    pub perplexity: Var,
    /// Percent of the codes that were used, a scalar.
    pub active_ratio: Var,
    /// The counts by steps that the window is the sum of `[64, K]`, kept from step to step.
    pub ring: Var,
    /// Steps since each code was used last `[K]`.
    pub age: Var,
    /// Their mean, a scalar.
    pub age_mean: Var,
    /// Their maximum, a scalar.
    pub age_max: Var,
}

/// What [`of`] records.
#[derive(Debug, Clone, Copy)]
pub struct Used {
    /// Of the batch.
    pub usage: Usage,
    /// Of the last epoch's worth of vectors, in training.
    pub window: Option<Window>,
}

impl Used {
    /// All scalars, by the names that metrics have.
    pub fn scalars(&self) -> impl Iterator<Item = (&'static str, Var)> + use<> {
        let usage = [
            ("perplexity", self.usage.perplexity),
            ("active_ratio", self.usage.active_ratio),
            ("top_share", self.usage.top_share),
        ];
        let window = self.window.map(|w| {
            [
                ("epoch_perplexity", w.perplexity),
                ("epoch_active_ratio", w.active_ratio),
                ("age_mean", w.age_mean),
                ("age_max", w.age_max),
            ]
        });
        usage.into_iter().chain(window.into_iter().flatten())
    }
}

/// Records the usage of `codes` codes by `q` `[N]`, in training over the window too.
///
/// # Errors
/// Those of declaring the state.
pub fn of(rec: &mut Recorder<'_>, q: Var, codes: usize) -> Result<Used> {
    let usage = usage(rec, q, codes);
    let window = rec
        .training()
        .then(|| window(rec, usage.counts))
        .transpose()?;
    Ok(Used { usage, window })
}

/// Records how many of `q` `[N]` are each of `codes` codes.
pub fn counts(rec: &mut Recorder<'_>, q: Var, codes: usize) -> Var {
    let count = rec.len(q);
    let params = params(count, codes);
    let counts = rec.temporary("counts", &[codes]);
    rec.dispatch(&CLEAR, &params, &[counts], codes);
    rec.dispatch(&COUNT, &params, &[q, counts], count);
    counts
}

fn params(count: usize, codes: usize) -> Params {
    Params {
        count: count as u32,
        codes: codes as u32,
    }
}

/// Records the usage of `codes` codes by `q` `[N]`.
pub fn usage(rec: &mut Recorder<'_>, q: Var, codes: usize) -> Usage {
    let counts = counts(rec, q, codes);
    rec.keep(counts);
    let names = ["perplexity", "active_ratio", "top_share"];
    let [perplexity, active_ratio, top_share] = names.map(|name| rec.scalar(name));
    let tensors = [counts, perplexity, active_ratio, top_share];
    let params = params(rec.len(q) * rec.parts(), codes);
    of_all_parts(rec, counts, move |rec| {
        rec.dispatch_per_group(&SUMMARIZE, &params, &tensors, 1);
    });
    Usage {
        counts,
        perplexity,
        active_ratio,
        top_share,
    }
}

/// Records what `counts` are summarised by: now, or once they are those of all parts of the batch.
fn of_all_parts(
    rec: &mut Recorder<'_>,
    counts: Var,
    record: impl FnOnce(&mut Recorder<'_>) + 'static,
) {
    if rec.parts() == 1 {
        return record(rec);
    }
    rec.statistic(counts, Element::U32);
    rec.after_backward(|rec| {
        record(rec);
        Ok(())
    });
}

/// The window's counts from the `ring` after `step` steps, as the shader's `track` sums them: for a
/// session that has made no step of its own yet.
pub(crate) fn window_of(ring: &[f32], codes: usize, step: u32, epoch_steps: u32) -> Vec<f32> {
    let epoch = epoch_steps.max(1) as usize;
    let steps = epoch.div_ceil(BUCKETS);
    let place = (step.max(1) as usize - 1) / steps % BUCKETS;
    let places = 0..epoch.div_ceil(steps);
    let sum = |k: usize| -> f32 {
        let row = |i: usize| (place + BUCKETS - i) % BUCKETS * codes;
        places.clone().map(|i| ring[row(i) + k]).sum()
    };
    (0..codes).map(sum).collect()
}

/// Records ages and the window from the `counts` of a step.
///
/// # Errors
/// Those of declaring the state.
pub fn window(rec: &mut Recorder<'_>, counts: Var) -> Result<Window> {
    let codes = rec.len(counts);
    let params = params(0, codes);
    let ring = rec.state("usage_ring", &[BUCKETS, codes], 0.0)?;
    let age = rec.state("usage_age", &[codes], 0.0)?;
    let window = rec.temporary("window", &[codes]);
    rec.keep(window);
    let names = [
        "epoch_perplexity",
        "epoch_active_ratio",
        "age_mean",
        "age_max",
    ];
    let [perplexity, active_ratio, age_mean, age_max] = names.map(|name| rec.scalar(name));
    let tensors = [window, age, perplexity, active_ratio, age_mean, age_max];
    of_all_parts(rec, counts, move |rec| {
        rec.dispatch(&TRACK, &params, &[counts, ring, age, window], codes);
        rec.dispatch_per_group(&SUMMARIZE_WINDOW, &params, &tensors, 1);
    });
    Ok(Window {
        counts: window,
        perplexity,
        active_ratio,
        ring,
        age,
        age_mean,
        age_max,
    })
}

/// Records how many of `squares` `[N]` are no finite numbers, as a scalar.
pub fn count_bad(rec: &mut Recorder<'_>, squares: Var) -> Var {
    let bad = rec.scalar("bad_vectors");
    let params = params(rec.len(squares), 0);
    rec.dispatch_per_group(&COUNT_BAD, &params, &[squares, bad], 1);
    bad
}
