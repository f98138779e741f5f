//! `semivq prior`

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use semivq::data::Source;
use semivq::gpu::Gpu;
use semivq::prior::{Histogram, Origin, Prior, PriorOptions, Sequences, Tokens};
use semivq::run::{self, PRIOR, PRIOR_SUMMARY, Saved, io_error};
use semivq::train::Session;
use semivq::{Error, Result};
use serde_json::json;

use super::train::INTERRUPTED;
use super::{DeviceArgs, saved, suggest};

/// Steps and batch on a software adapter, where it should end within two minutes.
const SOFTWARE_SIZE: (u32, usize) = (400, 32);
/// Steps between two looks at the clock.
const STRIDE: u32 = 10;
/// Between two lines, and between two writes of the file.
const LINE_EVERY: Duration = Duration::from_secs(3);
const SAVE_EVERY: Duration = Duration::from_secs(15);

#[derive(Args)]
pub struct PriorArgs {
    /// Folder of a run, or a checkpoint FILE.safetensors (the page's too)
    run: PathBuf,
    /// Steps in all [default: 2000; on a software adapter 400]
    #[arg(long)]
    steps: Option<u32>,
    /// Images a step [default: 64; on a software adapter 32]
    #[arg(long)]
    batch: Option<usize>,
    /// Learning rate; it grows at first and falls to a tenth [default: 0.002]
    #[arg(long)]
    lr: Option<f32>,
    /// Features of a position [default: 64]
    #[arg(long)]
    width: Option<usize>,
    /// Heads of the attention [default: 4]
    #[arg(long)]
    heads: Option<usize>,
    /// Blocks of attention and layers [default: 3]
    #[arg(long)]
    blocks: Option<usize>,
    /// Seed of parameters and order [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    /// A folder of images, or glyphs or scenes, as `train --data` takes it. Default: what the run was trained on
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Go on with the prior that is there; with --steps beyond its end
    #[arg(long)]
    resume: bool,
    /// Replace the prior that is there
    #[arg(long, conflicts_with = "resume")]
    overwrite: bool,
}

impl PriorArgs {
    fn options(&self, software: bool) -> PriorOptions {
        let mut options = PriorOptions::default();
        if software {
            (options.steps, options.batch) = SOFTWARE_SIZE;
        }
        options.steps = self.steps.unwrap_or(options.steps);
        options.batch = self.batch.unwrap_or(options.batch);
        options.lr = self.lr.unwrap_or(options.lr);
        options.width = self.width.unwrap_or(options.width);
        options.heads = self.heads.unwrap_or(options.heads);
        options.blocks = self.blocks.unwrap_or(options.blocks);
        options.seed = self.seed.unwrap_or(options.seed);
        options
    }

    /// What is given beside `--resume` and would be ignored.
    fn idle(&self) -> Option<&'static str> {
        let given = [
            ("--batch", self.batch.is_some()),
            ("--lr", self.lr.is_some()),
            ("--width", self.width.is_some()),
            ("--heads", self.heads.is_some()),
            ("--blocks", self.blocks.is_some()),
            ("--seed", self.seed.is_some()),
        ];
        let found = given.into_iter().find(|(_, given)| *given);
        found.map(|(name, _)| name)
    }
}

/// The tokens of all of `images`.
async fn tokens(session: &Session, images: &dyn Source) -> Result<(Sequences, Tokens)> {
    let codes = session.encode(images).await?;
    let numbers: Vec<usize> = (0..codes.len())
        .filter_map(|map| session.code_count(map))
        .collect();
    let sequences = Sequences::of(&codes, &numbers);
    let values = sequences.tokens_of(&codes)?;
    Ok((sequences.clone(), Tokens::new(sequences.length(), values)))
}

/// How often each code of the run's training images is used.
pub async fn histogram(session: &Session) -> Result<Histogram> {
    let (sequences, tokens) = tokens(session, session.data().train.as_ref()).await?;
    Ok(Histogram::of(&sequences, &tokens))
}

/// The prior of `saved`, which is one of its codes as they are.
pub fn read(gpu: &Arc<Gpu>, run: &Path, saved: &Saved, file: &Path) -> Result<Prior> {
    if !file.exists() {
        let message = format!("is not there: train it first ({})", suggest::prior(run));
        return Err(Error::file(file, message));
    }
    let bytes = std::fs::read(file).map_err(|e| io_error(file, &e))?;
    let (prior, origin) =
        Prior::from_bytes(Arc::clone(gpu), &bytes).map_err(|e| Error::file(file, e.to_string()))?;
    let now = Origin::of(&saved.state);
    if origin != now {
        return Err(Error::file(
            file,
            format!(
                "is a prior over the codes of step {}, and {} is another model now, of step {}: train it anew \
                 ({} --overwrite)",
                origin.step,
                saved.file.display(),
                now.step,
                suggest::prior(run)
            ),
        ));
    }
    Ok(prior)
}

/// The maps in words: `7 x 7 codes of 256`.
fn maps(sequences: &Sequences) -> String {
    let one = |map: &semivq::prior::Map| {
        let sizes: Vec<String> = map.shape.iter().map(ToString::to_string).collect();
        format!("{} codes of {}", sizes.join(" x "), map.codes)
    };
    let all: Vec<String> = sequences.maps.iter().map(one).collect();
    all.join(", ")
}

/// A prior that is trained, and where it is kept.
struct Training<'a> {
    prior: Prior,
    origin: Origin,
    file: PathBuf,
    train: &'a Tokens,
    stop: &'a AtomicBool,
}

impl Training<'_> {
    async fn save(&self) -> Result<()> {
        let bytes = self.prior.to_bytes(&self.origin).await?;
        run::write_file(&self.file, &bytes)
    }

    /// Trains up to the last step, or until it is stopped.
    async fn go(&mut self) -> Result<()> {
        let goal = self.prior.options().steps;
        let (mut said, mut saved): (Option<Instant>, _) = (None, Instant::now());
        while self.prior.steps_done() < goal && !self.stop.load(Ordering::SeqCst) {
            let left = goal - self.prior.steps_done();
            let count = if said.is_none() { 1 } else { STRIDE.min(left) };
            let made = self.prior.train(self.train, count).await?;
            let due = said.is_none_or(|at| at.elapsed() >= LINE_EVERY);
            if due || made.step == goal {
                out!("step {}/{goal} | {:.3} bits a code", made.step, made.bits);
                said = Some(Instant::now());
            }
            if saved.elapsed() >= SAVE_EVERY {
                self.save().await?;
                saved = Instant::now();
            }
        }
        self.save().await
    }
}

pub async fn run(device: &DeviceArgs, args: &PriorArgs) -> Result<ExitCode> {
    let saved = saved::read(&args.run)?;
    let file = saved.output(PRIOR);
    if file.exists() && !args.resume && !args.overwrite {
        return Err(Error::Config(format!(
            "{} is there already: go on with it (--resume), or replace it (--overwrite)",
            file.display()
        )));
    }
    if let (true, Some(name)) = (args.resume, args.idle()) {
        return Err(Error::Conflict(format!(
            "{name} has no effect beside --resume: the prior has its own; leave it out"
        )));
    }
    let data = saved::data(&saved, args.data.as_deref())?;
    let gpu = device.open().await?;
    let options = args.options(gpu.is_software());
    options.validate()?;
    let mut kept = match args.resume {
        true => Some(read(&gpu, &args.run, &saved, &file)?),
        false => None,
    };
    if let (Some(prior), Some(steps)) = (&mut kept, args.steps) {
        let done = prior.steps_done();
        if steps < done {
            return Err(Error::Conflict(format!(
                "`steps` ({steps}) are less than the {done} that the prior has made: give more, or begin anew (--overwrite)"
            )));
        }
        prior.set_steps(steps);
    }
    out!("adapter: {}", gpu.adapter_line());
    let began = Instant::now();
    let session = saved.session(Arc::clone(&gpu), data)?;
    let (sequences, train) = tokens(&session, session.data().train.as_ref()).await?;
    let (_, test) = tokens(&session, session.data().test.as_ref()).await?;
    let prior = match kept {
        Some(prior) if *prior.sequences() == sequences => prior,
        Some(prior) => {
            return Err(Error::file(
                &file,
                format!(
                    "is a prior over {}, and these images have {}",
                    maps(prior.sequences()),
                    maps(&sequences)
                ),
            ));
        }
        None => Prior::new(Arc::clone(&gpu), sequences.clone(), options)?,
    };
    out!(
        "prior over {}: {} training and {} test images, {} parameters ({:.1} s to encode)",
        maps(&sequences),
        train.len(),
        test.len(),
        prior.parameter_count(),
        began.elapsed().as_secs_f64()
    );
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    // Without a handler Ctrl-C ends it at once, and what was written last is there.
    let _ = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(INTERRUPTED.into());
        }
    });
    let began = Instant::now();
    let mut training = Training {
        prior,
        origin: Origin::of(&saved.state),
        file,
        train: &train,
        stop: &stop,
    };
    training.go().await?;
    let Training { prior, file, .. } = training;
    let steps = prior.steps_done();
    if steps < prior.options().steps {
        out!(
            "stopped at step {steps}; go on: {} --resume",
            suggest::prior(&args.run)
        );
        return Ok(ExitCode::from(INTERRUPTED));
    }
    let histogram = Histogram::of(&sequences, &train).bits(&test);
    let (bits, on_train) = (prior.bits(&test).await?, prior.bits(&train).await?);
    let summary = saved.output(PRIOR_SUMMARY);
    run::write_json(
        &summary,
        &json!({
            "step": steps,
            "test_bits": bits,
            "train_bits": on_train,
            "histogram_bits": histogram,
            "test_images": test.len(),
            "parameters": prior.parameter_count(),
            "seconds": began.elapsed().as_secs_f64(),
            "adapter": gpu.adapter_line(),
        }),
    )?;
    out!(
        "test ({} images): {bits:.3} bits a code (training {on_train:.3}); by the codes' histogram {histogram:.3}",
        test.len()
    );
    out!("{}, {}", file.display(), summary.display());
    out!("draw with it: {}", suggest::sample(&args.run));
    Ok(ExitCode::SUCCESS)
}
