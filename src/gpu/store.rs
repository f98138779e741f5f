//! The arenas on the device that hold the parameters and buffers of a model.

use super::Gpu;
use super::buffer::{Buffer, STORAGE};
use super::layout::{Arena, ParameterLayout};
use super::readback::{Stretch, read_buffer, read_stretches};
use crate::error::{Error, Result};

/// The bit pattern of unwritten gradients in guarded tests: a NaN.
const POISON: u32 = 0xffff_ffff;

/// That of buffer `slot`. Each has its own: a stray write that copies one buffer's gap into
/// another's would not be seen otherwise.
pub(super) fn poison(slot: usize) -> u32 {
    POISON - 1 - (slot % 0xffff) as u32
}

/// Whether an arena of `len` elements can be bound; the error names its largest tensor.
fn check_arena<'a>(
    gpu: &Gpu,
    what: &str,
    len: usize,
    tensors: impl Iterator<Item = (&'a String, &'a Vec<usize>)>,
) -> Result<()> {
    let allowed = gpu.limits().max_storage_buffer_binding_size;
    let bytes = 4 * len as u64;
    if bytes <= allowed {
        return Ok(());
    }
    let largest = tensors
        .max_by_key(|(_, shape)| shape.iter().product::<usize>())
        .map_or(String::new(), |(name, shape)| {
            format!(", the largest {name} {shape:?}")
        });
    Err(Error::Limit {
        tensor: format!("{what}{largest}"),
        bytes,
        limit: "max_storage_buffer_binding_size",
        allowed,
    })
}

/// Name, shape and values.
pub type NamedTensor = (String, Vec<usize>, Vec<f32>);

/// The arenas on the device.
#[derive(Debug)]
pub struct Store {
    layout: ParameterLayout,
    arenas: [Buffer; 5],
}

impl Store {
    /// Arenas for `layout`, parameters drawn from `seed`, moments zero.
    ///
    /// # Errors
    /// [`Error::Limit`] when an arena is larger than the device binds.
    pub fn new(gpu: &Gpu, layout: ParameterLayout, seed: u64) -> Result<Self> {
        let parameters = layout.parameters.iter().map(|p| (&p.name, &p.shape));
        check_arena(gpu, "all parameters", layout.arena_len(), parameters)?;
        let buffers = layout.buffers.iter().map(|b| (&b.name, &b.shape));
        check_arena(gpu, "all buffers", layout.buffer_len, buffers)?;
        let arenas = Arena::ALL.map(|arena| {
            let len = layout.len_of(arena);
            gpu.buffer(&format!("{arena:?}"), 4 * len as u64, STORAGE)
        });
        let store = Self { layout, arenas };
        for spec in &store.layout.parameters {
            let len = spec.shape.iter().product();
            let values = spec.init.values(seed, &spec.name, len);
            store.upload(gpu, Arena::Parameters, spec.offset, &values);
        }
        for spec in &store.layout.buffers {
            let len = spec.shape.iter().product();
            let values = spec.init.values(seed, &spec.name, len);
            store.upload(gpu, Arena::Buffers, spec.offset, &values);
        }
        gpu.check("allocating the parameters")?;
        Ok(store)
    }

    /// Names, shapes and places.
    #[must_use]
    pub fn layout(&self) -> &ParameterLayout {
        &self.layout
    }

    pub(super) fn arena(&self, arena: Arena) -> &Buffer {
        &self.arenas[arena as usize]
    }

    fn upload(&self, gpu: &Gpu, arena: Arena, offset: usize, values: &[f32]) {
        let bytes = bytemuck::cast_slice(values);
        gpu.queue
            .write_buffer(self.arena(arena), 4 * offset as u64, bytes);
    }

    /// Shape and place of `name` in `arena`.
    fn find(&self, arena: Arena, name: &str) -> Result<(usize, usize)> {
        let found = if arena == Arena::Buffers {
            let index = self.layout.buffers.iter().position(|b| b.name == name);
            index.and_then(|i| self.layout.buffer_range(i))
        } else {
            let index = self.layout.parameters.iter().position(|p| p.name == name);
            index.and_then(|i| self.layout.parameter_range(i))
        };
        found.ok_or_else(|| Error::Config(format!("the model has no tensor `{name}`")))
    }

    /// Writes the values of parameter or buffer `name`.
    ///
    /// # Errors
    /// [`Error::Config`] when there is no such tensor or the length differs.
    pub fn write(&self, gpu: &Gpu, arena: Arena, name: &str, values: &[f32]) -> Result<()> {
        let (offset, len) = self.find(arena, name)?;
        if len != values.len() {
            return Err(Error::Config(format!(
                "`{name}` holds {len} values, not {}",
                values.len()
            )));
        }
        self.upload(gpu, arena, offset, values);
        Ok(())
    }

    /// Reads a whole arena, its tensors in the order of declaration.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the device fails.
    pub async fn read(&self, gpu: &Gpu, arena: Arena) -> Result<Vec<NamedTensor>> {
        let mut all = self.read_many(gpu, &[arena]).await?;
        Ok(all.pop().unwrap_or_default())
    }

    /// Reads whole arenas at once: one wait for all of them.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the device fails.
    pub async fn read_many(&self, gpu: &Gpu, arenas: &[Arena]) -> Result<Vec<Vec<NamedTensor>>> {
        let stretch = |arena: &Arena| {
            let buffer = self.arena(*arena);
            Stretch {
                buffer,
                offset: 0,
                size: buffer.size(),
            }
        };
        let stretches: Vec<_> = arenas.iter().map(stretch).collect();
        let all = read_stretches(gpu, &stretches).await?;
        let each = arenas.iter().zip(all);
        Ok(each.map(|(arena, words)| self.cut(*arena, words)).collect())
    }

    /// The tensors of an arena that holds `words`.
    fn cut(&self, arena: Arena, words: Vec<u32>) -> Vec<NamedTensor> {
        let values: Vec<f32> = words.into_iter().map(f32::from_bits).collect();
        let cut = |name: &String, shape: &Vec<usize>, offset: usize| {
            let len: usize = shape.iter().product();
            let values = values[offset..offset + len].to_vec();
            (name.clone(), shape.clone(), values)
        };
        match arena {
            Arena::Buffers => {
                let all = self.layout.buffers.iter();
                all.map(|b| cut(&b.name, &b.shape, b.offset)).collect()
            }
            _ => {
                let all = self.layout.parameters.iter();
                all.map(|p| cut(&p.name, &p.shape, p.offset)).collect()
            }
        }
    }

    /// Copies what `from` holds in `arenas` under the names that are there, too.
    ///
    /// # Errors
    /// [`Error::Config`] when something of the same name has another shape; as [`Self::read_many`].
    pub(crate) async fn take_over(&self, gpu: &Gpu, from: &Self, arenas: &[Arena]) -> Result<()> {
        let all = from.read_many(gpu, arenas).await?;
        for (arena, tensors) in arenas.iter().zip(all) {
            for (name, _, values) in tensors {
                if self.layout.holds(*arena, &name) {
                    self.write(gpu, *arena, &name, &values)?;
                }
            }
        }
        Ok(())
    }

    /// Writes the parameter or model buffer `name`.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn write_any(&self, gpu: &Gpu, name: &str, values: &[f32]) -> Result<()> {
        let arena = match self.layout.holds(Arena::Parameters, name) {
            true => Arena::Parameters,
            false => Arena::Buffers,
        };
        self.write(gpu, arena, name, values)
    }

    /// Fills the gradients, gaps included, with NaN, so that a test sees what was never written.
    pub fn poison_gradients(&self, gpu: &Gpu) {
        let buffer = self.arena(Arena::Gradients);
        let words = vec![POISON; buffer.size() as usize / 4];
        gpu.queue
            .write_buffer(buffer, 0, bytemuck::cast_slice(&words));
    }

    /// After [`Self::poison_gradients`]: whether everything between the entries is untouched.
    ///
    /// # Errors
    /// [`Error::Gpu`] names the entry behind which something was written.
    pub async fn check_gradient_guards(&self, gpu: &Gpu) -> Result<()> {
        let buffer = self.arena(Arena::Gradients);
        let words = read_buffer(gpu, buffer, 0, buffer.size()).await?;
        for (i, spec) in self.layout.parameters.iter().enumerate() {
            let begin = spec.offset + spec.shape.iter().product::<usize>();
            let end = self
                .layout
                .parameters
                .get(i + 1)
                .map_or(words.len(), |n| n.offset);
            if words[begin..end].iter().any(|w| *w != POISON) {
                return Err(Error::Gpu {
                    place: format!("the gradient of {}", spec.name),
                    message: "something was written behind its end".into(),
                });
            }
        }
        Ok(())
    }
}
