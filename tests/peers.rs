//! The baselines against other implementations: vector-quantize-pytorch, and scikit-learn for k-means.
//! `tests/peers/generate.py` makes the cases. Schedules, clipping and rates of parameter groups against PyTorch, SSIM
//! against scikit-image: `tests/peers/generate_training.py`; the prior: `tests/peers/generate_prior.py`.

#[path = "peers/prior.rs"]
mod prior;
mod support;
#[path = "peers/training.rs"]
mod training;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use safetensors::{Dtype, SafeTensors};
use semivq::gpu::{Arena, Gpu, Role, StepValues};
use semivq::quant::VectorQuantConfig;
use semivq::quant::codebook::kmeans::{KMeansOptions, kmeans};
use support::layer::Layer;
use support::share_by_rows;

/// That of the golden files.
const RELATIVE: f64 = 2e-5;
const ABSOLUTE: f64 = 1e-6;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/peers")
}

struct Case {
    config: serde_json::Value,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    codes: BTreeMap<String, Vec<u32>>,
}

impl Case {
    fn read(name: &str) -> Result<Self, Failed> {
        let bytes = std::fs::read(folder().join(name).with_extension("safetensors"))?;
        let (_, header) = SafeTensors::read_metadata(&bytes)?;
        let config = header.metadata().as_ref().and_then(|m| m.get("config"));
        let mut case = Self {
            config: serde_json::from_str(config.ok_or("no config")?)?,
            tensors: BTreeMap::new(),
            codes: BTreeMap::new(),
        };
        for (name, view) in SafeTensors::deserialize(&bytes)?.tensors() {
            if view.dtype() == Dtype::F32 {
                let values = bytemuck::pod_collect_to_vec(view.data());
                case.tensors.insert(name, (view.shape().to_vec(), values));
            } else {
                let values = bytemuck::pod_collect_to_vec(view.data());
                case.codes.insert(name, values);
            }
        }
        Ok(case)
    }

    fn tensor(&self, name: &str) -> Result<&[f32], Failed> {
        let found = self.tensors.get(name).ok_or(format!("no {name}"))?;
        Ok(&found.1)
    }

    fn check(&self, name: &str, got: &[f32]) -> Result<(), Failed> {
        let (shape, want) = self.tensors.get(name).ok_or(format!("no {name}"))?;
        let rows = if shape.len() > 1 { shape[0] } else { 1 };
        let share = share_by_rows(got, want, rows, RELATIVE, ABSOLUTE);
        if share > 1.0 {
            return Err(format!("{name} at {share:.2} of the tolerance").into());
        }
        Ok(())
    }
}

/// Each step of a case: `out`, `q`, `loss`, all gradients, and what the step leaves.
fn steps(gpu: &Gpu, name: &str) -> Result<(), Failed> {
    let case = Case::read(name)?;
    let config: VectorQuantConfig = serde_json::from_value(case.config.clone())?;
    let steps = if name.contains("ema") { 3 } else { 1 };
    let suffix = |what: &str, step: usize| match steps {
        1 => what.to_owned(),
        _ => format!("{what}_{step}"),
    };
    let shape = &case.tensors[&suffix("in.z", 0)].0;
    let layer = Layer::new(gpu, &config, shape, true, true)?;
    let Layer {
        store, plan, maps, ..
    } = &layer;
    let of_the_model = store.layout().buffers().iter();
    let of_the_model = of_the_model.filter(|b| b.role == Role::Model);
    let buffers: Vec<String> = of_the_model.map(|b| b.name.clone()).collect();
    let mut loaded = 0;
    for (key, (_, values)) in &case.tensors {
        if let Some(name) = key.strip_prefix("param.") {
            store.write_any(gpu, name, values)?;
            loaded += 1;
        }
    }
    if loaded != store.layout().parameters().len() + buffers.len() {
        return Err("the case does not hold all parameters".into());
    }
    let read = |var| pollster::block_on(plan.read(gpu, var));
    for step in 0..steps {
        plan.write(gpu, layer.z, case.tensor(&suffix("in.z", step))?)?;
        plan.write(
            gpu,
            layer.grad_out,
            case.tensor(&suffix("in.grad_out", step))?,
        )?;
        let values = StepValues::default().with("step", step as u32 + 1);
        plan.run(gpu, &values.with("epoch_steps", 1_u32))?;
        pollster::block_on(plan.check_guards(gpu))?;
        pollster::block_on(store.check_gradient_guards(gpu))?;
        // Of each code map, one after the other.
        let (mut q, mut losses) = (Vec::new(), Vec::new());
        for map in maps {
            q.extend(pollster::block_on(plan.read_u32(gpu, map.q))?);
            losses.extend(read(map.scalar("cmt_loss").ok_or("no loss")?)?);
        }
        if q != case.codes[&suffix("out.q", step)] {
            return Err(format!("step {step}: the codes differ").into());
        }
        case.check(&suffix("out.out", step), &read(layer.out)?)?;
        case.check(&suffix("grad.z", step), &read(layer.grad_z)?)?;
        let loss = suffix("out.loss", step);
        if case.tensors.contains_key(&loss) {
            case.check(&loss, &losses)?;
        }
        let after = pollster::block_on(store.read(gpu, Arena::Buffers))?;
        for (name, _, values) in after {
            let name = suffix(&format!("after.{name}"), step);
            if case.tensors.contains_key(&name) {
                case.check(&name, &values)?;
            }
        }
    }
    for (name, _, values) in pollster::block_on(store.read(gpu, Arena::Gradients))? {
        case.check(&format!("grad.{name}"), &values)?;
    }
    Ok(())
}

/// The median inertia of five seeds is at most 1.02 times scikit-learn's; the same seed gives the same
/// bits, and the inertia is that of the centroids.
fn clusters_as_well(gpu: &Gpu) -> Result<(), Failed> {
    let case = Case::read("kmeans")?;
    let sets = case.config.as_object().ok_or("no sets")?;
    for (name, clusters) in sets {
        let clusters = clusters.as_u64().ok_or("no number of clusters")? as usize;
        let (shape, rows) = &case.tensors[&format!("in.{name}")];
        let once = |seed: u64| {
            let options = KMeansOptions::new(clusters, seed);
            pollster::block_on(kmeans(gpu, rows, shape[1], options))
        };
        let mut found = Vec::new();
        for seed in 0..5 {
            let result = once(seed)?;
            let square = |(n, k): (usize, &u32)| -> f64 {
                let row = &rows[n * shape[1]..(n + 1) * shape[1]];
                let centroid = &result.centroids[*k as usize * shape[1]..];
                let pairs = row.iter().zip(centroid);
                pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum()
            };
            let by_hand: f64 = result.assignments.iter().enumerate().map(square).sum();
            if (by_hand - result.inertia).abs() > 1e-4 * by_hand {
                return Err(
                    format!("{name}: inertia {}, by hand {by_hand}", result.inertia).into(),
                );
            }
            found.push(result.inertia);
        }
        if once(3)? != once(3)? || once(3)? == once(4)? {
            return Err(format!("{name}: not a function of the seed").into());
        }
        found.sort_by(f64::total_cmp);
        let ratio = found[2] / f64::from(case.tensor(&format!("out.{name}"))?[0]);
        println!("{name}: median inertia is {ratio:.4} of scikit-learn's");
        if ratio > 1.02 {
            return Err(format!("{name}: {ratio} times scikit-learn's inertia").into());
        }
    }
    Ok(())
}

/// Fewer rows than clusters, equal rows, one cluster; and what is no set of rows.
fn takes_odd_rows(gpu: &Gpu) -> Result<(), Failed> {
    let run = |rows: &[f32], features: usize, clusters: usize| {
        pollster::block_on(kmeans(gpu, rows, features, KMeansOptions::new(clusters, 1)))
    };
    let few = run(&[1.0, 2.0, 3.0, 4.0], 2, 5)?;
    let near =
        |k: usize, row: [f32; 2]| (0..2).all(|f| (few.centroids[2 * k + f] - row[f]).abs() < 0.01);
    let tiled = (0..5).all(|k| near(k, if k % 2 == 0 { [1.0, 2.0] } else { [3.0, 4.0] }));
    if !tiled || few.centroids[0] == few.centroids[4] {
        return Err(format!("two rows for five clusters: {:?}", few.centroids).into());
    }
    let equal = run(&[0.5; 600], 3, 4)?;
    if equal.inertia != 0.0 || !equal.centroids.iter().all(|v| *v == 0.5) {
        return Err(format!("equal rows: {equal:?}").into());
    }
    let one = run(&[1.0, 2.0, 6.0], 1, 1)?;
    if one.centroids != [3.0] || (one.inertia - 14.0).abs() > 1e-4 {
        return Err(format!("one cluster: {one:?}").into());
    }
    for (rows, features, clusters, want) in [
        (&[][..], 2, 3, "no rows"),
        (&[1.0, 2.0, 3.0][..], 2, 3, "no rows of 2 features"),
        (&[1.0, f32::NAN][..], 1, 3, "row 1 holds NaN"),
        (
            &[1.0, 2.0][..],
            1,
            0,
            "clusters must be a whole number from 1",
        ),
    ] {
        let error = run(rows, features, clusters).err().ok_or(want)?.to_string();
        if !error.contains(want) {
            return Err(format!("{error:?} does not say {want:?}").into());
        }
    }
    Ok(())
}

fn main() {
    let mut args = Arguments::from_args();
    args.test_threads = Some(1);
    // The published package leaves its folder out.
    if !folder().exists() {
        println!("skipped: {} is not part of the package", folder().display());
        return;
    }
    let gpu = support::gpu().map(Arc::new);
    if let Err(why) = &gpu {
        println!("GPU tests are ignored: {why}");
    }
    let test = |name: &str, test: fn(&Gpu, &str) -> Result<(), Failed>| {
        let device = gpu.clone();
        let owned = name.to_owned();
        Trial::test(name, move || {
            let gpu = device?;
            test(&gpu, &owned)?;
            gpu.check("the test")?;
            Ok(())
        })
        .with_ignored_flag(gpu.is_err())
    };
    let mut trials: Vec<Trial> = [
        "ema",
        "rotation",
        "simvq",
        "fsq",
        "fsq_projected",
        "residual",
        "residual_shared",
        "residual_rotation",
        "residual_ema",
        "residual_ema_shared",
    ]
    .into_iter()
    .map(|name| test(name, steps))
    .collect();
    trials.push(test(
        "k-means clusters as well as scikit-learn",
        |gpu, _| clusters_as_well(gpu),
    ));
    trials.push(test("k-means takes odd rows", |gpu, _| takes_odd_rows(gpu)));
    trials.push(Trial::test("schedules of PyTorch", training::schedules));
    trials.push(test(
        "clipping and parameter groups of PyTorch",
        |gpu, _| training::clipped_steps(gpu),
    ));
    trials.push(test("SSIM of scikit-image", |gpu, _| {
        training::similarity(gpu)
    }));
    trials.push(test("the prior in PyTorch", |gpu, _| prior::steps(gpu)));
    libtest_mimic::run(&args, trials).exit();
}
