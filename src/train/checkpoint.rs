//! Checkpoints: one safetensors file.
//!
//! Its tensors are the parameters and buffers, under the names of PyTorch's `state_dict`, and
//! nothing else, so that `load_state_dict(load_file(path))` takes it as it is. What only a resumed
//! run needs stands in the file's metadata, as JSON under the key `semivq`: the step (which, with
//! the seed, is the state of the generator and of the data order), the run's options, the
//! optimiser's moments, and what only training keeps of a layer (velocities, countdowns, usage), each
//! a base64 text of little-endian f32.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::gpu::{ParameterLayout, Role};

/// Name, shape and values.
pub type Named = (String, Vec<usize>, Vec<f32>);

const KEY: &str = "semivq";

/// All that a run needs to go on.
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
    /// The parameters.
    pub parameters: Vec<Named>,
    /// Running statistics and the like.
    pub buffers: Vec<Named>,
    /// What training keeps besides: velocities, countdowns, usage.
    pub training: Vec<Named>,
    /// First moments of all parameters.
    pub moment1: Vec<Named>,
    /// Second moments of all parameters.
    pub moment2: Vec<Named>,
}

#[derive(Serialize, Deserialize)]
struct Meta {
    model: String,
    step: u32,
    seed: u64,
    options: serde_json::Value,
    moment1: BTreeMap<String, String>,
    moment2: BTreeMap<String, String>,
    #[serde(default)]
    training: BTreeMap<String, String>,
}

fn encode(moments: &[Named]) -> BTreeMap<String, String> {
    let text = |values: &[f32]| STANDARD.encode(bytemuck::cast_slice::<f32, u8>(values));
    moments
        .iter()
        .map(|(name, _, values)| (name.clone(), text(values)))
        .collect()
}

fn bad(message: impl Into<String>) -> Error {
    Error::Config(message.into())
}

fn decode(moments: BTreeMap<String, String>) -> Result<Vec<Named>> {
    let one = |(name, text): (String, String)| {
        let bytes = STANDARD.decode(text).unwrap_or_default();
        if bytes.is_empty() || !bytes.len().is_multiple_of(4) {
            return Err(bad(format!("the training state `{name}` is damaged")));
        }
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes);
        Ok((name, vec![values.len()], values))
    };
    moments.into_iter().map(one).collect()
}

impl State {
    /// As a file. The same state gives the same bytes.
    ///
    /// # Errors
    /// [`Error::Config`] when the writer refuses a tensor.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let meta = Meta {
            model: self.model.clone(),
            step: self.step,
            seed: self.seed,
            options: self.options.clone(),
            moment1: encode(&self.moment1),
            moment2: encode(&self.moment2),
            training: encode(&self.training),
        };
        let failed = |e: &dyn std::fmt::Display| bad(format!("cannot write the checkpoint: {e}"));
        // One key, because a map of several would be written in any order.
        let text = serde_json::to_string(&meta).map_err(|e| failed(&e))?;
        let metadata = HashMap::from([(KEY.to_owned(), text)]);
        let mut tensors = Vec::new();
        for (name, shape, values) in self.parameters.iter().chain(&self.buffers) {
            let bytes = bytemuck::cast_slice(values);
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(|e| failed(&e))?;
            tensors.push((name, view));
        }
        safetensors::serialize(tensors, Some(metadata)).map_err(|e| failed(&e))
    }

    /// From a file.
    ///
    /// # Errors
    /// [`Error::Config`] when it is no safetensors file, cut short, or not one of this project's.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let damaged =
            |e: &dyn std::fmt::Display| bad(format!("is no complete safetensors file ({e})"));
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(&e))?;
        let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(&e))?;
        let text = header.metadata().as_ref().and_then(|m| m.get(KEY));
        let text = text.ok_or_else(|| bad("is a safetensors file, but no checkpoint of semivq: its metadata has no key `semivq`"))?;
        let meta: Meta = serde_json::from_str(text)
            .map_err(|e| bad(format!("has unreadable metadata ({e})")))?;
        let mut parameters = Vec::new();
        let mut buffers = Vec::new();
        // The reader hands them out in no particular order.
        let tensors: BTreeMap<_, _> = file.tensors().into_iter().collect();
        for (name, view) in tensors {
            if view.dtype() != Dtype::F32 {
                return Err(bad(format!(
                    "holds `{name}` as {:?}, expected F32",
                    view.dtype()
                )));
            }
            let values = bytemuck::pod_collect_to_vec(view.data());
            let trained = meta.moment1.contains_key(&name);
            let named = (name, view.shape().to_vec(), values);
            let list = if trained {
                &mut parameters
            } else {
                &mut buffers
            };
            list.push(named);
        }
        Ok(Self {
            model: meta.model,
            step: meta.step,
            seed: meta.seed,
            options: meta.options,
            parameters,
            buffers,
            moment1: decode(meta.moment1)?,
            moment2: decode(meta.moment2)?,
            training: decode(meta.training)?,
        })
    }

    /// Whether it is one of the model `name` with `layout`.
    ///
    /// # Errors
    /// [`Error::Config`] names the first tensor that differs.
    pub fn check(&self, name: &str, layout: &ParameterLayout) -> Result<()> {
        if self.model != name {
            return Err(bad(format!(
                "is a checkpoint of model `{}`, not of `{name}`",
                self.model
            )));
        }
        let wanted: BTreeMap<&str, &[usize]> = layout
            .parameters()
            .iter()
            .map(|p| (p.name.as_str(), p.shape.as_slice()))
            .chain(
                layout
                    .buffers()
                    .iter()
                    .filter(|b| b.role == Role::Model)
                    .map(|b| (b.name.as_str(), b.shape.as_slice())),
            )
            .collect();
        let held: BTreeMap<&str, &[usize]> = self
            .parameters
            .iter()
            .chain(&self.buffers)
            .map(|(name, shape, _)| (name.as_str(), shape.as_slice()))
            .collect();
        let other = "the checkpoint is of another model or other options";
        for (name, shape) in &wanted {
            match held.get(name) {
                None => return Err(bad(format!("has no tensor `{name}`; {other}"))),
                Some(have) if have != shape => {
                    return Err(bad(format!(
                        "holds `{name}` as {have:?}, expected {shape:?}; {other}"
                    )));
                }
                Some(_) => {}
            }
        }
        if let Some(name) = held.keys().find(|n| !wanted.contains_key(*n)) {
            return Err(bad(format!(
                "holds `{name}`, which the model does not have; {other}"
            )));
        }
        let complete = |moments: &[Named]| moments.len() == layout.parameters().len();
        if !complete(&self.moment1) || !complete(&self.moment2) {
            return Err(bad("lacks a part of the optimiser state"));
        }
        for spec in layout.buffers().iter().filter(|b| b.role == Role::Training) {
            let held = self.training.iter().find(|(name, ..)| *name == spec.name);
            let len: usize = spec.shape.iter().product();
            if held.is_none_or(|(_, _, values)| values.len() != len) {
                let name = &spec.name;
                return Err(bad(format!("lacks the training state `{name}`; {other}")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let named =
            |name: &str, values: &[f32]| (name.to_owned(), vec![values.len()], values.to_vec());
        State {
            model: "simple".into(),
            step: 7,
            seed: 3,
            options: serde_json::json!({"lr": 0.5}),
            parameters: vec![named("a.weight", &[1.0, -2.5]), named("b.weight", &[0.25])],
            buffers: vec![named("a.running_mean", &[9.0])],
            training: vec![named("a.velocity", &[0.5, -0.5])],
            moment1: vec![named("a.weight", &[0.1, 0.2]), named("b.weight", &[0.3])],
            moment2: vec![named("a.weight", &[0.4, 0.5]), named("b.weight", &[0.6])],
        }
    }

    #[test]
    fn a_state_survives_its_file_bit_for_bit() {
        let bytes = state().to_bytes().unwrap();
        assert_eq!(bytes, state().to_bytes().unwrap());
        assert_eq!(State::from_bytes(&bytes).unwrap(), state());
    }

    #[test]
    fn damage_is_an_error() {
        let bytes = state().to_bytes().unwrap();
        for cut in [0, 4, 20, bytes.len() / 2, bytes.len() - 1] {
            let error = State::from_bytes(&bytes[..cut]).unwrap_err().to_string();
            assert!(error.contains("safetensors"), "{error}");
        }
        let foreign = safetensors::serialize(Vec::<(&str, TensorView<'_>)>::new(), None).unwrap();
        assert!(
            State::from_bytes(&foreign)
                .unwrap_err()
                .to_string()
                .contains("no checkpoint of semivq")
        );
    }
}
