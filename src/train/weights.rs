//! Weights that come in: a `state_dict` of PyTorch, saved as safetensors.

use std::collections::BTreeMap;
use std::path::Path;

use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::Session;
use crate::error::{Error, Result};
use crate::gpu::{NamedTensor, Role};

/// What wrappers put in front of a name: `DataParallel`, `torch.compile`.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

/// What PyTorch's batch norm counts and nothing here asks for.
const COUNTERS: &str = "num_batches_tracked";

/// The tensors of a `state_dict`, under its names without what wrappers put in front of them.
#[derive(Debug, Clone)]
pub struct Weights {
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

/// What became of [`Weights`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// Tensors of the model that have their values.
    pub taken: Vec<String>,
    /// Tensors of the model that they lack; these are as they were.
    pub missing: Vec<String>,
    /// Tensors of theirs that the model lacks.
    pub left_over: Vec<String>,
}

/// The values of a tensor, `None` where it holds no floats.
fn floats(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let data = view.data();
    Some(match view.dtype() {
        Dtype::F32 => bytemuck::pod_collect_to_vec(data),
        Dtype::F64 => {
            let values: Vec<f64> = bytemuck::pod_collect_to_vec(data);
            values.into_iter().map(|v| v as f32).collect()
        }
        Dtype::F16 => {
            let bits: Vec<u16> = bytemuck::pod_collect_to_vec(data);
            bits.into_iter()
                .map(|b| f16::from_bits(b).to_f32())
                .collect()
        }
        Dtype::BF16 => {
            let bits: Vec<u16> = bytemuck::pod_collect_to_vec(data);
            bits.into_iter()
                .map(|b| bf16::from_bits(b).to_f32())
                .collect()
        }
        _ => return None,
    })
}

fn bare(mut name: &str) -> &str {
    while let Some(rest) = WRAPPERS.iter().find_map(|w| name.strip_prefix(w)) {
        name = rest;
    }
    name
}

impl Weights {
    /// Reads a safetensors file's bytes. Values of other precisions become float32; tensors that hold no floats
    /// are passed over, as `num_batches_tracked` is.
    ///
    /// # Errors
    /// [`Error::Config`] when they are damaged, hold no floats at all, a name twice (once with the prefix of a
    /// wrapper), NaN or infinity.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let file = SafeTensors::deserialize(bytes).map_err(|e| {
            Error::Config(format!(
                "is no complete safetensors file ({e}); from PyTorch: \
                 safetensors.torch.save_file(model.state_dict(), FILE)"
            ))
        })?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.tensors() {
            let name = bare(&name);
            let Some(values) = floats(&view) else {
                continue;
            };
            if name.ends_with(COUNTERS) {
                continue;
            }
            if let Some(bad) = values.iter().find(|v| !v.is_finite()) {
                return Err(Error::Config(format!("holds {bad} in `{name}`")));
            }
            let tensor = (view.shape().to_vec(), values);
            if tensors.insert(name.to_owned(), tensor).is_some() {
                return Err(Error::Config(format!(
                    "holds `{name}` twice, with and without the prefix of a wrapper"
                )));
            }
        }
        if tensors.is_empty() {
            return Err(Error::Config("holds no tensor of floats".into()));
        }
        Ok(Self { tensors })
    }

    /// Reads a safetensors file.
    ///
    /// # Errors
    /// [`Error::File`] names the file, and what [`Self::from_bytes`] says of it.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::file(path, e.to_string()))?;
        Self::from_bytes(&bytes).map_err(|e| Error::file(path, e.to_string()))
    }

    /// Whether they hold a tensor `name`.
    #[must_use]
    pub fn hold(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }
}

/// Some names, and how many more there are.
#[must_use]
pub fn listed(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let some = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => some,
        more => format!("{some} and {more} more"),
    }
}

impl Session {
    /// Takes up `weights`, as far as the model has tensors of their names; the others stay as they were drawn. A
    /// codebook that comes with them is not placed by k-means any more. To be called before the first step.
    ///
    /// # Errors
    /// [`Error::Config`] when nothing of them is the model's, or names the first tensor whose shape differs; nothing
    /// is changed then.
    pub fn take_weights(&mut self, weights: &Weights) -> Result<Taken> {
        let layout = self.store.layout();
        let parameters = layout.parameters().iter().map(|p| (&p.name, &p.shape));
        let buffers = layout.buffers().iter().filter(|b| b.role == Role::Model);
        let own: BTreeMap<&String, &Vec<usize>> = parameters
            .chain(buffers.map(|b| (&b.name, &b.shape)))
            .collect();
        let mut taken = Taken::default();
        let mut found: Vec<NamedTensor> = Vec::new();
        for (name, shape) in &own {
            let Some((have, values)) = weights.tensors.get(*name) else {
                taken.missing.push((*name).clone());
                continue;
            };
            if have != *shape {
                return Err(Error::Config(format!(
                    "holds `{name}` as {have:?}, the model has {shape:?}: give the options of the model that it is of"
                )));
            }
            taken.taken.push((*name).clone());
            found.push(((*name).clone(), have.clone(), values.clone()));
        }
        let unknown = weights
            .tensors
            .keys()
            .filter(|name| !own.contains_key(name));
        taken.left_over = unknown.cloned().collect();
        if found.is_empty() {
            return Err(Error::Config(format!(
                "has nothing of the model {}: it holds {}; the model has {}",
                self.model.name(),
                listed(&taken.left_over),
                listed(&taken.missing)
            )));
        }
        for (name, _, values) in &found {
            self.store.write_any(&self.gpu, name, values)?;
        }
        self.placed.clone_from(&taken.taken);
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn file(tensors: &[(&str, Dtype, &[u8])]) -> Vec<u8> {
        let views = tensors.iter().map(|(name, dtype, bytes)| {
            let size = match dtype {
                Dtype::F64 | Dtype::I64 => 8,
                Dtype::F32 => 4,
                _ => 2,
            };
            let view = TensorView::new(*dtype, vec![bytes.len() / size], bytes).unwrap();
            (name.to_string(), view)
        });
        safetensors::serialize(views, None::<HashMap<String, String>>).unwrap()
    }

    #[test]
    fn every_precision_under_its_bare_name() {
        let single = [1.5_f32, -2.0].map(f32::to_le_bytes).concat();
        let double = 0.25_f64.to_le_bytes();
        let short = f16::from_f32(-0.5).to_bits().to_le_bytes();
        let brain = bf16::from_f32(3.0).to_bits().to_le_bytes();
        let bytes = file(&[
            ("module.a", Dtype::F32, &single),
            ("module._orig_mod.b", Dtype::F64, &double),
            ("c", Dtype::F16, &short),
            ("d", Dtype::BF16, &brain),
            (
                "module.n.num_batches_tracked",
                Dtype::I64,
                &7_i64.to_le_bytes(),
            ),
        ]);
        let weights = Weights::from_bytes(&bytes).unwrap();
        let all: Vec<_> = (weights.tensors.iter())
            .map(|(name, (_, values))| (name.as_str(), values.clone()))
            .collect();
        assert_eq!(
            all,
            [
                ("a", vec![1.5, -2.0]),
                ("b", vec![0.25]),
                ("c", vec![-0.5]),
                ("d", vec![3.0])
            ]
        );
    }

    #[test]
    fn what_cannot_be_weights_is_refused() {
        let nan = f32::NAN.to_le_bytes();
        let one = 1_f32.to_le_bytes();
        for (bytes, want) in [
            (b"PK\x03\x04".to_vec(), "no complete safetensors file"),
            (file(&[("n", Dtype::I64, &[0; 8])]), "no tensor of floats"),
            (file(&[("w", Dtype::F32, &nan)]), "holds NaN in `w`"),
            (
                file(&[("w", Dtype::F32, &one), ("module.w", Dtype::F32, &one)]),
                "`w` twice",
            ),
        ] {
            let error = Weights::from_bytes(&bytes).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        }
    }

    #[test]
    fn long_lists_are_cut() {
        let names: Vec<String> = (0..10).map(|i| i.to_string()).collect();
        assert_eq!(listed(&names), "0, 1, 2, 3, 4, 5, 6, 7 and 2 more");
        assert_eq!(listed(&names[..2]), "0, 1");
    }
}
