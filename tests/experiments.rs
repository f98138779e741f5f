//! What the page's experiments claim, held against three seeds: `www/experiments.json`, judged as `www/experiments.ts`
//! judges it in the page.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use libtest_mimic::{Arguments, Failed, Trial};
use semivq::data::BuiltIn;
use semivq::gpu::Gpu;
use semivq::train::{Session, StepMetrics, TrainOptions};
use serde_json::{Map, Value, json};
use support::command::ensure;
use support::session::run;

/// Images a step: what the page has on a software adapter; `SEMIVQ_EXPERIMENTS_BATCH=64` makes it what a GPU has.
static BATCH: LazyLock<usize> = LazyLock::new(|| {
    let given = std::env::var("SEMIVQ_EXPERIMENTS_BATCH");
    given.map_or(16, |batch| batch.parse().unwrap())
});
const SEEDS: [u64; 3] = [0, 1, 2];
const SIDES: [&str; 2] = ["a", "b"];

/// The options of one side, as the page makes them of its settings.
fn options(settings: &Map<String, Value>, side: &str, seed: u64) -> (Value, String) {
    let mut options = json!({"lr": 1e-3, "seed": seed, "batch": *BATCH, "vq": {"num_codes": 256, "feature_size": 32}});
    let mut data = "glyphs".to_owned();
    for (name, value) in settings {
        match name.split_once('.') {
            Some((of, _)) if of != side => {}
            Some((_, "method")) => options["method"] = value.clone(),
            Some((_, key)) => options["vq"][key] = value.clone(),
            None if name == "data" => value.as_str().unwrap().clone_into(&mut data),
            None if name == "num_codes" => options["vq"][name] = value.clone(),
            None => options[name] = value.clone(),
        }
    }
    (options, data)
}

/// A side's metrics and K.
type Ran = (Vec<StepMetrics>, usize);

fn train(gpu: &Arc<Gpu>, options: &Value, data: &str, steps: u32) -> semivq::Result<Ran> {
    let options = TrainOptions::from_partial(options.clone())?;
    let set = BuiltIn::named(data).unwrap();
    let size = if data == "scenes" { 32 } else { 28 };
    let set = Arc::new(set.dataset(options.seed, size)?);
    let model = options.build_model(set.shape()[0])?;
    let mut session = Session::new(Arc::clone(gpu), model, set, options.session())?;
    let metrics = run(&mut session, steps)?;
    Ok((metrics, session.code_count(0).unwrap_or(0)))
}

/// The mean of the last ten steps, since one batch is not the next.
fn figure(name: &str, (metrics, codes): &Ran) -> f64 {
    let last = &metrics[metrics.len() - 10..];
    let of = |m: &StepMetrics| {
        let json = json!(m);
        match name {
            "used" => (json["active_ratio"].as_f64().unwrap() / 100.0 * *codes as f64).round(),
            _ => json[name].as_f64().unwrap_or(f64::NAN),
        }
    };
    last.iter().map(of).sum::<f64>() / last.len() as f64
}

/// Holds every check of an experiment against the runs of its two sides.
fn judge(checks: &Value, ran: &HashMap<&str, &Ran>) -> Result<String, Failed> {
    let mut said = Vec::new();
    for check in checks.as_array().unwrap() {
        let [side, name] = ["side", "figure"].map(|key| check[key].as_str().unwrap());
        let other = SIDES.into_iter().find(|s| *s != side).unwrap();
        let [here, there] = [side, other].map(|side| figure(name, ran[side]));
        let at_least = check["leastOfOther"].as_f64().map(|by| by * there);
        let at_most = check["mostOfOther"].as_f64().map(|by| by * there);
        let bound = |key: &str| check[key].as_f64();
        let low = [bound("least"), at_least];
        let high = [bound("most"), at_most];
        let text = format!("{name} of {side} {here:.3}, of {other} {there:.3}");
        ensure(
            low.iter().flatten().all(|low| here >= *low)
                && high.iter().flatten().all(|high| here <= *high),
            format!("{text}: against {check}"),
        )?;
        said.push(text);
    }
    Ok(said.join("; "))
}

fn main() {
    let gpu = support::gpu().map(Arc::new);
    let mut args = Arguments::from_args();
    args.test_threads = Some(1);
    let table: Value = serde_json::from_str(include_str!("../www/experiments.json")).unwrap();
    let known = Arc::new(std::sync::Mutex::new(HashMap::<String, Ran>::new()));
    let mut trials = Vec::new();
    for experiment in table.as_array().unwrap().clone() {
        let (gpu, known) = (gpu.clone(), Arc::clone(&known));
        let name = format!("experiment {}", experiment["id"].as_str().unwrap());
        let missing = gpu.is_err();
        let trial = Trial::test(name, move || {
            let gpu = gpu?;
            let steps = u32::try_from(experiment["steps"].as_u64().unwrap()).unwrap();
            let settings = experiment["settings"].as_object().unwrap();
            let mut known = known.lock().unwrap();
            for seed in SEEDS {
                let keys = SIDES.map(|side| {
                    let (options, data) = options(settings, side, seed);
                    (format!("{options} {data} {steps}"), options, data)
                });
                for (key, options, data) in &keys {
                    // The baseline is A in most of them.
                    if !known.contains_key(key) {
                        known.insert(key.clone(), train(&gpu, options, data, steps)?);
                    }
                }
                let ran = SIDES
                    .into_iter()
                    .zip(keys.iter().map(|(key, ..)| &known[key]));
                let said = judge(&experiment["checks"], &ran.collect())?;
                println!("  seed {seed}: {said}");
            }
            Ok(())
        });
        trials.push(trial.with_ignored_flag(missing));
    }
    libtest_mimic::run(&args, trials).exit();
}
