//! From the device to the host: single reads, and a ring of small ones that nobody waits for.

use std::collections::VecDeque;

use futures_channel::oneshot;

use super::Gpu;
use crate::error::{Error, Result};

fn staging_buffer(gpu: &Gpu, size: u64) -> wgpu::Buffer {
    gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("staging"),
        size,
        usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
        mapped_at_creation: false,
    })
}

type Mapped = oneshot::Receiver<Result<(), wgpu::BufferAsyncError>>;

fn map(buffer: &wgpu::Buffer) -> Mapped {
    let (sender, receiver) = oneshot::channel();
    buffer.map_async(wgpu::MapMode::Read, .., move |result| {
        // The receiver may be gone by now; nothing is lost then.
        let _ = sender.send(result);
    });
    receiver
}

async fn take(
    gpu: &Gpu,
    buffer: &wgpu::Buffer,
    mapped: Mapped,
    submission: Option<wgpu::SubmissionIndex>,
) -> Result<Vec<u32>> {
    let failed = |message: String| match gpu.lost() {
        Some(reason) => Error::DeviceLost(reason),
        None => Error::Gpu {
            place: "reading back".into(),
            message,
        },
    };
    match gpu.drive(mapped, submission).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(failed(error.to_string())),
        Err(_) => return Err(failed("the device was lost".into())),
    }
    let words = match buffer.get_mapped_range(..) {
        Ok(view) => bytemuck::pod_collect_to_vec(&view[..]),
        Err(error) => return Err(failed(error.to_string())),
    };
    buffer.unmap();
    gpu.check("reading back")?;
    Ok(words)
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
        let mapped = map(&staging);
        let words = take(gpu, &staging, mapped, None).await?;
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
    buffer: wgpu::Buffer,
}

#[derive(Debug)]
struct Flight {
    tag: u32,
    staging: Staging,
    mapped: Mapped,
    submission: wgpu::SubmissionIndex,
}

/// A ring of staging buffers for a few scalars a step. The slots in flight are the brake too: a
/// step needs a free one, so the host is never more than their number ahead of the device.
#[derive(Debug)]
pub struct Readback {
    free: Vec<Staging>,
    flying: VecDeque<Flight>,
}

impl Readback {
    /// `slots` buffers of `scalars` values each.
    #[must_use]
    pub fn new(gpu: &Gpu, slots: usize, scalars: usize) -> Self {
        let size = 4 * scalars.max(1) as u64;
        let free = (0..slots).map(|_| Staging {
            buffer: staging_buffer(gpu, size),
        });
        Self {
            free: free.collect(),
            flying: VecDeque::new(),
        }
    }

    /// A free slot; `None` when all are in flight, and [`Self::next`] must come first.
    pub fn slot(&mut self) -> Option<Staging> {
        self.free.pop()
    }

    /// Adds the copies of `sources` (single values) into `slot` to the commands of a step.
    pub fn copy(
        encoder: &mut wgpu::CommandEncoder,
        slot: &Staging,
        sources: &[(&wgpu::Buffer, u64)],
    ) {
        for (i, (buffer, offset)) in sources.iter().enumerate() {
            encoder.copy_buffer_to_buffer(buffer, *offset, &slot.buffer, 4 * i as u64, 4);
        }
    }

    /// The commands were submitted: from now on the slot is in flight under `tag`.
    pub fn submitted(&mut self, tag: u32, slot: Staging, submission: wgpu::SubmissionIndex) {
        let mapped = map(&slot.buffer);
        self.flying.push_back(Flight {
            tag,
            staging: slot,
            mapped,
            submission,
        });
    }

    /// The oldest slot in flight, waited for: its tag and values. `None` when none flies.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the device failed meanwhile.
    pub async fn next(&mut self, gpu: &Gpu) -> Result<Option<(u32, Vec<f32>)>> {
        let Some(flight) = self.flying.pop_front() else {
            return Ok(None);
        };
        let words = take(
            gpu,
            &flight.staging.buffer,
            flight.mapped,
            Some(flight.submission),
        )
        .await?;
        self.free.push(flight.staging);
        Ok(Some((
            flight.tag,
            words.into_iter().map(f32::from_bits).collect(),
        )))
    }
}
