//! The life of a run's folder: whatever a kill, a full disk or an editor leaves in it, the run goes on
//! to the end that it would have had, or one line says why not.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use support::command::{Test, bad, ensure, good, read, semivq, train, write_data};

const PROGRAM: &str = env!("CARGO_BIN_EXE_semivq");

fn json(path: &Path) -> Result<Value, Failed> {
    Ok(serde_json::from_slice(&read(path.to_path_buf())?)?)
}

/// All files of a run by name; of the summary without the seconds, which no two runs share.
fn contents(dir: &Path) -> Result<BTreeMap<String, Vec<u8>>, Failed> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name().into_string().unwrap();
        let mut bytes = read(dir.join(&name))?;
        if name == "summary.json" {
            let mut summary: Value = serde_json::from_slice(&bytes)?;
            summary
                .as_object_mut()
                .ok_or("no object")?
                .remove("seconds");
            bytes = summary.to_string().into_bytes();
        }
        all.insert(name, bytes);
    }
    Ok(all)
}

fn same(a: &Path, b: &Path) -> Result<(), Failed> {
    let (x, y) = (contents(a)?, contents(b)?);
    let names = |m: &BTreeMap<String, Vec<u8>>| m.keys().cloned().collect::<Vec<_>>();
    let at = b.display();
    ensure(
        names(&x) == names(&y),
        format!("{at}: {:?}, {:?}", names(&x), names(&y)),
    )?;
    for (name, bytes) in &x {
        ensure(*bytes == y[name], format!("{at}: {name} differs"))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), Failed> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Each state that a kill or a full disk leaves ends as the undisturbed run.
fn every_state_goes_on(folder: &Path) -> Result<(), Failed> {
    let whole = folder.join("whole");
    good(folder, &train("whole", &["--steps", "6"]))?;
    good(folder, &train("half", &["--steps", "3"]))?;
    good(folder, &["train", "--resume", "half", "--steps", "6"])?;
    same(&whole, &folder.join("half"))?;
    let state = |name: &str, from: &str, change: &dyn Fn(&Path), says: &str| {
        let dir = folder.join(name);
        copy(&folder.join(from), &dir)?;
        change(&dir);
        let text = good(folder, &["train", "--resume", name])?;
        ensure(text.contains(says), format!("{name}: {text}"))?;
        same(&whole, &dir)
    };
    let remove = |dir: &Path, name: &str| std::fs::remove_file(dir.join(name)).unwrap();
    let only_config = |dir: &Path| {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if !path.ends_with("config.json") {
                std::fs::remove_file(path).unwrap();
            }
        }
    };
    state(
        "no-checkpoint",
        "whole",
        &only_config,
        "beginning at step 0",
    )?;
    state(
        "no-config",
        "whole",
        &|d| remove(d, "config.json"),
        "all 6 steps are done",
    )?;
    for name in [
        "summary.json",
        "curves.png",
        "codes.png",
        "reconstructions.png",
    ] {
        state(
            &format!("no-{name}"),
            "whole",
            &|d| remove(d, name),
            "results in",
        )?;
    }
    // An older end's figures are not those of this one.
    let old = |dir: &Path| std::fs::write(dir.join("summary.json"), r#"{"steps": 5}"#).unwrap();
    state("old-summary", "whole", &old, "results in")?;
    let leftovers = |dir: &Path| {
        for name in [
            "checkpoint.safetensors.tmp",
            "config.json.tmp",
            "training-9.safetensors.tmp",
            "metrics.jsonl.tmp",
            "curves.png.tmp",
            "training-2.safetensors",
            "config.next.json",
        ] {
            std::fs::write(dir.join(name), b"torn").unwrap();
        }
    };
    state(
        "leftovers",
        "whole",
        &leftovers,
        "complete, nothing is missing",
    )?;
    // Lines behind the checkpoint, the last of them torn, are what a kill leaves in any case.
    let torn = |dir: &Path| {
        let mut text = std::fs::read(dir.join("metrics.jsonl")).unwrap();
        text.extend(br#"{"step":7,"rec_loss":0.25}"#);
        text.extend(b"\n{\"step\":8,\"rec_l");
        std::fs::write(dir.join("metrics.jsonl"), text).unwrap();
        remove(dir, "summary.json");
    };
    state("torn", "whole", &torn, "results in")
}

/// Lines of metrics that are lost are said to be; the others are kept.
fn metrics_are_rebuilt(folder: &Path) -> Result<(), Failed> {
    good(folder, &train("a", &["--steps", "4"]))?;
    let path = folder.join("a/metrics.jsonl");
    let whole = read(path.clone())?;
    let steps = || -> Result<Vec<Value>, Failed> {
        let text = String::from_utf8(read(path.clone())?)?;
        let lines = text.lines().map(serde_json::from_str::<Value>);
        lines.map(|l| Ok(l?["step"].clone())).collect()
    };
    let resume = |to: &str, says: &str| -> Result<(), Failed> {
        let text = good(folder, &["train", "--resume", "a", "--steps", to])?;
        ensure(text.contains(says), format!("{text} does not say {says}"))
    };
    let mut bytes = whole.clone();
    let second = bytes.iter().position(|b| *b == b'\n').ok_or("one line")? + 3;
    bytes[second] = 0xff;
    std::fs::write(&path, &bytes)?;
    resume("5", "metrics.jsonl: had 1 lines that could not be read")?;
    ensure(steps()? == [1, 3, 4, 5], format!("{:?}", steps()?))?;
    std::fs::write(&path, &whole[..second + 10])?;
    resume("6", "had no lines from step 2 to 5")?;
    ensure(steps()? == [1, 6], format!("{:?}", steps()?))?;
    std::fs::remove_file(&path)?;
    resume("7", "metrics.jsonl: was not there")?;
    ensure(steps()? == [7], format!("{:?}", steps()?))
}

/// One process at a time has a folder; the lock ends with whoever has it.
fn one_process_at_a_time(folder: &Path) -> Result<(), Failed> {
    good(folder, &train("a", &["--steps", "2"]))?;
    let lock = File::open(folder.join("a/.semivq.lock"))?;
    lock.lock()?;
    let before = contents(&folder.join("a"))?;
    for args in [
        &["train", "--resume", "a", "--steps", "3"][..],
        &train("a", &["--steps", "3", "--overwrite"]),
    ] {
        bad(folder, args, 1, "another semivq process")?;
    }
    ensure(
        before == contents(&folder.join("a"))?,
        "the run was touched",
    )?;
    // Reading needs no lock.
    good(folder, &["eval", "a"])?;
    drop(lock);
    good(folder, &["train", "--resume", "a", "--steps", "3"])?;
    // Runs that begin at once, without a name, get one each.
    let args = [
        "train",
        "--data",
        "data",
        "--batch",
        "8",
        "--num-codes",
        "4",
        "--steps",
        "1",
    ];
    let start = || {
        Command::new(PROGRAM)
            .current_dir(folder)
            .args(args)
            .stdout(Stdio::null())
            .spawn()
    };
    let children: Vec<_> = (0..4).map(|_| start()).collect::<Result<_, _>>()?;
    for mut child in children {
        ensure(child.wait()?.success(), "a run failed")?;
    }
    for n in 1..=4 {
        let summary = json(&folder.join(format!("runs/vq-{n}/summary.json")))?;
        ensure(summary["steps"] == 1, format!("{summary}"))?;
    }
    ensure(!folder.join("runs/vq-5").exists(), "a fifth run")
}

/// What a resumed run would ignore is refused by name; what may change does, and is stored.
fn options_of_a_resumed_run(folder: &Path) -> Result<(), Failed> {
    good(
        folder,
        &train("a", &["--steps", "2", "--method", "approach1"]),
    )?;
    let before = contents(&folder.join("a"))?;
    let file = "a/checkpoint.safetensors";
    for (option, value) in [
        ("--num-codes", "8"),
        ("--feature-size", "32"),
        ("--beta", "0.5"),
        ("--optimizer", "sgd"),
        ("--momentum", "0.5"),
        ("--beta1", "0.9"),
        ("--beta2", "0.9"),
        ("--seed", "0"),
        ("--batch", "8"),
        ("--method", "vq"),
        ("--model", "simple"),
        ("--output-clamp", "train"),
        ("--norm", "l2"),
        ("--cb-norm", "l2"),
        ("--dist", "cosine"),
        ("--ema-decay", "0.9"),
        ("--replace-freq", "3"),
        ("--estimator", "rotation"),
        ("--sync-nu", "1"),
        ("--affine-lr", "1"),
        ("--dim", "1"),
    ] {
        bad(
            folder,
            &["train", "--resume", "a", "--steps", "3", option, value],
            2,
            option,
        )?;
        bad(
            folder,
            &["train", "--resume", file, "--steps", "3", option, value],
            2,
            option,
        )?;
    }
    for flag in [
        "--kmeans-init",
        "--no-vq",
        "--readme",
        "--simvq",
        "--use-learnable-std",
    ] {
        bad(folder, &["train", "--resume", "a", flag], 2, flag)?;
    }
    ensure(
        before == contents(&folder.join("a"))?,
        "a refused option changed the run",
    )?;
    let changes = [
        "--steps",
        "5",
        "--lr",
        "0.01",
        "--log-every",
        "2",
        "--checkpoint-every",
        "3",
        "--commitment-weight",
        "2",
        "--penalty-weight",
        "0.5",
        "--weight-decay",
        "0.25",
    ];
    good(
        folder,
        &[&["train", "--resume", "a"][..], &changes].concat(),
    )?;
    let config = json(&folder.join("a/config.json"))?;
    for (have, want) in [
        (&config["steps"], 5.0),
        (&config["lr"], 0.01),
        (&config["log_every"], 2.0),
        (&config["commitment_weight"], 2.0),
        (&config["vq"]["penalty_weight"], 0.5),
        (&config["optimizer"]["weight_decay"], 0.25),
    ] {
        ensure(
            have.as_f64().is_some_and(|v| (v - want).abs() < 1e-6),
            format!("{want}: {config}"),
        )?;
    }
    ensure(config["checkpoint_every"] == "3", format!("{config}"))?;
    let text = String::from_utf8(read(folder.join("a/metrics.jsonl"))?)?;
    ensure(
        text.lines().count() == 3 && text.contains("\"step\":4"),
        text,
    )?;
    // A later one goes on with them.
    good(folder, &["train", "--resume", "a", "--steps", "6"])?;
    ensure(
        json(&folder.join("a/config.json"))?["lr"] == config["lr"],
        "the rate was forgotten",
    )?;
    // And they have an effect: another rate, other parameters.
    good(
        folder,
        &train("b", &["--steps", "2", "--method", "approach1"]),
    )?;
    good(folder, &["train", "--resume", "b", "--steps", "6"])?;
    let weights = |run: &str| read(folder.join(run).join("checkpoint.safetensors"));
    ensure(
        weights("a")? != weights("b")?,
        "what was changed had no effect",
    )?;
    for text in ["0", "-1", "1m", "infs"] {
        let every = format!("--checkpoint-every={text}");
        bad(
            folder,
            &["train", "--resume", "a", &every],
            2,
            "for example 15s",
        )?;
    }
    Ok(())
}

/// A kill between a change of options and its end: the folder holds both, and knows which is which.
fn an_interrupted_change_of_options(folder: &Path) -> Result<(), Failed> {
    good(folder, &train("a", &["--steps", "3"]))?;
    copy(&folder.join("a"), &folder.join("b"))?;
    good(
        folder,
        &["train", "--resume", "a", "--steps", "6", "--lr", "0.01"],
    )?;
    good(folder, &["train", "--resume", "a", "--steps", "7"])?;
    let [a, b] = ["a", "b"].map(|run| folder.join(run));
    // The checkpoint has the new options, the configuration has not yet.
    copy(&a, &folder.join("c"))?;
    std::fs::copy(b.join("config.json"), folder.join("c/config.json"))?;
    std::fs::copy(a.join("config.json"), folder.join("c/config.next.json"))?;
    good(folder, &["eval", "c"])?;
    good(folder, &["train", "--resume", "c"])?;
    same(&a, &folder.join("c"))?;
    // The new options were announced, but the checkpoint is the old one: the change did not come.
    std::fs::copy(a.join("config.json"), b.join("config.next.json"))?;
    good(folder, &["train", "--resume", "b"])?;
    ensure(
        !b.join("config.next.json").exists(),
        "it is still announced",
    )?;
    ensure(
        json(&b.join("config.json"))?["steps"] == 3,
        "it came after all",
    )
}

/// Configuration and checkpoint that contradict each other are refused by the field's name.
fn contradictions_are_refused(folder: &Path) -> Result<(), Failed> {
    good(folder, &train("a", &["--steps", "2"]))?;
    let path = folder.join("a/config.json");
    let whole = json(&path)?;
    for (pointer, name, value) in [
        ("/vq/norm", "vq.norm", Value::from("l2")),
        ("/vq/num_codes", "vq.num_codes", Value::from(8)),
        ("/seed", "seed", Value::from(7)),
        ("/lr", "lr", Value::from(0.5)),
        ("/steps", "steps", Value::from(9)),
        ("/optimizer/beta1", "optimizer.beta1", Value::from(0.5)),
        ("/output_clamp", "output_clamp", Value::from("train")),
        ("/data", "data", Value::from("elsewhere")),
    ] {
        let mut changed = whole.clone();
        *changed.pointer_mut(pointer).ok_or("no such field")? = value;
        std::fs::write(&path, changed.to_string())?;
        for command in [
            &["eval", "a"][..],
            &["encode", "a"],
            &["train", "--resume", "a", "--steps", "3"],
        ] {
            bad(folder, command, 1, &format!(": {name}: "))?;
        }
    }
    std::fs::write(&path, whole.to_string())?;
    good(folder, &["eval", "a"]).map(|_| ())
}

/// What is there and listed after --overwrite is what this run wrote; what is not a run's stays.
fn overwrite_leaves_nothing_behind(folder: &Path) -> Result<(), Failed> {
    good(folder, &train("a", &["--steps", "3"]))?;
    good(folder, &["encode", "a"])?;
    good(folder, &["decode", "a", "a/codes.npy"])?;
    good(folder, &["reconstruct", "a", "a/decoded/0.png"])?;
    for mine in [
        "a/notes.txt",
        "a/decoded/mine.png",
        "a/training-set.safetensors",
    ] {
        std::fs::write(folder.join(mine), b"mine")?;
    }
    let args = [
        "train",
        "--data",
        "data",
        "--batch",
        "8",
        "--no-vq",
        "--steps",
        "1",
        "--overwrite",
        "--out",
        "a",
    ];
    let text = good(folder, &args)?;
    for gone in [
        "codes.png",
        "curves.png",
        "codes.npy",
        "decoded/0.png",
        "reconstructed",
        "training-3.safetensors",
    ] {
        ensure(
            !folder.join("a").join(gone).exists(),
            format!("{gone} is still there"),
        )?;
        ensure(!text.contains(gone), format!("{gone} is listed: {text}"))?;
    }
    for mine in [
        "a/notes.txt",
        "a/decoded/mine.png",
        "a/training-set.safetensors",
    ] {
        ensure(
            read(folder.join(mine))? == b"mine",
            format!("{mine} was touched"),
        )?;
    }
    // What is listed is there.
    for line in text.lines().filter(|l| l.starts_with("  ")) {
        for name in line.split([' ', ',']).filter(|w| w.contains('.')) {
            ensure(
                folder.join("a").join(name).exists(),
                format!("{name} is listed"),
            )?;
        }
    }
    Ok(())
}

/// Data are found from anywhere, or asked for where they are needed; what needs none does not ask.
fn a_run_and_its_data(folder: &Path) -> Result<(), Failed> {
    let [here, there] = ["here", "there"].map(|f| folder.join(f));
    for dir in [&here, &there] {
        std::fs::create_dir_all(dir)?;
    }
    write_data(&here.join("d8"), 40);
    let args = [
        "train",
        "--data",
        "d8",
        "--batch",
        "8",
        "--num-codes",
        "16",
        "--out",
        "r",
        "--steps",
        "2",
    ];
    good(&here, &args)?;
    let figures = good(&here, &["eval", "r", "--json"])?;
    ensure(
        good(&there, &["eval", "../here/r", "--json"])? == figures,
        "other figures",
    )?;
    good(&there, &["train", "--resume", "../here/r", "--steps", "3"])?;
    good(&here, &["encode", "r"])?;
    good(&here, &["decode", "r", "r/codes.npy"])?;
    let figures = good(&here, &["eval", "r", "--json"])?;
    std::fs::rename(here.join("d8"), folder.join("moved"))?;
    for command in [
        &["eval", "r"][..],
        &["encode", "r"],
        &["train", "--resume", "r", "--steps", "4"],
    ] {
        bad(&here, command, 1, "name theirs with --data")?;
    }
    ensure(
        good(&here, &["eval", "r", "--json", "--data", "../moved"])? == figures,
        "other figures",
    )?;
    let image = "../here/r/decoded/0.png";
    for command in [
        &["reconstruct", "../here/r", image][..],
        &["encode", "../here/r", image],
        &["decode", "../here/r", "../here/r/codes.npy"],
    ] {
        good(&there, command)?;
    }
    good(&here, &["encode", "r", "--data", "../moved"])?;
    let text = good(
        &here,
        &[
            "train", "--resume", "r", "--steps", "4", "--data", "../moved",
        ],
    )?;
    ensure(text.contains("on the images in ../moved"), text)?;
    // It is stored.
    good(&there, &["eval", "../here/r"])?;
    // A checkpoint file alone: results beside it, under its name.
    std::fs::copy(
        here.join("r/checkpoint.safetensors"),
        there.join("lone.safetensors"),
    )?;
    good(
        folder,
        &["encode", "there/lone.safetensors", "here/r/decoded/0.png"],
    )?;
    good(
        folder,
        &["decode", "there/lone.safetensors", "there/lone-codes.npy"],
    )?;
    good(
        folder,
        &[
            "reconstruct",
            "there/lone.safetensors",
            "here/r/decoded/0.png",
        ],
    )?;
    ensure(
        read(there.join("lone-decoded/0.png"))? == read(there.join("lone-reconstructed/0.png"))?,
        "codes there and back differ from a reconstruction",
    )?;
    ensure(
        good(folder, &["eval", "there/lone.safetensors", "--json"])?
            == good(folder, &["eval", "here/r", "--json"])?,
        "other figures",
    )?;
    bad(
        folder,
        &[
            "train",
            "--resume",
            "there/lone.safetensors",
            "--steps",
            "9",
        ],
        1,
        "training-4.safetensors",
    )?;
    bad(
        folder,
        &["eval", "nope.safetensors"],
        1,
        "nope.safetensors: No such file",
    )?;
    bad(folder, &["eval", "data"], 1, "is data the folder of a run?")
}

#[cfg(unix)]
fn a_path_that_is_no_utf8(folder: &Path) -> Result<(), Failed> {
    use std::os::unix::ffi::OsStrExt as _;
    let data = folder.join(std::ffi::OsStr::from_bytes(b"d\xff"));
    write_data(&data, 40);
    let output = Command::new(PROGRAM)
        .current_dir(folder)
        .args(["train", "--out", "a", "--data"])
        .arg(&data)
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure(
        output.status.code() == Some(2) && text.contains("no UTF-8"),
        text,
    )?;
    ensure(!folder.join("a").exists(), "a refused run left a folder")
}

/// Where the values of tensor `name` begin in a safetensors file.
fn place(bytes: &[u8], name: &str) -> Result<usize, Failed> {
    let header = u64::from_le_bytes(bytes[..8].try_into()?) as usize;
    let all: Value = serde_json::from_slice(&bytes[8..8 + header])?;
    let offset = all[name]["data_offsets"][0]
        .as_u64()
        .ok_or(format!("no {name}"))?;
    Ok(8 + header + offset as usize)
}

/// NaN or infinity in any tensor of a checkpoint is named by each command that reads it.
fn broken_values_are_named(folder: &Path) -> Result<(), Failed> {
    good(folder, &train("a", &["--steps", "2", "--norm", "bn"]))?;
    good(folder, &["encode", "a"])?;
    good(folder, &["decode", "a", "a/codes.npy"])?;
    let path = folder.join("a/checkpoint.safetensors");
    let whole = read(path.clone())?;
    let tensors = [
        "layers.0.weight",
        "layers.5.codebook.weight",
        "layers.10.bias",
        "layers.5.norm.running_mean",
    ];
    let names = serde_json::from_slice::<Value>(
        &whole[8..8 + u64::from_le_bytes(whole[..8].try_into()?) as usize],
    )?;
    let there = tensors.iter().filter(|t| names.get(t).is_some()).count();
    ensure(there >= 3, format!("{names}"))?;
    for (name, value) in names
        .as_object()
        .ok_or("no names")?
        .keys()
        .filter(|k| !k.starts_with("__"))
        .zip([f32::NAN, f32::INFINITY, f32::NEG_INFINITY].iter().cycle())
    {
        let mut bytes = whole.clone();
        let at = place(&bytes, name)?;
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        std::fs::write(&path, &bytes)?;
        let want = format!("a/checkpoint.safetensors: holds {value} in `{name}`");
        bad(folder, &["eval", "a", "--json"], 1, &want)?;
        if name != "layers.0.weight" {
            continue;
        }
        for command in [
            &["reconstruct", "a", "a/decoded/0.png"][..],
            &["encode", "a"],
            &["encode", "a", "a/decoded/0.png"],
            &["decode", "a", "a/codes.npy"],
            &["train", "--resume", "a", "--steps", "3"],
        ] {
            bad(folder, command, 1, &want)?;
        }
    }
    std::fs::write(&path, &whole)?;
    let path = folder.join("a/training-2.safetensors");
    let mut bytes = read(path.clone())?;
    let at = place(&bytes, "moment2.layers.3.weight")?;
    bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&path, &bytes)?;
    bad(
        folder,
        &["train", "--resume", "a", "--steps", "3"],
        1,
        "holds NaN in `moment2.layers.3.weight`",
    )?;
    // Evaluation does not need it.
    good(folder, &["eval", "a"]).map(|_| ())
}

/// Finite weights whose sums are not: an error, no picture, no figure; and not the learning rate's
/// fault.
fn sums_that_overflow_are_an_error(folder: &Path) -> Result<(), Failed> {
    good(folder, &train("a", &["--steps", "2"]))?;
    good(folder, &["encode", "a"])?;
    good(folder, &["decode", "a", "a/codes.npy"])?;
    good(folder, &["reconstruct", "a", "a/decoded/0.png"])?;
    std::fs::remove_dir_all(folder.join("a/reconstructed"))?;
    let path = folder.join("a/checkpoint.safetensors");
    let whole = read(path.clone())?;
    // All of one sign, so that the sums are infinite but not NaN: behind the clamp they look like
    // white pixels.
    for (name, count) in [("layers.10.weight", 144), ("layers.0.weight", 144)] {
        let mut bytes = whole.clone();
        let at = place(&bytes, name)?;
        for value in bytes[at..at + 4 * count].chunks_mut(4) {
            value.copy_from_slice(&3e38_f32.to_le_bytes());
        }
        std::fs::write(&path, &bytes)?;
        bad(folder, &["eval", "a", "--json"], 1, "float32")?;
        bad(
            folder,
            &["reconstruct", "a", "a/decoded/0.png"],
            1,
            "a/decoded/0.png: ",
        )?;
        ensure(
            !folder.join("a/reconstructed/0.png").exists(),
            "a picture was written",
        )?;
        // A copy, because the new goal is stored.
        copy(&folder.join("a"), &folder.join("b"))?;
        let resumed = semivq(folder, &["train", "--resume", "b", "--steps", "9"]);
        let text = String::from_utf8_lossy(&resumed.stderr).into_owned();
        ensure(
            resumed.status.code() == Some(1) && !text.contains("lower --lr"),
            text.clone(),
        )?;
        ensure(text.contains("the checkpoint's own values"), text)?;
    }
    bad(folder, &["encode", "a"], 1, "vectors before the quantiser")
}

/// A run of version 0.1.0 goes on as that version did: the right values are what it wrote, on the
/// same images, up to step 4.
fn a_run_of_version_0_1_0_goes_on(folder: &Path) -> Result<(), Failed> {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/version-0.1.0");
    copy(&case, &folder.join("old"))?;
    let near = |have: &Value, want: f64| have.as_f64().is_some_and(|v| (v - want).abs() < 1e-4);
    let figures = |text: String| serde_json::from_str::<Value>(&text);
    let before = figures(good(folder, &["eval", "old", "--json"])?)?;
    ensure(
        near(&before["l1"], 0.515_777) && near(&before["mse"], 0.359_369),
        format!("{before}"),
    )?;
    bad(folder, &["train", "--resume", "old"], 2, "give --steps")?;
    good(folder, &["train", "--resume", "old", "--steps", "4"])?;
    let after = figures(good(folder, &["eval", "old", "--json"])?)?;
    ensure(
        near(&after["l1"], 0.511_277) && near(&after["mse"], 0.353_845),
        format!("{after}"),
    )?;
    let text = String::from_utf8(read(folder.join("old/metrics.jsonl"))?)?;
    let lines: Vec<Value> = text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let losses = [0.514_283, 0.516_563, 0.519_410, 0.504_232];
    ensure(
        lines.len() == 4
            && lines
                .iter()
                .zip(losses)
                .all(|(l, want)| near(&l["rec_loss"], want)),
        text.clone(),
    )?;
    // The first code was replaced at step 4, because its countdown went on.
    ensure(
        near(&lines[3]["age_mean"], 0.0) && near(&lines[3]["active_ratio"], 100.0),
        text,
    )?;
    ensure(
        folder.join("old/training-4.safetensors").exists(),
        "no training state of the new form",
    )?;
    // As a file, without its folder.
    let file = case.join("checkpoint.safetensors");
    let file = file.to_str().ok_or("no UTF-8")?;
    good(
        folder,
        &[
            "train", "--resume", file, "--steps", "4", "--data", "data", "--out", "new",
        ],
    )?;
    let weights = |run: &str| read(folder.join(run).join("training-4.safetensors"));
    ensure(
        weights("old")? == weights("new")?,
        "the two went on differently",
    )
}

/// Output that is lost is an error; a reader that has enough is not.
#[cfg(target_os = "linux")]
fn lost_output_is_an_error(folder: &Path) -> Result<(), Failed> {
    good(folder, &train("a", &["--steps", "1"]))?;
    let shell = |line: &str| -> Result<(Option<i32>, String), Failed> {
        let output = Command::new("sh")
            .current_dir(folder)
            .args(["-c", line, PROGRAM])
            .output()?;
        Ok((
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ))
    };
    for (line, want) in [
        ("\"$0\" eval a --json > /dev/full", Some(1)),
        ("\"$0\" eval a --json >&-", Some(1)),
        ("\"$0\" methods > /dev/full", Some(1)),
        ("\"$0\" --help > /dev/full", Some(1)),
        ("\"$0\" eval a --json > /dev/null", Some(0)),
        ("\"$0\" eval a --json 1<> /dev/null", Some(0)),
        (
            "{ sleep 0.5; \"$0\" methods; test $? = 0 || echo panicked >&2; } | true",
            Some(0),
        ),
        ("\"$0\" eval a 2>&- > /dev/null", Some(0)),
    ] {
        let (code, text) = shell(line)?;
        ensure(code == want, format!("{line}: {code:?}, {text}"))?;
        ensure(!text.contains("panicked"), format!("{line}: {text}"))?;
        if line.contains("eval") && want == Some(1) {
            ensure(
                text.contains("error: standard output"),
                format!("{line}: {text}"),
            )?;
        }
    }
    Ok(())
}

/// A full disk, here a limit on the size of files: the first error is told, and what is left goes on.
#[cfg(unix)]
fn a_full_disk(folder: &Path) -> Result<(), Failed> {
    good(folder, &train("whole", &["--steps", "6"]))?;
    // Blocks of 512 bytes: room for the configuration, but not for a checkpoint; then for both
    // files of one, but not for the pictures.
    for (blocks, name) in [("3", "no room"), ("120", "little room")] {
        let line = format!(
            "trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" train --data data --batch 8 --num-codes 16 --out '{name}' --steps 6"
        );
        let output = Command::new("sh")
            .current_dir(folder)
            .args(["-c", &line, PROGRAM])
            .output()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure(
            output.status.code() == Some(1)
                && text.lines().filter(|l| l.starts_with("error:")).count() == 1,
            format!("{blocks}: {text}"),
        )?;
        ensure(text.contains("File too large"), text.clone())?;
        // The command that is suggested is one that a shell takes as it stands.
        if let Some((_, command)) = text.trim().split_once("then go on: ") {
            let output = Command::new("sh")
                .current_dir(folder)
                .args(["-c", command])
                .output()?;
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            ensure(output.status.success(), format!("{command}: {text}"))?;
        } else {
            good(folder, &["train", "--resume", name])?;
        }
        same(&folder.join("whole"), &folder.join(name))?;
    }
    Ok(())
}

/// The sizes whose training state did not fit the header of a safetensors file.
fn large_codebooks(folder: &Path) -> Result<(), Failed> {
    for (codes, features) in [("262144", "8"), ("16384", "1024")] {
        let args = [
            "train",
            "--data",
            "data",
            "--batch",
            "2",
            "--steps",
            "1",
            "--num-codes",
            codes,
            "--feature-size",
            features,
            "--overwrite",
            "--out",
            "large",
        ];
        good(folder, &args)?;
        good(folder, &["train", "--resume", "large", "--steps", "2"])?;
        let bytes = read(folder.join("large/checkpoint.safetensors"))?;
        place(&bytes, "layers.5.codebook.weight")?;
    }
    Ok(())
}

/// Random numbers of a fixed seed: the generator of Numerical Recipes.
struct Lcg(u32);

impl Lcg {
    fn below(&mut self, n: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) % n
    }
}

/// How many runs the kill test disturbs.
const KILLED: u32 = 20;

/// Killed at any moment, also while it goes on and while it writes its pictures, a run that is
/// resumed ends as the undisturbed one, byte for byte.
fn kills_at_random_moments(folder: &Path) -> Result<(), Failed> {
    let more = [
        "--steps",
        "30",
        "--checkpoint-every",
        "2",
        "--replace-freq",
        "4",
    ];
    let start = |args: &[&str]| {
        Command::new(PROGRAM)
            .current_dir(folder)
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    };
    let began = Instant::now();
    let mut child = start(&train("whole", &more))?;
    let all_steps_done = |dir: &Path| dir.join("training-30.safetensors").exists();
    // Until all steps are done, but no longer than a run may take.
    let wait_for_steps = |child: &mut Child, dir: &Path| -> Result<(), Failed> {
        while !all_steps_done(dir) && child.try_wait()?.is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    };
    wait_for_steps(&mut child, &folder.join("whole"))?;
    let steps = began.elapsed().as_millis() as u32;
    ensure(child.wait()?.success(), "the undisturbed run failed")?;
    let whole = began.elapsed().as_millis() as u32;
    let mut random = Lcg(11);
    let mut seen = BTreeMap::<&str, u32>::new();
    for i in 0..KILLED {
        let name = format!("killed-{i}");
        let dir = folder.join(&name);
        let begin = train(&name, &more);
        let resume = ["train", "--resume", &name];
        // Two kills in each, the second one while it goes on.
        for kill in 0..2 {
            let known =
                dir.join("config.json").exists() || dir.join("checkpoint.safetensors").exists();
            let mut child = start(if known { &resume } else { &begin })?;
            // Every other run is killed the second time after its last step: on a busy machine the times
            // alone do not hit its pictures.
            let wait = if kill == 1 && i % 2 == 1 {
                wait_for_steps(&mut child, &dir)?;
                random.below((whole - steps).max(1))
            } else {
                // Nothing is on the disk before a third.
                steps / 3 + random.below(whole - steps / 3)
            };
            std::thread::sleep(Duration::from_millis(wait.into()));
            child.kill()?;
            child.wait()?;
            let has = |file: &str| dir.join(file).exists();
            let state = match () {
                () if has("summary.json") => "concluded",
                () if has("reconstructions.png") || has("curves.png") => "concluding",
                () if all_steps_done(&dir) => "all steps done",
                () if has("checkpoint.safetensors") => "in training",
                () if has("config.json") => "no checkpoint",
                () => "nothing",
            };
            *seen.entry(state).or_default() += 1;
        }
        let known = dir.join("config.json").exists() || dir.join("checkpoint.safetensors").exists();
        good(folder, if known { &resume } else { &begin })?;
        same(&folder.join("whole"), &dir)?;
    }
    println!("  {} kills over {whole} ms each left: {seen:?}", 2 * KILLED);
    let within = |states: &[&str]| -> u32 { states.iter().filter_map(|s| seen.get(s)).sum() };
    ensure(
        within(&["in training", "no checkpoint"]) >= KILLED / 4
            && within(&["all steps done", "concluding"]) >= KILLED / 10,
        format!("too few kills within the runs: {seen:?}"),
    )
}

fn main() {
    let mut args = Arguments::from_args();
    args.test_threads = Some(1);
    let why = support::gpu().err();
    if let Some(why) = &why {
        println!("GPU tests are ignored: {why}");
    }
    let tests: &[(&str, Test)] = &[
        ("every state goes on", every_state_goes_on),
        ("metrics are rebuilt", metrics_are_rebuilt),
        ("one process at a time", one_process_at_a_time),
        ("options of a resumed run", options_of_a_resumed_run),
        (
            "an interrupted change of options",
            an_interrupted_change_of_options,
        ),
        ("contradictions are refused", contradictions_are_refused),
        (
            "overwrite leaves nothing behind",
            overwrite_leaves_nothing_behind,
        ),
        ("a run and its data", a_run_and_its_data),
        #[cfg(unix)]
        ("a path that is no UTF-8", a_path_that_is_no_utf8),
        ("broken values are named", broken_values_are_named),
        (
            "sums that overflow are an error",
            sums_that_overflow_are_an_error,
        ),
        (
            "a run of version 0.1.0 goes on",
            a_run_of_version_0_1_0_goes_on,
        ),
        #[cfg(target_os = "linux")]
        ("lost output is an error", lost_output_is_an_error),
        #[cfg(unix)]
        ("a full disk", a_full_disk),
        ("large codebooks", large_codebooks),
        ("kills at random moments", kills_at_random_moments),
    ];
    let trials = tests.iter().map(|(name, test)| {
        let test = *test;
        Trial::test(*name, move || {
            let folder = tempfile::tempdir()?;
            write_data(&folder.path().join("data"), 40);
            test(folder.path())
        })
        .with_ignored_flag(why.is_some())
    });
    libtest_mimic::run(&args, trials.collect()).exit();
}
