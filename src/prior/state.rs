//! A prior in a file: parameters, moments, options, and what it is a prior of.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::options::PriorOptions;
use super::sequences::Sequences;
use super::training::Prior;
use crate::data::Crc;
use crate::error::{Error, Result};
use crate::gpu::{Arena, Gpu};
use crate::train::checkpoint::{State, Training, TrainingState};

/// What such a file calls its model.
const NAME: &str = "prior";

/// The model whose codes a prior is of: other parameters make other codes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Steps of the model.
    pub step: u32,
    /// CRC-32 of its tensors.
    pub checksum: u32,
}

impl Origin {
    /// That of the model in `state`.
    #[must_use]
    pub fn of(state: &State) -> Self {
        let crc = state.tensors.iter().fold(Crc::default(), |crc, tensor| {
            let (name, _, values) = tensor;
            crc.with(name.as_bytes()).with(bytemuck::cast_slice(values))
        });
        Self {
            step: state.step,
            checksum: crc.sum(),
        }
    }
}

/// What stands in the metadata.
#[derive(Serialize, Deserialize)]
struct Meta {
    options: PriorOptions,
    sequences: Sequences,
    origin: Origin,
}

impl Prior {
    /// All of it as a safetensors file; `origin` is what its codes are of.
    ///
    /// # Errors
    /// [`Error::NotFinite`] when a parameter is not; [`Error::Gpu`] when the device fails.
    pub async fn to_bytes(&self, origin: &Origin) -> Result<Vec<u8>> {
        let arenas = [Arena::Parameters, Arena::Moment1, Arena::Moment2];
        let mut all = self.store.read_many(&self.gpu, &arenas).await?.into_iter();
        let mut next = || all.next().unwrap_or_default();
        let tensors = next();
        for (name, _, values) in &tensors {
            if let Some(value) = values.iter().find(|v| !v.is_finite()) {
                return Err(Error::Config(format!(
                    "the prior diverged: `{name}` holds {value} at step {}; take a smaller lr than {}",
                    self.step, self.options.lr
                )));
            }
        }
        let meta = Meta {
            options: self.options.clone(),
            sequences: self.sequences.clone(),
            origin: origin.clone(),
        };
        let state = State {
            model: NAME.into(),
            step: self.step,
            seed: self.options.seed,
            options: serde_json::to_value(meta).unwrap_or_default(),
            run: None,
            tensors,
            training: Training::Here(TrainingState {
                buffers: Vec::new(),
                moment1: next(),
                moment2: next(),
            }),
        };
        state.to_bytes()
    }

    /// The prior in a file, and what its codes are of.
    ///
    /// # Errors
    /// [`Error::Config`] when the file is damaged or holds no prior; as [`Prior::new`].
    pub fn from_bytes(gpu: Arc<Gpu>, bytes: &[u8]) -> Result<(Self, Origin)> {
        let state = State::from_bytes(bytes)?;
        if state.model != NAME {
            return Err(Error::Config(format!(
                "is a checkpoint of model `{}`, not a prior",
                state.model
            )));
        }
        let meta: Meta = serde_json::from_value(state.options.clone())
            .map_err(|e| Error::Config(format!("has unreadable metadata ({e})")))?;
        let mut prior = Self::new(gpu, meta.sequences, meta.options)?;
        state.check(NAME, prior.store.layout())?;
        let training = state.training()?;
        training.check(prior.store.layout(), 2)?;
        for (arena, tensors) in [
            (Arena::Parameters, &state.tensors),
            (Arena::Moment1, &training.moment1),
            (Arena::Moment2, &training.moment2),
        ] {
            for (name, _, values) in tensors {
                prior.store.write(&prior.gpu, arena, name, values)?;
            }
        }
        prior.step = state.step;
        Ok((prior, meta.origin))
    }

    /// The same with another number of steps, so that training goes on beyond them.
    pub fn set_steps(&mut self, steps: u32) {
        self.options.steps = steps;
    }
}
