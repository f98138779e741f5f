//! What is drawn of the results of an experiment.

use std::path::{Path, PathBuf};

use super::experiment::Experiment;
use super::file::EXPERIMENT;
use super::results::{Results, experiment, run_dir};
use super::seen::SAMPLES;
use super::table::{Group, Status, markdown};
use super::{plots, report};
use crate::error::Result;
use crate::run::write_file;

/// The table in Markdown.
pub const TABLE: &str = "results.md";

/// The pictures of reconstructions in `dir`, of each group's first seed that has one.
fn pictures(dir: &Path, experiment: Option<&Experiment>) -> Vec<(Group, PathBuf)> {
    let mut found: Vec<(Group, PathBuf)> = Vec::new();
    for point in experiment.map(Experiment::points).unwrap_or_default() {
        let (group, path) = (Group::of(&point), run_dir(dir, &point).join(SAMPLES));
        if !found.iter().any(|f| f.0 == group) && path.exists() {
            found.push((group, path));
        }
    }
    found
}

/// Draws `results.md`, the plots and the report of `results` in `dir`. Returns notes: what is left out, and why.
///
/// # Errors
/// As [`write_file`]; [`crate::Error::File`] when a picture of a run or the experiment's file is damaged.
pub fn draw(dir: &Path, results: &Results) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    let experiment = experiment(dir)?;
    let text = experiment.as_ref().map(|(_, text)| text.as_str());
    if text.is_none() {
        notes.push(format!(
            "{EXPERIMENT} is not there: the report is without the configuration"
        ));
    }
    let pictures = pictures(dir, experiment.as_ref().map(|(e, _)| e));
    if pictures.is_empty() && results.rows.iter().any(|r| r.status == Status::Done) {
        notes.push("the runs are not there: no reconstructions are drawn".into());
    }
    let mut page = String::from(
        "# Results\n\nMean ± standard deviation over the seeds, on the test images; the best in bold.\n\n",
    );
    page.push_str(&markdown(&results.varied, &results.rows));
    if let Some(text) = text {
        page.push_str(&format!(
            "\nThe experiment, `{EXPERIMENT}`:\n\n```toml\n{text}```\n"
        ));
    }
    write_file(&dir.join(TABLE), page.as_bytes())?;
    plots::draw(dir, results, &pictures)?;
    report::write(dir, results, &pictures, text)?;
    Ok(notes)
}
