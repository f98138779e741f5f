//! Parameters and buffers of a model: their layout, and the arenas that hold them.

use super::Gpu;
use super::readback::{Stretch, read_buffer, read_stretches};
use crate::error::{Error, Result};
use crate::rng::Stream;

/// Every entry starts at a multiple of this many elements: WebGPU's offset alignment of 256 bytes.
const ALIGN: usize = 64;

/// The bit pattern of unwritten gradients in guarded tests: a NaN.
const POISON: u32 = 0xffff_ffff;

/// That of buffer `slot`. Each has its own: a stray write that copies one buffer's gap into
/// another's would not be seen otherwise.
pub(super) fn poison(slot: usize) -> u32 {
    POISON - 1 - (slot % 0xffff) as u32
}

/// How a parameter is drawn at first; a function of the seed, its name and the element's index.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// Uniform in [-bound, bound].
    Uniform(f32),
    /// Normal with this standard deviation.
    Normal(f32),
    /// All equal.
    Constant(f32),
}

impl Init {
    /// PyTorch's default for weight and bias of a layer: Kaiming-uniform with a = sqrt 5, which is
    /// `1 / sqrt(fan_in)` for both.
    #[must_use]
    pub fn kaiming(fan_in: usize) -> Self {
        Self::Uniform(1.0 / (fan_in as f32).sqrt())
    }

    fn values(self, seed: u64, name: &str, len: usize) -> Vec<f32> {
        let stream = Stream::named(seed, name);
        (0..len as u32)
            .map(|i| match self {
                Self::Uniform(bound) => bound * (2.0 * stream.uniform(i) - 1.0),
                Self::Normal(deviation) => deviation * stream.normal(i),
                Self::Constant(value) => value,
            })
            .collect()
    }
}

/// A trained tensor.
#[derive(Debug, Clone)]
pub struct ParameterSpec {
    /// Its name in the checkpoint.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its first values.
    pub init: Init,
    offset: usize,
}

/// What a buffer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Evaluation needs it: a running mean, say.
    Model,
    /// Only training does: a velocity, a countdown.
    Training,
}

/// A tensor that is kept from step to step but not trained, e.g. a running mean.
#[derive(Debug, Clone)]
pub struct BufferSpec {
    /// Its name in the checkpoint.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its first values.
    pub init: Init,
    /// Whether it is part of the model (PyTorch's `state_dict`) or only of how it is trained.
    pub role: Role,
    offset: usize,
}

/// Names, shapes and places of all parameters and buffers. The first recording fills it; later
/// recordings of the same model find their tensors in it by name.
#[derive(Debug, Clone, Default)]
pub struct ParameterLayout {
    parameters: Vec<ParameterSpec>,
    buffers: Vec<BufferSpec>,
    parameter_len: usize,
    buffer_len: usize,
    guard: usize,
}

fn known(name: &str, have: &[usize], want: &[usize]) -> Result<()> {
    if have == want {
        return Ok(());
    }
    Err(Error::Config(format!(
        "parameter `{name}` was declared as {have:?} and is now wanted as {want:?}; \
         give each layer a name of its own"
    )))
}

impl ParameterLayout {
    /// A layout with an unused gap behind each entry, for tests that check for stray writes.
    #[must_use]
    pub fn guarded() -> Self {
        Self {
            guard: ALIGN,
            ..Self::default()
        }
    }

    /// Index of parameter `name`, declared now if it is new.
    ///
    /// # Errors
    /// [`Error::Config`] when the name is taken with another shape.
    pub fn parameter(&mut self, name: &str, shape: &[usize], init: Init) -> Result<usize> {
        if let Some(index) = self.parameters.iter().position(|p| p.name == name) {
            known(name, &self.parameters[index].shape, shape)?;
            return Ok(index);
        }
        let offset = self.parameter_len;
        let len = shape.iter().product::<usize>() + self.guard;
        self.parameter_len += len.next_multiple_of(ALIGN);
        self.parameters.push(ParameterSpec {
            name: name.to_owned(),
            shape: shape.to_vec(),
            init,
            offset,
        });
        Ok(self.parameters.len() - 1)
    }

    /// Index of buffer `name`, declared now if it is new.
    ///
    /// # Errors
    /// [`Error::Config`] when the name is taken with another shape.
    pub fn buffer(&mut self, name: &str, shape: &[usize], init: Init, role: Role) -> Result<usize> {
        if let Some(index) = self.buffers.iter().position(|p| p.name == name) {
            known(name, &self.buffers[index].shape, shape)?;
            return Ok(index);
        }
        let offset = self.buffer_len;
        let len = shape.iter().product::<usize>() + self.guard;
        self.buffer_len += len.next_multiple_of(ALIGN);
        self.buffers.push(BufferSpec {
            name: name.to_owned(),
            shape: shape.to_vec(),
            init,
            role,
            offset,
        });
        Ok(self.buffers.len() - 1)
    }

    /// All parameters, in the order of their declaration.
    #[must_use]
    pub fn parameters(&self) -> &[ParameterSpec] {
        &self.parameters
    }

    /// All buffers, in the order of their declaration.
    #[must_use]
    pub fn buffers(&self) -> &[BufferSpec] {
        &self.buffers
    }

    /// Whether `arena` has a tensor `name`.
    #[must_use]
    pub fn holds(&self, arena: Arena, name: &str) -> bool {
        match arena {
            Arena::Buffers => self.buffers.iter().any(|b| b.name == name),
            _ => self.parameters.iter().any(|p| p.name == name),
        }
    }

    /// Number of trained values.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        self.parameters
            .iter()
            .map(|p| p.shape.iter().product::<usize>())
            .sum()
    }

    /// Elements of the parameter arena, and of the three beside it.
    #[must_use]
    pub(super) fn arena_len(&self) -> usize {
        self.parameter_len.max(ALIGN)
    }

    pub(super) fn parameter_range(&self, index: usize) -> (usize, usize) {
        let spec = &self.parameters[index];
        (spec.offset, spec.shape.iter().product())
    }

    pub(super) fn buffer_range(&self, index: usize) -> (usize, usize) {
        let spec = &self.buffers[index];
        (spec.offset, spec.shape.iter().product())
    }

    pub(super) fn guard_bytes(&self) -> u64 {
        4 * self.guard as u64
    }
}

/// One of the long buffers that hold a value for every parameter, at the same offsets, or the
/// buffers of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arena {
    /// The parameters.
    Parameters,
    /// Their gradients.
    Gradients,
    /// First moments (AdamW) or velocities (SGD).
    Moment1,
    /// Second moments (AdamW).
    Moment2,
    /// Running statistics and the like.
    Buffers,
}

impl Arena {
    const ALL: [Self; 5] = [
        Self::Parameters,
        Self::Gradients,
        Self::Moment1,
        Self::Moment2,
        Self::Buffers,
    ];
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
    arenas: [wgpu::Buffer; 5],
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
            let len = match arena {
                Arena::Buffers => layout.buffer_len.max(ALIGN),
                _ => layout.arena_len(),
            };
            gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(&format!("{arena:?}")),
                size: 4 * len as u64,
                usage: wgpu::BufferUsages::STORAGE
                    | wgpu::BufferUsages::COPY_SRC
                    | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
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

    pub(super) fn arena(&self, arena: Arena) -> &wgpu::Buffer {
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
            index.map(|i| self.layout.buffer_range(i))
        } else {
            let index = self.layout.parameters.iter().position(|p| p.name == name);
            index.map(|i| self.layout.parameter_range(i))
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
            let (offset, len) = self.layout.parameter_range(i);
            let end = self
                .layout
                .parameters
                .get(i + 1)
                .map_or(words.len(), |n| n.offset);
            if words[offset + len..end].iter().any(|w| *w != POISON) {
                return Err(Error::Gpu {
                    place: format!("the gradient of {}", spec.name),
                    message: "something was written behind its end".into(),
                });
            }
        }
        Ok(())
    }
}
