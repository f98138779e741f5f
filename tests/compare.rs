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

use std::collections::BTreeMap;
use std::path::Path;

use libtest_mimic::{Arguments, Failed, Trial};
use support::command::{Test, ensure, read, write_data};

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
fn contents(dir: &Path) -> Result<BTreeMap<String, Vec<u8>>, Failed> {
    let mut all = BTreeMap::new();
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
    let (x, y) = (contents(a)?, contents(b)?);
    let names = |m: &BTreeMap<String, Vec<u8>>| m.keys().cloned().collect::<Vec<_>>();
    let at = b.display();
    ensure(
        names(&x) == names(&y),
        format!("{at}: {:?}, {:?}", names(&x), names(&y)),
    )?;
    for (name, bytes) in &x {
        ensure(*bytes == y[name], format!("{at}: {name} differs"))?;
    }
    Ok(())
}

fn text(path: &Path) -> Result<String, Failed> {
    Ok(String::from_utf8(read(path.to_path_buf())?)?)
}

fn main() {
    let mut args = Arguments::from_args();
    args.test_threads = Some(1);
    let why = support::gpu().err();
    if let Some(why) = &why {
        println!("tests that train are ignored: {why}");
    }
    let tests: &[(&str, Test)] = &[
        ("wrong usage", refused::wrong_usage),
        ("other experiments", refused::other_experiments),
        ("a grid", grid::a_grid),
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
    let trials = tests.iter().map(|(name, test)| {
        let test = *test;
        Trial::test(*name, move || {
            let folder = tempfile::tempdir()?;
            write_data(&folder.path().join("data"), 40);
            test(folder.path())
        })
        .with_ignored_flag(why.is_some() && !WITHOUT_ADAPTER.contains(name))
    });
    libtest_mimic::run(&args, trials.collect()).exit();
}
