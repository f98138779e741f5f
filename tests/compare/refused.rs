//! What is refused before anything is trained, in one line that names it.

use std::path::Path;

use libtest_mimic::Failed;

use super::compare;
use super::support::command::{bad, ensure, good};

pub fn wrong_usage(folder: &Path) -> Result<(), Failed> {
    let never = |more: &[&'static str], want: &str| {
        let mut args = compare(more);
        args.extend(["--out", "never"]);
        bad(folder, &args, 2, want)
    };
    never(&[], "give --methods")?;
    never(&["--methods", "approch1"], "did you mean `approach1`?")?;
    never(&["--methods", "vq,vq"], "vq stands twice")?;
    never(&["--methods", "vq", "--seeds", "3-1"], "`3-1` is none")?;
    never(&["--methods", "vq", "--seeds", "0-2,1"], "1 stands twice")?;
    never(
        &["--methods", "vq", "--jobs", "0"],
        "--jobs must be at least 1",
    )?;
    never(
        &["--methods", "vq", "--vary", "num-code=3"],
        "did you mean `num-codes`?",
    )?;
    never(
        &["--methods", "vq", "--vary", "num-codes"],
        "want OPTION=VALUE,VALUE",
    )?;
    never(&["--methods", "vq", "--vary", "seed=1,2"], "give --seeds")?;
    never(
        &["--methods", "vq", "--vary", "lr=1e-3,0"],
        "--lr must be a number above 0, not 0",
    )?;
    never(
        &["--methods", "vq", "--vary", "batch=4,8"],
        "batch is given for all runs and varied too",
    )?;
    // A point of the grid that is wrong is named, with its values.
    never(
        &["--methods", "vq,ste++", "--vary", "beta=1,0.5"],
        "ste++, beta 0.5: --inplace-optimizer",
    )?;
    never(
        &["--methods", "vq,ema", "--gamma-policy", "personalize"],
        "--gamma-policy has no effect",
    )?;
    never(
        &["--methods", "vq", "--momentum", "0.5"],
        "--momentum has no effect",
    )?;
    bad(folder, &compare(&["--methods", "vq"]), 2, "give --out DIR")?;
    bad(
        folder,
        &["compare", "--resume", "a", "--steps", "3"],
        2,
        "leave --steps out",
    )?;
    std::fs::write(folder.join("wrong.toml"), "methods = [\"vq\"]\nlrr = 3\n")?;
    bad(
        folder,
        &["compare", "wrong.toml", "--out", "never"],
        2,
        "wrong.toml: unknown option `lrr`; did you mean --lr?",
    )?;
    bad(
        folder,
        &["compare", "none.toml", "--out", "never"],
        1,
        "none.toml",
    )?;
    bad(
        folder,
        &["plot", "nowhere"],
        1,
        "want the folder of an experiment",
    )?;
    ensure(
        !folder.join("never").exists() && !folder.join("nowhere").exists(),
        "what was refused left a folder",
    )
}

/// Images that do not suffice, and folders that hold something else.
pub fn other_experiments(folder: &Path) -> Result<(), Failed> {
    let args =
        |more: &[&'static str]| compare(&[&["--methods", "vq", "--out", "a"], more].concat());
    bad(
        folder,
        &[
            "compare",
            "--data",
            "data",
            "--batch",
            "41",
            "--methods",
            "vq",
            "--out",
            "a",
        ],
        2,
        "vq-s0: --batch must be between 1 and the 40 training images",
    )?;
    ensure(!folder.join("a").exists(), "what was refused left a folder")?;
    bad(folder, &["compare", "--resume", "a"], 1, "experiment.toml")?;
    good(folder, &args(&["--vary", "num-codes=4,8"]))?;
    bad(
        folder,
        &args(&["--vary", "num-codes=4,16"]),
        2,
        "it has num-codes 8 too",
    )?;
    bad(
        folder,
        &args(&["--vary", "lr=1e-3"]),
        2,
        "it varied num-codes, not lr",
    )?;
    bad(
        folder,
        &args(&["--vary", "num-codes=4,8", "--lr", "1e-2"]),
        2,
        "lr was its default, not 0.01",
    )?;
    good(
        folder,
        &[
            "train", "--data", "data", "--batch", "8", "--steps", "1", "--out", "run",
        ],
    )?;
    bad(
        folder,
        &compare(&["--methods", "vq", "--out", "run"]),
        2,
        "run holds a run, no experiment",
    )
}
