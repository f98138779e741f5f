//! Options mean what they say: each one does something to the training, or is said to do nothing;
//! each number has a range, checked wherever it comes in.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::Path;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use semivq::data::{Dataset, Images};
use semivq::gpu::Gpu;
use semivq::quant::VectorQuantConfig;
use semivq::train::checkpoint::Training;
use semivq::train::{Method, Session, TrainOptions};
use serde_json::{Value, json};
use support::command::{bad, ensure, good, read, semivq, train, write_data};

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
        if vq.replace_freq == 100 {
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
        ("seed", json!({"seed": 7})),
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
        ("estimator", vq("estimator", json!("rotation"))),
        ("norm", vq("norm", json!("l2c"))),
        ("cb_norm", vq("cb_norm", json!("l2c"))),
        ("kmeans_init", vq("kmeans_init", json!(true))),
        ("dist", vq("dist", json!("cosine"))),
        ("no_vq", vq("no_vq", json!(true))),
    ]
}

/// What the options stand beside: every method, and every switch that no method has.
fn settings() -> Vec<Value> {
    let methods = Method::ALL.iter().map(|m| json!({"method": m.name()}));
    let switches = [
        json!({"optimizer": {"name": "sgd"}}),
        json!({"vq": {"no_vq": true}}),
        json!({"vq": {"affine_lr": 2.0, "using_statistics": true}}),
        json!({"vq": {"replace_freq": 1}}),
        json!({"vq": {"dist": "cosine"}}),
        json!({"vq": {"use_learnable_std": true, "penalty_weight": 1.0}}),
        json!({"vq": {"use_learnable_std": true, "use_learnable_gamma": true}}),
        json!({"vq": {"ema_decay": 0.9, "beta": 1.0}}),
        json!({"vq": {"inplace_optimizer": [1.0, 0.5], "beta": 1.0}}),
        json!({"vq": {"inplace_optimizer": [1.0, 0.5], "beta": 1.0, "sync_nu": 1.0}}),
        json!({"vq": {"inplace_optimizer": [1.0, 0.5], "beta": 1.0, "affine_lr": 1.0}}),
        json!({"vq": {"simvq": true, "beta": 1.0}}),
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
                    let far = json!({"lr": 0.5, "commitment_weight": 0.0});
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
    ];
    type OnCommandLine = fn(&Path) -> Result<(), Failed>;
    let tests: [(&str, OnCommandLine); 4] = [
        ("numbers out of range", numbers_out_of_range),
        ("what is given without effect", given_without_effect),
        ("what is given with effect", given_with_effect),
        ("files of options", files_of_options),
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

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// What PyTorch's optimisers refuse (`torch.optim.AdamW`, `SGD`), and what float32 or a buffer
/// cannot hold.
fn numbers_out_of_range(folder: &Path) -> Result<(), Failed> {
    for (given, want) in [
        ("--beta1 1", "--beta1 must be in [0, 1), not 1"),
        ("--beta1 nan", "--beta1 must be in [0, 1), not nan"),
        ("--beta1 -0.5", "--beta1 must be in [0, 1), not -0.5"),
        ("--beta1=-0.5", "--beta1 must be in [0, 1), not -0.5"),
        ("--beta2 1", "--beta2 must be in [0, 1), not 1"),
        ("--beta2 0.99999999", "which float32 rounds to 1"),
        (
            "--weight-decay nan",
            "--weight-decay must be a number of at least 0, not nan",
        ),
        ("--weight-decay=-1", "at least 0, not -1"),
        ("--weight-decay inf", "at least 0, not inf"),
        (
            "--optimizer sgd --momentum=-1",
            "--momentum must be in [0, 1), not -1",
        ),
        (
            "--optimizer sgd --momentum 2",
            "--momentum must be in [0, 1), not 2",
        ),
        ("--lr 1e308", "--lr must be a number above 0, not 1e308"),
        ("--lr inf", "--lr must be a number above 0, not inf"),
        ("--lr 1e-60", "which float32 rounds to 0"),
        (
            "--seed -1",
            "--seed must be a whole number from 0 to 18446744073709551615, not -1",
        ),
        (
            "--seed 18446744073709551616",
            "--seed must be a whole number",
        ),
        (
            "--steps 0",
            "--steps must be a whole number from 1 to 4294967295, not 0",
        ),
        ("--steps 4294967296", "--steps must be"),
        ("--log-every 0", "--log-every must be a whole number from 1"),
        (
            "--commitment-weight -1",
            "--commitment-weight must be a number of at least 0, not -1",
        ),
        ("--commitment-weight nan", "--commitment-weight must be"),
        (
            "--feature-size 0",
            "--feature-size must be a whole number from 1 to 16384, not 0",
        ),
        ("--feature-size 16385", "from 1 to 16384, not 16385"),
        ("--beta -0.1", "--beta must be in [0, 1], not -0.1"),
        ("--beta nan", "--beta must be in [0, 1], not nan"),
        ("--sync-nu inf", "--sync-nu must be a number of at least 0"),
        (
            "--affine-lr -2",
            "--affine-lr must be a number of at least 0",
        ),
        (
            "--affine-lr 1 --affine-groups 0",
            "--affine-groups must be a whole number from 1",
        ),
        (
            "--use-learnable-std --penalty-weight nan",
            "--penalty-weight must be",
        ),
        (
            "--replace-freq 16777217",
            "--replace-freq must be a whole number from 0 to 16777216",
        ),
        (
            "--ema-decay 1",
            "--ema-decay must be in [0, 1), for example 0.99, or none, not 1",
        ),
        ("--ema-decay -1", "--ema-decay must be in [0, 1)"),
        ("--dim 2", "--dim must be 1"),
        (
            "--beta 1 --inplace-optimizer 1,1",
            "a momentum in [0, 1), not 1,1",
        ),
        (
            "--beta 1 --inplace-optimizer inf,0.9",
            "--inplace-optimizer must be",
        ),
        // What was typed, not what float32 makes of it.
        (
            "--beta 1 --inplace-optimizer 1e39,0.5",
            "a momentum in [0, 1), not 1e39,0.5",
        ),
        // Nothing that is typed is dropped.
        ("--beta 1 --inplace-optimizer 1,x,0.9", "want LR,MOMENTUM"),
        ("--beta 1 --inplace-optimizer 1,0.9,", "want LR,MOMENTUM"),
        ("--beta 1 --inplace-optimizer ,1,0.9", "want LR,MOMENTUM"),
        ("--beta 1 --inplace-optimizer 1,,0.9", "want LR,MOMENTUM"),
        ("--fsq-levels 8,,5", "want numbers, for example 8,6,5"),
        ("--fsq-levels -8,5", "want numbers, for example 8,6,5"),
        (
            "--fsq-levels 2,8",
            "at least 3, their product at most 16777216, not [2, 8]",
        ),
    ] {
        bad(folder, &train("never", &words(given)), 2, want)?;
    }
    // The small run has these already.
    for (given, want) in [
        (
            "--num-codes 0",
            "--num-codes must be a whole number from 1 to 16777216, not 0",
        ),
        ("--num-codes 16777217", "not 16777217"),
        (
            "--batch 0",
            "--batch must be a whole number from 1 to 16777216, not 0",
        ),
        ("--batch -4", "--batch must be"),
        (
            "--num-codes 1 --replace-freq 1",
            "--replace-freq has no effect: with a --num-codes of 1",
        ),
        // These make the number of codes, which nobody gave.
        ("--fsq-levels 0", "--fsq-levels must be"),
        ("--fsq-levels 5000,5000", "--fsq-levels must be"),
        ("--fsq-levels 65536,65536", "--fsq-levels must be"),
        ("--fsq-levels 300,300,300", "--fsq-levels must be"),
    ] {
        let args = [&words("train --out never")[..], &words(given)].concat();
        bad(folder, &args, 2, want)?;
    }
    bad(
        folder,
        &["bench", "--batch", "0"],
        2,
        "--batch must be a whole number from 1",
    )?;
    ensure(
        !folder.join("never").exists(),
        "a refused run left a folder",
    )
}

/// Refused even where the value is the default.
fn given_without_effect(folder: &Path) -> Result<(), Failed> {
    for (given, want) in [
        (
            "--momentum 0.9",
            "--momentum has no effect: the optimizer adamw has none",
        ),
        ("--optimizer sgd --beta1 0.9", "--beta1 has no effect"),
        (
            "--optimizer sgd --beta1 0.5 --beta2 0.5",
            "--beta1 and --beta2 have no effect",
        ),
        (
            "--gamma-policy default",
            "gamma needs --use-learnable-gamma",
        ),
        (
            "--method vq --gamma-policy personalize",
            "--gamma-policy has no effect",
        ),
        ("--alter-penalty small", "--alter-penalty has no effect"),
        (
            "--method approach1 --alter-penalty small",
            "needs a --penalty-weight above 0",
        ),
        ("--penalty-weight 0", "which needs --use-learnable-std"),
        ("--affine-groups 1", "--affine-groups has no effect"),
        (
            "--using-statistics",
            "--using-statistics has no effect: it says how the codebook is affine, which needs --affine-lr above 0; \
             leave it out",
        ),
        (
            "--commitment-weight 0 --beta 0.5",
            "--beta has no effect: with a --commitment-weight of 0",
        ),
        (
            "--method approach1 --affine-lr 1",
            "--affine-lr has no effect",
        ),
        (
            "--method approach1 --using-statistics",
            "--using-statistics has no effect",
        ),
        ("--replace-policy self", "--replace-freq above 0"),
        (
            "--method ema --beta 1 --commitment-weight 3",
            "--commitment-weight has no effect",
        ),
        (
            "--method affine --affine-lr 0",
            "--method affine has no effect",
        ),
        (
            "--method ema --ema-decay none",
            "--method ema has no effect",
        ),
        (
            "--method simvq --simvq=false",
            "error: --method simvq has no effect",
        ),
        (
            "--method approach3 --use-learnable-gamma=false --gamma-policy default",
            "--gamma-policy has no effect",
        ),
        (
            "--method ste++ --commitment-weight 3",
            "takes the place of the commitment loss",
        ),
        (
            "--no-vq",
            "--num-codes has no effect: nothing is quantised with --no-vq",
        ),
    ] {
        bad(folder, &train("never", &words(given)), 2, want)?;
    }
    for option in [
        "--method approach1",
        "--beta 0.5",
        "--sync-nu 1",
        "--affine-lr 1",
        "--affine-groups 2",
        "--using-statistics",
        "--use-learnable-std",
        "--alter-penalty small",
        "--penalty-weight 1",
        "--use-learnable-gamma",
        "--gamma-policy personalize",
        "--replace-freq 1",
        "--replace-policy self",
        "--inplace-optimizer 1,0.9",
        "--ema-decay 0.9",
        "--simvq",
        "--fsq-levels 8,5",
        "--estimator rotation",
        "--norm l2",
        "--cb-norm l2",
        "--kmeans-init",
        "--dist cosine",
        "--commitment-weight 1",
    ] {
        let flag = words(option)[0];
        let want = format!("{flag} has no effect");
        let args = [&words("train --out never --no-vq")[..], &words(option)].concat();
        bad(folder, &args, 2, &want)?;
        let of_both = ["--method approach1", "--fsq-levels 8,5", "--norm l2"];
        if !of_both.contains(&option) {
            let args = [&words("train --out never --method fsq")[..], &words(option)].concat();
            bad(folder, &args, 2, &want)?;
        }
    }
    let clamp = words("train --out never --readme --output-clamp eval");
    bad(folder, &clamp, 2, "cannot be used with")?;
    bad(
        folder,
        &words("methods --adapter 0"),
        2,
        "--adapter has no effect",
    )?;
    good(
        folder,
        &train("a", &["--steps", "1", "--method", "ema", "--beta", "1"]),
    )?;
    let resume = words("train --resume a --steps 2 --commitment-weight 2");
    bad(folder, &resume, 2, "--commitment-weight has no effect")?;
    ensure(
        !folder.join("never").exists(),
        "a refused run left a folder",
    )
}

/// What is given at its default where it has an effect is no fault, nor what takes back a part of a
/// method.
fn given_with_effect(folder: &Path) -> Result<(), Failed> {
    for (given, want) in [
        (
            "--method fsq --num-codes 20",
            "note: 15 codes instead of 20: the levels of fsq are [5, 3]",
        ),
        (
            "--affine-lr 2 --using-statistics",
            "note: with --using-statistics --affine-lr only switches",
        ),
    ] {
        let args = [
            &words("train --data data --batch 8 --steps 1 --overwrite --out a")[..],
            &words(given),
        ];
        let output = semivq(folder, &args.concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure(output.status.success() && text.contains(want), text.clone())?;
    }
    for given in [
        "--beta1 0.9 --beta2 0.999 --weight-decay 0.01",
        "--optimizer sgd --momentum 0.9",
        "--method ste++++ --inplace-optimizer none --norm none",
        "--use-learnable-std=false --no-vq=false --replace-freq 0",
        "--method approach1 --penalty-weight 1 --alter-penalty default",
        "--affine-lr 1 --using-statistics --affine-groups 1",
        "--use-learnable-std --affine-groups 2",
        "--commitment-weight 0 --sync-nu 1",
        // What a method sets anyway.
        "--method approach1 --use-learnable-std",
        "--method approach2 --use-learnable-gamma",
        "--method rotation --estimator rotation",
        "--method simvq --simvq",
        "--method affine --affine-lr 2",
    ] {
        let args = [&words("--steps 1 --overwrite")[..], &words(given)].concat();
        good(folder, &train("a", &args))?;
    }
    Ok(())
}

/// A file's options are in range or refused by the name they have in it; what it holds without
/// effect, as all files do, is no fault.
fn files_of_options(folder: &Path) -> Result<(), Failed> {
    good(folder, &train("a", &["--steps", "1"]))?;
    let path = folder.join("a/config.json");
    let whole: Value = serde_json::from_slice(&read(path.clone())?)?;
    for (change, want) in [
        (
            json!({"optimizer": {"beta1": 1.0}}),
            "optimizer.beta1 must be in [0, 1), not 1",
        ),
        (
            json!({"optimizer": {"eps": 0}}),
            "optimizer.eps must be a number above 0, not 0",
        ),
        (
            json!({"optimizer": {"weight_decay": null}}),
            "optimizer.weight_decay must be",
        ),
        (
            json!({"vq": {"num_codes": -1}}),
            "vq.num_codes must be a whole number from 1",
        ),
        (json!({"vq": {"num_codes": 1.5}}), "not 1.5"),
        (json!({"lr": 1e39}), "lr must be a number above 0"),
        (json!({"seed": -1}), "seed must be a whole number from 0"),
        (
            json!({"vq": {"ema_decay": 2}}),
            "vq.ema_decay must be in [0, 1)",
        ),
        (
            json!({"vq": {"affine_groups": 3}}),
            "affine_groups (3) must divide num_codes (16)",
        ),
    ] {
        std::fs::write(&path, over(&whole, &change).to_string())?;
        for command in ["eval a", "train --resume a --steps 2"] {
            let want = format!("a/config.json: is no configuration of a run ({want}");
            let want = if want.contains("not 1.5") {
                "not 1.5".into()
            } else {
                want
            };
            bad(folder, &words(command), 1, &want)?;
        }
    }
    std::fs::write(&path, whole.to_string())?;
    good(folder, &words("train --resume a --steps 2")).map(|_| ())
}
