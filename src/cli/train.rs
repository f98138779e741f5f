//! `semivq train`

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use semivq::gpu::Gpu;
use semivq::run::{self, MetricsLog, RunFolder, charts, load_data, open_session, stored_path};
use semivq::train::{Evaluation, Session, TrainOptions, revive};
use semivq::{Error, Result};

use super::args::TrainArgs;
use super::given::{Given, flag};
use super::progress::Progress;
use super::saved::refuse_taken;
use super::{DeviceArgs, resume, suggest};

/// The exit code of what a signal ended.
const INTERRUPTED: u8 = 130;

/// A run in its folder.
pub struct Run {
    session: Session,
    pub options: TrainOptions,
    pub folder: RunFolder,
    pub log: MetricsLog,
    progress: Progress,
}

pub async fn run(device: &DeviceArgs, args: &TrainArgs, given: &Given) -> Result<ExitCode> {
    if args.run.resume.is_none() {
        args.check(given)?;
    }
    let gpu = device.open().await?;
    let mut run = match &args.run.resume {
        Some(file) if file.is_file() => resume::file(&gpu, file, args, given)?,
        Some(dir) => resume::folder(&gpu, dir, args, given)?,
        None => start(&gpu, args)?,
    };
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let handler = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(INTERRUPTED.into());
        }
    });
    if let Err(error) = handler {
        run.progress
            .say(&format!("note: Ctrl-C will end the run at once ({error})"));
    }
    let result = run.go(&stop).await;
    result.map_err(|e| with_advice(e, run.dir()))
}

/// What to try where most codes are dead.
fn advice(options: &TrainOptions, test: &Evaluation) -> Option<String> {
    let flags = revive(options, test).into_iter();
    let flags: Vec<String> = flags
        .map(|(name, value)| format!("{} {value}", flag(name)))
        .collect();
    let active = test.active_ratio?;
    (!flags.is_empty()).then(|| {
        format!(
            "most codes are dead ({active:.1} % are in use): try {}",
            flags.join(", or ")
        )
    })
}

/// An error about a file, with how to go on.
pub fn with_advice(error: Error, dir: &Path) -> Error {
    match error {
        Error::File { path, message } => Error::file(
            path,
            format!("{message}; then go on: {}", suggest::resume(dir)),
        ),
        other => other,
    }
}

fn start(gpu: &Arc<Gpu>, args: &TrainArgs) -> Result<Run> {
    let mut options = args.options(gpu.is_software())?;
    if let Some(out) = &args.run.out {
        refuse_taken(out, args.run.overwrite)?;
    }
    options.data = args.data.as_deref().map(stored_path).transpose()?;
    options.build_model(1)?;
    let images = options.data.as_deref().map(Path::new);
    let data = load_data(&options, images, Path::new(""))?;
    let began = Instant::now();
    let session = open_session(Arc::clone(gpu), &options, data)?;
    let folder = RunFolder::create(args.run.out.as_deref(), args.run.overwrite, options.method)?;
    let run = Run::open(folder, session, options)?;
    run.folder.write_config(&run.options)?;
    let (session, options) = (&run.session, &run.options);
    out!("adapter: {}", gpu.adapter_line());
    if let Some(line) = args.shrunk(gpu.is_software()) {
        out!("{line}");
    }
    out!(
        "{} {} on {}: {} train and {} test images, {} parameters, {} dispatches a step ({:.1} s to prepare)",
        options.model.name(),
        options.method.name(),
        session.data().name,
        session.data().train.len(),
        session.data().test.len(),
        session.parameter_count(),
        session.plan().dispatches(),
        began.elapsed().as_secs_f64(),
    );
    // Before the first step, so that there is a good checkpoint whatever comes.
    run.save_now().map_err(|e| with_advice(e, run.dir()))?;
    Ok(run)
}

impl Run {
    /// The run in `folder`, from the step that the session is at.
    pub fn open(folder: RunFolder, session: Session, options: TrainOptions) -> Result<Self> {
        let done = session.steps_done();
        let steps = options.steps.unwrap_or(done);
        Ok(Self {
            log: MetricsLog::open(&folder, done, options.log_every)?,
            progress: Progress::new(done, steps, options.batch),
            session,
            options,
            folder,
        })
    }

    pub fn dir(&self) -> &Path {
        self.folder.dir()
    }

    fn goal(&self) -> u32 {
        self.options.steps.unwrap_or(0)
    }

    /// Trains, as far as it is not done or stopped, and concludes.
    async fn go(&mut self, stop: &AtomicBool) -> Result<ExitCode> {
        let started = Instant::now();
        let first = self.session.steps_done();
        let lines = self.log.lines.len();
        let concluded = || (self.folder).is_concluded(&self.session, &self.options, lines);
        if first == self.goal() && concluded() {
            let but = match self.log.gap {
                Some(_) => "complete, but for the metrics",
                None => "complete, nothing is missing",
            };
            out!("{}: {but}", self.dir().display());
            return Ok(ExitCode::SUCCESS);
        }
        let trained = self.train(stop).await;
        self.progress.finish();
        if let Err(error) = trained {
            // What was learned so far is worth seeing when a run goes wrong; but whatever goes wrong
            // with that is not what ended it.
            let _ = self.log.flush();
            let _ = charts::curves(self.dir(), &self.log.lines);
            return Err(error);
        }
        let done = self.session.steps_done();
        let stopped = done < self.goal();
        if stopped {
            let command = suggest::resume(self.dir());
            out!(
                "stopped at step {done} of {}; go on with: {command}",
                self.goal()
            );
        }
        let seconds = (done > first).then(|| started.elapsed().as_secs_f64());
        self.conclude(seconds).await?;
        Ok(ExitCode::from(if stopped { INTERRUPTED } else { 0 }))
    }

    /// Steps until there are enough, or until `stop`; then a checkpoint.
    async fn train(&mut self, stop: &AtomicBool) -> Result<()> {
        let every = self.options.checkpoint_every.unwrap_or_default();
        let mut saved = Instant::now();
        if self.session.steps_done() == self.goal() {
            return Ok(());
        }
        while self.session.steps_done() < self.goal() && !stop.load(Ordering::SeqCst) {
            if let Some(metrics) = self.session.step().await? {
                self.progress.show(&metrics);
                self.log.add(metrics)?;
            }
            if every.is_due(self.session.steps_done(), saved.elapsed().as_secs_f64()) {
                self.drain().await?;
                self.save().await?;
                saved = Instant::now();
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
        self.folder.save(&self.session, &self.options).await
    }

    /// A checkpoint of a run under no way.
    pub fn save_now(&self) -> Result<()> {
        pollster::block_on(self.save())
    }

    /// Pictures and test figures.
    async fn conclude(&self, seconds: Option<f64>) -> Result<()> {
        let (session, dir) = (&self.session, self.dir());
        let concluded = (self.folder).conclude(session, &self.options, &self.log.lines, seconds);
        let test = concluded.await?;
        out!("{}", super::eval::line(&test));
        if let Some(line) = advice(&self.options, &test) {
            out!("{line}");
        }
        let trained = seconds.map_or(String::new(), |s| format!("{s:.1} s of training; "));
        out!("{trained}results in {}:", dir.display());
        for (name, what) in [
            (
                run::RECONSTRUCTIONS,
                "test images above, reconstructions below",
            ),
            (run::TEST_IMAGE, "the first of them alone"),
            (
                run::CURVES,
                "losses, perplexity and active codes over the steps",
            ),
            (
                run::CODES_PICTURE,
                "how the codes were used over the last epoch, and their ages",
            ),
        ] {
            if dir.join(name).exists() {
                out!("  {name:<20} {what}");
            }
        }
        out!(
            "  checkpoint.safetensors, training-{}.safetensors, config.json, metrics.jsonl, summary.json",
            session.steps_done()
        );
        Ok(())
    }
}
