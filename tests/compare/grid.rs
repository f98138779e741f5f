//! What an experiment leaves, and that it does not depend on the way to it.

use std::path::Path;

use libtest_mimic::Failed;

use super::support::command::{bad, ensure, good};
use super::{SMALL, compare, same, text};

/// Methods x values x seeds: a run each, which the other commands take; the table, the plots and the report.
pub fn a_grid(folder: &Path) -> Result<(), Failed> {
    let printed = good(
        folder,
        &compare(&[
            "--methods",
            "vq,approach1",
            "--seeds",
            "0-1",
            "--vary",
            "num-codes=4,40",
            "--out",
            "a",
        ]),
    )?;
    let dir = folder.join("a");
    let table = text(&dir.join("results.csv"))?;
    let lines: Vec<&str> = table.lines().collect();
    ensure(lines.len() == 9, table.clone())?;
    ensure(
        lines[0].starts_with("method,num-codes,seed,status,steps,l1,mse,"),
        lines[0],
    )?;
    ensure(lines[1].starts_with("vq,4,0,done,6,0."), lines[1])?;
    ensure(lines[8].starts_with("approach1,40,1,done,6,0."), lines[8])?;
    let markdown = text(&dir.join("results.md"))?;
    for line in printed.lines().filter(|l| l.starts_with('|')) {
        ensure(markdown.contains(line), format!("{markdown} lacks {line}"))?;
    }
    ensure(
        markdown.contains(" ± ") && markdown.contains("**"),
        markdown.clone(),
    )?;
    for plot in [
        "curves.png",
        "sweep-num-codes.png",
        "alpha.png",
        "codebooks.png",
        "reconstructions.png",
    ] {
        let path = dir.join("plots").join(plot);
        let picture = image::open(&path)
            .map_err(|e| format!("{plot}: {e}"))?
            .into_rgb8();
        let white = picture.pixels().filter(|p| p.0 == [255; 3]).count();
        let all = (picture.width() * picture.height()) as usize;
        ensure(white < all - all / 100, format!("{plot} is blank"))?;
    }
    good(folder, &["eval", "a/runs/vq-num-codes4-s0"])?;
    // A run is what `train` makes of the same options.
    let mut alone = vec!["train", "--method", "approach1", "--seed", "1"];
    alone.extend(&SMALL[1..]);
    alone.extend(["--num-codes", "40", "--out", "alone"]);
    good(folder, &alone)?;
    let run = dir.join("runs/approach1-num-codes40-s1");
    for name in [
        "config.json",
        "checkpoint.safetensors",
        "metrics.jsonl",
        "codes.png",
    ] {
        let [a, b] = [&run, &folder.join("alone")].map(|d| std::fs::read(d.join(name)));
        ensure(a? == b?, format!("{name} is not that of the run alone"))?;
    }
    // The report needs nothing but itself.
    let report = text(&dir.join("report.html"))?.replace("http://www.w3.org/2000/svg", "");
    for outside in [
        "http:", "https:", "<link", "@import", "url(", "fetch(", "import(",
    ] {
        ensure(
            !report.contains(outside),
            format!("the report has {outside}"),
        )?;
    }
    ensure(report.contains("data:image/png;base64,"), "no pictures")
}

/// What is more than steps: epochs, first weights, evaluations under way, the best of them, an early end.
pub fn all_that_train_does(folder: &Path) -> Result<(), Failed> {
    let mut first = vec!["train", "--method", "vq", "--out", "first"];
    first.extend(&SMALL[1..]);
    good(folder, &first)?;
    let how = |init: &'static str| {
        let how = "--data data --batch 8 --feature-size 8 --epochs 3 --eval-every 2 --keep-best --patience 1 \
                   --min-delta 1000 --init";
        let how: Vec<&str> = how.split_whitespace().collect();
        [how, vec![init]].concat()
    };
    let args = |command: &[&'static str], init| [command, &how(init)].concat();
    let weights = "first/checkpoint.safetensors";
    let grid = ["compare", "--methods", "vq", "--out", "a"];
    good(folder, &args(&grid, weights))?;
    good(
        folder,
        &args(&["train", "--method", "vq", "--out", "alone"], weights),
    )?;
    let run = folder.join("a/runs/vq-s0");
    for name in [
        "config.json",
        "checkpoint.safetensors",
        "checkpoint-best.safetensors",
        "evaluations.jsonl",
        "metrics.jsonl",
    ] {
        let [a, b] = [&run, &folder.join("alone")].map(|d| std::fs::read(d.join(name)));
        ensure(a? == b?, format!("{name} is not that of the run alone"))?;
    }
    // The second evaluation is not smaller by a thousand.
    let table = text(&folder.join("a/results.csv"))?;
    let row = table.lines().nth(1).unwrap_or_default();
    ensure(row.starts_with("vq,0,done,4,"), table.clone())?;
    let grid = ["compare", "--methods", "vq", "--out", "b"];
    bad(
        folder,
        &args(&grid, "gone.safetensors"),
        1,
        "gone.safetensors",
    )
}

pub fn side_by_side_as_one_after_the_other(folder: &Path) -> Result<(), Failed> {
    let run = |out: &'static str, jobs: &'static str| {
        let more = [
            "--methods",
            "vq,approach1,ema",
            "--seeds",
            "0,3",
            "--out",
            out,
            "--jobs",
            jobs,
        ];
        good(folder, &compare(&more))
    };
    run("one", "1")?;
    run("three", "3")?;
    same(&folder.join("one"), &folder.join("three"))
}

pub fn a_file_as_flags(folder: &Path) -> Result<(), Failed> {
    let file = "methods = [\"vq\", \"fsq\"]\nseeds = \"0-1\"\ndata = \"data\"\nsteps = 6\nbatch = 8\n\
                feature-size = 4\n\n[vary]\nnum-codes = [16, 40]\n";
    std::fs::write(folder.join("mine.toml"), file)?;
    // Flags go over the file.
    let more = ["mine.toml", "--out", "a", "--feature-size", "8"];
    good(folder, &[&["compare"], &more[..]].concat())?;
    let flags = [
        "--methods",
        "vq,fsq",
        "--seeds",
        "0,1",
        "--vary",
        "num-codes=16,40",
        "--out",
        "b",
    ];
    good(folder, &compare(&flags))?;
    same(&folder.join("a"), &folder.join("b"))?;
    // What it wrote is such a file.
    good(folder, &["compare", "a/experiment.toml", "--out", "c"])?;
    same(&folder.join("a"), &folder.join("c"))
}

/// An experiment grows into what it would have been at once.
pub fn more_seeds(folder: &Path) -> Result<(), Failed> {
    let run = |seeds: &'static str, out: &'static str| {
        good(
            folder,
            &compare(&["--methods", "vq", "--seeds", seeds, "--out", out]),
        )
    };
    run("0", "a")?;
    let printed = run("0-2", "a")?;
    ensure(printed.contains("3 runs, 1 of them ended before"), printed)?;
    run("0-2", "b")?;
    same(&folder.join("a"), &folder.join("b"))
}

pub fn one_diverges(folder: &Path) -> Result<(), Failed> {
    let more = [
        "--methods",
        "vq",
        "--vary",
        "lr=1e-3,1e30",
        "--num-codes",
        "4",
        "--out",
        "a",
    ];
    let printed = good(folder, &compare(&more))?;
    ensure(printed.contains("-s0: diverged: "), printed)?;
    let table = text(&folder.join("a/results.csv"))?;
    let lines: Vec<&str> = table.lines().collect();
    ensure(lines[1].contains(",0,done,6,"), lines[1])?;
    ensure(lines[2].contains(",0,diverged,,"), lines[2])?;
    // It is not tried again.
    let printed = good(folder, &compare(&more))?;
    ensure(printed.contains("2 of them ended before"), printed)
}

/// From the CSV files comes the same; without the runs, or without what is needed, it is said.
pub fn plots_anew(folder: &Path) -> Result<(), Failed> {
    let more = [
        "--methods",
        "approach1,vq",
        "--seeds",
        "0-1",
        "--num-codes",
        "16",
        "--out",
        "a",
    ];
    good(folder, &compare(&more))?;
    let dir = folder.join("a");
    let before = super::contents(&dir)?;
    for name in [
        "results.md",
        "report.html",
        "plots/curves.png",
        "plots/alpha.png",
    ] {
        std::fs::remove_file(dir.join(name))?;
    }
    good(folder, &["plot", "a"])?;
    ensure(
        before == super::contents(&dir)?,
        "plot draws something else",
    )?;
    std::fs::remove_dir_all(dir.join("runs"))?;
    let output = super::support::command::semivq(folder, &["plot", "a"]);
    let says = String::from_utf8_lossy(&output.stderr);
    ensure(
        output.status.success() && says.contains("no reconstructions are drawn"),
        says,
    )?;
    let table = text(&dir.join("results.csv"))?;
    std::fs::write(
        dir.join("results.csv"),
        table.replace(",done,6,", ",done,six,"),
    )?;
    bad(
        folder,
        &["plot", "a"],
        1,
        "results.csv: line 2: steps is no number: six",
    )?;
    std::fs::write(dir.join("results.csv"), "a,b\n1,2\n")?;
    bad(
        folder,
        &["plot", "a"],
        1,
        "has no columns `method` and `seed`",
    )
}
