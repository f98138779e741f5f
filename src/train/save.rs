//! A session's state, out into a checkpoint and back in.

use super::Session;
use super::checkpoint::{State, Training, TrainingState};
use crate::data::Crc;
use crate::error::Result;
use crate::gpu::{Arena, NamedTensor, Role};

/// Options that say how far a run goes and what it keeps, not what it computes.
const OF_NO_ACCOUNT: [&str; 10] = [
    "steps",
    "epochs",
    "log_every",
    "checkpoint_every",
    "data",
    "eval_every",
    "keep_best",
    "keep_last",
    "patience",
    "min_delta",
];

/// CRC-32 of `options` as JSON, but for those.
fn checksum(options: &serde_json::Value) -> u32 {
    let mut options = options.clone();
    if let Some(fields) = options.as_object_mut() {
        OF_NO_ACCOUNT.iter().for_each(|name| {
            fields.remove(*name);
        });
    }
    Crc::default().with(options.to_string().as_bytes()).sum()
}

impl Session {
    /// The state, with `options` inside for whoever reads it. All steps must have reported, see
    /// [`Self::next_metrics`].
    ///
    /// # Errors
    /// [`crate::Error::Diverged`] when a value is not finite, so that a good checkpoint is never
    /// replaced by a bad one; [`crate::Error::Gpu`] when the device fails.
    pub async fn state(&self, options: serde_json::Value) -> Result<State> {
        let layout = self.store.layout();
        let role_of = |name: &str| {
            let spec = layout.buffers().iter().find(|b| b.name == name);
            spec.map(|b| b.role)
        };
        let arenas = [
            Arena::Parameters,
            Arena::Buffers,
            Arena::Moment1,
            Arena::Moment2,
        ];
        let arenas = &arenas[..2 + self.options.optimizer.moments()];
        let mut all = self.store.read_many(&self.gpu, arenas).await?.into_iter();
        let mut next = || all.next().unwrap_or_default();
        let (mut tensors, buffers) = (next(), next());
        let (model, buffers): (Vec<NamedTensor>, Vec<NamedTensor>) = buffers
            .into_iter()
            .partition(|(name, ..)| role_of(name) == Some(Role::Model));
        tensors.extend(model);
        let training = TrainingState {
            buffers,
            moment1: next(),
            moment2: next(),
        };
        // A moment comes of gradients, which are those of the parameters before the step.
        let moves = self.step.saturating_sub(self.began);
        let before = moves.saturating_sub(1);
        for (kind, part, moves) in [
            ("", &tensors, moves),
            ("the training state of ", &training.buffers, moves),
            ("the first moment of ", &training.moment1, before),
            ("the second moment of ", &training.moment2, before),
        ] {
            for (name, _, values) in part {
                if let Some(value) = values.iter().find(|v| !v.is_finite()) {
                    let what = format!("{kind}`{name}`");
                    return Err(self.diverged(&what, self.step, moves, *value, 0));
                }
            }
        }
        Ok(State {
            model: self.model.name().to_owned(),
            step: self.step,
            seed: self.options.seed,
            run: Some(self.run.unwrap_or_else(|| checksum(&options))),
            options,
            tensors,
            training: Training::Here(training),
        })
    }

    /// The state as one safetensors file; see [`Self::state`] and [`State::to_bytes`].
    ///
    /// # Errors
    /// As [`Self::state`].
    pub async fn checkpoint(&self, options: serde_json::Value) -> Result<Vec<u8>> {
        self.state(options).await?.to_bytes()
    }

    /// Takes up a checkpoint of the same model, from one file.
    ///
    /// # Errors
    /// [`crate::Error::Config`] when it is no checkpoint, or as [`Self::restore_state`].
    pub fn restore(&mut self, bytes: &[u8]) -> Result<()> {
        self.restore_state(&State::from_bytes(bytes)?)
    }

    /// Takes up the state of the same model, to go on training.
    ///
    /// # Errors
    /// [`crate::Error::Config`] when it is of another model, names the first tensor that differs or
    /// holds NaN or infinity; also when the training state is elsewhere. Nothing is changed then.
    pub fn restore_state(&mut self, state: &State) -> Result<()> {
        let training = state.training()?;
        state.check(self.model.name(), self.store.layout())?;
        training.check(self.store.layout(), self.options.optimizer.moments())?;
        for (arena, tensors) in [
            (Arena::Buffers, &training.buffers),
            (Arena::Moment1, &training.moment1),
            (Arena::Moment2, &training.moment2),
        ] {
            for (name, _, values) in tensors {
                // SGD has no use for the second moments that version 0.1.0 wrote for it.
                if self.store.layout().holds(arena, name) {
                    self.store.write(&self.gpu, arena, name, values)?;
                }
            }
        }
        self.restore_model(state)
    }

    /// Takes up the model alone, to evaluate it.
    ///
    /// # Errors
    /// As [`Self::restore_state`], but for the training state.
    pub fn restore_model(&mut self, state: &State) -> Result<()> {
        state.check(self.model.name(), self.store.layout())?;
        for (name, _, values) in &state.tensors {
            self.store.write_any(&self.gpu, name, values)?;
        }
        self.step = state.step;
        self.rates.clear();
        self.began = state.step;
        self.run = state.run;
        Ok(())
    }
}
