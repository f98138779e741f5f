//! The images of each step on the device: all of them, or those of the steps to come, written before each.

use std::ops::Range;
use std::sync::Arc;

use super::ahead::{self, Reader};
use crate::data::Dataset;
use crate::error::Result;
use crate::gpu::{Buffer, Gpu, Recorder, STEPS_AT_ONCE, Var};
use crate::ops::gather::{Page, gather, gather_flipped};

/// Bytes of training images up to which all of them are kept on the device: what a GPU of some years ago, and a tab
/// of a browser, can spare.
pub const RESIDENT: u64 = if cfg!(target_arch = "wasm32") {
    512 << 20
} else {
    2 << 30
};

/// Bytes that are read and written at once where all images go to the device.
const CHUNK: usize = 8 << 20;

/// Where the training images are during training. What is trained is the same, bit for bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Feeding {
    /// On the device up to [`RESIDENT`] bytes, otherwise streamed.
    #[default]
    Auto,
    /// On the device, in as many buffers as a binding's greatest size asks for.
    Resident,
    /// In their source, from which those of each step are read and written to the device before it.
    Streamed,
}

/// Training images on a device.
#[derive(Debug, Clone)]
pub(super) struct Feed {
    data: Arc<Dataset>,
    /// Images of a step.
    batch: usize,
    /// Parts of a step that pass one after the other.
    parts: usize,
    way: Way,
    /// Which of the images on the device the places of a batch take.
    order: Buffer,
    /// The epoch of the order, where all images are on the device.
    epoch: Option<u32>,
}

#[derive(Debug, Clone)]
enum Way {
    Resident {
        /// Images of the data set, and the buffer that holds them.
        pages: Vec<(Range<usize>, Buffer)>,
    },
    Streamed {
        /// As many batches as steps may be in a submission, taken as they lie.
        images: Buffer,
        /// How many that are: as fit a binding, up to [`STEPS_AT_ONCE`].
        batches: usize,
        /// Reads them.
        reader: Reader,
    },
}

/// The images of each page of `count` images of `stride` bytes, of which `allowed` bytes fit in one.
fn pages(count: usize, stride: usize, allowed: u64) -> Vec<Range<usize>> {
    let each = (usize::try_from(allowed).unwrap_or(usize::MAX) / stride).max(1);
    let starts = (0..count).step_by(each);
    starts.map(|first| first..count.min(first + each)).collect()
}

/// Writes `bytes` at byte `offset`, a multiple of four, padded to whole words.
fn write(gpu: &Gpu, buffer: &wgpu::Buffer, offset: usize, bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    gpu.queue.write_buffer(buffer, offset as u64, bytes);
}

impl Feed {
    /// Makes room for the training images of `data`, of which a step takes `batch`; where all are to be on the
    /// device they are read and written to it.
    ///
    /// # Errors
    /// [`crate::Error::Limit`] when an image, the images of a step, or the order of all is larger than the device
    /// binds; those of [`crate::data::Source::read`].
    pub fn new(gpu: &Gpu, data: Arc<Dataset>, batch: usize, feeding: Feeding) -> Result<Self> {
        let (count, stride) = (data.train.len(), data.train.stride());
        let allowed = gpu.limits().max_storage_buffer_binding_size;
        let resident = match feeding {
            Feeding::Auto => {
                let (images, order) = (count as u64 * stride as u64, 4 * count as u64);
                images <= RESIDENT && order <= allowed
            }
            Feeding::Resident => true,
            Feeding::Streamed => false,
        };
        let label = format!("the training images of `{}`", data.name);
        let order = |count| gpu.zeros("the order of the images", count);
        let (order, way) = if resident {
            let pages = pages(count, stride, allowed)
                .into_iter()
                .map(|page| {
                    let buffer = gpu.zeros(&label, (page.len() * stride).div_ceil(4))?;
                    fill(gpu, &data, page.clone(), &buffer)?;
                    Ok((page, buffer))
                })
                .collect::<Result<_>>()?;
            (order(count)?, Way::Resident { pages })
        } else {
            let fit = usize::try_from(allowed).unwrap_or(usize::MAX) / (batch * stride).max(1);
            let batches = fit.clamp(1, STEPS_AT_ONCE);
            let held = batches * batch;
            let order = order(held)?;
            let places: Vec<u32> = (0..held as u32).collect();
            gpu.queue
                .write_buffer(&order, 0, bytemuck::cast_slice(&places));
            let way = Way::Streamed {
                images: gpu.zeros(&label, (held * stride).div_ceil(4))?,
                batches,
                reader: Reader::default(),
            };
            (order, way)
        };
        Ok(Self {
            data,
            batch,
            parts: 1,
            way,
            order,
            epoch: None,
        })
    }

    /// The same with `parts` parts a step, a number that divides its images.
    pub fn in_parts(self, parts: usize) -> Self {
        Self { parts, ..self }
    }

    /// The data set.
    pub fn data(&self) -> &Dataset {
        &self.data
    }

    /// Whether images are streamed.
    pub fn streams(&self) -> bool {
        matches!(self.way, Way::Streamed { .. })
    }

    /// Steps of an epoch.
    pub fn epoch_steps(&self) -> u32 {
        (self.data.train.len() / self.batch) as u32
    }

    /// Records a part of the batch of a step, `[batch / parts, C, H, W]` with pixels in `range`; with `flip` half of
    /// the images are flipped left to right, others in each step.
    ///
    /// # Errors
    /// [`crate::ShapeError`] when an image is not a multiple of four bytes.
    pub fn record(&self, rec: &mut Recorder<'_>, range: (f32, f32), flip: bool) -> Result<Var> {
        self.record_images(rec, range, flip, self.batch / self.parts)
    }

    /// Records the whole batch of a step.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub fn record_whole(
        &self,
        rec: &mut Recorder<'_>,
        range: (f32, f32),
        flip: bool,
    ) -> Result<Var> {
        self.record_images(rec, range, flip, self.batch)
    }

    fn record_images(
        &self,
        rec: &mut Recorder<'_>,
        range: (f32, f32),
        flip: bool,
        images: usize,
    ) -> Result<Var> {
        let [c, h, w] = self.data.shape();
        let words = |images: usize| [images * self.data.train.stride() / 4];
        let (held, pages) = match &self.way {
            Way::Resident { pages } => {
                let page = |(page, buffer): &(Range<usize>, _)| Page {
                    images: rec.external("data set", &words(page.len()), buffer),
                    first: page.start,
                    count: page.len(),
                };
                (self.data.train.len(), pages.iter().map(page).collect())
            }
            Way::Streamed {
                images, batches, ..
            } => {
                let held = batches * self.batch;
                let page = Page {
                    images: rec.external("data set", &words(held), images),
                    first: 0,
                    count: held,
                };
                (held, vec![page])
            }
        };
        let order = rec.external("order", &[held], &self.order);
        let record = if flip { gather_flipped } else { gather };
        record(rec, &pages, order, &[images, c, h, w], range)
    }

    /// Puts what the steps `steps` (from 0, of one epoch, and at most [`Self::together`]) need on the device, behind
    /// everything that was submitted.
    ///
    /// # Errors
    /// Those of [`crate::data::Source::read`].
    pub fn prepare(&mut self, gpu: &Gpu, seed: u64, steps: Range<u32>) -> Result<()> {
        let epoch = steps.start / self.epoch_steps();
        let stride = self.data.train.stride();
        let starts = steps.clone().map(|step| self.batch_start(step, 0) as usize);
        let starts: Vec<usize> = starts.collect();
        match &mut self.way {
            Way::Resident { .. } if self.epoch == Some(epoch) => {}
            Way::Resident { .. } => {
                let all = ahead::order(seed, epoch, self.data.train.len());
                let words = bytemuck::cast_slice(&all);
                gpu.queue.write_buffer(&self.order, 0, words);
                self.epoch = Some(epoch);
            }
            Way::Streamed { images, reader, .. } => {
                for (step, start) in steps.zip(starts) {
                    let mut bytes = reader.take(&self.data, seed, self.batch, step)?;
                    write(gpu, images, start * stride, &mut bytes);
                    reader.give_back(bytes);
                }
            }
        }
        Ok(())
    }

    /// Steps that can be in a submission.
    pub fn together(&self) -> usize {
        match self.way {
            Way::Resident { .. } => STEPS_AT_ONCE,
            Way::Streamed { batches, .. } => batches,
        }
    }

    /// Where in the order on the device part `part` of the batch of `step` begins, both from 0.
    pub fn batch_start(&self, step: u32, part: usize) -> u32 {
        let batches = match self.way {
            Way::Resident { .. } => self.epoch_steps(),
            Way::Streamed { batches, .. } => batches as u32,
        };
        step % batches * self.batch as u32 + (part * self.batch / self.parts) as u32
    }

    /// The place in the epoch of the first image of a part of `step` (both from 0).
    pub fn epoch_start(&self, step: u32, part: usize) -> u32 {
        step % self.epoch_steps() * self.batch as u32 + (part * self.batch / self.parts) as u32
    }
}

/// Reads the images of `page` and writes them to `buffer`.
fn fill(gpu: &Gpu, data: &Dataset, page: Range<usize>, buffer: &wgpu::Buffer) -> Result<()> {
    let stride = data.train.stride();
    // A multiple of four images is one of four bytes.
    let each = (CHUNK / stride).max(1).next_multiple_of(4);
    for first in page.clone().step_by(each) {
        let images = first..page.end.min(first + each);
        let offset = (first - page.start) * stride;
        write(gpu, buffer, offset, &mut data.train.read_range(images)?);
        // So that what was written so far need not lie in memory a second time until the first step.
        gpu.queue.submit([]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::pages;

    #[test]
    fn pages_hold_every_image_once_and_fit() {
        for (count, stride, allowed, expected) in [
            (240_000, 28 * 28, 128 << 20, 2),
            (171_196, 28 * 28, 128 << 20, 1),
            (171_197, 28 * 28, 128 << 20, 2),
            (50_000, 3 * 32 * 32, 128 << 20, 2),
            (10, 7, 29, 3),
            (3, 100, 10, 3),
        ] {
            let pages = pages(count, stride, allowed);
            assert_eq!(pages.len(), expected, "{count} of {stride} in {allowed}");
            let mut next = 0;
            for page in &pages {
                assert_eq!(page.start, next);
                assert!(page.len() == 1 || (page.len() * stride) as u64 <= allowed);
                next = page.end;
            }
            assert_eq!(next, count);
        }
    }
}
