//! Values: broken ones, those of version 0.1.0, and many of them.

use std::path::Path;

use libtest_mimic::Failed;
use serde_json::Value;

use super::copy;
use super::support::command::{bad, ensure, good, read, semivq, train};

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
pub fn broken_values_are_named(folder: &Path) -> Result<(), Failed> {
    good(folder, &train("a", &["--steps", "2", "--norm", "bn"]))?;
    good(folder, &["encode", "a"])?;
    good(folder, &["decode", "a", "a/codes.npy"])?;
    let path = folder.join("a/checkpoint.safetensors");
    let whole = read(path.clone())?;
    let tensors = [
        "layers.0.weight",
        "layers.5.codebook.weight",
        "layers.10.bias",
        "layers.5.norm_layer.running_mean",
    ];
    let names = serde_json::from_slice::<Value>(
        &whole[8..8 + u64::from_le_bytes(whole[..8].try_into()?) as usize],
    )?;
    let there = tensors.iter().filter(|t| names.get(t).is_some()).count();
    ensure(there == 4, format!("{names}"))?;
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
    let mut bytes = whole.clone();
    let at = place(&bytes, "layers.5.norm_layer.running_var")?;
    bytes[at..at + 4].copy_from_slice(&(-1_f32).to_le_bytes());
    std::fs::write(&path, &bytes)?;
    let want = "holds -1 in `layers.5.norm_layer.running_var`, where nothing can be below 0";
    bad(folder, &["eval", "a"], 1, want)?;
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
    bytes[at..at + 4].copy_from_slice(&(-1_f32).to_le_bytes());
    std::fs::write(&path, &bytes)?;
    bad(
        folder,
        &["train", "--resume", "a", "--steps", "3"],
        1,
        "holds -1 in `moment2.layers.3.weight`, where nothing can be below 0",
    )?;
    // Evaluation does not need it.
    good(folder, &["eval", "a"]).map(|_| ())
}

/// Finite weights whose sums are not: an error, no picture, no figure; and not the learning rate's
/// fault.
pub fn sums_that_overflow_are_an_error(folder: &Path) -> Result<(), Failed> {
    good(folder, &train("a", &["--steps", "2", "--method", "vq"]))?;
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
    bad(folder, &["encode", "a"], 1, "vectors before the quantiser")?;
    // The vectors are good, their distances are not.
    let mut bytes = whole.clone();
    let at = place(&bytes, "layers.5.codebook.weight")?;
    for value in bytes[at..at + 4 * 16 * 32].chunks_mut(4) {
        value.copy_from_slice(&1e20_f32.to_le_bytes());
    }
    std::fs::write(&path, &bytes)?;
    let want = "vectors before the quantiser, or their squared distances, are NaN or infinite";
    bad(folder, &["eval", "a"], 1, want)?;
    bad(folder, &["train", "--resume", "a", "--steps", "9"], 1, want)
}

/// A run of version 0.1.0 goes on as that version did: the right values are what it wrote, on the
/// same images, up to step 4.
pub fn a_run_of_version_0_1_0_goes_on(folder: &Path) -> Result<(), Failed> {
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
    // Of 0.511277 and 0.353845 there, which drew another row for the code that step 4 replaces.
    ensure(
        near(&after["l1"], 0.510_782) && near(&after["mse"], 0.353_434),
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

/// The sizes whose training state did not fit the header of a safetensors file.
pub fn large_codebooks(folder: &Path) -> Result<(), Failed> {
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
