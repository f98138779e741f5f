//! `semivq plot`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use semivq::compare::{PLOTS, REPORT, RESULTS, Results, TABLE, draw};
use semivq::run::RunFolder;
use semivq::{Error, Result};

use super::output::note;

#[derive(Args)]
pub struct PlotArgs {
    /// Folder of an experiment: what `semivq compare --out` wrote
    dir: PathBuf,
}

/// Prints the table and where the rest is.
pub fn show(dir: &Path, results: &Results) {
    out!("{}", results.table().trim_end());
    out!("results in {}:", dir.display());
    for (name, what) in [
        (REPORT, "everything, interactive; opens offline"),
        (TABLE, "the table above"),
        (
            RESULTS,
            "a row a run; curves.csv, alpha.csv, codebook.csv, times.csv beside it",
        ),
        (PLOTS, "curves, sweeps, alpha, codebooks, reconstructions"),
    ] {
        out!("  {name:<12} {what}");
    }
}

pub fn run(args: &PlotArgs) -> Result<ExitCode> {
    let dir = &args.dir;
    if !dir.join(RESULTS).exists() {
        let message = "is not there; want the folder of an experiment (semivq compare --out DIR)";
        return Err(Error::file(dir.join(RESULTS), message));
    }
    let _held = RunFolder::hold(dir)?;
    let results = Results::read(dir)?;
    for left_out in draw(dir, &results)? {
        note(format_args!("note: {left_out}"));
    }
    show(dir, &results);
    Ok(ExitCode::SUCCESS)
}
