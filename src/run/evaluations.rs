//! The evaluations of a run under way: a line each, and what they say of the best and of stopping.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::{io_error, write_file};
use super::folder::{EVALUATIONS, RunFolder};
use crate::error::{Error, Result};
use crate::ops::loss::PixelLoss;
use crate::train::Evaluation;

/// Test figures after a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluated {
    /// The step.
    pub step: u32,
    /// The figures.
    #[serde(flatten)]
    pub test: Evaluation,
}

impl Evaluated {
    /// The test loss: the figure of the loss that is trained with. An ELBO falls with the mean squared error, and that
    /// is its figure: it does not depend on the variance.
    #[must_use]
    pub fn loss(&self, loss: PixelLoss) -> f64 {
        match loss {
            PixelLoss::L1 => self.test.l1,
            PixelLoss::Mse | PixelLoss::Elbo | PixelLoss::ElboLearned => self.test.mse,
        }
    }
}

/// What the evaluations so far say.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Watch {
    /// Step and test loss of the best one, the first of equal ones.
    pub best: Option<(u32, f64)>,
    /// How many there were in a row since the last one whose loss was smaller than each before it by more than
    /// `min_delta`.
    pub without_improvement: u32,
}

impl Watch {
    /// What `lines` say, by the `loss` that is trained with.
    #[must_use]
    pub fn over(lines: &[Evaluated], loss: PixelLoss, min_delta: f32) -> Self {
        let mut watch = Self::default();
        let mut reference = f64::INFINITY;
        for line in lines {
            let value = line.loss(loss);
            if watch.best.is_none_or(|(_, best)| value < best) {
                watch.best = Some((line.step, value));
            }
            if value < reference - f64::from(min_delta) {
                reference = value;
                watch.without_improvement = 0;
            } else {
                watch.without_improvement += 1;
            }
        }
        watch
    }

    /// Whether a run with this `patience` ends; 0 for never.
    #[must_use]
    pub fn ends(&self, patience: u32) -> bool {
        patience > 0 && self.without_improvement >= patience
    }
}

/// The growing file of evaluations. There is none before the first.
#[derive(Debug)]
pub struct EvaluationsLog {
    path: PathBuf,
    /// Every line so far.
    pub lines: Vec<Evaluated>,
}

/// The lines of the file at `path` up to step `keep`, as they stand in it and as they are read; what cannot be read, or
/// stands behind a later one, is left out.
fn readable(path: &Path, keep: u32) -> Result<(String, Vec<Evaluated>)> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => String::new(),
        Err(e) if e.kind() == ErrorKind::InvalidData => {
            return Err(Error::file(path, "is no text; remove it"));
        }
        Err(e) => return Err(io_error(path, &e)),
    };
    let (mut kept, mut lines) = (String::new(), Vec::<Evaluated>::new());
    for line in text.lines() {
        let Ok(read) = serde_json::from_str::<Evaluated>(line) else {
            continue;
        };
        if read.step <= keep && lines.last().is_none_or(|last| last.step < read.step) {
            kept.push_str(line);
            kept.push('\n');
            lines.push(read);
        }
    }
    Ok((kept, lines))
}

impl EvaluationsLog {
    /// The evaluations of the run in `folder`, those up to step `keep` kept, later ones dropped.
    ///
    /// # Errors
    /// [`Error::File`] when the file cannot be read or written.
    pub fn open(folder: &RunFolder, keep: u32) -> Result<Self> {
        let path = folder.dir().join(EVALUATIONS);
        let (kept, lines) = readable(&path, keep)?;
        if path.exists() {
            write_file(&path, kept.as_bytes())?;
        }
        Ok(Self { path, lines })
    }

    /// The evaluations of the run in `dir` up to step `step`.
    ///
    /// # Errors
    /// [`Error::File`] when the file cannot be read.
    pub fn read(dir: &Path, step: u32) -> Result<Vec<Evaluated>> {
        Ok(readable(&dir.join(EVALUATIONS), step)?.1)
    }

    /// Adds a line; it is in the file then.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be written.
    pub fn add(&mut self, evaluated: &Evaluated) -> Result<()> {
        let failed = |e: serde_json::Error| Error::file(&self.path, e.to_string());
        let text = serde_json::to_string(evaluated).map_err(failed)?;
        // As a run that goes on reads it, to the last digit.
        let line = serde_json::from_str(&text).map_err(failed)?;
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(&self.path)?;
            file.write_all(format!("{text}\n").as_bytes())
        };
        write().map_err(|e| io_error(&self.path, &e))?;
        self.lines.push(line);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(losses: &[f64]) -> Vec<Evaluated> {
        let line = |(i, mse): (usize, &f64)| {
            let step = 10 * (i + 1);
            let text = format!(
                r#"{{"step": {step}, "images": 3, "l1": 1, "mse": {mse}, "perplexity": null, "active_ratio": null}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        losses.iter().enumerate().map(line).collect()
    }

    #[test]
    fn the_best_and_the_patience() {
        let watch = |losses: &[f64], delta| Watch::over(&lines(losses), PixelLoss::Mse, delta);
        assert_eq!(watch(&[], 0.0), Watch::default());
        let falling = watch(&[0.5, 0.4, 0.45, 0.4], 0.0);
        assert_eq!(
            (falling.best, falling.without_improvement),
            (Some((20, 0.4)), 2)
        );
        assert!(falling.ends(2) && !falling.ends(3) && !falling.ends(0));
        // Small falls are the best so far, but no improvement; together they are one.
        let slow = watch(&[0.5, 0.45, 0.42], 0.0625);
        assert_eq!((slow.best, slow.without_improvement), (Some((30, 0.42)), 0));
        assert_eq!(watch(&[0.5, 0.45], 0.0625).without_improvement, 1);
        let by_l1 = Watch::over(&lines(&[0.5, 0.4]), PixelLoss::L1, 0.0);
        assert_eq!(by_l1.best, Some((10, 1.0)));
        for elbo in [PixelLoss::Elbo, PixelLoss::ElboLearned] {
            let watch = Watch::over(&lines(&[0.5, 0.4]), elbo, 0.0);
            assert_eq!(watch.best, Some((20, 0.4)));
        }
    }

    #[test]
    fn figures_of_several_quantisers_come_back() {
        let text = r#"{"step":3,"images":2,"l1":0.5,"mse":0.25,"psnr":9.5,"ssim":null,"perplexity":null,"active_ratio":null,"a.perplexity":3.5}"#;
        let line: Evaluated = serde_json::from_str(text).unwrap();
        assert_eq!(line.test.others.get("a.perplexity"), Some(&3.5));
        assert_eq!(serde_json::to_string(&line).unwrap(), text);
    }
}
