//! The growing file of metrics.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::{METRICS, RunFolder, io_error, write_file};
use crate::error::Result;
use crate::train::StepMetrics;

/// Appends a line every so many steps.
#[derive(Debug)]
pub struct MetricsLog {
    path: PathBuf,
    file: BufWriter<File>,
    /// Every line so far, for the curves.
    pub lines: Vec<StepMetrics>,
    every: u32,
    /// What was missing of the lines up to the step that it was opened at.
    pub gap: Option<String>,
}

/// The lines of `text` up to step `keep`, and how many there are that cannot be read or
/// stand behind later ones. What a kill
/// tore, the last line, stands behind `keep`, unless the file was damaged otherwise.
fn readable(text: &[u8], keep: u32) -> (Vec<StepMetrics>, usize) {
    let mut lines: Vec<StepMetrics> = Vec::new();
    let mut damaged = 0;
    let mut pending = 0;
    for line in text.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        let Ok(metrics) = serde_json::from_slice::<StepMetrics>(line) else {
            pending += 1;
            continue;
        };
        if metrics.step > keep {
            break;
        }
        damaged += std::mem::take(&mut pending);
        if lines.last().is_none_or(|last| last.step < metrics.step) {
            lines.push(metrics);
        } else {
            damaged += 1;
        }
    }
    (lines, damaged)
}

impl MetricsLog {
    /// The log of the run in `folder`, its lines up to step `keep` kept, later ones dropped.
    ///
    /// # Errors
    /// [`crate::Error::File`] when it cannot be read or written.
    pub fn open(folder: &RunFolder, keep: u32, every: u32) -> Result<Self> {
        let path = folder.dir().join(METRICS);
        let mut lines = Vec::new();
        let mut gap = None;
        if keep > 0 {
            match std::fs::read(&path) {
                Ok(text) => {
                    let damaged;
                    (lines, damaged) = readable(&text, keep);
                    gap = what_is_missing(&lines, damaged, keep, every);
                }
                Err(e) if e.kind() == ErrorKind::NotFound => gap = Some("was not there".into()),
                Err(e) => return Err(io_error(&path, &e)),
            }
        }
        let text: String = lines.iter().map(to_line).collect();
        write_file(&path, text.as_bytes())?;
        let file = OpenOptions::new()
            .append(true)
            .open(&path)
            .map_err(|e| io_error(&path, &e))?;
        Ok(Self {
            path,
            file: BufWriter::new(file),
            lines,
            every,
            gap,
        })
    }

    /// The lines of the file at `path`, none where there is no such file.
    ///
    /// # Errors
    /// [`crate::Error::File`] when it cannot be read.
    pub fn read(path: &Path) -> Result<Vec<StepMetrics>> {
        match std::fs::read(path) {
            Ok(text) => Ok(readable(&text, u32::MAX).0),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(io_error(path, &e)),
        }
    }

    /// How many lines the run in `folder` has.
    #[must_use]
    pub fn count(folder: &RunFolder) -> usize {
        let text = std::fs::read(folder.dir().join(METRICS)).unwrap_or_default();
        readable(&text, u32::MAX).0.len()
    }

    /// Adds a line, where one is due.
    ///
    /// # Errors
    /// [`crate::Error::File`] when it cannot be written.
    pub fn add(&mut self, metrics: StepMetrics) -> Result<()> {
        if metrics.step.is_multiple_of(self.every) {
            let line = to_line(&metrics);
            self.file
                .write_all(line.as_bytes())
                .map_err(|e| io_error(&self.path, &e))?;
            self.lines.push(metrics);
        }
        Ok(())
    }

    /// Sees that every line is in the file.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn flush(&mut self) -> Result<()> {
        self.file.flush().map_err(|e| io_error(&self.path, &e))
    }
}

/// What `lines` lack up to step `keep`; those before the first are not missed, because a run that
/// began at a checkpoint does not have them.
fn what_is_missing(lines: &[StepMetrics], damaged: usize, keep: u32, every: u32) -> Option<String> {
    let last = lines.last().map_or(0, |m| m.step);
    if damaged > 0 {
        return Some(format!(
            "had {damaged} lines that could not be read or stood out of order"
        ));
    }
    let steps: Vec<u32> = lines.iter().map(|m| m.step).collect();
    if let Some((from, to)) = hole(&steps, every) {
        return Some(format!("had no lines between steps {from} and {to}"));
    }
    (last / every < keep / every).then(|| format!("had no lines from step {} to {keep}", last + 1))
}

/// Two neighbours in `steps` with lines missing between them. A run that went on may have had another
/// number of steps a line before, which shows in several equal distances.
fn hole(steps: &[u32], every: u32) -> Option<(u32, u32)> {
    let distance = |i: usize| Some(steps.get(i + 1)? - steps[i]);
    let sound = |i: usize, from: u32, to: u32| {
        let d = to - from;
        let alone = i.checked_sub(1).and_then(distance) != Some(d) && distance(i + 1) != Some(d);
        let next = (from / every + 1) * every == to;
        next || (from.is_multiple_of(d) && (!alone || i == 0))
    };
    let mut pairs = steps.windows(2).enumerate();
    let (_, pair) = pairs.find(|(i, pair)| !sound(*i, pair[0], pair[1]))?;
    Some((pair[0], pair[1]))
}

fn to_line(metrics: &StepMetrics) -> String {
    let mut line = serde_json::to_string(metrics).unwrap_or_default();
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::hole;

    #[test]
    fn holes_are_told_from_other_distances() {
        for (steps, every, wanted) in [
            (&[1, 2, 3, 4][..], 1, None),
            (&[1, 3, 4], 1, Some((1, 3))),
            (&[1, 2, 4, 5], 1, Some((2, 4))),
            (&[4, 5, 6], 1, None),
            // Ten steps a line, then one; and the other way round.
            (&[10, 20, 30, 31, 32], 1, None),
            (&[1, 2, 3, 10, 20], 10, None),
            (&[10, 30, 40], 10, Some((10, 30))),
            (&[7], 1, None),
            (&[], 1, None),
        ] {
            assert_eq!(hole(steps, every), wanted, "{steps:?} every {every}");
        }
    }
}
