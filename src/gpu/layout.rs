//! Names, shapes and places of a model's parameters and buffers.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::rng::Stream;

/// Every entry starts at a multiple of this many elements: WebGPU's offset alignment of 256 bytes.
pub(super) const ALIGN: usize = 64;

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

    pub(super) fn values(self, seed: u64, name: &str, len: usize) -> Vec<f32> {
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
    pub(super) offset: usize,
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
    pub(super) offset: usize,
}

/// Names, shapes and places of all parameters and buffers. The first recording fills it; later
/// recordings of the same model find their tensors in it by name.
#[derive(Debug, Clone, Default)]
pub struct ParameterLayout {
    pub(super) parameters: Vec<ParameterSpec>,
    pub(super) buffers: Vec<BufferSpec>,
    parameter_len: usize,
    pub(super) buffer_len: usize,
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

    /// Elements of `arena`.
    pub(super) fn len_of(&self, arena: Arena) -> usize {
        match arena {
            Arena::Buffers => self.buffer_len.max(ALIGN),
            _ => self.arena_len(),
        }
    }

    /// Bytes of all arenas together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        Arena::ALL
            .map(|arena| 4 * self.len_of(arena) as u64)
            .iter()
            .sum()
    }

    /// The arena of the parameters cut into stretches that have the same `factor`, by the parameters' names.
    #[must_use]
    pub fn stretches(&self, factor: impl Fn(&str) -> f32) -> Vec<(Range<usize>, f32)> {
        let mut all: Vec<(Range<usize>, f32)> = Vec::new();
        for spec in &self.parameters {
            let own = factor(&spec.name);
            match all.last_mut() {
                Some((_, last)) if *last == own => {}
                Some((stretch, _)) => {
                    stretch.end = spec.offset;
                    all.push((spec.offset..spec.offset, own));
                }
                None => all.push((0..0, own)),
            }
        }
        if let Some((stretch, _)) = all.last_mut() {
            stretch.end = self.arena_len();
        }
        all
    }

    /// Offset and length of the parameter of this index, if there is one.
    pub(super) fn parameter_range(&self, index: usize) -> Option<(usize, usize)> {
        let spec = self.parameters.get(index)?;
        Some((spec.offset, spec.shape.iter().product()))
    }

    /// Offset and length of the buffer of this index, if there is one.
    pub(super) fn buffer_range(&self, index: usize) -> Option<(usize, usize)> {
        let spec = self.buffers.get(index)?;
        Some((spec.offset, spec.shape.iter().product()))
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
    pub(super) const ALL: [Self; 5] = [
        Self::Parameters,
        Self::Gradients,
        Self::Moment1,
        Self::Moment2,
        Self::Buffers,
    ];
}
