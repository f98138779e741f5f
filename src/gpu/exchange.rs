//! What several devices that train one model give each other in a step, between its phases.

use std::pin::Pin;

use super::Gpu;
use super::buffer::Buffer;
use super::layout::Arena;
use super::plan::Plan;
use super::readback::{Stretch, read_stretches};
use super::recording::Element;
use super::store::Store;
use crate::error::{Error, Result};

/// A tensor of a step that is to be exchanged: one stretch of a buffer.
#[derive(Debug, Clone)]
pub struct Exchanged {
    /// `gradients` for those of all parameters, in one stretch; else the name of a statistic.
    pub name: String,
    /// Its words: gradients and sums are `F32`, counts `U32`.
    pub element: Element,
    /// The buffer that it lies in.
    pub buffer: Buffer,
    /// Where it begins in it, in bytes.
    pub offset: u64,
    /// Its size in bytes.
    pub bytes: u64,
}

impl Exchanged {
    /// The words of `tensors` as the device has them now, in one copy and one wait.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the device fails.
    pub async fn read(gpu: &Gpu, tensors: &[Self]) -> Result<Vec<Vec<u32>>> {
        let stretches = tensors.iter().map(|t| Stretch {
            buffer: &t.buffer,
            offset: t.offset,
            size: t.bytes,
        });
        read_stretches(gpu, &stretches.collect::<Vec<_>>()).await
    }

    /// Puts `words` in its place.
    ///
    /// # Errors
    /// [`Error::Gpu`] when they are not as many as it holds.
    pub fn write(&self, gpu: &Gpu, words: &[u32]) -> Result<()> {
        if 4 * words.len() as u64 != self.bytes {
            return Err(Error::Gpu {
                place: self.name.clone(),
                message: format!("{} words written to {} bytes", words.len(), self.bytes),
            });
        }
        let bytes = bytemuck::cast_slice(words);
        gpu.queue.write_buffer(&self.buffer, self.offset, bytes);
        Ok(())
    }
}

/// What an [`Exchange`] comes back with.
pub type Exchanging<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// An exchange of gradients and statistics with other devices that train the same model, once a step: after
/// the backward pass, before the codebook and the optimiser move anything. The sum or the mean over all devices
/// takes the place of each tensor; what it is makes the step (a loss is a mean over the device's own batch, and
/// statistics are sums over it).
///
/// Not exchanged are running statistics of batch norms and of an affine codebook, the in-place step, which
/// moves the codebook in the forward phase by the vectors of its own batch, and the vectors that dead codes are
/// replaced with.
pub trait Exchange {
    /// Exchanges `tensors`, the same ones in the same order at each step.
    ///
    /// # Errors
    /// Whatever keeps the step from going on. It is not counted then, and nothing of its updates is done.
    fn exchange<'a>(&'a mut self, gpu: &'a Gpu, tensors: &'a [Exchanged]) -> Exchanging<'a>;
}

impl Plan {
    /// What a step exchanges: all gradients, then the statistics in the order in which they were declared.
    ///
    /// # Errors
    /// [`Error::Gpu`] names a statistic that the plan does not use.
    pub(crate) fn exchanged(&self, store: &Store) -> Result<Vec<Exchanged>> {
        let gradients = store.arena(Arena::Gradients);
        let mut all = vec![Exchanged {
            name: "gradients".into(),
            element: Element::F32,
            buffer: gradients.clone(),
            offset: 0,
            bytes: gradients.size(),
        }];
        for (var, element) in &self.statistics {
            let place = self.place(*var)?;
            all.push(Exchanged {
                name: self.tensors[var.0].name.clone(),
                element: *element,
                buffer: place.buffer.clone(),
                offset: place.offset,
                bytes: place.bytes,
            });
        }
        Ok(all)
    }
}
