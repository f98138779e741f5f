//! The program around the runs: adapters, the bench, signals.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::process::Command;

use libtest_mimic::Failed;

use super::support::command::{ensure, good, read, train};

/// Every method is listed with its options, which are what it sets; flags override them.
pub fn methods_are_listed(folder: &Path) -> Result<(), Failed> {
    let text = good(folder, &["methods"])?;
    for word in ["ste++++", "--ema-decay 0.8", "arXiv 2410.06424"] {
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
        // Without any it would be the best one.
        args.extend(listed.unwrap_or("--method vq").split_whitespace());
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

pub fn an_unknown_adapter(folder: &Path) -> Result<(), Failed> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_semivq"));
    command
        .current_dir(folder)
        .args(["train", "--adapter", "no such adapter"]);
    let text = String::from_utf8_lossy(&command.output()?.stderr).into_owned();
    ensure(
        text.contains("no adapter's name contains `no such adapter`"),
        text,
    )
}

pub fn no_adapter(folder: &Path) -> Result<(), Failed> {
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

pub fn doctor_says_that_training_can_run(folder: &Path) -> Result<(), Failed> {
    let text = good(folder, &["doctor"])?;
    ensure(text.contains("training can run"), text)
}

/// The report holds a step's time and what it is compared with, and the numbers go together.
pub fn bench_reports(folder: &Path) -> Result<(), Failed> {
    let args = ["bench", "--json", "--method", "vq", "--batch", "4"];
    let report: serde_json::Value = serde_json::from_str(&good(folder, &args)?)?;
    let number = |value: &serde_json::Value| -> Result<f64, Failed> {
        let value = value.as_f64().filter(|v| v.is_finite());
        value.ok_or_else(|| format!("a number is missing: {report}").into())
    };
    let rows = report["steps"].as_array().ok_or("no steps")?;
    let [row] = &rows[..] else {
        return Err(format!("{} steps for one batch", rows.len()).into());
    };
    ensure(
        row["method"] == "vq" && row["batch"] == 4,
        format!("another step was measured: {row}"),
    )?;
    let step = &row["step"];
    let [least, median, most] = [&step["min"], &step["median"], &step["max"]];
    let [least, median, most] = [number(least)?, number(median)?, number(most)?];
    ensure(
        0.0 < least && least <= median && median <= most && most < 60.0,
        format!("{step}"),
    )?;
    // Multiply-adds of the convolutions alone, forward: by 784 pixels of a layer at 28 x 28 and so on.
    let forward =
        4.0 * 9.0 * (784.0 * 16.0 + 196.0 * 16.0 * 32.0 + 196.0 * 32.0 * 16.0 + 784.0 * 16.0);
    let gflop = number(&row["gflop"])?;
    ensure(
        gflop > 2e-9 * 2.0 * forward && gflop < 2e-9 * 6.0 * forward,
        format!("{gflop} GFLOP, {} of them forward", 2e-9 * forward),
    )?;
    let ceilings = &report["ceilings"];
    let gflops = number(&ceilings["gflops"])?;
    ensure(
        gflop / median < gflops && number(&ceilings["gb_per_second"])? > 0.1,
        format!("faster than the ceiling: {report}"),
    )?;
    let dispatches = number(&row["dispatches"])?;
    ensure(
        (30.0..80.0).contains(&dispatches),
        format!("{dispatches} dispatches"),
    )
}

#[cfg(unix)]
pub fn ctrl_c_ends_in_order(folder: &Path) -> Result<(), Failed> {
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
