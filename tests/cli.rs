//! The command line as a user types it: a run from training to reconstruction, the same bytes
//! twice, and wrong input of every kind: one clear line, an exit code, nothing lost.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "cli/files.rs"]
mod files;
mod support;

use std::path::Path;
use std::process::Command;

use libtest_mimic::{Arguments, Failed, Trial};
use support::command::{Test, bad, ensure, good, idx, read, train, write_data};

fn a_whole_run(folder: &Path) -> Result<(), Failed> {
    let text = good(folder, &train("a", &["--steps", "9"]))?;
    ensure(
        text.contains("rec loss") && text.contains("results in a"),
        text,
    )?;
    for file in [
        "config.json",
        "metrics.jsonl",
        "checkpoint.safetensors",
        "summary.json",
        "curves.png",
        "reconstructions.png",
    ] {
        ensure(
            !read(folder.join("a").join(file))?.is_empty(),
            format!("{file} is empty"),
        )?;
    }
    let metrics = String::from_utf8(read(folder.join("a/metrics.jsonl"))?)?;
    let lines: Vec<serde_json::Value> = metrics
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    ensure(
        lines.len() == 9 && lines[8]["step"] == 9,
        format!("{} lines", lines.len()),
    )?;
    for key in ["rec_loss", "cmt_loss", "perplexity", "active_ratio"] {
        ensure(lines[4][key].is_number(), format!("no {key}"))?;
    }
    let summary: serde_json::Value = serde_json::from_slice(&read(folder.join("a/summary.json"))?)?;
    let eval: serde_json::Value = serde_json::from_str(&good(folder, &["eval", "a", "--json"])?)?;
    for key in ["l1", "mse", "perplexity", "active_ratio"] {
        ensure(
            summary[key] == eval[key] && eval[key].is_number(),
            format!("{key}: {summary} but {eval}"),
        )?;
    }
    ensure(eval["images"] == 13, format!("{eval}"))?;
    // The picture of curves is an image as good as any.
    good(folder, &["reconstruct", "a", "a/curves.png"])?;
    ensure(
        read(folder.join("a/reconstructed/curves.png"))?.starts_with(b"\x89PNG"),
        "no PNG came out",
    )
}

fn the_same_seed_gives_the_same_bytes(folder: &Path) -> Result<(), Failed> {
    for method in [
        "vq",
        "approach1",
        "approach2",
        "approach3",
        "ste++++",
        "ema",
    ] {
        let name = |run: &str| format!("{method}-{run}");
        let (whole, again, parts) = (name("whole"), name("again"), name("parts"));
        good(
            folder,
            &train(&whole, &["--method", method, "--steps", "8"]),
        )?;
        good(
            folder,
            &train(&again, &["--method", method, "--steps", "8"]),
        )?;
        good(
            folder,
            &train(&parts, &["--method", method, "--steps", "5"]),
        )?;
        good(folder, &["train", "--resume", &parts, "--steps", "8"])?;
        for file in ["checkpoint.safetensors", "metrics.jsonl"] {
            let want = read(folder.join(&whole).join(file))?;
            ensure(
                want == read(folder.join(&again).join(file))?,
                format!("{method}: {file} differs between two runs"),
            )?;
            ensure(
                want == read(folder.join(&parts).join(file))?,
                format!("{method}: {file} differs after --resume"),
            )?;
        }
    }
    Ok(())
}

/// A checkpoint alone makes a new run that goes on from it, bit for bit.
fn goes_on_from_a_file(folder: &Path) -> Result<(), Failed> {
    good(folder, &train("a", &["--steps", "3"]))?;
    let from = ["train", "--resume", "a/checkpoint.safetensors", "--steps"];
    good(folder, &[&from[..], &["6", "--out", "b"]].concat())?;
    good(folder, &["train", "--resume", "a", "--steps", "6"])?;
    let file = |run: &str| read(folder.join(run).join("checkpoint.safetensors"));
    ensure(file("a")? == file("b")?, "the two went on differently")?;
    let with = |steps| [&from[..], &[steps]].concat();
    for args in [from[..3].to_vec(), with("5"), with("6")] {
        let want = "checkpoint.safetensors is at step 6; --steps is their number in all";
        bad(folder, &args, 2, want)?;
    }
    let with_out = ["train", "--resume", "a", "--steps", "9", "--out", "c"];
    bad(folder, &with_out, 2, "goes on in its own folder")
}

/// Images to codes and back are what `reconstruct` gives.
fn codes_there_and_back(folder: &Path) -> Result<(), Failed> {
    good(folder, &train("a", &["--steps", "3"]))?;
    let text = good(folder, &["encode", "a"])?;
    ensure(text.contains("int32 [13, 2, 3]"), text)?;
    let codes = read(folder.join("a/codes.npy"))?;
    ensure(codes.starts_with(b"\x93NUMPY"), "no .npy file")?;
    ensure(
        codes.len() == 128 + 4 * 13 * 6,
        format!("{} bytes", codes.len()),
    )?;
    good(folder, &["decode", "a", "a/codes.npy"])?;
    ensure(
        folder.join("a/decoded/12.png").exists(),
        "an image is missing",
    )?;
    // A picture of the run's own: one channel, any size divisible by 4.
    let image = "a/decoded/5.png";
    good(folder, &["encode", "a", image, "--out", "one.npy"])?;
    good(folder, &["decode", "a", "one.npy", "--out", "one"])?;
    good(folder, &["reconstruct", "a", image])?;
    ensure(
        read(folder.join("one/0.png"))? == read(folder.join("a/reconstructed/5.png"))?,
        "codes there and back differ from a reconstruction",
    )?;
    let run = |args: &[&str], code, want: &str| bad(folder, args, code, want);
    run(&["decode", "a", "a/config.json"], 1, "is no .npy file")?;
    run(&["decode", "a", "none.npy"], 1, "check the path")?;
    std::fs::write(folder.join("cut.npy"), &codes[..codes.len() - 5])?;
    run(&["decode", "a", "cut.npy"], 1, "cut short")?;
    let mut large = codes.clone();
    large[128..132].copy_from_slice(&16_i32.to_le_bytes());
    std::fs::write(folder.join("large.npy"), &large)?;
    let want = "large.npy: decode: code 16 does not exist";
    run(&["decode", "a", "large.npy"], 1, want)?;
    run(
        &["encode", "a", image, "a/curves.png"],
        1,
        "encode images of one size at a time",
    )?;
    // What divides the sizes is asked of the model, before anything is written.
    let odd = semivq::data::Images {
        shape: [1, 5, 4],
        pixels: vec![9; 20],
        labels: None,
    };
    semivq::run::pictures::write_image(&folder.join("odd.png"), &odd, 0)?;
    for args in [
        ["encode", "a", "odd.png", "--out", "none.npy"],
        ["reconstruct", "a", "odd.png", "--out", "none"],
    ] {
        let want = "odd.png: is 4 x 5; width and height must be divisible by 4: crop or resize it";
        run(&args, 1, want)?;
        ensure(!folder.join(args[4]).exists(), "something was written")?;
    }
    let plain = "train --data data --batch 8 --steps 2 --no-vq --out b";
    good(folder, &plain.split(' ').collect::<Vec<_>>())?;
    run(&["encode", "b"], 2, "no quantiser")
}

/// Every method is listed with its options, which are what it sets; flags override them.
fn methods_are_listed(folder: &Path) -> Result<(), Failed> {
    let text = good(folder, &["methods"])?;
    for word in ["ste++++", "--ema-decay 0.99", "arXiv 2410.06424"] {
        ensure(text.contains(word), format!("no {word} in {text}"))?;
    }
    let config = |name: &str| -> Result<serde_json::Value, Failed> {
        let file = read(folder.join(name).join("config.json"))?;
        Ok(serde_json::from_slice::<serde_json::Value>(&file)?["vq"].clone())
    };
    for method in semivq::train::Method::ALL {
        let mut lines = text.lines();
        let own = |line: &&str| line.split_whitespace().next() == Some(method.name());
        lines.find(own).ok_or("a method is not listed")?;
        let listed = lines.next().filter(|line| line.trim().starts_with("--"));
        let (preset, flags) = ("preset", "flags");
        let over = |out| train(out, &["--steps", "1", "--overwrite"]);
        let codes = if method.name() == "fsq" { "240" } else { "16" };
        let mut args = over(preset);
        args.extend(["--method", method.name()]);
        let at = args.iter().position(|a| *a == "16").ok_or("no number")?;
        args[at] = codes;
        good(folder, &args)?;
        let mut args = over(flags);
        args[at] = codes;
        args.extend(listed.unwrap_or_default().split_whitespace());
        good(folder, &args)?;
        ensure(
            config(preset)? == config(flags)?,
            format!("{method:?}: {} but {}", config(preset)?, config(flags)?),
        )?;
    }
    let more = [
        "--steps",
        "1",
        "--method",
        "ste++++",
        "--inplace-optimizer",
        "none",
        "--beta",
        "0.5",
        "--norm",
        "none",
        "--replace-policy",
        "self",
    ];
    good(folder, &train("over", &more))?;
    let config = config("over")?;
    ensure(
        config["inplace_optimizer"].is_null()
            && config["norm"] == "none"
            && config["replace_policy"] == "self"
            && config["affine_lr"] == 2.0,
        config.to_string(),
    )
}

fn wrong_usage(folder: &Path) -> Result<(), Failed> {
    let n = |more: &[&'static str], want: &str| bad(folder, &train("never", more), 2, want);
    bad(
        folder,
        &["train", "--num-codes", "0"],
        2,
        "--num-codes must be a whole number from 1",
    )?;
    bad(
        folder,
        &["train", "--num-codes", "16777216"],
        1,
        "max_storage_buffer_binding_size",
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
        &["train", "--data", "data", "--batch", "41", "--out", "never"],
        2,
        "--batch must be between 1 and the 40 training images",
    )?;
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

fn damaged_data(folder: &Path) -> Result<(), Failed> {
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

fn images_not_divisible_by_4(folder: &Path) -> Result<(), Failed> {
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

fn damaged_runs(folder: &Path) -> Result<(), Failed> {
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
        "is no readable PNG image",
    )?;
    bad(
        folder,
        &["reconstruct", "a", "missing.png"],
        1,
        "missing.png",
    )?;
    let checkpoint = folder.join("a/checkpoint.safetensors");
    std::fs::copy(folder.join("b/checkpoint.safetensors"), &checkpoint)?;
    bad(folder, &["eval", "a"], 1, "method: \"vq\", \"approach1\"")?;
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

fn an_unwritable_folder(folder: &Path) -> Result<(), Failed> {
    // A file where a folder should be stops root too, unlike permissions.
    std::fs::write(folder.join("file"), b"here")?;
    bad(folder, &train("file/run", &["--steps", "2"]), 1, "file/run")?;
    ensure(
        read(folder.join("file"))? == b"here",
        "the file was touched",
    )
}

fn a_diverging_run_keeps_its_checkpoint(folder: &Path) -> Result<(), Failed> {
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

fn no_adapter(folder: &Path) -> Result<(), Failed> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_semivq"));
    command
        .current_dir(folder)
        .args(["train", "--adapter", "no such adapter"]);
    let text = String::from_utf8_lossy(&command.output()?.stderr).into_owned();
    ensure(
        text.contains("no adapter's name contains `no such adapter`"),
        text,
    )?;
    for args in [&["doctor"][..], &["train"]] {
        // The Vulkan loader looks for drivers in this list of files alone.
        let mut command = Command::new(env!("CARGO_BIN_EXE_semivq"));
        command
            .current_dir(folder)
            .args(args)
            .args(["--backend", "vulkan"]);
        command
            .env("VK_DRIVER_FILES", "/nowhere.json")
            .env("VK_ICD_FILENAMES", "/nowhere.json");
        let output = command.output()?;
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        ensure(output.status.code() == Some(1), text.clone())?;
        ensure(
            text.contains("no GPU adapter found for the backend vulkan;")
                && text.contains("install"),
            text,
        )?;
    }
    Ok(())
}

fn doctor_says_that_training_can_run(folder: &Path) -> Result<(), Failed> {
    let text = good(folder, &["doctor"])?;
    ensure(text.contains("training can run"), text)
}

fn bench_reports(folder: &Path) -> Result<(), Failed> {
    let args = ["bench", "--json", "--method", "vq", "--batch", "4"];
    let report: serde_json::Value = serde_json::from_str(&good(folder, &args)?)?;
    let row = &report["steps"][0];
    for number in [
        &report["ceilings"]["gflops"],
        &report["ceilings"]["gb_per_second"],
        &row["step"]["median"],
        &row["gflop"],
        &row["dispatches"],
    ] {
        ensure(
            number.as_f64().is_some_and(|v| v > 0.0),
            format!("{report}"),
        )?;
    }
    Ok(())
}

#[cfg(unix)]
fn ctrl_c_ends_in_order(folder: &Path) -> Result<(), Failed> {
    use std::io::{BufRead as _, BufReader};
    let mut command = Command::new(env!("CARGO_BIN_EXE_semivq"));
    command
        .current_dir(folder)
        .args(train("a", &["--steps", "100000"]));
    let mut child = command.stdout(std::process::Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().ok_or("no output")?;
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next().transpose()? {
        if line.starts_with("step 1/") {
            break;
        }
    }
    Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()?;
    let rest: Vec<String> = lines.collect::<Result<_, _>>()?;
    ensure(child.wait()?.code() == Some(130), rest.join("\n"))?;
    ensure(
        rest.iter().any(|l| l.starts_with("stopped at step")),
        rest.join("\n"),
    )?;
    for file in [
        "metrics.jsonl",
        "checkpoint.safetensors",
        "summary.json",
        "reconstructions.png",
    ] {
        ensure(
            !read(folder.join("a").join(file))?.is_empty(),
            format!("{file} is empty"),
        )?;
    }
    good(folder, &["eval", "a"]).map(|_| ())
}

fn main() {
    let mut args = Arguments::from_args();
    args.test_threads = Some(1);
    let why = support::gpu().err();
    if let Some(why) = &why {
        println!("GPU tests are ignored: {why}");
    }
    let tests: &[(&str, Test)] = &[
        ("a whole run", a_whole_run),
        (
            "the same seed gives the same bytes",
            the_same_seed_gives_the_same_bytes,
        ),
        ("a run goes on from a file", goes_on_from_a_file),
        ("codes there and back", codes_there_and_back),
        ("methods are listed", methods_are_listed),
        ("wrong usage", wrong_usage),
        ("damaged data", damaged_data),
        ("images not divisible by 4", images_not_divisible_by_4),
        ("damaged runs", damaged_runs),
        ("names of data sets", files::names_of_data_sets),
        (
            "more data than a binding holds",
            files::more_data_than_a_binding_holds,
        ),
        #[cfg(unix)]
        ("pipes and folders", files::pipes_and_folders),
        ("CIFAR", files::cifar),
        ("images of every kind", files::images_of_every_kind),
        (
            "images that cannot be read",
            files::images_that_cannot_be_read,
        ),
        (
            "nothing on standard error",
            files::nothing_on_standard_error,
        ),
        ("an unwritable folder", an_unwritable_folder),
        (
            "a diverging run keeps its checkpoint",
            a_diverging_run_keeps_its_checkpoint,
        ),
        ("no adapter", no_adapter),
        (
            "doctor says that training can run",
            doctor_says_that_training_can_run,
        ),
        ("bench reports", bench_reports),
        #[cfg(unix)]
        ("Ctrl-C ends in order", ctrl_c_ends_in_order),
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
