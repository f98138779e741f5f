//! What the host writes into a plan's tensors and reads of them.

use super::Gpu;
use super::place::Place;
use super::plan::Plan;
use super::readback::{Stretch, read_buffer, read_stretches};
use super::recording::{Storage, Var};
use crate::error::{Error, Result};

impl Plan {
    /// The place of scalar `var` in that buffer, in words.
    ///
    /// # Errors
    /// [`Error::Gpu`] when it is none of this plan.
    pub(crate) fn scalar_word(&self, var: Var) -> Result<usize> {
        let (buffer, offset) = self.location(var)?;
        if buffer != &*self.scalars {
            return Err(Error::Gpu {
                place: self.tensors[var.0].name.clone(),
                message: "the tensor is no scalar of the plan".into(),
            });
        }
        Ok(offset as usize / 4)
    }

    pub(super) fn place(&self, var: Var) -> Result<&Place> {
        self.places[var.0].as_ref().ok_or_else(|| Error::Gpu {
            place: self.tensors[var.0].name.clone(),
            message: "the tensor is not part of the plan".into(),
        })
    }

    /// Buffer and byte offset of `var`.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the plan does not use it.
    pub fn location(&self, var: Var) -> Result<(&wgpu::Buffer, u64)> {
        let place = self.place(var)?;
        Ok((&place.buffer, place.offset))
    }

    /// Writes an input; values as f32, u32 or i32.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the length differs from the tensor's.
    pub fn write<T: bytemuck::NoUninit>(&self, gpu: &Gpu, var: Var, values: &[T]) -> Result<()> {
        let place = self.place(var)?;
        let bytes: &[u8] = bytemuck::cast_slice(values);
        if bytes.len() as u64 != place.bytes {
            let tensor = &self.tensors[var.0];
            return Err(Error::Gpu {
                place: tensor.name.clone(),
                message: format!("{} bytes written to shape {:?}", bytes.len(), tensor.shape),
            });
        }
        gpu.queue.write_buffer(&place.buffer, place.offset, bytes);
        Ok(())
    }

    /// Reads a kept tensor, or one of an arena, as f32.
    ///
    /// # Errors
    /// As [`Self::read_many`].
    pub async fn read(&self, gpu: &Gpu, var: Var) -> Result<Vec<f32>> {
        let words = self.read_u32(gpu, var).await?;
        Ok(words.into_iter().map(f32::from_bits).collect())
    }

    /// Reads a kept tensor of integers, such as codes.
    ///
    /// # Errors
    /// As [`Self::read_many`].
    pub async fn read_u32(&self, gpu: &Gpu, var: Var) -> Result<Vec<u32>> {
        let mut all = self.read_many(gpu, &[var]).await?;
        Ok(all.pop().unwrap_or_default())
    }

    /// Reads several kept tensors at once, as words: one wait for all of them.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the device fails, or when a tensor is not kept: its memory may hold another one's
    /// values.
    pub async fn read_many(&self, gpu: &Gpu, vars: &[Var]) -> Result<Vec<Vec<u32>>> {
        let stretch = |var: &Var| {
            let place = self.place(*var)?;
            let tensor = &self.tensors[var.0];
            let base = match tensor.storage {
                Storage::View(base) => &self.tensors[base.0],
                _ => tensor,
            };
            let reused = matches!(base.storage, Storage::Activation { kept: false });
            if reused && self.guard == 0 {
                return Err(Error::Gpu {
                    place: tensor.name.clone(),
                    message: "the tensor is read, but was not kept".into(),
                });
            }
            Ok(Stretch {
                buffer: &place.buffer,
                offset: place.offset,
                size: place.bytes,
            })
        };
        let stretches = vars.iter().map(stretch).collect::<Result<Vec<_>>>()?;
        read_stretches(gpu, &stretches).await
    }

    /// In a guarded plan: whether nothing was written behind any activation or scalar.
    ///
    /// # Errors
    /// [`Error::Gpu`] names the tensor behind which something was written.
    pub async fn check_guards(&self, gpu: &Gpu) -> Result<()> {
        for (tensor, place) in self.tensors.iter().zip(&self.places) {
            let (Storage::Activation { .. } | Storage::Scalar(_), Some(place)) =
                (&tensor.storage, place)
            else {
                continue;
            };
            let words =
                read_buffer(gpu, &place.buffer, place.offset + place.bytes, self.guard).await?;
            if words.iter().any(|w| *w != place.poison) {
                return Err(Error::Gpu {
                    place: tensor.name.clone(),
                    message: "something was written behind its end".into(),
                });
            }
        }
        Ok(())
    }
}
