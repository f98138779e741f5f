//! Wrong input of every kind: one clear line, an exit code, nothing lost.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use libtest_mimic::Failed;

use super::support::command::{bad, ensure, good, idx, read, train};

pub fn wrong_usage(folder: &Path) -> Result<(), Failed> {
    let n = |more: &[&'static str], want: &str| bad(folder, &train("never", more), 2, want);
    bad(
        folder,
        &["train", "--num-codes", "0"],
        2,
        "--num-codes must be a whole number from 1",
    )?;
    // A size that overflows every product with another.
    n(
        &["--feature-size", "4611686018427387904"],
        "--feature-size must be",
    )?;
    n(&["--beta", "1.5"], "--beta must be in [0, 1]")?;
    n(&["--lr", "0"], "--lr must be a number above 0")?;
    n(&["--method", "approach9"], "approach9")?;
    n(&["--model", "huge"], "unknown model `huge`")?;
    n(
        &["--norm", "gn", "--feature-size", "16"],
        "--norm gn has 32 groups",
    )?;
    n(&["--inplace-optimizer", "10"], "want LR,MOMENTUM")?;
    n(&["--inplace-optimizer", "10,0.9"], "it needs --beta 1")?;
    n(&["--method", "ste++", "--beta", "0.5"], "it needs --beta 1")?;
    n(
        &["--method", "ema", "--use-learnable-std"],
        "--ema-decay and --use-learnable-std exclude each other",
    )?;
    n(
        &["--method", "ste++", "--residual", "2", "--residual-shared"],
        "--residual-shared and --inplace-optimizer exclude each other",
    )?;
    n(&["--fsq-levels", "8,x"], "want numbers, for example 8,6,5")?;
    // The run's --num-codes is 16.
    n(
        &["--fsq-levels", "8,6,5"],
        "make 240 codes, but --num-codes is 16",
    )?;
    n(&["--affine-lr", "1", "--affine-groups", "3"], "must divide")?;
    n(&["--steps", "0"], "--steps must be a whole number from 1")?;
    bad(
        folder,
        &["train", "--backend", "voodoo"],
        2,
        "unknown backend `voodoo`",
    )?;
    bad(folder, &["bench", "--method", "none"], 2, "unknown method")?;
    ensure(
        !folder.join("never").exists(),
        "a refused run left a folder",
    )
}

/// What is refused once the adapter and the images are there.
pub fn more_than_there_is(folder: &Path) -> Result<(), Failed> {
    bad(
        folder,
        &["train", "--data", "data", "--batch", "41", "--out", "never"],
        2,
        "--batch must be between 1 and the 40 training images",
    )?;
    ensure(
        !folder.join("never").exists(),
        "a refused run left a folder",
    )?;
    bad(
        folder,
        &["train", "--num-codes", "16777216"],
        1,
        "max_storage_buffer_binding_size",
    )
}

pub fn damaged_data(folder: &Path) -> Result<(), Failed> {
    let train = folder.join("data/train-images-idx3-ubyte");
    let whole = read(train.clone())?;
    let refused = |want: &str| bad(folder, &super_train(), 1, want);
    bad(
        folder,
        &["train", "--data", "nowhere", "--out", "never"],
        1,
        "is no folder",
    )?;
    std::fs::write(&train, &whole[..whole.len() - 5])?;
    refused("but it holds 3835")?;
    std::fs::write(&train, read(folder.join("data/train-labels-idx1-ubyte"))?)?;
    refused("that is a file of labels")?;
    std::fs::write(&train, idx(3, &[40, 9, 12], (0..40 * 108).map(|_| 1)))?;
    refused("[C, H, W]")?;
    std::fs::write(&train, idx(3, &[0, 8, 12], std::iter::empty()))?;
    refused("0 images")?;
    std::fs::remove_file(folder.join("data/train-labels-idx1-ubyte"))?;
    refused("has no images")?;
    std::fs::remove_file(&train)?;
    refused("not found")?;
    ensure(
        !folder.join("never").exists(),
        "a refused run left a folder",
    )
}

fn super_train() -> Vec<&'static str> {
    train("never", &["--steps", "2"])
}

pub fn images_not_divisible_by_4(folder: &Path) -> Result<(), Failed> {
    for part in ["train", "t10k"] {
        let bytes = idx(3, &[40, 8, 10], (0..3200).map(|i| i as u8));
        std::fs::write(folder.join(format!("data/{part}-images-idx3-ubyte")), bytes)?;
    }
    bad(
        folder,
        &super_train(),
        1,
        "8 x 10; height and width must be divisible by 4",
    )
}

pub fn damaged_runs(folder: &Path) -> Result<(), Failed> {
    good(folder, &train("a", &["--steps", "2"]))?;
    good(
        folder,
        &train("b", &["--steps", "2", "--method", "approach1"]),
    )?;
    // An existing run is not overwritten by accident.
    let before = read(folder.join("a/checkpoint.safetensors"))?;
    bad(
        folder,
        &train("a", &["--steps", "2"]),
        2,
        "holds a run already",
    )?;
    ensure(
        before == read(folder.join("a/checkpoint.safetensors"))?,
        "the run was touched",
    )?;
    good(folder, &train("a", &["--steps", "2", "--overwrite"]))?;
    bad(
        folder,
        &["train", "--resume", "a", "--steps", "1"],
        2,
        "has done 2 steps",
    )?;
    bad(
        folder,
        &["train", "--resume", "nowhere", "--steps", "2"],
        1,
        "config.json",
    )?;
    bad(
        folder,
        &["reconstruct", "a", "data/t10k-images-idx3-ubyte"],
        1,
        "is no readable PNG, JPEG, WebP or BMP image",
    )?;
    bad(
        folder,
        &["reconstruct", "a", "missing.png"],
        1,
        "missing.png",
    )?;
    let checkpoint = folder.join("a/checkpoint.safetensors");
    std::fs::copy(folder.join("b/checkpoint.safetensors"), &checkpoint)?;
    bad(folder, &["eval", "a"], 1, "method: \"best\", \"approach1\"")?;
    for command in [
        &["eval", "a"][..],
        &["train", "--resume", "a", "--steps", "9"],
    ] {
        std::fs::write(&checkpoint, &before[..before.len() / 2])?;
        bad(folder, command, 1, "is no complete safetensors file")?;
        std::fs::write(&checkpoint, b"not at all")?;
        bad(folder, command, 1, "is no complete safetensors file")?;
    }
    std::fs::remove_file(&checkpoint)?;
    bad(folder, &["eval", "a"], 1, "checkpoint.safetensors")
}

pub fn an_unwritable_folder(folder: &Path) -> Result<(), Failed> {
    // A file where a folder should be stops root too, unlike permissions.
    std::fs::write(folder.join("file"), b"here")?;
    bad(folder, &train("file/run", &["--steps", "2"]), 1, "file/run")?;
    ensure(
        read(folder.join("file"))? == b"here",
        "the file was touched",
    )
}

pub fn a_diverging_run_keeps_its_checkpoint(folder: &Path) -> Result<(), Failed> {
    bad(
        folder,
        &train("a", &["--steps", "50", "--lr", "1e30"]),
        1,
        "lower --lr",
    )?;
    ensure(
        !read(folder.join("a/metrics.jsonl"))?.is_empty(),
        "no metrics were kept",
    )?;
    good(folder, &["eval", "a"])?;
    // Not the learning rate's fault, which has no part in it.
    for (given, want) in [
        (
            "--commitment-weight",
            "lower --commitment-weight (now 1e38).",
        ),
        ("--sync-nu", "lower --sync-nu (now 1e38)."),
        ("--affine-lr", "lower --affine-lr (now 1e38)."),
        ("--weight-decay", "lower --weight-decay (now 1e38)."),
    ] {
        let args = ["--steps", "20", "--overwrite", given, "1e38"];
        bad(folder, &train("b", &args), 1, want)?;
    }
    let tiny = [
        "--overwrite",
        "--commitment-weight",
        "1e38",
        "--lr",
        "1e-30",
    ];
    bad(
        folder,
        &train("b", &tiny),
        1,
        "lower --commitment-weight (now 1e38).",
    )?;
    let both = ["--overwrite", "--weight-decay", "1e38", "--lr", "1e30"];
    let want = "lower --lr (now 1e30) or --weight-decay (now 1e38).";
    bad(folder, &train("b", &both), 1, want)
}
