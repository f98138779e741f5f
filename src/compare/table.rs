//! Runs in rows, and what each group of them, of which only the seeds differ, comes to.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// How far a run came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// To its end.
    Done,
    /// A value became NaN or infinite.
    Diverged,
    /// It has not ended yet.
    Unfinished,
}

impl Status {
    /// Its name in the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Diverged => "diverged",
            Self::Unfinished => "unfinished",
        }
    }
}

/// A group: a method with a value of each varied option.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Group {
    /// The method.
    pub method: String,
    /// The values, as typed.
    pub values: Vec<String>,
}

impl Group {
    /// What it is called in charts: the method, and the values after it.
    #[must_use]
    pub fn label(&self) -> String {
        match self.values.is_empty() {
            true => self.method.clone(),
            false => format!("{} ({})", self.method, self.values.join(", ")),
        }
    }
}

/// A run.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its group.
    pub group: Group,
    /// Its seed.
    pub seed: u64,
    /// How far it came.
    pub status: Status,
    /// Its steps; none where it diverged or has not ended.
    pub steps: Option<u32>,
    /// The test figures by name.
    pub figures: BTreeMap<String, f64>,
}

/// Figures in the order of the table; others follow by name.
const ORDER: [&str; 6] = ["l1", "mse", "psnr", "ssim", "perplexity", "active_ratio"];

/// Whether less of a figure is better; none where that cannot be said.
#[must_use]
pub fn better(figure: &str) -> Option<std::cmp::Ordering> {
    let own = figure.rsplit('.').next().unwrap_or(figure);
    match own {
        "l1" | "mse" => Some(std::cmp::Ordering::Less),
        "psnr" | "ssim" | "perplexity" | "active_ratio" => Some(std::cmp::Ordering::Greater),
        _ => None,
    }
}

/// The heading of a figure.
#[must_use]
pub(super) fn heading(figure: &str) -> String {
    match figure {
        "l1" => "L1".into(),
        "mse" => "MSE".into(),
        "psnr" => "PSNR, dB".into(),
        "ssim" => "SSIM".into(),
        "active_ratio" => "active codes, %".into(),
        other => other.replace('_', " "),
    }
}

/// The figures that any of the rows has, in the order of the table.
pub(super) fn figures(rows: &[Row]) -> Vec<String> {
    let mut names: Vec<&String> = rows.iter().flat_map(|r| r.figures.keys()).collect();
    names.sort_by_key(|name| {
        let place = ORDER.iter().position(|o| o == name);
        (place.unwrap_or(ORDER.len()), name.as_str())
    });
    names.dedup();
    names.into_iter().cloned().collect()
}

/// `names` without the figures of single code maps, `NAME.perplexity`, where the quantiser has its own: they stand in the
/// files, and would only widen a table.
pub(super) fn of_quantizers(mut names: Vec<String>) -> Vec<String> {
    let all = names.clone();
    let whole = |name: &str| name.rsplit_once('.').map(|(_, own)| own.to_owned());
    names.retain(|name| whole(name).is_none_or(|own| !all.contains(&own)));
    names
}

/// Mean and sample standard deviation, which is none of one value.
#[must_use]
pub(super) fn moments(values: &[f64]) -> Option<(f64, Option<f64>)> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    match values.len() {
        0 => None,
        1 => Some((mean, None)),
        _ => Some((mean, Some((squares / (n - 1.0)).sqrt()))),
    }
}

/// What a group comes to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The group.
    pub group: Group,
    /// Seeds that came to their end.
    pub done: usize,
    /// Seeds that diverged.
    pub diverged: usize,
    /// Seeds in all.
    pub seeds: usize,
    /// Mean and standard deviation of each figure, over the seeds that have it.
    pub figures: BTreeMap<String, (f64, Option<f64>)>,
}

/// The groups of `rows` in the order in which they appear.
pub(super) fn groups(rows: &[Row]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for row in rows {
        if !groups.contains(&row.group) {
            groups.push(row.group.clone());
        }
    }
    groups
}

/// What the groups come to.
pub(super) fn summaries(rows: &[Row]) -> Vec<Summary> {
    let names = figures(rows);
    let summary = |group: Group| {
        let own: Vec<&Row> = rows.iter().filter(|r| r.group == group).collect();
        let count = |status| own.iter().filter(|r| r.status == status).count();
        let of = |name: &String| {
            let values: Vec<f64> = own
                .iter()
                .filter_map(|r| r.figures.get(name).copied())
                .collect();
            Some((name.clone(), moments(&values)?))
        };
        Summary {
            done: count(Status::Done),
            diverged: count(Status::Diverged),
            seeds: own.len(),
            figures: names.iter().filter_map(of).collect(),
            group,
        }
    };
    groups(rows).into_iter().map(summary).collect()
}

/// Decimals of a figure in the table.
fn decimals(figure: &str) -> usize {
    match figure.rsplit('.').next().unwrap_or(figure) {
        "l1" | "mse" | "ssim" => 4,
        "psnr" => 2,
        _ => 1,
    }
}

/// `0.0912 ± 0.0014`
pub(super) fn cell(figure: &str, (mean, deviation): (f64, Option<f64>)) -> String {
    let digits = decimals(figure);
    match deviation {
        None => format!("{mean:.digits$}"),
        Some(deviation) => format!("{mean:.digits$} ± {deviation:.digits$}"),
    }
}

/// `3`, `2 of 3 (1 diverged)`
pub(super) fn seeds(summary: &Summary) -> String {
    let Summary {
        done,
        diverged,
        seeds,
        ..
    } = summary;
    match (done == seeds, *diverged) {
        (true, _) => seeds.to_string(),
        (false, 0) => format!("{done} of {seeds}"),
        (false, n) => format!("{done} of {seeds} ({n} diverged)"),
    }
}

/// The summaries whose mean of `figure` is the best of all.
pub(super) fn best(summaries: &[Summary], figure: &str) -> Vec<bool> {
    let mean = |s: &Summary| s.figures.get(figure).map(|f| f.0);
    let all = || summaries.iter().filter_map(mean);
    let best = match better(figure) {
        Some(std::cmp::Ordering::Less) => all().min_by(f64::total_cmp),
        Some(_) => all().max_by(f64::total_cmp),
        None => None,
    };
    let is = |s: &Summary| best.is_some() && mean(s) == best;
    summaries.iter().map(is).collect()
}

/// The table in Markdown, columns aligned.
pub(super) fn markdown(varied: &[String], rows: &[Row]) -> String {
    let (names, summaries) = (of_quantizers(figures(rows)), summaries(rows));
    let mut lines: Vec<Vec<String>> = vec![vec!["method".into()]];
    lines[0].extend(varied.iter().cloned());
    lines[0].extend(names.iter().map(|n| heading(n)));
    lines[0].push("seeds".into());
    let best: Vec<Vec<bool>> = names.iter().map(|n| best(&summaries, n)).collect();
    for (i, summary) in summaries.iter().enumerate() {
        let mut line = vec![format!("`{}`", summary.group.method)];
        line.extend(summary.group.values.iter().cloned());
        for (name, best) in names.iter().zip(&best) {
            let text = summary.figures.get(name).map(|f| cell(name, *f));
            line.push(match (text, best[i]) {
                (None, _) => "-".into(),
                (Some(text), true) => format!("**{text}**"),
                (Some(text), false) => text,
            });
        }
        line.push(seeds(summary));
        lines.push(line);
    }
    let width = |column: usize| {
        let widths = lines.iter().map(|l| l[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
    let mut text = String::new();
    for (i, line) in lines.iter().enumerate() {
        for (cell, width) in line.iter().zip(&widths) {
            // Writing to a string does not fail.
            let _ = write!(text, "| {cell:<width$} ");
        }
        text.push_str("|\n");
        if i == 0 {
            for width in &widths {
                let _ = write!(text, "|{}", "-".repeat(width + 2));
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(method: &str, seed: u64, mse: Option<f64>) -> Row {
        Row {
            group: Group {
                method: method.into(),
                values: vec![],
            },
            seed,
            status: if mse.is_some() {
                Status::Done
            } else {
                Status::Diverged
            },
            steps: None,
            figures: mse.map(|v| ("mse".to_owned(), v)).into_iter().collect(),
        }
    }

    #[test]
    fn figures_of_code_maps_give_way_to_those_of_their_quantizer() {
        let names = |all: &[&str]| -> Vec<String> { all.iter().map(|n| (*n).into()).collect() };
        let one = [
            "perplexity",
            "vq.layers.0.perplexity",
            "vq.layers.1.perplexity",
        ];
        assert_eq!(of_quantizers(names(&one)), ["perplexity"]);
        let two = ["l1", "bottom.perplexity", "top.perplexity"];
        assert_eq!(of_quantizers(names(&two)), two);
    }

    /// The deviation of 1 and 3 is that of a sample: the root of 2.
    #[test]
    fn the_table_has_means_deviations_and_the_best_in_bold() {
        let rows = [
            row("vq", 0, Some(1.0)),
            row("vq", 1, Some(3.0)),
            row("ema", 0, Some(1.5)),
            row("ema", 1, None),
        ];
        assert_eq!(
            markdown(&[], &rows),
            "| method | MSE             | seeds               |\n\
             |--------|-----------------|---------------------|\n\
             | `vq`   | 2.0000 ± 1.4142 | 2                   |\n\
             | `ema`  | **1.5000**      | 1 of 2 (1 diverged) |\n"
        );
    }
}
