//! `semivq train`

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use semivq::gpu::Gpu;
use semivq::train::checkpoint::State;
use semivq::train::{Evaluation, Session, TrainOptions};
use semivq::{Error, Result};

use super::args::TrainArgs;
use super::progress::Progress;
use super::run_dir::{self, MetricsLog};
use super::{DeviceArgs, charts, pictures};

/// Steps between two checkpoints.
const CHECKPOINT_EVERY: u32 = 100;
/// Test images in the picture of reconstructions.
const SHOWN: usize = 32;

#[derive(serde::Serialize)]
struct Summary<'a> {
    #[serde(flatten)]
    test: Evaluation,
    steps: u32,
    seconds: f64,
    adapter: &'a str,
    method: &'a str,
    data: &'a str,
}

/// A run in its folder.
struct Run {
    session: Session,
    options: TrainOptions,
    dir: PathBuf,
    log: MetricsLog,
    progress: Progress,
}

pub async fn run(device: &DeviceArgs, args: &TrainArgs) -> Result<ExitCode> {
    let gpu = device.open().await?;
    let (mut run, steps) = match &args.resume {
        Some(file) if file.is_file() => resume_file(&gpu, file, args).await?,
        Some(dir) => resume(&gpu, dir, args).await?,
        None => start(&gpu, args).await?,
    };
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let handler = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    });
    if let Err(error) = handler {
        run.progress
            .say(&format!("note: Ctrl-C will end the run at once ({error})"));
    }
    let started = Instant::now();
    let trained = run.train(steps, &stop).await;
    run.log.flush()?;
    run.progress.finish();
    if let Err(error) = trained {
        // What was learned so far is worth seeing when a run goes wrong.
        charts::curves(&run.dir, &run.log.lines)?;
        return Err(error);
    }
    if stop.load(Ordering::SeqCst) {
        out!(
            "stopped at step {}; go on with: semivq train --resume {} --steps {steps}",
            run.session.steps_done(),
            run.dir.display()
        );
    }
    run.conclude(started.elapsed().as_secs_f64()).await?;
    Ok(ExitCode::SUCCESS)
}

async fn start(gpu: &Arc<Gpu>, args: &TrainArgs) -> Result<(Run, u32)> {
    let (options, steps) = args.options(gpu.is_software());
    if steps == 0 {
        return Err(Error::Config("steps must be at least 1".into()));
    }
    options.build_model(1)?;
    let data = run_dir::load_data(&options, None)?;
    let began = Instant::now();
    let session = run_dir::open_session(Arc::clone(gpu), &options, data)?;
    let run = Run::create(session, options, args, steps)?;
    let (session, options) = (&run.session, &run.options);
    out!("adapter: {}", gpu.adapter_line());
    if let Some(line) = args.shrunk(gpu.is_software()) {
        out!("{line}");
    }
    out!(
        "{} {} on {}: {} train and {} test images, {} parameters, {} dispatches a step ({:.1} s to prepare)",
        options.model,
        options.method.name(),
        session.data().name,
        session.data().train.len(),
        session.data().test.len(),
        session.parameter_count(),
        session.plan().dispatches(),
        began.elapsed().as_secs_f64(),
    );
    // Before the first step, so that there is a good checkpoint whatever comes.
    run.save().await?;
    Ok((run, steps))
}

async fn resume(gpu: &Arc<Gpu>, dir: &Path, args: &TrainArgs) -> Result<(Run, u32)> {
    if args.out.is_some() || args.data.is_some() {
        return Err(Error::Config(format!(
            "a run goes on in its own folder and on its own images: leave --out and --data out, or give its \
             checkpoint, {}",
            dir.join(run_dir::CHECKPOINT).display()
        )));
    }
    let options = run_dir::read_options(dir)?;
    let steps = args.steps.unwrap_or(0);
    let data = run_dir::load_data(&options, None)?;
    let mut session = run_dir::open_session(Arc::clone(gpu), &options, data)?;
    run_dir::restore(&mut session, dir)?;
    let done = session.steps_done();
    if steps <= done {
        return Err(Error::Config(format!(
            "the run in {} has done {done} steps; --steps is their number in all, so give more than that",
            dir.display()
        )));
    }
    let log = MetricsLog::open(dir, done, options.log_every)?;
    out!("adapter: {}", gpu.adapter_line());
    out!("{}: going on from step {done} to {steps}", dir.display());
    let run = Run {
        progress: Progress::new(done, steps, options.batch),
        session,
        options,
        dir: dir.to_path_buf(),
        log,
    };
    Ok((run, steps))
}

/// A new run that begins where a checkpoint, of the page for one, left off.
async fn resume_file(gpu: &Arc<Gpu>, file: &Path, args: &TrainArgs) -> Result<(Run, u32)> {
    let refuse = |why: String| Error::file(file, why);
    let bytes = std::fs::read(file).map_err(|e| run_dir::io_error(file, &e))?;
    let state = State::from_bytes(&bytes).map_err(|e| refuse(e.to_string()))?;
    let mut options: TrainOptions = serde_json::from_value(state.options).map_err(|e| {
        refuse(format!(
            "does not say what run it is of ({e}); resume the run's folder"
        ))
    })?;
    let steps = args.steps.unwrap_or(0);
    if steps <= state.step {
        return Err(refuse(format!(
            "is at step {}; --steps is their number in all, so give more than that",
            state.step
        )));
    }
    if let Some(folder) = &args.data {
        options.data = Some(folder.display().to_string());
    }
    let data = run_dir::load_data(&options, None).map_err(|e| match &args.data {
        Some(_) => e,
        None => refuse(format!(
            "was trained on other images ({e}); name their folder with --data"
        )),
    })?;
    let mut session = run_dir::open_session(Arc::clone(gpu), &options, data)?;
    session.restore(&bytes).map_err(|e| refuse(e.to_string()))?;
    let run = Run::create(session, options, args, steps)?;
    out!("adapter: {}", gpu.adapter_line());
    out!(
        "{}: going on from step {} to {steps} in {}",
        file.display(),
        state.step,
        run.dir.display()
    );
    run.save().await?;
    Ok((run, steps))
}

impl Run {
    /// A run in a new folder, from the step that the session is at to `steps`.
    fn create(
        session: Session,
        options: TrainOptions,
        args: &TrainArgs,
        steps: u32,
    ) -> Result<Self> {
        let dir = run_dir::create(args.out.as_deref(), args.overwrite, options.method)?;
        run_dir::write_json(&dir.join(run_dir::CONFIG), &options)?;
        Ok(Self {
            log: MetricsLog::open(&dir, 0, options.log_every)?,
            progress: Progress::new(session.steps_done(), steps, options.batch),
            session,
            options,
            dir,
        })
    }

    /// Steps until there are `steps`, or until `stop`; then a checkpoint.
    async fn train(&mut self, steps: u32, stop: &AtomicBool) -> Result<()> {
        while self.session.steps_done() < steps && !stop.load(Ordering::SeqCst) {
            if let Some(metrics) = self.session.step().await? {
                self.progress.show(&metrics);
                self.log.add(metrics)?;
            }
            if self.session.steps_done().is_multiple_of(CHECKPOINT_EVERY) {
                self.drain().await?;
                self.save().await?;
            }
        }
        self.drain().await?;
        self.save().await
    }

    async fn drain(&mut self) -> Result<()> {
        while let Some(metrics) = self.session.next_metrics().await? {
            self.progress.show(&metrics);
            self.log.add(metrics)?;
        }
        self.log.flush()
    }

    async fn save(&self) -> Result<()> {
        let options = serde_json::to_value(&self.options).unwrap_or_default();
        let bytes = self.session.checkpoint(options).await?;
        run_dir::write_file(&self.dir.join(run_dir::CHECKPOINT), &bytes)
    }

    /// Test figures and pictures.
    async fn conclude(&self, seconds: f64) -> Result<()> {
        let session = &self.session;
        let test = session.evaluate(&session.data().test).await?;
        let adapter = session.gpu().adapter_line();
        let summary = Summary {
            test,
            steps: session.steps_done(),
            seconds,
            adapter: &adapter,
            method: self.options.method.name(),
            data: &session.data().name,
        };
        run_dir::write_json(&self.dir.join(run_dir::SUMMARY), &summary)?;
        charts::curves(&self.dir, &self.log.lines)?;
        if let Some(usage) = session.code_usage().await? {
            charts::codes(&self.dir, &usage)?;
        }
        pictures::reconstructions(&self.dir, session, SHOWN).await?;
        out!("{}", super::eval::line(&test));
        out!(
            "{seconds:.1} s of training; results in {}:",
            self.dir.display()
        );
        out!("  reconstructions.png  test images above, reconstructions below");
        out!("  test-image.png       the first of them alone");
        out!("  curves.png           losses, perplexity and active codes over the steps");
        out!("  codes.png            how the codes were used over the last epoch, and their ages");
        out!("  checkpoint.safetensors, config.json, metrics.jsonl, summary.json");
        Ok(())
    }
}
