//! Checkpoints: safetensors files.
//!
//! Their tensors are the model's parameters and buffers, under the names of PyTorch's `state_dict`.
//! Step (which, with the seed, is the state of the generator and of the data order), seed, model and
//! the run's options stand in the file's metadata, as JSON under the key `semivq`. What only a resumed
//! run needs, the optimiser's moments and what training keeps of a layer (velocities, countdowns,
//! usage), are tensors `moment1.NAME`, `moment2.NAME` and `training.NAME`,
//!
//! - in a file of their own, which the checkpoint names ([`State::to_files`]): then the checkpoint is
//!   the model and nothing else, and `load_state_dict(load_file(path))` takes it as it is;
//! - or beside the model's in one file ([`State::to_bytes`]).
//!
//! Version 0.1.0 wrote them as base64 texts into the metadata; such files are still read.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::gpu::{NamedTensor, ParameterLayout, Role};

const KEY: &str = "semivq";
const TRAINING_KEY: &str = "semivq-training";

/// A model, and what its run needs to go on.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// The model's name.
    pub model: String,
    /// Steps done.
    pub step: u32,
    /// The run's seed.
    pub seed: u64,
    /// The run's options, as the caller wants them back.
    pub options: serde_json::Value,
    /// What tells its run from others: a checksum of those options that it began with and that say
    /// what it computes. None in files of before.
    pub run: Option<u32>,
    /// Parameters, running statistics and the like.
    pub tensors: Vec<NamedTensor>,
    /// What only training needs, where it is at hand.
    pub training: Training,
}

/// Where the state of training is.
#[derive(Debug, Clone, PartialEq)]
pub enum Training {
    /// Here.
    Here(TrainingState),
    /// In the file of this name, beside the checkpoint; see [`State::add_training`].
    InFile(String),
}

/// What only a resumed run needs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrainingState {
    /// What training keeps of a layer: velocities, countdowns, usage.
    pub buffers: Vec<NamedTensor>,
    /// First moments of all parameters.
    pub moment1: Vec<NamedTensor>,
    /// Second moments of all parameters; empty where the optimiser has none.
    pub moment2: Vec<NamedTensor>,
}

/// The metadata of a checkpoint.
#[derive(Serialize, Deserialize)]
struct Meta {
    model: String,
    step: u32,
    seed: u64,
    options: serde_json::Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<u32>,
    /// The file that holds the training state; none where it is in this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    training_file: Option<String>,
    /// Version 0.1.0: base64 of little-endian f32, as the next two.
    #[serde(default, skip_serializing)]
    moment1: BTreeMap<String, String>,
    #[serde(default, skip_serializing)]
    moment2: BTreeMap<String, String>,
    #[serde(default, skip_serializing)]
    training: BTreeMap<String, String>,
}

/// The metadata of a file of training state: whose it is.
#[derive(Serialize, Deserialize)]
struct TrainingMeta {
    model: String,
    step: u32,
    seed: u64,
    /// See [`State::run`].
    #[serde(default)]
    run: Option<u32>,
}

fn bad(message: impl Into<String>) -> Error {
    Error::Config(message.into())
}

/// The values of version 0.1.0's texts.
fn decode(texts: BTreeMap<String, String>) -> Result<Vec<NamedTensor>> {
    let one = |(name, text): (String, String)| {
        let bytes = STANDARD.decode(text).unwrap_or_default();
        if bytes.is_empty() || !bytes.len().is_multiple_of(4) {
            return Err(bad(format!("the training state `{name}` is damaged")));
        }
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes);
        Ok((name, vec![values.len()], values))
    };
    texts.into_iter().map(one).collect()
}

fn write(
    key: &str,
    meta: &impl Serialize,
    tensors: Vec<(String, &NamedTensor)>,
) -> Result<Vec<u8>> {
    let failed = |e: &dyn std::fmt::Display| bad(format!("cannot write the checkpoint: {e}"));
    // One key, because a map of several would be written in any order.
    let text = serde_json::to_string(meta).map_err(|e| failed(&e))?;
    let metadata = HashMap::from([(key.to_owned(), text)]);
    let mut views = Vec::new();
    for (name, (_, shape, values)) in tensors {
        let bytes = bytemuck::cast_slice(values);
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(|e| failed(&e))?;
        views.push((name, view));
    }
    safetensors::serialize(views, Some(metadata)).map_err(|e| failed(&e))
}

/// Metadata and tensors of a file, by name.
fn read<M: DeserializeOwned>(bytes: &[u8], key: &str, what: &str) -> Result<(M, Vec<NamedTensor>)> {
    let damaged = |e: &dyn std::fmt::Display| bad(format!("is no complete safetensors file ({e})"));
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(&e))?;
    let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(&e))?;
    let text = header.metadata().as_ref().and_then(|m| m.get(key));
    let text = text.ok_or_else(|| {
        bad(format!(
            "is a safetensors file, but no {what} of semivq: its metadata has no key `{key}`"
        ))
    })?;
    let meta =
        serde_json::from_str(text).map_err(|e| bad(format!("has unreadable metadata ({e})")))?;
    // The reader hands them out in no particular order.
    let views: BTreeMap<_, _> = file.tensors().into_iter().collect();
    let one = |(name, view): (String, TensorView<'_>)| {
        if view.dtype() != Dtype::F32 {
            let kind = view.dtype();
            return Err(bad(format!("holds `{name}` as {kind:?}, expected F32")));
        }
        let values = bytemuck::pod_collect_to_vec(view.data());
        Ok((name, view.shape().to_vec(), values))
    };
    let tensors = views.into_iter().map(one).collect::<Result<_>>()?;
    Ok((meta, tensors))
}

/// Names the first tensor that holds NaN or infinity.
fn check_finite<'a>(
    tensors: impl IntoIterator<Item = &'a NamedTensor>,
    prefix: &str,
) -> Result<()> {
    for (name, _, values) in tensors {
        if let Some(value) = values.iter().find(|v| !v.is_finite()) {
            let count = values.iter().filter(|v| !v.is_finite()).count();
            return Err(bad(format!(
                "holds {value} in `{prefix}{name}` ({count} of its {} values are no finite numbers): it is \
                 damaged, or its run had gone wrong; take an earlier checkpoint",
                values.len()
            )));
        }
    }
    Ok(())
}

/// Whether a tensor of this name, variances or counts, holds nothing below 0.
fn is_not_negative(prefix: &str, name: &str) -> bool {
    let own = name.rsplit('.').next().unwrap_or(name);
    let variance = own.starts_with("running_") && own.ends_with("_var");
    prefix == TrainingState::PARTS[1] || variance || own == "cluster_size"
}

/// Names the first tensor with a value that none can have: NaN, infinity, a variance below 0.
fn check_values<'a>(
    tensors: impl IntoIterator<Item = &'a NamedTensor> + Clone,
    prefix: &str,
) -> Result<()> {
    check_finite(tensors.clone(), prefix)?;
    for (name, _, values) in tensors {
        let below = values.iter().find(|v| **v < 0.0);
        if let Some(value) = below.filter(|_| is_not_negative(prefix, name)) {
            return Err(bad(format!(
                "holds {value} in `{prefix}{name}`, where nothing can be below 0: it is damaged; take an \
                 earlier checkpoint"
            )));
        }
    }
    Ok(())
}

const OTHER: &str = "the checkpoint is of another model or other options";

/// Whether `held` has all of `wanted`, names and shapes. The shapes of version 0.1.0's training
/// state are not known, only how long it is.
fn check_shapes<'a>(
    held: &[NamedTensor],
    prefix: &str,
    wanted: impl Iterator<Item = (&'a String, &'a Vec<usize>)>,
) -> Result<()> {
    let held: BTreeMap<&str, &[usize]> = held
        .iter()
        .map(|(name, shape, _)| (name.as_str(), shape.as_slice()))
        .collect();
    for (name, shape) in wanted {
        let Some(have) = held.get(name.as_str()) else {
            return Err(bad(format!("has no tensor `{prefix}{name}`; {OTHER}")));
        };
        let flat = !prefix.is_empty() && *have == [shape.iter().product::<usize>()];
        if have != shape && !flat {
            return Err(bad(format!(
                "holds `{prefix}{name}` as {have:?}, expected {shape:?}; {OTHER}"
            )));
        }
    }
    Ok(())
}

impl TrainingState {
    const PARTS: [&'static str; 3] = ["moment1.", "moment2.", "training."];

    fn parts(&self) -> [(&'static str, &Vec<NamedTensor>); 3] {
        let [first, second, third] = Self::PARTS;
        [
            (first, &self.moment1),
            (second, &self.moment2),
            (third, &self.buffers),
        ]
    }

    /// All tensors under their names in a file.
    fn tensors(&self) -> Vec<(String, &NamedTensor)> {
        self.parts()
            .into_iter()
            .flat_map(|(prefix, all)| all.iter().map(move |t| (format!("{prefix}{}", t.0), t)))
            .collect()
    }

    /// Takes the tensors whose names say that they are its own; returns the others.
    fn take(&mut self, tensors: Vec<NamedTensor>) -> Vec<NamedTensor> {
        let mut others = Vec::new();
        for (name, shape, values) in tensors {
            let part = Self::PARTS.iter().position(|p| name.starts_with(p));
            let Some(part) = part else {
                others.push((name, shape, values));
                continue;
            };
            let name = name[Self::PARTS[part].len()..].to_owned();
            [&mut self.moment1, &mut self.moment2, &mut self.buffers][part]
                .push((name, shape, values));
        }
        others
    }

    /// Whether it is one of a model with `layout`, `moments` of each parameter, its values such as
    /// they can be.
    ///
    /// # Errors
    /// [`Error::Config`] names the first tensor that is missing, differs or holds NaN, infinity or a variance
    /// below 0.
    pub fn check(&self, layout: &ParameterLayout, moments: usize) -> Result<()> {
        for (prefix, held) in self.parts().into_iter().take(moments) {
            let wanted = layout.parameters().iter().map(|p| (&p.name, &p.shape));
            check_shapes(held, prefix, wanted)?;
        }
        let kept = layout.buffers().iter().filter(|b| b.role == Role::Training);
        check_shapes(
            &self.buffers,
            Self::PARTS[2],
            kept.map(|b| (&b.name, &b.shape)),
        )?;
        for (prefix, held) in self.parts() {
            check_values(held, prefix)?;
        }
        Ok(())
    }
}

impl State {
    fn meta(&self, training_file: Option<String>) -> Meta {
        Meta {
            model: self.model.clone(),
            step: self.step,
            seed: self.seed,
            options: self.options.clone(),
            run: self.run,
            training_file,
            moment1: BTreeMap::new(),
            moment2: BTreeMap::new(),
            training: BTreeMap::new(),
        }
    }

    fn training_meta(&self) -> TrainingMeta {
        TrainingMeta {
            model: self.model.clone(),
            step: self.step,
            seed: self.seed,
            run: self.run,
        }
    }

    fn model_tensors(&self) -> Vec<(String, &NamedTensor)> {
        self.tensors.iter().map(|t| (t.0.clone(), t)).collect()
    }

    /// The training state.
    ///
    /// # Errors
    /// [`Error::Config`] when it is in a file of its own, by the file's name.
    pub fn training(&self) -> Result<&TrainingState> {
        match &self.training {
            Training::Here(training) => Ok(training),
            Training::InFile(name) => Err(bad(format!(
                "is the model alone; to go on, {name} is needed too, which lay beside it"
            ))),
        }
    }

    /// As one file. The same state gives the same bytes.
    ///
    /// # Errors
    /// [`Error::Config`] when the training state is elsewhere or the writer refuses a tensor.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut tensors = self.model_tensors();
        tensors.extend(self.training()?.tensors());
        write(KEY, &self.meta(None), tensors)
    }

    /// As two files: the model, which names the second, and the training state. The same state
    /// gives the same bytes.
    ///
    /// # Errors
    /// As [`Self::to_bytes`].
    pub fn to_files(&self, training_file: &str) -> Result<[Vec<u8>; 2]> {
        let model = self.meta(Some(training_file.to_owned()));
        Ok([
            write(KEY, &model, self.model_tensors())?,
            write(
                TRAINING_KEY,
                &self.training_meta(),
                self.training()?.tensors(),
            )?,
        ])
    }

    /// From a file, of version 0.1.0 too.
    ///
    /// # Errors
    /// [`Error::Config`] when it is no safetensors file, cut short, or not one of this project's.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (meta, mut tensors): (Meta, _) = read(bytes, KEY, "checkpoint")?;
        let training = match meta.training_file {
            Some(name) => Training::InFile(name),
            None if meta.moment1.is_empty() => {
                let mut training = TrainingState::default();
                tensors = training.take(tensors);
                Training::Here(training)
            }
            None => Training::Here(TrainingState {
                buffers: decode(meta.training)?,
                moment1: decode(meta.moment1)?,
                moment2: decode(meta.moment2)?,
            }),
        };
        Ok(Self {
            model: meta.model,
            step: meta.step,
            seed: meta.seed,
            options: meta.options,
            run: meta.run,
            tensors,
            training,
        })
    }

    /// Takes up the training state from the bytes of its own file.
    ///
    /// # Errors
    /// [`Error::Config`] when it is none, or belongs to another checkpoint.
    pub fn add_training(&mut self, bytes: &[u8]) -> Result<()> {
        let (meta, tensors): (TrainingMeta, _) = read(bytes, TRAINING_KEY, "training state")?;
        let mine = self.training_meta();
        let same = (&meta.model, meta.step, meta.seed) == (&mine.model, mine.step, mine.seed);
        if same && meta.run.is_some() && mine.run.is_some() && meta.run != mine.run {
            return Err(bad("is of another run than the checkpoint beside it"));
        }
        if !same {
            return Err(bad(format!(
                "is of model `{}`, step {}, seed {}; the checkpoint is of model `{}`, step {}, seed {}",
                meta.model, meta.step, meta.seed, mine.model, mine.step, mine.seed
            )));
        }
        let mut training = TrainingState::default();
        training.take(tensors);
        self.training = Training::Here(training);
        Ok(())
    }

    /// Whether it is a model `name` with `layout`, its values such as they can be. The training state
    /// is not looked at.
    ///
    /// # Errors
    /// [`Error::Config`] names the first tensor that differs or holds NaN, infinity or a variance
    /// below 0.
    pub fn check(&self, name: &str, layout: &ParameterLayout) -> Result<()> {
        if self.model != name {
            return Err(bad(format!(
                "is a checkpoint of model `{}`, not of `{name}`",
                self.model
            )));
        }
        let parameters = layout.parameters().iter().map(|p| (&p.name, &p.shape));
        let buffers = layout.buffers().iter().filter(|b| b.role == Role::Model);
        let wanted: Vec<_> = parameters
            .chain(buffers.map(|b| (&b.name, &b.shape)))
            .collect();
        check_shapes(&self.tensors, "", wanted.iter().copied())?;
        let unknown = |(name, ..): &&NamedTensor| !wanted.iter().any(|(w, _)| *w == name);
        if let Some((name, ..)) = self.tensors.iter().find(unknown) {
            return Err(bad(format!(
                "holds `{name}`, which the model does not have; {OTHER}"
            )));
        }
        check_values(&self.tensors, "")
    }
}

#[cfg(test)]
mod tests;
