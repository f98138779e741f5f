//! The bytes of the batches to come, read ahead of the steps that take them.
//!
//! Natively a thread of its own reads, as far ahead as its queue is long, so that a step finds its images ready; in a
//! browser each batch is read when it is asked for. The bytes are the same: which images a step takes is a function of
//! seed and step.

use std::sync::Arc;

use crate::data::Dataset;
use crate::error::Result;
use crate::rng::Stream;

/// Reads the batch of any step.
#[derive(Debug, Clone)]
struct Batches {
    data: Arc<Dataset>,
    seed: u64,
    /// Images of a step.
    batch: usize,
    /// The order of the epoch's images, and the epoch.
    order: Vec<u32>,
    epoch: Option<u32>,
}

impl Batches {
    fn new(data: Arc<Dataset>, seed: u64, batch: usize) -> Self {
        Self {
            data,
            seed,
            batch,
            order: Vec::new(),
            epoch: None,
        }
    }

    /// Fills `out` with the images of `step` (from 0).
    fn read(&mut self, step: u32, out: &mut Vec<u8>) -> Result<()> {
        let train = &self.data.train;
        let steps = (train.len() / self.batch) as u32;
        let epoch = step / steps;
        if self.epoch != Some(epoch) {
            self.order = order(self.seed, epoch, train.len());
            self.epoch = Some(epoch);
        }
        let first = (step % steps) as usize * self.batch;
        out.resize(self.batch * train.stride(), 0);
        train.read(&self.order[first..first + self.batch], out)
    }
}

/// The order in which an epoch takes `count` images.
pub(super) fn order(seed: u64, epoch: u32, count: usize) -> Vec<u32> {
    Stream::new(seed, epoch).permutation(count as u32)
}

#[cfg(target_arch = "wasm32")]
pub(super) use here::Reader;
#[cfg(not(target_arch = "wasm32"))]
pub(super) use thread::Reader;

#[cfg(target_arch = "wasm32")]
mod here {
    use super::{Arc, Batches, Dataset, Result};

    /// Reads each batch when it is asked for.
    #[derive(Debug, Clone, Default)]
    pub(in crate::train) struct Reader {
        batches: Option<Batches>,
        buffer: Vec<u8>,
    }

    impl Reader {
        /// The bytes of the images of `step` (from 0).
        ///
        /// # Errors
        /// Those of [`crate::data::Source::read`].
        pub fn take(
            &mut self,
            data: &Arc<Dataset>,
            seed: u64,
            batch: usize,
            step: u32,
        ) -> Result<Vec<u8>> {
            let new = || Batches::new(Arc::clone(data), seed, batch);
            let mut bytes = std::mem::take(&mut self.buffer);
            self.batches
                .get_or_insert_with(new)
                .read(step, &mut bytes)?;
            Ok(bytes)
        }

        /// Takes back what [`Self::take`] gave, to be used again.
        pub fn give_back(&mut self, bytes: Vec<u8>) {
            self.buffer = bytes;
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod thread {
    use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};

    use super::{Arc, Batches, Dataset, Result};
    use crate::error::Error;
    use crate::gpu::STEPS_AT_ONCE;

    /// Bytes that are read ahead at most, but for a batch that is larger.
    const AHEAD: usize = 64 << 20;

    /// What a thread has read, in the order of the steps.
    #[derive(Debug)]
    struct Thread {
        /// The step of the next batch that comes.
        next: u32,
        batches: Receiver<Result<Vec<u8>>>,
        /// Buffers that were used.
        used: Sender<Vec<u8>>,
    }

    /// Reads batches ahead; begins anew where another step than the next is asked for. It ends with the session.
    #[derive(Debug, Default)]
    pub(in crate::train) struct Reader(Option<Thread>);

    /// A session that takes over the images of another reads them for itself.
    impl Clone for Reader {
        fn clone(&self) -> Self {
            Self(None)
        }
    }

    impl Reader {
        /// The bytes of the images of `step` (from 0).
        ///
        /// # Errors
        /// Those of [`crate::data::Source::read`], as often as the step is asked for; [`Error::Data`] when the system
        /// gives no thread.
        pub fn take(
            &mut self,
            data: &Arc<Dataset>,
            seed: u64,
            batch: usize,
            step: u32,
        ) -> Result<Vec<u8>> {
            let thread = match self.0.take().filter(|thread| thread.next == step) {
                Some(thread) => thread,
                None => start(Batches::new(Arc::clone(data), seed, batch), step)?,
            };
            let bytes = thread
                .batches
                .recv()
                .map_err(|_| refuse(data, "the thread ended"))??;
            let next = step + 1;
            self.0 = Some(Thread { next, ..thread });
            Ok(bytes)
        }

        /// Takes back what [`Self::take`] gave, to be used again.
        pub fn give_back(&mut self, bytes: Vec<u8>) {
            if let Some(thread) = &self.0 {
                // A thread that has ended needs none.
                let _ = thread.used.send(bytes);
            }
        }
    }

    fn refuse(data: &Dataset, why: &str) -> Error {
        Error::Data {
            name: data.name.clone(),
            message: format!("its images cannot be read ahead: {why}"),
        }
    }

    /// A thread that reads from `step` on until nobody takes what it reads, or it cannot read.
    fn start(mut from: Batches, step: u32) -> Result<Thread> {
        let bytes = from.batch * from.data.train.stride();
        let queue = (AHEAD / bytes.max(1)).clamp(1, 2 * STEPS_AT_ONCE);
        let (give, batches) = sync_channel(queue);
        let (used, back) = channel::<Vec<u8>>();
        let data = Arc::clone(&from.data);
        let read = move || {
            for step in step.. {
                let mut bytes = back.try_recv().unwrap_or_default();
                let read = from.read(step, &mut bytes);
                let failed = read.is_err();
                if give.send(read.map(|()| bytes)).is_err() || failed {
                    return;
                }
            }
        };
        std::thread::Builder::new()
            .name("semivq images".into())
            .spawn(read)
            .map_err(|error| refuse(&data, &error.to_string()))?;
        Ok(Thread {
            next: step,
            batches,
            used,
        })
    }
}
