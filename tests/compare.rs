//! Experiments: a grid in a folder, the same table however it came about, and wrong input of every kind.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "compare/grid.rs"]
mod grid;
#[cfg(unix)]
#[path = "compare/kills.rs"]
mod kills;
#[path = "compare/refused.rs"]
mod refused;
mod support;

use std::path::Path;

use libtest_mimic::Failed;
use support::command::{Contents, Test, read, run_all, same_files};

/// Tests that run on any machine.
const WITHOUT_ADAPTER: [&str; 1] = ["wrong usage"];

/// A small experiment; what is compared and the folder are missing.
const SMALL: [&str; 9] = [
    "compare",
    "--data",
    "data",
    "--batch",
    "8",
    "--steps",
    "6",
    "--feature-size",
    "8",
];

/// The arguments of a small experiment.
fn compare<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut args: Vec<&str> = SMALL.to_vec();
    args.extend(more);
    args
}

/// All files below `dir` that two equal experiments share, by their paths: not locks, nor what holds times.
fn contents(dir: &Path) -> Result<Contents, Failed> {
    let mut all = Contents::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type()?.is_dir() {
            for (below, bytes) in contents(&entry.path())? {
                all.insert(format!("{name}/{below}"), bytes);
            }
        } else if !["summary.json", "outcome.json", "times.csv"].contains(&name.as_str()) {
            all.insert(name, read(entry.path())?);
        }
    }
    Ok(all)
}

fn same(a: &Path, b: &Path) -> Result<(), Failed> {
    same_files(b, &contents(a)?, &contents(b)?)
}

fn text(path: &Path) -> Result<String, Failed> {
    Ok(String::from_utf8(read(path.to_path_buf())?)?)
}

fn main() {
    let tests: &[(&str, Test)] = &[
        ("wrong usage", refused::wrong_usage),
        ("other experiments", refused::other_experiments),
        ("a grid", grid::a_grid),
        ("all that train does", grid::all_that_train_does),
        (
            "side by side as one after the other",
            grid::side_by_side_as_one_after_the_other,
        ),
        ("a file as flags", grid::a_file_as_flags),
        ("more seeds", grid::more_seeds),
        ("one diverges", grid::one_diverges),
        ("plots anew", grid::plots_anew),
        #[cfg(unix)]
        ("Ctrl-C ends in order", kills::ctrl_c_ends_in_order),
        #[cfg(unix)]
        ("kills at random moments", kills::kills_at_random_moments),
    ];
    run_all(tests, &WITHOUT_ADAPTER);
}
