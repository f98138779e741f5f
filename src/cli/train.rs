//! `semivq train`

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use semivq::data::{BuiltIn, Dataset};
use semivq::gpu::Gpu;
use semivq::run::{
    self, Evaluated, Observer, RunFolder, UnderWay, charts, load_data, open_session, stored,
    take_weights,
};
use semivq::train::{Evaluation, Session, StepMetrics, Taken, TrainOptions, listed, revive};
use semivq::{Error, Result};

use super::args::TrainArgs;
use super::given::{Given, flag};
use super::progress::Progress;
use super::saved::{notes, refuse_taken};
use super::{DeviceArgs, resume, schedule, suggest};

/// The exit code of what a signal ended.
pub const INTERRUPTED: u8 = 130;

/// A run in its folder, which is shown as it goes.
pub struct Run {
    pub run: UnderWay,
    progress: Progress,
}

impl Observer for Progress {
    fn reported(&mut self, metrics: &StepMetrics) {
        self.show(metrics);
    }

    fn evaluated(&mut self, evaluated: &Evaluated) {
        let line = super::eval::line(&evaluated.test);
        self.say(&format!("step {}: {line}", evaluated.step));
    }
}

pub async fn run(device: &DeviceArgs, args: &TrainArgs, given: &Given) -> Result<ExitCode> {
    if args.run.resume.is_none() {
        args.check(given)?;
    }
    let gpu = device.open().await?;
    let mut run = match &args.run.resume {
        Some(file) if file.is_file() => resume::file(&gpu, file, args, given)?,
        Some(dir) => resume::folder(&gpu, dir, args, given)?,
        None => start(&gpu, args, given)?,
    };
    run.show_schedule().map_err(|e| with_advice(e, run.dir()))?;
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

/// The data set of new options.
///
/// # Errors
/// Those of [`load_data`]; [`Error::Conflict`] names what was given for images of another kind.
pub fn read(options: &TrainOptions, given: &Given) -> Result<Dataset> {
    let named = options.data.as_deref();
    let files = named.filter(|name| BuiltIn::named(name).is_none());
    let data = load_data(options, files.map(Path::new), Path::new(""))?;
    for name in ["image_size", "skip_bad"] {
        if given.has(name) && !data.about.takes.contains(&name) {
            return Err(Error::Conflict(format!(
                "{} has no effect: it is for folders of images, and these are {}; leave it out",
                flag(name),
                data.about.format
            )));
        }
    }
    Ok(data)
}

fn start(gpu: &Arc<Gpu>, args: &TrainArgs, given: &Given) -> Result<Run> {
    let mut options = args.options(gpu.is_software())?;
    if let Some(out) = &args.run.out {
        refuse_taken(out, args.run.overwrite)?;
    }
    let path = |path: &Option<PathBuf>, name| path.as_ref().map(|p| stored(p, name)).transpose();
    options.data = path(&args.data, "data")?;
    options.init = path(&args.init, "init")?;
    options.build_model(1)?;
    let data = read(&options, given)?;
    let options = options.with_goal(data.train.len())?;
    let began = Instant::now();
    let mut session = open_session(Arc::clone(gpu), &options, data)?;
    let taken = take_weights(&mut session, &options, Path::new(""))?;
    let folder = RunFolder::create(args.run.out.as_deref(), args.run.overwrite, options.method)?;
    let run = Run::open(folder, session, options)?;
    let UnderWay {
        session,
        options,
        folder,
        ..
    } = &run.run;
    folder.write_config(options)?;
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
    if let (Some(taken), Some(file)) = (taken, &args.init) {
        say_taken(file, &taken);
    }
    for note in notes(session.data(), given) {
        out!("note: {note}");
    }
    // Before the first step, so that there is a good checkpoint whatever comes.
    run.save_now().map_err(|e| with_advice(e, run.dir()))?;
    Ok(run)
}

/// Says what became of the weights in `file`.
fn say_taken(file: &Path, taken: &Taken) {
    let count = taken.taken.len();
    out!("starting from {}: {count} tensors taken", file.display());
    for (names, what) in [
        (&taken.missing, "not in it, drawn by the seed"),
        (&taken.left_over, "in it, but not of this model"),
    ] {
        if !names.is_empty() {
            out!("  {what}: {}", listed(names));
        }
    }
}

impl Run {
    /// The run in `folder`, from the step that the session is at.
    pub fn open(folder: RunFolder, session: Session, options: TrainOptions) -> Result<Self> {
        let done = session.steps_done();
        let steps = options.steps.unwrap_or(done);
        Ok(Self {
            progress: Progress::new(done, steps, options.batch),
            run: UnderWay::open(folder, session, options)?,
        })
    }

    pub fn dir(&self) -> &Path {
        self.run.folder.dir()
    }

    /// Draws the learning rate of a run that has steps to go.
    fn show_schedule(&self) -> Result<()> {
        let UnderWay {
            session, options, ..
        } = &self.run;
        if session.steps_done() >= self.run.goal() {
            return Ok(());
        }
        if let Some(line) = schedule::line(options) {
            charts::schedule(self.dir(), options)?;
            out!("{line} ({})", run::SCHEDULE);
        }
        Ok(())
    }

    /// Trains, as far as it is not done or stopped, and concludes.
    async fn go(&mut self, stop: &AtomicBool) -> Result<ExitCode> {
        let started = Instant::now();
        let run = &self.run;
        let first = run.session.steps_done();
        let lines = run.log.lines.len();
        if run.is_over() && (run.folder).is_concluded(&run.session, &run.options, lines) {
            let but = match run.log.gap {
                Some(_) => "complete, but for the metrics",
                None => "complete, nothing is missing",
            };
            out!("{}: {but}", self.dir().display());
            return Ok(ExitCode::SUCCESS);
        }
        let trained = self.train(stop).await;
        self.progress.finish();
        let run = &self.run;
        if let Err(error) = trained {
            // What was learned so far is worth seeing when a run goes wrong; but whatever goes wrong
            // with that is not what ended it.
            let _ = self.run.log.flush();
            let _ =
                charts::curves_with(self.dir(), &self.run.log.lines, &self.run.evaluations.lines);
            return Err(error);
        }
        let done = run.session.steps_done();
        let stopped = !run.is_over();
        let watch = run.watch();
        if let (true, Some((best, loss))) = (watch.ends(run.options.patience), watch.best) {
            out!(
                "ended early at step {done} of {}: {} evaluations without a smaller test loss; the best, {loss:.4}, was \
                 that of step {best}",
                run.goal(),
                watch.without_improvement
            );
        }
        if stopped {
            let command = suggest::resume(self.dir());
            out!(
                "stopped at step {done} of {}; go on with: {command}",
                run.goal()
            );
        }
        let seconds = (done > first).then(|| started.elapsed().as_secs_f64());
        self.conclude(seconds).await?;
        Ok(ExitCode::from(if stopped { INTERRUPTED } else { 0 }))
    }

    /// Steps until there are enough, or until `stop`; then a checkpoint.
    async fn train(&mut self, stop: &AtomicBool) -> Result<()> {
        let to_do = !self.run.is_over();
        self.run.train(stop, &mut self.progress).await?;
        match to_do {
            true => self.run.save().await,
            false => Ok(()),
        }
    }

    /// A checkpoint of a run under no way.
    pub fn save_now(&self) -> Result<()> {
        let UnderWay {
            session,
            options,
            folder,
            ..
        } = &self.run;
        pollster::block_on(folder.save(session, options))
    }

    /// Pictures and test figures.
    async fn conclude(&self, seconds: Option<f64>) -> Result<()> {
        let (run, dir) = (&self.run, self.dir());
        let (session, options) = (&run.session, &run.options);
        let concluded = (run.folder).conclude(session, options, &run.log.lines, seconds);
        let test = concluded.await?;
        out!("{}", super::eval::line(&test));
        if let Some(line) = advice(options, &test) {
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
            (run::SCHEDULE, "the learning rate over the steps"),
            (
                run::CODES_PICTURE,
                "how the codes were used over the last epoch, and their ages",
            ),
        ] {
            if dir.join(name).exists() {
                out!("  {name:<20} {what}");
            }
        }
        for (name, what) in [
            (
                run::EVALUATIONS,
                "test figures under way, a line an evaluation",
            ),
            (run::BEST, "the model of the best of them"),
        ] {
            if dir.join(name).exists() {
                out!("  {name:<28} {what}");
            }
        }
        out!(
            "  checkpoint.safetensors, training-{}.safetensors, config.json, metrics.jsonl, summary.json",
            session.steps_done()
        );
        Ok(())
    }
}
