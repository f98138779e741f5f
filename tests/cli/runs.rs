//! Runs from training to reconstruction.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use libtest_mimic::Failed;

use super::support::command::{bad, ensure, good, read, train};

pub fn a_whole_run(folder: &Path) -> Result<(), Failed> {
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

pub fn the_same_seed_gives_the_same_bytes(folder: &Path) -> Result<(), Failed> {
    for method in [
        "vq",
        "approach1",
        "approach2",
        "approach3",
        "ste++++",
        "ema",
        "cosine",
        "best",
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

/// Without a method and without options of the quantiser it is `best`; the README to the letter, and what is
/// set apart from the README, are `vq`. A run whose codes are mostly dead says what to try.
pub fn what_is_trained_without_a_method(folder: &Path) -> Result<(), Failed> {
    for (given, want) in [
        ("--feature-size 16", "best"),
        ("--readme", "vq"),
        ("--beta 0.5", "vq"),
        ("--kmeans-init", "vq"),
        ("--method ema", "ema"),
    ] {
        let args: Vec<&str> = given.split(' ').collect();
        let args = [&["--steps", "1", "--overwrite"][..], &args].concat();
        good(folder, &train("a", &args))?;
        let config: serde_json::Value =
            serde_json::from_slice(&read(folder.join("a/config.json"))?)?;
        ensure(config["method"] == want, format!("{given}: {config}"))?;
        let init = ["normal", "kmeans"][usize::from(given == "--kmeans-init")];
        let has = want != "vq" || config["vq"]["codebook_init"] == init;
        ensure(has, format!("{given}: {config}"))?;
    }
    let many = "train --data data --batch 8 --num-codes 512 --method vq --steps 2 --out b";
    let text = good(folder, &many.split(' ').collect::<Vec<_>>())?;
    let want = "are in use): try --method best, or --replace-freq 20, or --codebook-init kmeans";
    ensure(text.contains(want), text)
}

/// A checkpoint alone makes a new run that goes on from it, bit for bit.
pub fn goes_on_from_a_file(folder: &Path) -> Result<(), Failed> {
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
pub fn codes_there_and_back(folder: &Path) -> Result<(), Failed> {
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

/// With several codebooks a vector has as many codes, side by side in one file.
pub fn codes_of_several_codebooks(folder: &Path) -> Result<(), Failed> {
    let options = ["--steps", "3", "--method", "best", "--residual", "3"];
    let text = good(folder, &train("a", &options))?;
    ensure(
        text.contains("| perplexity") && !text.contains("perplexity -"),
        text,
    )?;
    let text = good(folder, &["encode", "a"])?;
    ensure(text.contains("int32 [13, 2, 3, 3]"), text)?;
    good(folder, &["decode", "a", "a/codes.npy"])?;
    let image = "a/decoded/5.png";
    good(folder, &["encode", "a", image, "--out", "one.npy"])?;
    good(folder, &["decode", "a", "one.npy", "--out", "one"])?;
    good(folder, &["reconstruct", "a", image])?;
    ensure(
        read(folder.join("one/0.png"))? == read(folder.join("a/reconstructed/5.png"))?,
        "codes there and back differ from a reconstruction",
    )?;
    let test = good(folder, &["eval", "a", "--json"])?;
    let test: serde_json::Value = serde_json::from_str(&test)?;
    let of = |name: String| test[name].as_f64().unwrap_or(f64::NAN);
    let sum: f64 = (0..3)
        .map(|d| of(format!("layers.5.layers.{d}.active_ratio")))
        .sum();
    let own = of("active_ratio".into());
    ensure((own - sum / 3.0).abs() < 1e-9, format!("{test}"))?;
    // The codes of a run with one codebook are not this one's, nor the other way round.
    good(folder, &train("b", &["--steps", "3"]))?;
    good(folder, &["encode", "b"])?;
    let refused =
        |run: &str, codes: &str, want: &str| bad(folder, &["decode", run, codes], 1, want);
    refused(
        "a",
        "b/codes.npy",
        "holds [13, 2, 3], the run has codes [B, H, W, 3]",
    )?;
    refused(
        "b",
        "a/codes.npy",
        "holds [13, 2, 3, 3], the run has codes [B, H, W]",
    )
}

/// Of stochastic quantisation; of codes without a posterior it is refused.
pub fn a_sampled_evaluation(folder: &Path) -> Result<(), Failed> {
    good(
        folder,
        &train("drawn", &["--method", "sqvae", "--steps", "2"]),
    )?;
    good(
        folder,
        &train("nearest", &["--method", "vq", "--steps", "2"]),
    )?;
    let eval = |seed: &str| good(folder, &["eval", "drawn", "--json", "--sampled", seed]);
    let (one, again, other) = (eval("5")?, eval("5")?, eval("6")?);
    ensure(one == again, format!("{one}\n{again}"))?;
    ensure(one != other, "two seeds are alike")?;
    ensure(
        one != good(folder, &["eval", "drawn", "--json"])?,
        "nothing is drawn",
    )?;
    bad(
        folder,
        &["eval", "nearest", "--sampled", "5"],
        2,
        "the model's codes have no posterior to be sampled from",
    )
}
