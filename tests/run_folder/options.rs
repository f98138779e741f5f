//! Options of a run that goes on, and what configuration and checkpoint say of them.

use std::path::Path;

use libtest_mimic::Failed;
use serde_json::Value;

use super::support::command::{bad, ensure, good, read, train};
use super::{contents, copy, json, same};

/// What a resumed run would ignore is refused by name; what may change does, and is stored.
pub fn options_of_a_resumed_run(folder: &Path) -> Result<(), Failed> {
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
pub fn an_interrupted_change_of_options(folder: &Path) -> Result<(), Failed> {
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

/// A checkpoint with another `value` of an option in its metadata.
fn with_option(bytes: &[u8], pointer: &str, value: Value) -> Result<Vec<u8>, Failed> {
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or("no checkpoint")?;
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let mut header: Value = serde_json::from_slice(header)?;
    let text = header["__metadata__"]["semivq"]
        .as_str()
        .ok_or("no metadata")?;
    let mut meta: Value = serde_json::from_str(text)?;
    let option = meta["options"].pointer_mut(pointer);
    *option.ok_or("no such option")? = value;
    header["__metadata__"]["semivq"] = Value::from(meta.to_string());
    let header = header.to_string().into_bytes();
    Ok([&(header.len() as u64).to_le_bytes(), &header[..], data].concat())
}

/// Configuration and checkpoint that contradict each other are refused by the field's name.
pub fn contradictions_are_refused(folder: &Path) -> Result<(), Failed> {
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
    // A checkpoint with options of another version, whose configuration does not help.
    std::fs::write(&path, whole.to_string())?;
    let checkpoint = folder.join("a/checkpoint.safetensors");
    let good_bytes = read(checkpoint.clone())?;
    for (pointer, value, want) in [
        (
            "/lr",
            Value::from(-1),
            "lr must be a number above 0, not -1",
        ),
        ("/vq/norm", Value::from("l7"), "unknown variant `l7`"),
    ] {
        std::fs::write(&checkpoint, with_option(&good_bytes, pointer, value)?)?;
        let want = format!("a/checkpoint.safetensors: holds options that cannot be read ({want}");
        for command in [
            &["eval", "a"][..],
            &["eval", "a/checkpoint.safetensors"],
            &["train", "--resume", "a", "--steps", "3"],
        ] {
            bad(folder, command, 1, &want)?;
        }
    }
    std::fs::write(&checkpoint, good_bytes)?;
    // Other images are a contradiction while those of before are there; moved ones are not.
    let mut moved = whole.clone();
    moved["data"] = Value::Null;
    std::fs::write(&path, moved.to_string())?;
    bad(folder, &["eval", "a"], 1, ": data: null")?;
    moved["data"] = Value::from("elsewhere");
    std::fs::write(&path, moved.to_string())?;
    bad(folder, &["eval", "a"], 1, ": data: \"elsewhere\"")?;
    std::fs::rename(folder.join("data"), folder.join("elsewhere"))?;
    std::fs::write(&path, moved.to_string())?;
    good(folder, &["eval", "a"])?;
    good(folder, &["train", "--resume", "a", "--steps", "3"]).map(|_| ())
}
