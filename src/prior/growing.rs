//! Drawing: sequences that grow by the code of a position a step.

use super::sampler::{Sampling, draw};
use super::training::{Prior, Tokens};
use super::transformer::Transformer;
use crate::error::Result;
use crate::gpu::{BuildOptions, Plan, Recorder, STEPS_AT_ONCE, Var};

/// Sequences that are drawn at once.
const TOGETHER: usize = 64;

impl Prior {
    /// Draws the tokens of `count` images. The same seed draws the same, and the first of them whatever the count.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] when the device fails; [`crate::Error::Limit`] when what is remembered is too large for it.
    pub async fn sample(&self, count: usize, how: Sampling) -> Result<Tokens> {
        let length = self.sequences.length();
        let together = TOGETHER.min(count.max(1));
        let growing = Growing::new(self, together)?;
        let mut values = Vec::new();
        for first in (0..count).step_by(together) {
            let drawn = growing.draw(self, first, how).await?;
            let own = together.min(count - first) * length;
            values.extend_from_slice(&drawn[..own]);
        }
        Ok(Tokens::new(length, values))
    }
}

/// A plan that draws the next code of each sequence.
struct Growing {
    plan: Plan,
    last: Var,
    codes: Var,
    count: usize,
}

impl Growing {
    fn new(prior: &Prior, count: usize) -> Result<Self> {
        let Prior {
            gpu,
            options,
            sequences,
            store,
            ..
        } = prior;
        let mut layout = store.layout().clone();
        let mut rec = Recorder::new(&mut layout, false).tuned_for(gpu);
        let last = rec.input("last codes", &[count]);
        let codes = rec.input("codes", &[count, sequences.length()]);
        let ranges = rec.input("ranges", &[sequences.length(), 2]);
        let net = Transformer::new(options, sequences, count);
        let logits = net.record_last(&mut rec, last)?;
        draw(&mut rec, logits, ranges, last, codes);
        let plan = rec.finish().build(gpu, store, BuildOptions::default())?;
        plan.write(gpu, ranges, &sequences.ranges())?;
        Ok(Self {
            plan,
            last,
            codes,
            count,
        })
    }

    /// Sequences of which the first is number `first` of all.
    async fn draw(&self, prior: &Prior, first: usize, how: Sampling) -> Result<Vec<u32>> {
        let gpu = &prior.gpu;
        let start = prior.sequences.tokens() as u32;
        self.plan.write(gpu, self.last, &vec![start; self.count])?;
        let positions: Vec<usize> = (0..prior.sequences.length()).collect();
        for some in positions.chunks(STEPS_AT_ONCE) {
            let values = some.iter().map(|position| how.values(*position, first));
            self.plan.set_steps(gpu, &values.collect::<Vec<_>>())?;
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            for row in 0..some.len() {
                self.plan
                    .encode_part(&mut encoder, 0..self.plan.dispatches(), row);
            }
            gpu.queue.submit([encoder.finish()]);
        }
        self.plan.read_u32(gpu, self.codes).await
    }
}
