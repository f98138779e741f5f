//! Where each tensor of a plan lies: buffers for the activations, places in the arenas for the rest.

use super::Gpu;
use super::buffer::{Buffer, STORAGE};
use super::layout::Arena;
use super::memory::Placement;
use super::recording::{Recording, Storage, Tensor};
use super::store::{Store, poison};
use crate::error::{Error, Result};

/// The stretch of a buffer that is a tensor's memory.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) buffer: Buffer,
    pub(super) offset: u64,
    pub(super) bytes: u64,
    /// What the gap behind it holds, in a guarded plan.
    pub(super) poison: u32,
}

/// What the gaps between the scalars of a guarded plan hold.
const SCALAR_POISON: u32 = 0xfffe_fffe;

/// A store is made for the layout of the first recording, and a later one may not add to it.
fn held(tensor: &Tensor, range: Option<(usize, usize)>) -> Result<(usize, usize)> {
    range.ok_or_else(|| {
        Error::Config(format!(
            "`{}` {:?} was declared after the parameters were made: every recording of a model, training or \
             evaluation, must declare the same ones",
            tensor.name, tensor.shape
        ))
    })
}

fn check_limit(gpu: &Gpu, tensor: &Tensor, bytes: u64) -> Result<()> {
    let allowed = gpu.limits().max_storage_buffer_binding_size;
    if bytes <= allowed {
        return Ok(());
    }
    Err(Error::Limit {
        tensor: format!("{} {:?}", tensor.name, tensor.shape),
        bytes,
        limit: "max_storage_buffer_binding_size",
        allowed,
    })
}

/// The buffers of all slots.
pub(super) fn allocate(
    gpu: &Gpu,
    placement: &Placement,
    recording: &Recording,
    guard: u64,
) -> Result<Vec<Buffer>> {
    let mut buffers = Vec::new();
    for (i, slot) in placement.slots.iter().enumerate() {
        let tensor = &recording.tensors[slot.largest];
        check_limit(gpu, tensor, slot.bytes)?;
        let buffer = gpu.buffer(&tensor.name, slot.bytes.max(4) + guard, STORAGE);
        gpu.check(&format!("allocating {}", tensor.name))?;
        if guard > 0 {
            let words = vec![poison(i); buffer.size() as usize / 4];
            gpu.queue
                .write_buffer(&buffer, 0, bytemuck::cast_slice(&words));
        }
        buffers.push(buffer);
    }
    Ok(buffers)
}

/// The buffer of all scalars, and how far they lie apart in bytes: as far as bindings must.
pub(super) fn allocate_scalars(gpu: &Gpu, recording: &Recording, guard: u64) -> (Buffer, u64) {
    let apart = (4 + guard).next_multiple_of(256);
    let scalar = |t: &&Tensor| matches!(t.storage, Storage::Scalar(_));
    let count = recording.tensors.iter().filter(scalar).count().max(1);
    let buffer = gpu.buffer("scalars", count as u64 * apart, STORAGE);
    if guard > 0 {
        let words = vec![SCALAR_POISON; buffer.size() as usize / 4];
        gpu.queue
            .write_buffer(&buffer, 0, bytemuck::cast_slice(&words));
    }
    (buffer, apart)
}

/// Buffer, offset and size of every tensor that has memory.
pub(super) fn place_all(
    gpu: &Gpu,
    store: &Store,
    recording: &Recording,
    placement: &Placement,
    slots: &[Buffer],
    (scalars, apart): (&Buffer, u64),
    guard: u64,
) -> Result<Vec<Option<Place>>> {
    debug_assert!(
        store.layout().guard_bytes() >= guard,
        "guarded plans need a guarded layout"
    );
    let layout = store.layout();
    let in_arena = |arena: Arena, (offset, len): (usize, usize)| Place {
        buffer: store.arena(arena).clone(),
        offset: 4 * offset as u64,
        bytes: 4 * len as u64,
        poison: 0,
    };
    let mut places = Vec::new();
    for (i, tensor) in recording.tensors.iter().enumerate() {
        let place = match &tensor.storage {
            Storage::Parameter(p) => {
                let range = held(tensor, layout.parameter_range(*p))?;
                Some(in_arena(Arena::Parameters, range))
            }
            Storage::Gradient(p) => {
                let range = held(tensor, layout.parameter_range(*p))?;
                Some(in_arena(Arena::Gradients, range))
            }
            Storage::Buffer(b) => {
                let range = held(tensor, layout.buffer_range(*b))?;
                Some(in_arena(Arena::Buffers, range))
            }
            Storage::Arena(arena) => {
                let bytes = store.arena(*arena).size() - guard;
                Some(in_arena(*arena, (0, bytes as usize / 4)))
            }
            Storage::External(buffer) => {
                check_limit(gpu, tensor, buffer.size())?;
                Some(Place {
                    buffer: buffer.clone(),
                    offset: 0,
                    bytes: buffer.size() - guard,
                    poison: 0,
                })
            }
            Storage::Activation { .. } => placement.slot_of[i].map(|slot| Place {
                buffer: slots[slot].clone(),
                offset: 0,
                bytes: 4 * tensor.len() as u64,
                poison: poison(slot),
            }),
            Storage::Scalar(index) => Some(Place {
                buffer: scalars.clone(),
                offset: apart * *index as u64,
                bytes: 4,
                poison: SCALAR_POISON,
            }),
            // Made after its base, so that stands in the list already.
            Storage::View(base) => places.get(base.0).cloned().flatten(),
        };
        places.push(place);
    }
    Ok(places)
}
