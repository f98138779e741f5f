//! What stands at the end of a run.

use super::{Evaluated, EvaluationsLog, RunFolder, SUMMARY, Watch, write_json};
use crate::error::Result;
#[cfg(feature = "pictures")]
use crate::quant::VectorQuantConfig;
use crate::train::{Evaluation, Session, StepMetrics, TrainOptions};

/// Test images in the picture of reconstructions.
#[cfg(feature = "pictures")]
const SHOWN: usize = 32;

#[derive(serde::Serialize)]
struct Summary<'a> {
    #[serde(flatten)]
    test: Evaluation,
    steps: u32,
    /// Of training, up to its end; none where it had ended before.
    seconds: Option<f64>,
    adapter: &'a str,
    method: &'a str,
    data: &'a str,
    /// Step and test loss of the best evaluation under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    best: Option<Best>,
    /// Whether the run ended because its test loss fell no more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ended_early: bool,
}

#[derive(serde::Serialize)]
struct Best {
    step: u32,
    loss: f64,
}

impl RunFolder {
    /// Writes pictures (with the feature `pictures`) and test figures, and returns these. The figures
    /// come last, so that where they are of the last step the pictures are too.
    ///
    /// # Errors
    /// As [`Session::evaluate`], [`Session::reconstruct`] and [`super::write_file`].
    pub async fn conclude(
        &self,
        session: &Session,
        options: &TrainOptions,
        lines: &[StepMetrics],
        seconds: Option<f64>,
    ) -> Result<Evaluation> {
        let evaluations = EvaluationsLog::read(self.dir(), session.steps_done())?;
        let of_now = evaluations
            .last()
            .filter(|e| e.step == session.steps_done());
        let test = match of_now {
            Some(evaluated) => evaluated.test.clone(),
            None => session.evaluate(&session.data().test).await?,
        };
        self.clear_results()?;
        let watch = Watch::over(&evaluations, session.loss(), options.min_delta);
        self.draw(session, options, lines, &evaluations).await?;
        let adapter = session.gpu().adapter_line();
        let summary = Summary {
            test,
            steps: session.steps_done(),
            seconds,
            adapter: &adapter,
            method: options.method.name(),
            data: &session.data().name,
            best: watch.best.map(|(step, loss)| Best { step, loss }),
            ended_early: watch.ends(options.patience),
        };
        write_json(&self.dir().join(SUMMARY), &summary)?;
        Ok(summary.test)
    }

    #[cfg(feature = "pictures")]
    async fn draw(
        &self,
        session: &Session,
        options: &TrainOptions,
        lines: &[StepMetrics],
        evaluations: &[Evaluated],
    ) -> Result<()> {
        use super::{charts, pictures};
        charts::curves_with(self.dir(), lines, evaluations)?;
        charts::schedule(self.dir(), options)?;
        let mut usage = Vec::new();
        while let Some(own) = session.code_usage(usage.len()).await? {
            usage.push(own);
        }
        charts::codes(self.dir(), &usage)?;
        pictures::reconstructions(self.dir(), session, SHOWN).await
    }

    #[cfg(not(feature = "pictures"))]
    async fn draw(
        &self,
        _: &Session,
        _: &TrainOptions,
        _: &[StepMetrics],
        _: &[Evaluated],
    ) -> Result<()> {
        Ok(())
    }

    /// Whether test figures and pictures of the last step are there, where `lines` metrics lines were
    /// written.
    #[must_use]
    pub fn is_concluded(&self, session: &Session, options: &TrainOptions, lines: usize) -> bool {
        let summary = std::fs::read(self.dir().join(SUMMARY)).unwrap_or_default();
        let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap_or_default();
        let pictures = pictures_of(options, lines);
        summary["steps"] == session.steps_done()
            && pictures.iter().all(|name| self.dir().join(name).exists())
    }
}

/// The pictures that a run of `options` with so many metrics lines has.
#[cfg(feature = "pictures")]
fn pictures_of(options: &TrainOptions, lines: usize) -> Vec<&'static str> {
    let vq = VectorQuantConfig::from(&options.quantizer);
    let mut wanted = vec![super::RECONSTRUCTIONS, super::TEST_IMAGE];
    wanted.extend((lines > 1).then_some(super::CURVES));
    wanted.extend((!options.schedule.is_constant()).then_some(super::SCHEDULE));
    wanted.extend((!vq.no_vq && vq.num_codes > 1).then_some(super::CODES_PICTURE));
    wanted
}

#[cfg(not(feature = "pictures"))]
fn pictures_of(_: &TrainOptions, _: usize) -> [&'static str; 0] {
    []
}
