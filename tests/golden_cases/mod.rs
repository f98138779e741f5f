//! Running one golden case.

mod model;
mod op;
mod optimizer;
mod sq;
mod vq;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use semivq::gpu::{Arena, Gpu, Role, Store};

use crate::support::{share_by_rows, share_of_tolerance};

/// `relative * max|reference| + absolute` on the largest error of a row of a tensor.
#[derive(Clone, Copy)]
pub struct Tolerance {
    relative: f64,
    absolute: f64,
}

/// Operations, optimisers and quantisers.
pub const LAYER: Tolerance = Tolerance {
    relative: 2e-5,
    absolute: 1e-6,
};
/// Gradients and traces of whole models.
pub const MODEL: Tolerance = Tolerance {
    relative: 2e-4,
    absolute: 1e-5,
};

pub enum Outcome {
    Passed { share: f64, tensor: String },
    Failed(String),
    NotYet(String),
}

pub struct Tensor {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

pub struct Case {
    pub kind: String,
    pub config: serde_json::Value,
    tensors: BTreeMap<String, Tensor>,
    codes: BTreeMap<String, Vec<u32>>,
    checked: BTreeSet<String>,
    worst: (f64, String),
    problems: Vec<String>,
}

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

impl Case {
    /// All case files under `root`, sorted.
    pub fn find(root: &Path) -> Vec<PathBuf> {
        let entries = |dir: &Path| -> Vec<PathBuf> {
            let read = std::fs::read_dir(dir).into_iter().flatten();
            read.filter_map(|e| Some(e.ok()?.path())).collect()
        };
        let folders = entries(root).into_iter().filter(|p| p.is_dir());
        let mut files: Vec<PathBuf> = folders
            .flat_map(|dir| entries(&dir))
            .filter(|p| p.extension().is_some_and(|e| e == "safetensors"))
            .collect();
        files.sort();
        files
    }

    pub fn name_of(root: &Path, path: &Path) -> String {
        let relative = path.strip_prefix(root).unwrap_or(path).with_extension("");
        relative.to_string_lossy().replace('\\', "/")
    }

    fn read(path: &Path) -> Fallible<Self> {
        let bytes = std::fs::read(path)?;
        let (_, header) = SafeTensors::read_metadata(&bytes)?;
        let meta = header.metadata().clone().ok_or("no metadata")?;
        let file = SafeTensors::deserialize(&bytes)?;
        let mut tensors = BTreeMap::new();
        let mut codes = BTreeMap::new();
        for (name, view) in file.tensors() {
            let data = view.data();
            match view.dtype() {
                Dtype::F32 => {
                    let values = bytemuck::pod_collect_to_vec(data);
                    let shape = view.shape().to_vec();
                    tensors.insert(name, Tensor { shape, values });
                }
                Dtype::I32 => {
                    codes.insert(name, bytemuck::pod_collect_to_vec(data));
                }
                other => return Err(format!("{name} has type {other:?}").into()),
            }
        }
        Ok(Self {
            kind: meta.get("kind").ok_or("no kind")?.clone(),
            config: serde_json::from_str(meta.get("config").ok_or("no config")?)?,
            tensors,
            codes,
            checked: BTreeSet::new(),
            worst: (0.0, "codes".into()),
            problems: Vec::new(),
        })
    }

    pub fn tensor(&self, name: &str) -> Fallible<&Tensor> {
        Ok(self
            .tensors
            .get(name)
            .ok_or_else(|| format!("the file has no {name}"))?)
    }

    pub fn text(&self, key: &str) -> Fallible<&str> {
        Ok(self.config[key]
            .as_str()
            .ok_or_else(|| format!("no {key} in the config"))?)
    }

    pub fn number(&self, key: &str) -> Fallible<f64> {
        Ok(self.config[key]
            .as_f64()
            .ok_or_else(|| format!("no {key} in the config"))?)
    }

    /// Tensors whose name begins with `prefix.`, without it.
    pub fn group(&self, prefix: &str) -> Vec<(String, &Tensor)> {
        let start = format!("{prefix}.");
        let all = self.tensors.iter();
        all.filter_map(|(n, t)| Some((n.strip_prefix(&start)?.to_owned(), t)))
            .collect()
    }

    /// Compares each row of a tensor (its first axis) relative to that row's own largest value.
    pub fn compare(&mut self, name: &str, got: &[f32], tolerance: Tolerance) -> Fallible<()> {
        let tensor = self.tensor(name)?;
        let rows = if tensor.shape.len() > 1 {
            tensor.shape[0]
        } else {
            1
        };
        let Tolerance { relative, absolute } = tolerance;
        let share = share_by_rows(got, &tensor.values, rows, relative, absolute);
        self.note(name, share);
        self.checked.insert(name.to_owned());
        Ok(())
    }

    /// Compares each column of a table by itself, relative to its own largest value.
    pub fn compare_columns(
        &mut self,
        name: &str,
        got: &[f32],
        tolerance: Tolerance,
    ) -> Fallible<()> {
        let table = self.tensor(name)?;
        let [_, columns] = table.shape[..] else {
            return Err(format!("{name} is no table").into());
        };
        let column = |values: &[f32], at: usize| -> Vec<f32> {
            values.iter().copied().skip(at).step_by(columns).collect()
        };
        for at in 0..columns {
            let (got, want) = (column(got, at), column(&self.tensor(name)?.values, at));
            let share = share_of_tolerance(&got, &want, tolerance.relative, tolerance.absolute);
            self.note(&format!("{name}, column {at}"), share);
        }
        self.checked.insert(name.to_owned());
        Ok(())
    }

    fn note(&mut self, what: &str, share: f64) {
        if share > 1.0 {
            self.problems
                .push(format!("{what} at {share:.2} of the tolerance"));
        }
        if share > self.worst.0 {
            self.worst = (share, what.to_owned());
        }
    }

    pub fn compare_codes(&mut self, name: &str, got: &[u32]) -> Fallible<()> {
        let want = self
            .codes
            .get(name)
            .ok_or_else(|| format!("the file has no {name}"))?;
        let wrong = got.iter().zip(want).filter(|(g, w)| g != w).count();
        if wrong > 0 || got.len() != want.len() {
            self.problems
                .push(format!("{name}: {wrong} of {} codes differ", want.len()));
        }
        self.checked.insert(name.to_owned());
        Ok(())
    }

    /// Writes `param.*` into parameters and buffers; every one must find its place.
    pub fn load_parameters(&self, gpu: &Gpu, store: &Store) -> Fallible<()> {
        let mut loaded = 0;
        for (name, tensor) in self.group("param") {
            let arena = if store.layout().buffers().iter().any(|b| b.name == name) {
                Arena::Buffers
            } else {
                Arena::Parameters
            };
            store.write(gpu, arena, &name, &tensor.values)?;
            loaded += 1;
        }
        let layout = store.layout();
        let of_the_model = layout.buffers().iter().filter(|b| b.role == Role::Model);
        let wanted = layout.parameters().len() + of_the_model.count();
        if loaded != wanted {
            return Err(
                format!("the file holds {loaded} parameters, the layer has {wanted}").into(),
            );
        }
        Ok(())
    }

    /// Compares all gradients of parameters, and what the step changed.
    pub async fn compare_store(
        &mut self,
        gpu: &Gpu,
        store: &Store,
        gradients: bool,
        after: bool,
        tolerance: Tolerance,
    ) -> Fallible<()> {
        if gradients {
            for (name, _, values) in store.read(gpu, Arena::Gradients).await? {
                self.compare(&format!("grad.{name}"), &values, tolerance)?;
            }
        }
        if after {
            for arena in [Arena::Parameters, Arena::Buffers] {
                for (name, _, values) in store.read(gpu, arena).await? {
                    let name = format!("after.{name}");
                    if self.tensors.contains_key(&name) {
                        self.compare(&name, &values, tolerance)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Every result in the file must have been compared.
    fn finish(self) -> Outcome {
        let results = self.tensors.keys().chain(self.codes.keys());
        let missed: Vec<&String> = results
            .filter(|n| ["out.", "grad.", "after."].iter().any(|p| n.starts_with(p)))
            .filter(|n| !self.checked.contains(*n))
            .collect();
        if !missed.is_empty() {
            return Outcome::Failed(format!("not compared: {missed:?}"));
        }
        if !self.problems.is_empty() {
            return Outcome::Failed(self.problems.join("; "));
        }
        Outcome::Passed {
            share: self.worst.0,
            tensor: self.worst.1,
        }
    }
}

pub async fn run_case(gpu: &Gpu, name: &str, path: &Path) -> Outcome {
    let result = async {
        let mut case = Case::read(path)?;
        match case.kind.as_str() {
            "op" => op::run(gpu, &mut case).await?,
            "optimizer" => optimizer::run(gpu, &mut case).await?,
            "sq" => sq::run(gpu, &mut case).await?,
            "vq" => vq::run(gpu, &mut case).await?,
            "model" => model::run(gpu, &mut case).await?,
            other => return Err(format!("{name} is of the unknown kind {other}").into()),
        }
        gpu.check("the case")?;
        Fallible::Ok(case)
    };
    match result.await {
        Ok(case) => case.finish(),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}
