//! Placing activations: two tensors share memory when their lifetimes do not meet.

use super::recording::{Recording, Storage};

/// The slot of every activation, and the size of every slot in bytes.
#[derive(Debug, Default)]
pub(super) struct Placement {
    pub(super) slot_of: Vec<Option<usize>>,
    pub(super) slots: Vec<Slot>,
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) bytes: u64,
    /// The tensor that made it this large, for error messages.
    pub(super) largest: usize,
}

impl Recording {
    /// Bytes of all activations together, after sharing.
    #[must_use]
    pub fn activation_bytes(&self) -> u64 {
        Placement::new(self, true).bytes()
    }
}

impl Placement {
    /// Places all activations of `recording`; with `share` false each gets memory of its own.
    pub(super) fn new(recording: &Recording, share: bool) -> Self {
        let count = recording.tensors.len();
        let mut first = vec![usize::MAX; count];
        let mut last = vec![0; count];
        for (at, dispatch) in recording.dispatches.iter().enumerate() {
            for var in &dispatch.tensors {
                first[var.0] = first[var.0].min(at);
                last[var.0] = last[var.0].max(at);
            }
        }
        let mut placement = Self {
            slot_of: vec![None; count],
            slots: Vec::new(),
        };
        let mut movable = Vec::new();
        for (i, tensor) in recording.tensors.iter().enumerate() {
            match tensor.storage {
                Storage::Activation { kept: false } if first[i] == usize::MAX => {}
                Storage::Activation { kept: false } if share => movable.push(i),
                Storage::Activation { .. } => {
                    placement.slot_of[i] = Some(placement.slots.len());
                    placement.slots.push(Slot {
                        bytes: 4 * tensor.len() as u64,
                        largest: i,
                    });
                }
                _ => {}
            }
        }
        movable.sort_by_key(|i| first[*i]);
        let mut busy: Vec<(usize, usize)> = Vec::new(); // (last use, slot)
        let mut free: Vec<usize> = Vec::new();
        for i in movable {
            busy.retain(|(end, slot)| {
                let over = *end < first[i];
                if over {
                    free.push(*slot);
                }
                !over
            });
            let bytes = 4 * recording.tensors[i].len() as u64;
            let slot = placement.best(&free, bytes).unwrap_or_else(|| {
                placement.slots.push(Slot { bytes, largest: i });
                placement.slots.len() - 1
            });
            free.retain(|s| *s != slot);
            if placement.slots[slot].bytes < bytes {
                placement.slots[slot] = Slot { bytes, largest: i };
            }
            placement.slot_of[i] = Some(slot);
            busy.push((last[i], slot));
        }
        placement
    }

    /// Bytes of all slots.
    pub(super) fn bytes(&self) -> u64 {
        self.slots.iter().map(|s| s.bytes).sum()
    }

    /// The free slot that fits best: the smallest that is large enough, else the largest (it
    /// grows).
    fn best(&self, free: &[usize], bytes: u64) -> Option<usize> {
        let size = |s: &usize| self.slots[*s].bytes;
        let fitting = free
            .iter()
            .copied()
            .filter(|s| size(s) >= bytes)
            .min_by_key(|s| size(s));
        fitting.or_else(|| free.iter().copied().max_by_key(|s| size(s)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::accumulate::add_assign;
    use crate::gpu::{ParameterLayout, Recorder};

    #[test]
    fn a_chain_needs_two_slots_and_its_kept_ends() {
        let mut layout = ParameterLayout::default();
        let mut rec = Recorder::new(&mut layout, false);
        let x = rec.input("x", &[10]);
        let mut v = x;
        for _ in 0..6 {
            let next = rec.temporary("next", &[10]);
            add_assign(&mut rec, next, v);
            v = next;
        }
        rec.keep(v);
        let placement = Placement::new(&rec.finish(), true);
        assert_eq!(placement.slots.len(), 4);
        assert!(placement.slots.iter().all(|s| s.bytes == 40));
    }
}
