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

/// Reads `size` bytes of `buffer` as words, after all that was submitted.
pub(super) async fn read_buffer(
    gpu: &Gpu,
    buffer: &wgpu::Buffer,
    offset: u64,
    size: u64,
) -> Result<Vec<u32>> {
    let staging = staging_buffer(gpu, size);
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    encoder.copy_buffer_to_buffer(buffer, offset, &staging, 0, size);
    gpu.queue.submit([encoder.finish()]);
    let mapped = map(&staging);
    take(gpu, &staging, mapped, None).await
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
