//! Options mean what they say: each one does something to the training, or is said to do nothing;
//! each number has a range, checked wherever it comes in.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "options/effect.rs"]
mod effect;
#[path = "options/numbers.rs"]
mod numbers;
mod support;

use std::path::Path;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use semivq::data::{Dataset, Images};
use semivq::gpu::Gpu;
use semivq::options::TABLE;
use semivq::quant::VectorQuantConfig;
use semivq::train::checkpoint::Training;
use semivq::train::{Method, Session, TrainOptions};
use serde_json::{Value, json};
use support::command::{ensure, write_data};

/// Images of 8 x 8, as many codes as dead ones are sure.
fn data() -> Dataset {
    let images = |count: usize| Images {
        shape: [1, 8, 8],
        pixels: (0..count * 64).map(|i| (i / 3 * 37 % 256) as u8).collect(),
        labels: None,
    };
    Dataset::new("stripes", images(8), images(2))
}

/// `more` over `base`, objects key by key.
fn over(base: &Value, more: &Value) -> Value {
    let (Value::Object(base), Value::Object(more)) = (base, more) else {
        return more.clone();
    };
    let mut all = base.clone();
    for (key, value) in more {
        let old = all.get(key).cloned().unwrap_or(Value::Null);
        all.insert(key.clone(), over(&old, value));
    }
    Value::Object(all)
}

/// Small options with `given` over them.
fn options(given: &Value) -> semivq::Result<TrainOptions> {
    let small = json!({"batch": 2, "vq": {"feature_size": 32, "num_codes": 16}});
    let options = TrainOptions::from_partial(over(&small, given))?;
    // Replacement of the methods that have it, within the few steps of the test.
    options.with_quantizer(|vq| {
        if vq.replace_freq >= 20 {
            vq.replace_freq = 1;
        }
    })
}

/// All tensors of training after three steps, but for those that only count them; not finite ones
/// are an outcome of their own.
fn outcome(gpu: &Arc<Gpu>, options: &TrainOptions) -> Result<Vec<u8>, Failed> {
    let model = options.build_model(1)?;
    let mut session = Session::new(Arc::clone(gpu), model, data(), options.session())?;
    pollster::block_on(async {
        for _ in 0..3 {
            session.step().await?;
        }
        while session.next_metrics().await?.is_some() {}
        let mut state = session.state(Value::Null).await?;
        if let Training::Here(training) = &mut state.training {
            training.buffers.retain(|t| !t.0.ends_with(".countdown"));
        }
        Ok(state.to_bytes()?)
    })
}

/// Each option with a value that no method has.
fn changes() -> Vec<(&'static str, Value)> {
    let vq = |name: &str, value: Value| json!({"vq": {name: value}});
    vec![
        ("commitment_weight", json!({"commitment_weight": 3.0})),
        // A large step drives pixels beyond the range that is clamped.
        ("output_clamp", json!({"output_clamp": "train"})),
        ("lr", json!({"lr": 0.002})),
        ("schedule", json!({"schedule": "cosine", "steps": 12})),
        ("warmup", json!({"warmup": 2})),
        ("min_lr", json!({"min_lr": 1e-4})),
        ("decay_every", json!({"decay_every": 2})),
        ("decay_factor", json!({"decay_factor": 0.3})),
        ("quantizer_lr", json!({"quantizer_lr": 0.5})),
        ("clip_norm", json!({"clip_norm": 1e-3})),
        ("accumulate", json!({"accumulate": 2})),
        ("loss", json!({"loss": "mse"})),
        ("seed", json!({"seed": 7})),
        ("flip", json!({"flip": true})),
        ("batch", json!({"batch": 4})),
        ("beta1", json!({"optimizer": {"beta1": 0.5}})),
        ("beta2", json!({"optimizer": {"beta2": 0.5}})),
        ("eps", json!({"optimizer": {"eps": 0.1}})),
        ("momentum", json!({"optimizer": {"momentum": 0.5}})),
        ("weight_decay", json!({"optimizer": {"weight_decay": 0.5}})),
        ("num_codes", vq("num_codes", json!(64))),
        ("feature_size", vq("feature_size", json!(64))),
        ("beta", vq("beta", json!(0.5))),
        ("sync_nu", vq("sync_nu", json!(0.7))),
        ("affine_lr", vq("affine_lr", json!(0.3))),
        ("affine_groups", vq("affine_groups", json!(4))),
        ("using_statistics", vq("using_statistics", json!(true))),
        ("use_learnable_std", vq("use_learnable_std", json!(true))),
        ("alter_penalty", vq("alter_penalty", json!("small"))),
        ("penalty_weight", vq("penalty_weight", json!(0.3))),
        (
            "use_learnable_gamma",
            vq("use_learnable_gamma", json!(true)),
        ),
        ("gamma_policy", vq("gamma_policy", json!("personalize"))),
        ("replace_freq", vq("replace_freq", json!(2))),
        ("replace_below", vq("replace_below", json!(3.0))),
        ("replace_policy", vq("replace_policy", json!("self"))),
        (
            "inplace_optimizer",
            json!({"vq": {"inplace_optimizer": [1.0, 0.5], "beta": 1.0}}),
        ),
        ("ema_decay", vq("ema_decay", json!(0.5))),
        ("simvq", vq("simvq", json!(true))),
        (
            "fsq_levels",
            json!({"vq": {"fsq_levels": [4, 4], "num_codes": 16}}),
        ),
        ("stochastic", vq("stochastic", json!("gaussian_3"))),
        ("temperature", vq("temperature", json!(2.0))),
        ("temperature_decay", vq("temperature_decay", json!(0.5))),
        ("temperature_min", vq("temperature_min", json!(3.0))),
        ("estimator", vq("estimator", json!("rotation"))),
        ("norm", vq("norm", json!("l2c"))),
        ("cb_norm", vq("cb_norm", json!("l2c"))),
        ("codebook_init", vq("codebook_init", json!("kmeans"))),
        ("placement", vq("placement", json!("raw"))),
        ("dist", vq("dist", json!("cosine"))),
        ("residual", vq("residual", json!(3))),
        ("residual_shared", vq("residual_shared", json!(true))),
        ("no_vq", vq("no_vq", json!(true))),
    ]
}

/// What says how far a run goes, where its images and first weights are and what it keeps, or is a setting of others
/// (the models, which are trained elsewhere).
const NOT_TRAINED_WITH: [&str; 19] = [
    "epochs",
    "eval_every",
    "keep_best",
    "keep_last",
    "patience",
    "min_delta",
    "model",
    "width",
    "blocks",
    "init",
    "method",
    "data",
    "image_size",
    "skip_bad",
    "steps",
    "log_every",
    "checkpoint_every",
    "optimizer",
    "dim",
];

/// [`changes`] has every option that training can feel.
fn every_option_is_changed() -> Result<(), Failed> {
    let changes: Vec<&str> = changes().into_iter().map(|(name, _)| name).collect();
    for entry in &TABLE {
        let id = entry.id();
        ensure(
            changes.contains(&id) != NOT_TRAINED_WITH.contains(&id),
            format!("{id} is not in the list of changes, or twice"),
        )?;
    }
    Ok(())
}

/// What the options stand beside: every method, and every switch that no method has.
fn settings() -> Vec<Value> {
    let methods = Method::ALL.iter().map(|m| json!({"method": m.name()}));
    let switches = [
        json!({"optimizer": {"name": "sgd"}}),
        json!({"schedule": "cosine", "steps": 9}),
        json!({"schedule": "step", "steps": 3}),
        json!({"method": "approach1", "clip_norm": 0.1, "accumulate": 2}),
        json!({"vq": {"no_vq": true}}),
        json!({"vq": {"affine_lr": 2.0, "using_statistics": true}}),
        json!({"vq": {"replace_freq": 1}}),
        json!({"vq": {"replace_below": 0.9, "use_learnable_std": true}}),
        json!({"vq": {"codebook_init": "kmeans", "affine_lr": 2.0}}),
        json!({"vq": {"codebook_init": "kmeans", "affine_lr": 2.0, "using_statistics": true}}),
        json!({"vq": {"dist": "cosine"}}),
        json!({"vq": {"use_learnable_std": true, "penalty_weight": 1.0}}),
        json!({"vq": {"use_learnable_std": true, "use_learnable_gamma": true}}),
        json!({"vq": {"ema_decay": 0.9, "beta": 1.0}}),
        json!({"vq": {"inplace_optimizer": [1.0, 0.5], "beta": 1.0}}),
        json!({"vq": {"inplace_optimizer": [1.0, 0.5], "beta": 1.0, "sync_nu": 1.0}}),
        json!({"vq": {"inplace_optimizer": [1.0, 0.5], "beta": 1.0, "affine_lr": 1.0}}),
        json!({"vq": {"simvq": true, "beta": 1.0}}),
        json!({"vq": {"residual": 2}}),
        json!({"vq": {"residual": 2, "ema_decay": 0.9, "codebook_init": "kmeans"}}),
        json!({"vq": {"beta": 0.0}}),
        json!({"vq": {"beta": 1.0}}),
        json!({"commitment_weight": 0.0}),
        json!({"commitment_weight": 0.0, "vq": {"sync_nu": 1.0}}),
        json!({"vq": {"num_codes": 1}}),
        json!({"vq": {"num_codes": 1, "replace_freq": 1}}),
    ];
    methods.chain(switches).collect()
}

/// An option that is not said to be idle changes the training; one that is, changes nothing.
fn each_option_does_something_or_is_said_to_do_nothing(gpu: &Arc<Gpu>) -> Result<(), Failed> {
    let mut faults = Vec::new();
    let (mut live, mut idle, mut refused) = (0, 0, 0);
    for setting in settings() {
        let base = options(&setting)?;
        let base_vq = VectorQuantConfig::from(&base.quantizer);
        let before = outcome(gpu, &base)?;
        for (name, change) in changes() {
            // Beside running moments it is a switch, which the command line says.
            if name == "affine_lr" && base_vq.using_statistics {
                continue;
            }
            // The one that `auto` is not.
            let change = match name {
                "placement" if base_vq.use_learnable_std => {
                    json!({"vq": {"placement": "effective"}})
                }
                _ => change,
            };
            let Ok(changed) = options(&over(&setting, &change)) else {
                refused += 1;
                continue;
            };
            let said = changed
                .without_effect()
                .iter()
                .any(|idle| idle.names.contains(&name));
            if !said && changed == base {
                continue;
            }
            let same = match name {
                // What is clamped must be there.
                "output_clamp" => {
                    // The logarithm of an evidence bound takes smaller steps to the same place.
                    let lr = if base.method.bound().is_some() {
                        0.1
                    } else {
                        0.5
                    };
                    let far = json!({"lr": lr, "commitment_weight": 0.0});
                    let outcomes = [&setting, &over(&setting, &change)]
                        .map(|given| outcome(gpu, &options(&over(given, &far))?));
                    let [a, b] = outcomes;
                    a? == b?
                }
                _ => before == outcome(gpu, &changed)?,
            };
            match (said, same) {
                (false, false) => live += 1,
                (true, true) => idle += 1,
                (false, true) => faults.push(format!("{setting}: {change} changes nothing")),
                (true, false) => faults.push(format!("{setting}: {change} changes the training")),
            }
        }
    }
    println!("{live} with effect, {idle} said to be without, {refused} refused");
    ensure(faults.is_empty(), faults.join("\n"))?;
    // The test would be empty if all were refused.
    ensure(live > 300 && idle > 100, "too few were tried")
}

fn main() {
    let mut args = Arguments::from_args();
    args.test_threads = Some(1);
    let gpu = support::gpu().map(Arc::new);
    if let Err(why) = &gpu {
        println!("GPU tests are ignored: {why}");
    }
    let device = gpu.clone();
    let mut trials = vec![
        Trial::test(
            "each option does something or is said to do nothing",
            move || each_option_does_something_or_is_said_to_do_nothing(&device?),
        )
        .with_ignored_flag(gpu.is_err()),
        Trial::test("every option is changed", every_option_is_changed),
    ];
    type OnCommandLine = fn(&Path) -> Result<(), Failed>;
    let tests: [(&str, OnCommandLine); 4] = [
        ("numbers out of range", numbers::numbers_out_of_range),
        ("what is given without effect", effect::given_without_effect),
        ("what is given with effect", effect::given_with_effect),
        ("files of options", numbers::files_of_options),
    ];
    for (name, test) in tests {
        let trial = Trial::test(name, move || {
            let folder = tempfile::tempdir()?;
            write_data(&folder.path().join("data"), 40);
            test(folder.path())
        });
        trials.push(trial.with_ignored_flag(gpu.is_err()));
    }
    libtest_mimic::run(&args, trials).exit();
}

/// The words of a command line.
fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}
