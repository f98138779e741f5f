//! What comes of an experiment: CSV files made of its runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::curves::{Trace, thinned};
use super::experiment::Experiment;
use super::file::EXPERIMENT;
use super::lines::{Reader, Writer, number};
use super::point::{Point, spoken};
use super::seen::{Map, Seen};
use super::table::{Group, Row, Status, figures, markdown};
use super::worker::Task;
use crate::error::Result;
use crate::run::{METRICS, MetricsLog, io_error, write_file};

/// A row a run.
pub const RESULTS: &str = "results.csv";
const CURVES: &str = "curves.csv";
const ALPHA: &str = "alpha.csv";
const CODEBOOK: &str = "codebook.csv";
const TIMES: &str = "times.csv";

/// All that the table and the charts are made of.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Results {
    /// Names of the options that were varied.
    pub varied: Vec<String>,
    /// The runs.
    pub rows: Vec<Row>,
    /// Their metrics over the steps.
    pub traces: Vec<Trace>,
    /// The scale of the codebook by feature, of each group's first seed that has one.
    pub alpha: Vec<(Group, u64, Vec<f32>)>,
    /// Codes and vectors, of each group's first seed that has them.
    pub maps: Vec<(Group, u64, Map)>,
    /// Seconds of training by run, where they are known.
    pub seconds: Vec<(Group, u64, f64)>,
}

impl Group {
    /// That of `point`.
    #[must_use]
    pub fn of(point: &Point) -> Self {
        Self {
            method: point.method.name().to_owned(),
            values: point.values(),
        }
    }
}

/// The entry of `all` for this run, made if there is none.
fn entry<T: Default>(all: &mut Vec<(Group, u64, T)>, group: Group, seed: u64) -> &mut T {
    let at = all.iter().position(|(g, s, _)| *g == group && *s == seed);
    let at = at.unwrap_or_else(|| {
        all.push((group, seed, T::default()));
        all.len() - 1
    });
    &mut all[at].2
}

fn text(value: f64) -> String {
    value.to_string()
}

impl Results {
    /// What the runs of `tasks`, in the order of `points`, have come to so far.
    ///
    /// # Errors
    /// [`crate::Error::File`] names a file of a run that is damaged.
    pub fn of_runs(experiment: &Experiment, tasks: &[Task]) -> Result<Self> {
        let mut results = Self {
            varied: experiment.vary.iter().map(|v| spoken(v.option)).collect(),
            ..Self::default()
        };
        for (point, task) in experiment.points().iter().zip(tasks) {
            let group = Group::of(point);
            let outcome = task.outcome()?;
            let Some(outcome) = outcome else {
                results.rows.push(Row {
                    group,
                    seed: point.seed,
                    status: Status::Unfinished,
                    steps: None,
                    figures: BTreeMap::new(),
                });
                continue;
            };
            let lines = MetricsLog::read(&task.dir.join(METRICS))?;
            let goal = task.steps() / task.options.log_every.max(1);
            results.traces.push(Trace {
                group: group.clone(),
                seed: point.seed,
                points: thinned(&lines, goal as usize),
            });
            if let Some(seconds) = outcome.seconds {
                results.seconds.push((group.clone(), point.seed, seconds));
            }
            let first = outcome.status == Status::Done
                && !results
                    .rows
                    .iter()
                    .any(|r| r.group == group && r.status == Status::Done);
            if first && let Some(seen) = Seen::read(&task.dir)? {
                if !seen.alpha.is_empty() {
                    results.alpha.push((group.clone(), point.seed, seen.alpha));
                }
                results.maps.push((group.clone(), point.seed, seen.map));
            }
            results.rows.push(Row {
                group,
                seed: point.seed,
                status: outcome.status,
                steps: outcome.steps,
                figures: outcome.figures,
            });
        }
        Ok(results)
    }

    /// Writes them as CSV files into `dir`. Times stand in a file of their own, since no two experiments share them.
    ///
    /// # Errors
    /// As [`write_file`].
    pub fn write(&self, dir: &Path) -> Result<()> {
        let names = figures(&self.rows);
        let mut columns = vec!["status", "steps"];
        columns.extend(names.iter().map(String::as_str));
        let mut csv = Writer::new(dir, RESULTS, &self.varied, &columns)?;
        for row in &self.rows {
            let steps = row.steps.map_or(String::new(), |s| s.to_string());
            let mut fields = vec![row.status.name().to_owned(), steps];
            let figure = |name| row.figures.get(name).copied().map_or(String::new(), text);
            fields.extend(names.iter().map(figure));
            csv.add(&row.group, row.seed, &fields)?;
        }
        csv.finish()?;
        let metrics = self.metrics();
        let mut columns = vec!["step"];
        columns.extend(metrics.iter().map(String::as_str));
        let mut csv = Writer::new(dir, CURVES, &self.varied, &columns)?;
        for trace in &self.traces {
            for (step, values) in &trace.points {
                let mut fields = vec![step.to_string()];
                let value = |name| values.get(name).copied().map_or(String::new(), text);
                fields.extend(metrics.iter().map(value));
                csv.add(&trace.group, trace.seed, &fields)?;
            }
        }
        csv.finish()?;
        let mut csv = Writer::new(dir, ALPHA, &self.varied, &["feature", "alpha"])?;
        for (group, seed, alpha) in &self.alpha {
            for (feature, value) in alpha.iter().enumerate() {
                csv.add(group, *seed, &[feature.to_string(), value.to_string()])?;
            }
        }
        csv.finish()?;
        let mut csv = Writer::new(dir, CODEBOOK, &self.varied, &["kind", "x", "y"])?;
        for (group, seed, map) in &self.maps {
            let vectors = map.vectors.iter().map(|place| ("vector", place));
            let codes = map.codes.iter().map(|(place, used)| match used {
                true => ("used", place),
                false => ("unused", place),
            });
            for (kind, [x, y]) in vectors.chain(codes) {
                csv.add(
                    group,
                    *seed,
                    &[kind.to_owned(), x.to_string(), y.to_string()],
                )?;
            }
        }
        csv.finish()?;
        let mut csv = Writer::new(dir, TIMES, &self.varied, &["seconds"])?;
        for (group, seed, seconds) in &self.seconds {
            csv.add(group, *seed, &[format!("{seconds:.1}")])?;
        }
        csv.finish()
    }

    /// Those that [`Self::write`] wrote into `dir`.
    ///
    /// # Errors
    /// [`crate::Error::File`] names the file that is missing or damaged, and the line.
    pub fn read(dir: &Path) -> Result<Self> {
        let table = Reader::new(dir, RESULTS)?;
        let mut results = Self {
            varied: table.varied.clone(),
            ..Self::default()
        };
        table.each(|group, seed, mut fields| {
            let status = match fields.remove("status") {
                Some("done") => Status::Done,
                Some("diverged") => Status::Diverged,
                Some("unfinished") => Status::Unfinished,
                other => return Err(format!("unknown status {}", other.unwrap_or("(none)"))),
            };
            let steps = fields.contains_key("steps");
            let steps = steps.then(|| number(&fields, "steps")).transpose()?;
            fields.remove("steps");
            let figure = |name: &&str| Ok(((*name).to_owned(), number(&fields, name)?));
            results.rows.push(Row {
                group,
                seed,
                status,
                steps,
                figures: fields.keys().map(figure).collect::<Result<_, String>>()?,
            });
            Ok(())
        })?;
        let mut traces: Vec<(Group, u64, Vec<_>)> = Vec::new();
        Reader::new(dir, CURVES)?.each(|group, seed, mut fields| {
            let step: u32 = number(&fields, "step")?;
            fields.remove("step");
            let value = |name: &&str| Ok(((*name).to_owned(), number(&fields, name)?));
            let values = fields.keys().map(value).collect::<Result<_, String>>()?;
            entry(&mut traces, group, seed).push((step, values));
            Ok(())
        })?;
        let trace = |(group, seed, points)| Trace {
            group,
            seed,
            points,
        };
        results.traces = traces.into_iter().map(trace).collect();
        Reader::new(dir, ALPHA)?.each(|group, seed, fields| {
            entry(&mut results.alpha, group, seed).push(number(&fields, "alpha")?);
            Ok(())
        })?;
        Reader::new(dir, CODEBOOK)?.each(|group, seed, fields| {
            let map: &mut Map = entry(&mut results.maps, group, seed);
            let place = [number(&fields, "x")?, number(&fields, "y")?];
            match fields.get("kind").copied() {
                Some("vector") => map.vectors.push(place),
                Some(kind @ ("used" | "unused")) => map.codes.push((place, kind == "used")),
                other => return Err(format!("unknown kind {}", other.unwrap_or("(none)"))),
            }
            Ok(())
        })?;
        Reader::new(dir, TIMES)?.each(|group, seed, fields| {
            *entry(&mut results.seconds, group, seed) = number(&fields, "seconds")?;
            Ok(())
        })?;
        Ok(results)
    }

    /// The metrics that any of the runs has, the losses first.
    pub(super) fn metrics(&self) -> Vec<String> {
        const FIRST: [&str; 4] = ["rec_loss", "cmt_loss", "perplexity", "active_ratio"];
        let points = self.traces.iter().flat_map(|t| &t.points);
        let mut names: Vec<&String> = points.flat_map(|(_, values)| values.keys()).collect();
        names.sort_unstable();
        names.dedup();
        let place = |name: &&String| FIRST.iter().position(|f| f == name);
        names.sort_by_key(|name| place(name).unwrap_or(FIRST.len()));
        names.into_iter().cloned().collect()
    }
}

/// The experiment in `dir` and its text, if its file is there.
pub(super) fn experiment(dir: &Path) -> Result<Option<(Experiment, String)>> {
    let path = dir.join(EXPERIMENT);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let name = path.display().to_string();
            Ok(Some((Experiment::from_toml(&text, &name)?, text)))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(io_error(&path, &e)),
    }
}

/// Where the run of `point` lies.
#[must_use]
pub(super) fn run_dir(dir: &Path, point: &Point) -> PathBuf {
    dir.join("runs").join(point.name())
}

impl Results {
    /// The table in Markdown.
    #[must_use]
    pub fn table(&self) -> String {
        markdown(&self.varied, &self.rows)
    }
}

impl Experiment {
    /// The runs in the folder `dir`, in the order of [`Experiment::points`].
    ///
    /// # Errors
    /// As [`Experiment::options_of`].
    pub fn tasks(&self, dir: &Path) -> Result<Vec<Task>> {
        let task = |point: &Point| {
            Ok(Task {
                name: point.name(),
                dir: run_dir(dir, point),
                options: self.options_of(point)?,
            })
        };
        self.points().iter().map(task).collect()
    }

    /// The experiment in `dir`, if there is one.
    ///
    /// # Errors
    /// [`crate::Error::File`] and [`crate::Error::About`] name the file that is damaged.
    pub fn read(dir: &Path) -> Result<Option<Self>> {
        Ok(experiment(dir)?.map(|(experiment, _)| experiment))
    }

    /// Writes it into `dir`.
    ///
    /// # Errors
    /// As [`write_file`].
    pub fn write(&self, dir: &Path) -> Result<()> {
        write_file(&dir.join(EXPERIMENT), self.to_toml().as_bytes())
    }
}
