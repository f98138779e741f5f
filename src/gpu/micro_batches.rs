//! A batch in parts that pass one after the other and make one step (gradient accumulation): forward and backward run
//! once a part, and what they leave is added up in the order of the parts.
//!
//! Behind the last part stand the mean of all gradients, the mean of each scalar of the two phases, and the sum of each
//! [statistic](Recorder::statistic); updates and the optimiser run once, on these. So a step is that of the whole
//! batch, but for rounding and for what sees a part alone: batch norms and running moments of the vectors, which move
//! once a part, the variance of an ELBO that is the best of its batch, and the vectors that replaced codes are drawn
//! from, which are those of the last one.

use super::recorder::Recorder;
use super::recording::{Element, Phase, Storage, Var};
use super::{Arena, GRID, kernels, uniform_struct};

uniform_struct! {
    /// Uniform of both entry points.
    struct Params {
        count: u32,
        parts: u32,
        scale: f32,
    }
}

kernels! {
    "micro_batches", [GRID], step [part: u32];
    ADD_VALUES = "add_values", 256, Params::FIELDS, [Write 1, Write 2, Step 15];
    ADD_NUMBERS = "add_numbers", 256, Params::FIELDS, [Write 3, Write 4, Step 15];
}

/// Records that `var` is added up over `parts` parts, and then multiplied by `scale`.
fn add_up(rec: &mut Recorder<'_>, var: Var, element: Element, parts: usize, scale: f32) {
    let count = rec.len(var);
    let params = Params {
        count: count as u32,
        parts: parts as u32,
        scale,
    };
    let total = rec.temporary("sum over the parts", &[count]);
    rec.keep(total);
    let kernel = match element {
        Element::F32 => &ADD_VALUES,
        Element::U32 => &ADD_NUMBERS,
    };
    rec.dispatch(kernel, &params, &[var, total], count);
}

impl Recorder<'_> {
    /// Says that forward and backward run `parts` times a step, each on a part of its batch.
    pub fn in_parts(&mut self, parts: usize) {
        self.parts = parts.max(1);
    }

    /// How many parts a batch has.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.parts
    }

    /// Records the sums over the parts, at the end of the backward phase.
    pub(super) fn add_up_parts(&mut self) {
        let parts = self.parts;
        if parts == 1 {
            return;
        }
        let mean = 1.0 / parts as f32;
        let gradients = self.arena(Arena::Gradients);
        add_up(self, gradients, Element::F32, parts, mean);
        for (var, element) in self.statistics.clone() {
            add_up(self, var, element, parts, 1.0);
        }
        for scalar in self.written_scalars() {
            add_up(self, scalar, Element::F32, parts, mean);
        }
    }

    /// The scalars that the dispatches so far write.
    fn written_scalars(&self) -> Vec<Var> {
        let scalar = |var: &Var| matches!(self.tensors[var.0].storage, Storage::Scalar(_));
        let ours = self
            .dispatches
            .iter()
            .filter(|d| d.phase <= Phase::Backward);
        let mut all: Vec<Var> = ours
            .flat_map(|d| d.tensors.clone())
            .filter(scalar)
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}
