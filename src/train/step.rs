//! The steps of a session: what they are given, their submission, and what they report.

use std::ops::Range;

use super::metrics::StepMetrics;
use super::session::{Session, SessionOptions};
use crate::error::{Error, Result};
use crate::gpu::{Phase, STEPS_AT_ONCE, StepValues};
use crate::models::Model;

/// `values` and what the quantisers of `model` add to them.
fn with_quantizers(values: StepValues, model: &dyn Model, step: u32) -> StepValues {
    let quantizers = model.quantizers();
    let own = quantizers.iter().flat_map(|(_, q)| q.step_values(step));
    own.fold(values, |values, (name, value)| values.with(name, value))
}

/// What kernels are told outside training: an evaluation is no step, and those that ask are told that it is
/// the first.
pub(super) fn values_of_evaluation(model: &dyn Model) -> StepValues {
    let values = StepValues::default()
        .with("step", 1_u32)
        .with("part", 0_u32)
        .with("sampled", 0_u32)
        .with_seed(0);
    with_quantizers(values, model, 1)
}

/// The same for images behind `before` others whose codes are drawn from their posteriors, by `seed`.
pub(super) fn sampled(values: &StepValues, seed: u64, before: usize) -> StepValues {
    let values = values.clone().with_seed(seed);
    values.with("sampled", before as u32 + 1)
}

impl Session {
    /// What the kernels are told of step `step` (from 1): the one place that collects it.
    #[must_use]
    pub fn step_values(&self, step: u32) -> StepValues {
        self.values_of_part(step, 0)
    }

    /// The same of a part of its batch, from 0.
    fn values_of_part(&self, step: u32, part: usize) -> StepValues {
        let steps = self.epoch_steps();
        let SessionOptions {
            optimizer, seed, ..
        } = &self.options;
        let before = step.saturating_sub(1);
        let values = optimizer
            .step(step, self.lr_of(step))
            .with("batch_start", self.feed.batch_start(before, part))
            .with("sampled", 0_u32)
            .with("epoch_start", self.feed.epoch_start(before, part))
            .with("part", part as u32)
            .with("epoch_steps", steps)
            .with_seed(*seed);
        with_quantizers(values, self.model.as_ref(), step)
    }

    /// Submits a step. When all staging slots were in flight, the oldest was waited for, and its
    /// metrics are returned; so they lag a few steps behind.
    ///
    /// # Errors
    /// [`Error::Diverged`] when a loss that came back is not finite; [`Error::Gpu`] when the
    /// device fails; [`Error::File`] when streamed images cannot be read.
    pub async fn step(&mut self) -> Result<Option<StepMetrics>> {
        self.make_room().await?;
        let metrics = self.report()?;
        self.submit(1).await?;
        Ok(metrics)
    }

    /// Makes `count` steps, up to [`crate::gpu::STEPS_AT_ONCE`] of them in a submission: bit for bit what as many calls of
    /// [`Self::step`] make, with less work for the host between short steps. `report` gets the metrics that come
    /// back meanwhile, in order; they lag a few submissions behind. Where a submission must stay short (a browser
    /// draws in between), so must `count`, or see [`Self::submit_in_parts`].
    ///
    /// # Errors
    /// As [`Self::step`].
    pub async fn steps(&mut self, count: u32, mut report: impl FnMut(StepMetrics)) -> Result<()> {
        let goal = self.step + count;
        while self.step < goal {
            self.make_room().await?;
            while let Some(metrics) = self.report()? {
                report(metrics);
            }
            // The order of the images, which the queue writes, changes between two epochs.
            let steps = self.epoch_steps();
            let left = steps - self.step % steps;
            let together = if self.exchange.is_some() {
                1
            } else {
                (self.feed.together() / self.options.accumulate).max(1)
            };
            let count = left.min(goal - self.step).min(together as u32);
            self.submit(count).await?;
        }
        Ok(())
    }

    /// The metrics of the oldest step that has not reported, waited for; `None` when all have.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub async fn next_metrics(&mut self) -> Result<Option<StepMetrics>> {
        if self.reports.arrived.is_empty() {
            self.reports.land(&self.gpu).await?;
        }
        self.report()
    }

    async fn make_room(&mut self) -> Result<()> {
        if self.reports.readback.is_full() {
            self.reports.land(&self.gpu).await?;
        }
        Ok(())
    }

    /// Submits `count` steps of one epoch together, or each in its parts. A slot must be free; nothing can fail
    /// once it is taken.
    async fn submit(&mut self, count: u32) -> Result<()> {
        let coming = self.step..self.step + count;
        self.feed.prepare(&self.gpu, self.options.seed, coming)?;
        if self.step == 0 {
            self.start_codebooks().await?;
        }
        let first = self.step + 1;
        let rows = self.rows(first..first + count);
        let parts = self.exchange_gradients(&rows).await?;
        if self.exchange.is_none() {
            self.plan
                .set_steps(&self.gpu, &rows[..rows.len().min(STEPS_AT_ONCE)])?;
        }
        let readback = &mut self.reports.readback;
        let slot = readback.slot().ok_or_else(|| Error::Gpu {
            place: "training".into(),
            message: "no staging buffer is free".into(),
        })?;
        let readback = &self.reports.readback;
        let command = || self.gpu.device.create_command_encoder(&Default::default());
        let (before, _) = split(&self.parts, self.plan.phase(Phase::Backward).end);
        let mut encoder = command();
        let mut begun = false;
        let mut done = 0;
        for i in 0..rows.len() {
            // Behind the last part of a batch the parameters move.
            let last = (i + 1).is_multiple_of(self.options.accumulate);
            // With an exchange all but the end of the last row is done.
            if self.exchange.is_some() && !last {
                continue;
            }
            if i > 0 && i % STEPS_AT_ONCE == 0 && self.exchange.is_none() {
                let full = std::mem::replace(&mut encoder, command());
                self.gpu.queue.submit([full.finish()]);
                self.plan
                    .set_steps(&self.gpu, &rows[i..rows.len().min(i + STEPS_AT_ONCE)])?;
            }
            for part in if last { &parts } else { &before } {
                if begun && self.parts.len() > 1 {
                    let full = std::mem::replace(&mut encoder, command());
                    self.gpu.queue.submit([full.finish()]);
                }
                begun = true;
                self.plan
                    .encode_part(&mut encoder, part.clone(), i % STEPS_AT_ONCE);
            }
            if last {
                readback.copy(&mut encoder, &slot, done, self.plan.scalars());
                done += 1;
            }
        }
        let submission = self.gpu.queue.submit([encoder.finish()]);
        if !self.options.schedule.is_constant() {
            let rates = (first..first + count).map(|step| self.lr_of(step));
            let rates: Vec<f32> = rates.collect();
            self.rates.extend(rates);
        }
        self.step += count;
        self.reports
            .readback
            .submitted(first, count as usize, slot, submission);
        Ok(())
    }

    /// What the device is told for the steps `steps` (from 1): of each part of each batch.
    fn rows(&self, steps: Range<u32>) -> Vec<StepValues> {
        let parts = self.options.accumulate;
        let of_step = |step| (0..parts).map(move |part| self.values_of_part(step, part));
        steps.flat_map(of_step).collect()
    }

    /// With an exchange: submits the step up to its gradients and has them exchanged. Returns the stretches that are
    /// still to be submitted.
    async fn exchange_gradients(&mut self, rows: &[StepValues]) -> Result<Vec<Range<usize>>> {
        if self.exchange.is_none() {
            return Ok(self.parts.clone());
        }
        let (before, after) = split(&self.parts, self.plan.phase(Phase::Backward).end);
        for rows in rows.chunks(STEPS_AT_ONCE) {
            self.plan.set_steps(&self.gpu, rows)?;
            for i in 0..rows.len() {
                for part in &before {
                    let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
                    self.plan.encode_part(&mut encoder, part.clone(), i);
                    self.gpu.queue.submit([encoder.finish()]);
                }
            }
        }
        let tensors = self.plan.exchanged(&self.store)?;
        if let Some(exchange) = &mut self.exchange {
            exchange.exchange(&self.gpu, &tensors).await?;
        }
        Ok(after)
    }

    /// The metrics of the oldest step that has arrived.
    fn report(&mut self) -> Result<Option<StepMetrics>> {
        let Some((step, values)) = self.reports.pop() else {
            return Ok(None);
        };
        let report = self.scalars.report(step, &values);
        if report.lost.is_some() || report.bad_vectors > 0 {
            let value = report.lost.unwrap_or(report.metrics.rec_loss);
            // A step's loss is that of the parameters before it.
            let moves = (step - 1).saturating_sub(self.began);
            return Err(self.diverged("the loss", step, moves, value, report.bad_vectors));
        }
        let mut metrics = report.metrics;
        metrics.lr = self.rates.pop_front();
        Ok(Some(metrics))
    }
}

/// What of `parts` lies before dispatch `at`, and what from there on.
fn split(parts: &[Range<usize>], at: usize) -> (Vec<Range<usize>>, Vec<Range<usize>>) {
    let before = parts.iter().map(|p| p.start..p.end.min(at));
    let after = parts.iter().map(|p| p.start.max(at)..p.end);
    let some = |p: &Range<usize>| !p.is_empty();
    (before.filter(some).collect(), after.filter(some).collect())
}
