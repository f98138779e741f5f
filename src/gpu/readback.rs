//! From the device to the host: single reads, and a ring of small ones that nobody waits for.

use std::collections::VecDeque;

use futures_channel::oneshot;

use super::Gpu;
use super::buffer::Buffer;
use crate::error::{Error, Result};

fn staging_buffer(gpu: &Gpu, size: u64) -> Buffer {
    let usage = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ;
    gpu.buffer("staging", size, usage)
}

/// The first `size` bytes of a buffer, asked for.
#[derive(Debug)]
struct Mapping {
    buffer: Buffer,
    size: u64,
    done: oneshot::Receiver<Result<(), wgpu::BufferAsyncError>>,
}

fn map(buffer: &Buffer, size: u64) -> Mapping {
    let (sender, done) = oneshot::channel();
    buffer.map_async(wgpu::MapMode::Read, ..size, move |result| {
        // The receiver may be gone by now; nothing is lost then.
        let _ = sender.send(result);
    });
    Mapping {
        buffer: buffer.clone(),
        size,
        done,
    }
}

impl Mapping {
    /// The words, waited for.
    async fn take(self, gpu: &Gpu, submission: Option<wgpu::SubmissionIndex>) -> Result<Vec<u32>> {
        let failed = |message: String| match gpu.lost() {
            Some(reason) => Error::DeviceLost(reason),
            None => Error::Gpu {
                place: "reading back".into(),
                message,
            },
        };
        match gpu.drive(self.done, submission).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Err(_) => return Err(failed("the device was lost".into())),
        }
        let words = match self.buffer.get_mapped_range(..self.size) {
            Ok(view) => bytemuck::pod_collect_to_vec(&view[..]),
            Err(error) => return Err(failed(error.to_string())),
        };
        self.buffer.unmap();
        gpu.check("reading back")?;
        Ok(words)
    }
}

/// A stretch of a buffer, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch<'b> {
    pub(super) buffer: &'b wgpu::Buffer,
    pub(super) offset: u64,
    pub(super) size: u64,
}

/// Reads stretches as words, after all that was submitted: one staging buffer and one map for all of them,
/// as long as they fit one buffer.
pub(super) async fn read_stretches(gpu: &Gpu, stretches: &[Stretch<'_>]) -> Result<Vec<Vec<u32>>> {
    let allowed = gpu.limits().max_buffer_size;
    let mut all = Vec::new();
    let mut rest = stretches;
    while !rest.is_empty() {
        let mut size = 0;
        let fits = |s: &&Stretch<'_>| {
            size += s.size;
            size <= allowed
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let (now, later) = rest.split_at(count);
        let staging = staging_buffer(gpu, now.iter().map(|s| s.size).sum());
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let mut to = 0;
        for s in now {
            encoder.copy_buffer_to_buffer(s.buffer, s.offset, &staging, to, s.size);
            to += s.size;
        }
        gpu.queue.submit([encoder.finish()]);
        let words = map(&staging, staging.size()).take(gpu, None).await?;
        let mut words = words.as_slice();
        for s in now {
            let (own, others) = words.split_at(s.size as usize / 4);
            all.push(own.to_vec());
            words = others;
        }
        rest = later;
    }
    Ok(all)
}

/// Reads `size` bytes of `buffer` as words, after all that was submitted.
pub(super) async fn read_buffer(
    gpu: &Gpu,
    buffer: &wgpu::Buffer,
    offset: u64,
    size: u64,
) -> Result<Vec<u32>> {
    let stretch = Stretch {
        buffer,
        offset,
        size,
    };
    let mut all = read_stretches(gpu, &[stretch]).await?;
    Ok(all.pop().unwrap_or_default())
}

/// One slot of a [`Readback`] ring.
#[derive(Debug)]
pub struct Staging {
    buffer: Buffer,
}

#[derive(Debug)]
struct Flight {
    tag: u32,
    staging: Staging,
    mapping: Mapping,
    submission: wgpu::SubmissionIndex,
}

/// A ring of staging buffers for the scalars of a few steps each. The slots in flight are the brake too: a
/// submission needs a free one, so the host is never more than their number ahead of the device.
#[derive(Debug)]
pub struct Readback {
    free: Vec<Staging>,
    flying: VecDeque<Flight>,
    /// Bytes of a step.
    row: u64,
}

impl Readback {
    /// `slots` buffers for `rows` steps each, of which one has all of `scalars`.
    #[must_use]
    pub fn new(gpu: &Gpu, slots: usize, rows: usize, scalars: &wgpu::Buffer) -> Self {
        let row = scalars.size();
        let free = (0..slots).map(|_| Staging {
            buffer: staging_buffer(gpu, rows as u64 * row),
        });
        Self {
            free: free.collect(),
            flying: VecDeque::new(),
            row,
        }
    }

    /// Whether no slot is free: [`Self::next`] must come first.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    /// A free slot. It comes back through [`Self::submitted`] and [`Self::next`] only.
    pub fn slot(&mut self) -> Option<Staging> {
        self.free.pop()
    }

    /// Adds the copy of `scalars` into `slot`, as its step `row`, to the commands of that step.
    pub fn copy(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        slot: &Staging,
        row: usize,
        scalars: &wgpu::Buffer,
    ) {
        let to = row as u64 * self.row;
        encoder.copy_buffer_to_buffer(scalars, 0, &slot.buffer, to, self.row);
    }

    /// The commands of `rows` steps were submitted: from now on the slot is in flight under `tag`.
    pub fn submitted(
        &mut self,
        tag: u32,
        rows: usize,
        slot: Staging,
        submission: wgpu::SubmissionIndex,
    ) {
        let mapping = map(&slot.buffer, rows as u64 * self.row);
        self.flying.push_back(Flight {
            tag,
            staging: slot,
            mapping,
            submission,
        });
    }

    /// The oldest slot in flight, waited for: its tag, and the words of each of its steps. `None` when none
    /// flies.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the device failed meanwhile.
    pub async fn next(&mut self, gpu: &Gpu) -> Result<Option<(u32, Vec<Vec<u32>>)>> {
        let Some(flight) = self.flying.pop_front() else {
            return Ok(None);
        };
        let words = flight.mapping.take(gpu, Some(flight.submission)).await;
        // Free in any case: the next error shall tell its own reason, not that slots are missing.
        self.free.push(flight.staging);
        let words = words?;
        let rows = words.chunks_exact(self.row as usize / 4);
        Ok(Some((flight.tag, rows.map(<[u32]>::to_vec).collect())))
    }
}
