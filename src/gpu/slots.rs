//! What changes from step to step: values by name, and where a plan keeps them for its kernels.
//!
//! A shader that has such values declares `struct Step` with 4-byte members and `var<uniform> step: Step` at
//! binding 15; the Rust file of its kernels names the same slots in `kernels!`. A plan lays out one block a
//! step: for each distinct list of slots a stretch, 256 bytes apart. The blocks of a few steps lie one after
//! the other, and the binding's dynamic offset says which of them a dispatch sees.

use super::Gpu;
use super::buffer::{Buffer, UNIFORM};
use super::kernel::{Kernel, Slot};
use crate::error::{Error, Result};

/// Steps whose values a plan holds at once, so that they can share a submission.
pub const STEPS_AT_ONCE: usize = 8;

/// The alignment of uniform bindings and of their dynamic offsets, in bytes.
const ALIGN: u64 = 256;

/// The value of a slot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SlotValue {
    /// An integer.
    U32(u32),
    /// A float.
    F32(f32),
}

impl SlotValue {
    fn ty(self) -> &'static str {
        match self {
            Self::U32(_) => "u32",
            Self::F32(_) => "f32",
        }
    }

    fn bytes(self) -> [u8; 4] {
        match self {
            Self::U32(value) => value.to_le_bytes(),
            Self::F32(value) => value.to_le_bytes(),
        }
    }
}

impl From<u32> for SlotValue {
    fn from(value: u32) -> Self {
        Self::U32(value)
    }
}

impl From<f32> for SlotValue {
    fn from(value: f32) -> Self {
        Self::F32(value)
    }
}

/// The values of a step by the names of their slots. Kernels of this crate name `step` (counts from 1), `lr`,
/// `bias1` and `bias2_sqrt` ([`crate::optim::Optimizer::step`]), `seed_low` and `seed_high`, `batch_start`,
/// `part`, `epoch_start`, `epoch_steps` and `sampled`; a value that no kernel names is no error.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepValues(Vec<(&'static str, SlotValue)>);

impl StepValues {
    /// The same with `value` in the slot `name`, instead of what was there before.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<SlotValue>) -> Self {
        let value = value.into();
        match self.0.iter_mut().find(|(n, _)| *n == name) {
            Some(slot) => slot.1 = value,
            None => self.0.push((name, value)),
        }
        self
    }

    /// The same with the run's seed, for the random numbers.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "the halves of a u64")]
    pub fn with_seed(self, seed: u64) -> Self {
        self.with("seed_low", seed as u32)
            .with("seed_high", (seed >> 32) as u32)
    }

    /// The value of the slot `name`, if it has one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<SlotValue> {
        let found = self.0.iter().find(|(n, _)| *n == name);
        found.map(|(_, value)| *value)
    }
}

/// A distinct list of slots of a plan, and a kernel that names it.
#[derive(Debug)]
struct List {
    slots: &'static [Slot],
    kernel: &'static Kernel,
}

/// The blocks of a plan, [`STEPS_AT_ONCE`] of them in one buffer.
#[derive(Debug)]
pub(super) struct StepBuffer {
    lists: Vec<List>,
    pub(super) buffer: Buffer,
}

impl StepBuffer {
    /// A buffer for all slots of `kernels`.
    pub(super) fn new(gpu: &Gpu, kernels: impl Iterator<Item = &'static Kernel>) -> Self {
        let mut lists: Vec<List> = Vec::new();
        for kernel in kernels.filter(|k| k.has_step()) {
            let slots = kernel.shader.step;
            if lists.iter().all(|list| list.slots != slots) {
                lists.push(List { slots, kernel });
            }
        }
        let block = ALIGN * lists.len().max(1) as u64;
        let buffer = gpu.buffer("step", STEPS_AT_ONCE as u64 * block, UNIFORM);
        Self { lists, buffer }
    }

    /// Where in a block the slots of `kernel` lie: offset and size in bytes.
    pub(super) fn stretch(&self, kernel: &Kernel) -> Option<(u64, u64)> {
        let slots = kernel.shader.step;
        let at = self.lists.iter().position(|list| list.slots == slots)?;
        Some((ALIGN * at as u64, 4 * slots.len() as u64))
    }

    /// The dynamic offset of block `row`.
    pub(super) fn offset(&self, row: usize) -> u32 {
        (row * self.block()) as u32
    }

    fn block(&self) -> usize {
        ALIGN as usize * self.lists.len()
    }

    /// Writes the values of the coming steps, the first into block 0.
    ///
    /// # Errors
    /// [`Error::Gpu`] names a slot without a value or with one of another type, and a kernel that has it.
    pub(super) fn write(&self, gpu: &Gpu, steps: &[StepValues]) -> Result<()> {
        if steps.len() > STEPS_AT_ONCE {
            return Err(Error::Gpu {
                place: "the step's values".into(),
                message: format!("{} steps at once, at most {STEPS_AT_ONCE}", steps.len()),
            });
        }
        let mut bytes = vec![0; steps.len() * self.block()];
        let stretches = bytes.chunks_exact_mut(ALIGN as usize);
        let lists = steps
            .iter()
            .flat_map(|values| self.lists.iter().map(move |list| (values, list)));
        for (stretch, (values, list)) in stretches.zip(lists) {
            for (word, slot) in stretch.chunks_exact_mut(4).zip(list.slots) {
                word.copy_from_slice(&list.value(slot, values)?.bytes());
            }
        }
        gpu.queue.write_buffer(&self.buffer, 0, &bytes);
        Ok(())
    }
}

impl List {
    fn value(&self, slot: &Slot, values: &StepValues) -> Result<SlotValue> {
        let refuse = |message: String| Error::Gpu {
            place: self.kernel.label(),
            message,
        };
        let value = values
            .get(slot.name)
            .ok_or_else(|| refuse(format!("the step gives its slot `{}` no value", slot.name)))?;
        if value.ty() != slot.ty {
            return Err(refuse(format!(
                "its slot `{}` is of type {}, the step's value of type {}",
                slot.name,
                slot.ty,
                value.ty()
            )));
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_value_takes_the_place_of_an_earlier_one() {
        let values = StepValues::default()
            .with("lr", 0.5_f32)
            .with("step", 3_u32)
            .with("lr", 0.25_f32)
            .with_seed(7 + (9 << 32));
        assert_eq!(values.get("lr"), Some(SlotValue::F32(0.25)));
        assert_eq!(values.get("step"), Some(SlotValue::U32(3)));
        assert_eq!(values.get("seed_low"), Some(SlotValue::U32(7)));
        assert_eq!(values.get("seed_high"), Some(SlotValue::U32(9)));
        assert_eq!(values.get("temperature"), None);
    }
}
