//! What the steps in flight report, on its way to the host.

use std::collections::VecDeque;

use super::metrics::Scalars;
use crate::error::Result;
use crate::gpu::{Gpu, Plan, Readback, STEPS_AT_ONCE};

/// Submissions that may be in flight on the device.
const SLOTS: usize = 3;

/// The scalars of the steps on their way to the host.
#[derive(Debug)]
pub(super) struct Reports {
    pub(super) readback: Readback,
    /// Where each scalar lies in the words of a step.
    words: Vec<usize>,
    /// Steps that came back together with others and were not asked for yet.
    pub(super) arrived: VecDeque<(u32, Vec<u32>)>,
}

impl Reports {
    pub(super) fn new(gpu: &Gpu, plan: &Plan, scalars: &Scalars) -> Result<Self> {
        let words = scalars.vars().map(|var| plan.scalar_word(var));
        Ok(Self {
            words: words.collect::<Result<_>>()?,
            readback: Readback::new(gpu, SLOTS, STEPS_AT_ONCE, plan.scalars()),
            arrived: VecDeque::new(),
        })
    }

    /// Waits for the oldest submission, if there is one; its steps have arrived then.
    pub(super) async fn land(&mut self, gpu: &Gpu) -> Result<()> {
        if let Some((first, rows)) = self.readback.next(gpu).await? {
            self.arrived.extend((first..).zip(rows));
        }
        Ok(())
    }

    /// The values of the oldest step that has arrived.
    pub(super) fn pop(&mut self) -> Option<(u32, Vec<f32>)> {
        let (step, row) = self.arrived.pop_front()?;
        let value = |word: &usize| f32::from_bits(row[*word]);
        Some((step, self.words.iter().map(value).collect()))
    }
}
