//! The images of each step: the training images in buffers on the device, and their order.

use std::ops::Range;
use std::sync::Arc;

use crate::data::Dataset;
use crate::error::Result;
use crate::gpu::{Gpu, Recorder, Var};
use crate::ops::gather::{Page, gather};
use crate::rng::Stream;

/// Training images on a device, as many buffers as a binding's greatest size asks for.
#[derive(Debug, Clone)]
pub(super) struct Feed {
    data: Arc<Dataset>,
    /// Images of the data set, and the buffer that holds them.
    pages: Vec<(Range<usize>, wgpu::Buffer)>,
    order: wgpu::Buffer,
    /// The epoch whose order is on the device.
    epoch: Option<u32>,
}

/// The images of each page of `count` images of `stride` bytes, of which `allowed` bytes fit in one.
fn pages(count: usize, stride: usize, allowed: u64) -> Vec<Range<usize>> {
    let each = (usize::try_from(allowed).unwrap_or(usize::MAX) / stride).max(1);
    let starts = (0..count).step_by(each);
    starts.map(|first| first..count.min(first + each)).collect()
}

impl Feed {
    /// Writes the training images of `data` to the device.
    ///
    /// # Errors
    /// [`crate::Error::Limit`] when an image, or the order of all, is larger than the device binds.
    pub fn new(gpu: &Gpu, data: Arc<Dataset>) -> Result<Self> {
        let images = &data.train;
        let label = format!("the training images of `{}`", data.name);
        let allowed = gpu.limits().max_storage_buffer_binding_size;
        let pages = pages(images.len(), images.stride(), allowed)
            .into_iter()
            .map(|page| {
                let buffer = gpu.storage(&label, images.range(page.start, page.end))?;
                Ok((page, buffer))
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            order: gpu.zeros("the order of the images", images.len())?,
            pages,
            epoch: None,
            data,
        })
    }

    /// The data set.
    pub fn data(&self) -> &Dataset {
        &self.data
    }

    /// Records the batch of a step, `[batch, C, H, W]` with pixels in `range`.
    ///
    /// # Errors
    /// [`crate::ShapeError`] when an image is not a multiple of four bytes.
    pub fn record(&self, rec: &mut Recorder<'_>, batch: usize, range: (f32, f32)) -> Result<Var> {
        let [c, h, w] = self.data.train.shape;
        let stride = self.data.train.stride();
        let order = rec.external("order", &[self.data.train.len()], &self.order);
        let pages: Vec<_> = self
            .pages
            .iter()
            .map(|(page, buffer)| Page {
                images: rec.external("data set", &[page.len() * stride / 4], buffer),
                first: page.start,
                count: page.len(),
            })
            .collect();
        gather(rec, &pages, order, &[batch, c, h, w], range)
    }

    /// Writes the order of the images of `epoch`, unless it is there already.
    pub fn order_epoch(&mut self, gpu: &Gpu, seed: u64, epoch: u32) {
        if self.epoch != Some(epoch) {
            let order = Stream::new(seed, epoch).permutation(self.data.train.len() as u32);
            gpu.queue
                .write_buffer(&self.order, 0, bytemuck::cast_slice(&order));
            self.epoch = Some(epoch);
        }
    }
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
