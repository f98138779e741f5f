//! Evaluations under way, the checkpoints that are kept, early stop, epochs and schedules, as a run's folder has them.

use std::path::Path;

use libtest_mimic::Failed;
use semivq::train::checkpoint::State;
use serde_json::Value;

use super::support::command::{bad, ensure, good, read, train};
use super::{contents, json};

fn lines(path: &Path) -> Result<Vec<Value>, Failed> {
    let text = String::from_utf8(read(path.to_path_buf())?)?;
    let lines = text.lines().map(serde_json::from_str);
    Ok(lines.collect::<Result<_, _>>()?)
}

const WATCHED: [&str; 7] = [
    "--eval-every",
    "2",
    "--keep-best",
    "--keep-last",
    "2",
    "--checkpoint-every",
    "3",
];

/// Training is bit for bit that of a run that is not watched; the best and the last checkpoints are there, and commands
/// take them; a run that stopped in between ends alike.
pub fn a_run_is_watched(folder: &Path) -> Result<(), Failed> {
    let [a, plain] = ["a", "plain"].map(|run| folder.join(run));
    let text = good(
        folder,
        &train("a", &[&["--steps", "9"][..], &WATCHED].concat()),
    )?;
    ensure(text.contains("step 4: test (13 images): l1"), text)?;
    good(folder, &train("plain", &["--steps", "9"]))?;
    let metrics = |run: &Path| read(run.join("metrics.jsonl"));
    ensure(metrics(&a)? == metrics(&plain)?, "watching changed the run")?;
    let state = |path: &Path| -> Result<State, Failed> {
        Ok(State::from_bytes(&read(path.to_path_buf())?)?)
    };
    let tensors = |run: &Path| state(&run.join("checkpoint.safetensors"));
    ensure(
        tensors(&a)?.tensors == tensors(&plain)?.tensors,
        "watching changed the model",
    )?;
    let evaluations = lines(&a.join("evaluations.jsonl"))?;
    let steps: Vec<&Value> = evaluations.iter().map(|l| &l["step"]).collect();
    ensure(steps == [2, 4, 6, 8], format!("{steps:?}"))?;
    let names = contents(&a)?.into_keys().collect::<Vec<_>>();
    let kept: Vec<&String> = names
        .iter()
        .filter(|n| n.ends_with(".safetensors"))
        .collect();
    let best = json(&a.join("summary.json"))?["best"]["step"].clone();
    let of_best = format!("training-best-{best}.safetensors");
    let want = [
        "checkpoint-8.safetensors",
        "checkpoint-9.safetensors",
        "checkpoint-best.safetensors",
        "checkpoint.safetensors",
        "training-8.safetensors",
        "training-9.safetensors",
        &of_best,
    ];
    // The last evaluation that was the best wrote a checkpoint too; otherwise the one before is that of step 6.
    let want = want.map(|n| {
        if best == 8 {
            n.to_owned()
        } else {
            n.replace("-8.", "-6.")
        }
    });
    ensure(
        kept == want.iter().collect::<Vec<_>>(),
        format!("{kept:?}, not {want:?}"),
    )?;
    // What a kill leaves where another evaluation has become the best.
    std::fs::copy(a.join(&of_best), a.join("training-best-1.safetensors"))?;
    good(folder, &["train", "--resume", "a"])?;
    ensure(
        !a.join("training-best-1.safetensors").exists() && a.join(&of_best).exists(),
        "the training state of an earlier best evaluation is left",
    )?;
    let file = "a/checkpoint-best.safetensors";
    let eval: Value = serde_json::from_str(&good(folder, &["eval", file, "--json"])?)?;
    let line = evaluations
        .iter()
        .find(|l| l["step"] == best)
        .ok_or("no line of the best")?;
    ensure(
        eval["l1"] == line["l1"] && eval["psnr"] == line["psnr"],
        format!("{eval}, {line}"),
    )?;
    let least = evaluations
        .iter()
        .filter_map(|l| l["l1"].as_f64())
        .fold(f64::INFINITY, f64::min);
    ensure(line["l1"] == least, format!("{line} is not the least"))?;
    // Images of 8 x 12 are smaller than the window of SSIM.
    ensure(
        eval["ssim"].is_null() && eval["psnr"].is_number(),
        format!("{eval}"),
    )?;
    good(folder, &["reconstruct", file, "a/test-image.png"])?;
    ensure(
        a.join("checkpoint-best-reconstructed/test-image.png")
            .exists(),
        "nothing was made",
    )?;
    let earlier = format!("a/{}", want[0]);
    good(
        folder,
        &["train", "--resume", &earlier, "--out", "b", "--steps", "10"],
    )?;
    // Stopped in between.
    std::fs::remove_dir_all(a.join("checkpoint-best-reconstructed"))?;
    good(
        folder,
        &train("half", &[&["--steps", "6"][..], &WATCHED].concat()),
    )?;
    good(folder, &["train", "--resume", "half", "--steps", "9"])?;
    for name in [
        "evaluations.jsonl",
        "metrics.jsonl",
        "checkpoint.safetensors",
    ] {
        let bytes = |run: &Path| read(run.join(name));
        ensure(
            bytes(&a)? == bytes(&folder.join("half"))?,
            format!("{name} differs"),
        )?;
    }
    Ok(())
}

/// A run whose test loss falls no more ends in order, and knows it when it goes on.
pub fn a_run_ends_early(folder: &Path) -> Result<(), Failed> {
    let more = [
        "--steps",
        "20",
        "--eval-every",
        "2",
        "--patience",
        "2",
        "--min-delta",
        "1",
    ];
    let text = good(folder, &train("a", &more))?;
    ensure(
        text.contains("ended early at step 6 of 20: 2 evaluations"),
        text,
    )?;
    let summary = json(&folder.join("a/summary.json"))?;
    ensure(
        summary["ended_early"] == true && summary["steps"] == 6,
        format!("{summary}"),
    )?;
    let text = good(folder, &["train", "--resume", "a"])?;
    ensure(text.contains("complete, nothing is missing"), text)?;
    let text = good(folder, &["train", "--resume", "a", "--patience", "4"])?;
    ensure(
        text.contains("ended early at step 10 of 20: 4 evaluations"),
        text,
    )?;
    good(
        folder,
        &["train", "--resume", "a", "--patience", "0", "--steps", "11"],
    )?;
    let summary = json(&folder.join("a/summary.json"))?;
    ensure(
        summary["ended_early"].is_null() && summary["steps"] == 11,
        format!("{summary}"),
    )
}

/// Epochs are steps by the number of images; the rate is that of the steps there are now.
pub fn epochs_and_schedules(folder: &Path) -> Result<(), Failed> {
    let rates = [
        "--epochs",
        "2",
        "--schedule",
        "cosine",
        "--warmup",
        "2",
        "--lr",
        "1e-3",
    ];
    let text = good(folder, &train("a", &rates))?;
    ensure(
        text.contains("learning rate: ") && text.contains("5.0e-4 at 1, 1.0e-3 at 2"),
        text,
    )?;
    ensure(
        folder.join("a/schedule.png").exists(),
        "no picture of the rate",
    )?;
    let config = json(&folder.join("a/config.json"))?;
    ensure(
        config["epochs"] == 2 && config["steps"] == 10,
        format!("{config}"),
    )?;
    let check = |goal: u32| -> Result<(), Failed> {
        let all = lines(&folder.join("a/metrics.jsonl"))?;
        ensure(all.len() == goal as usize, format!("{} lines", all.len()))?;
        let last = all[goal as usize - 1]["lr"].as_f64().ok_or("no rate")?;
        let share = f64::from(goal - 1 - 2) / f64::from(goal - 2);
        let want = 1e-3 * (1.0 + (std::f64::consts::PI * share).cos()) / 2.0;
        ensure((last - want).abs() < 1e-9, format!("{last}, not {want}"))
    };
    check(10)?;
    good(folder, &["train", "--resume", "a", "--epochs", "3"])?;
    check(15)?;
    good(folder, &["train", "--resume", "a", "--steps", "17"])?;
    check(17)?;
    let config = json(&folder.join("a/config.json"))?;
    ensure(
        config["epochs"].is_null() && config["steps"] == 17,
        format!("{config}"),
    )?;
    for (given, want) in [
        (
            &["--epochs", "2", "--steps", "3"][..],
            "steps and epochs exclude each other",
        ),
        (
            &["--schedule", "cosine", "--warmup", "9", "--steps", "9"],
            "--warmup (9) leaves none of the 9 steps",
        ),
        (
            &["--schedule", "cosine", "--min-lr", "1"],
            "--min-lr (1e0) is above --lr",
        ),
        (&["--min-lr", "1e-5"], "--min-lr has no effect"),
        (
            &["--schedule", "cosine", "--decay-every", "3"],
            "--decay-every has no effect",
        ),
        (
            &["--schedule", "linear"],
            "expected one of `constant`, `cosine`, `step`",
        ),
        (
            &["--keep-best"],
            "--keep-best has no effect: it goes by the evaluations under way, which need an --eval-every",
        ),
        (
            &["--min-delta", "0.1", "--eval-every", "3"],
            "--min-delta has no effect",
        ),
        (&["--accumulate", "3"], "--accumulate (3) must divide"),
        (
            &["--accumulate", "2", "--method", "ste++"],
            "exclude each other",
        ),
        (
            &["--quantizer-lr", "2"],
            "--quantizer-lr has no effect: the quantiser learns nothing",
        ),
        (
            &["--loss", "huber"],
            "expected one of `l1`, `mse`, `elbo`, `elbo_learned`",
        ),
        (
            &["--epochs", "4294967295"],
            "--epochs (4294967295) of 40 images",
        ),
    ] {
        bad(folder, &train("never", given), 2, want)?;
    }
    ensure(
        !folder.join("never").exists(),
        "a refused run left a folder",
    )
}
