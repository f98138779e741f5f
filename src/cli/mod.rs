//! Arguments, and one file a command.

/// A line on standard output, see [`output::line`].
macro_rules! out {
    ($($text:tt)*) => {
        crate::cli::output::line(format_args!($($text)*))
    };
}

mod args;
mod bench;
mod codes;
mod compare;
mod data;
mod doctor;
mod eval;
mod given;
mod idle;
mod methods;
mod output;
mod plot;
mod prior;
mod progress;
mod resume;
mod sample;
mod saved;
mod schedule;
mod side;
mod suggest;
mod train;

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use semivq::gpu::{AdapterChoice, Gpu, parse_backend};
use semivq::{Error, Result};

/// Trains vector-quantised autoencoders (VQ-VAE) on the GPU, with every kernel written by hand in
/// WGSL, to see codebook collapse and compare its remedies.
#[derive(Parser)]
#[command(
    name = "semivq",
    version,
    max_term_width = 100,
    after_help = "\
Start here:
  semivq doctor                       what GPU is there, and can it train?
  semivq train                        train on the built-in images, results in runs/
  semivq methods                      what --method can be
  semivq train --method approach1 --data DIR   the learnable standard deviation, on your images
  semivq data DIR                     what a folder of images holds
  semivq eval runs/best-1             the test figures of a run
  semivq prior runs/best-1            learn how its codes stand together; then draw: semivq sample runs/best-1
  semivq compare --methods vq,fsq --seeds 0-2 --out DIR   methods side by side: table, plots, report"
)]
struct Cli {
    #[command(flatten)]
    device: DeviceArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args, Clone)]
struct DeviceArgs {
    /// Adapter: its index in `semivq doctor`, or part of its name. Default: the best real GPU
    #[arg(
        long,
        global = true,
        value_name = "INDEX|NAME",
        help_heading = "Device"
    )]
    adapter: Option<String>,
    /// Only this backend: vulkan, metal, dx12 or gl
    #[arg(long, global = true, help_heading = "Device")]
    backend: Option<String>,
}

impl DeviceArgs {
    fn choice(&self) -> Result<AdapterChoice> {
        Ok(AdapterChoice {
            adapter: self.adapter.clone(),
            backend: self.backend.as_deref().map(parse_backend).transpose()?,
        })
    }

    async fn open(&self) -> Result<Arc<Gpu>> {
        Ok(Arc::new(Gpu::new(&self.choice()?).await?))
    }
}

#[derive(Subcommand)]
enum Command {
    /// Train a model; watch it learn; write checkpoint, metrics, figures and pictures
    Train(Box<args::TrainArgs>),
    /// Train methods x seeds x values of any option; table, plots and an interactive report
    Compare(Box<compare::CompareArgs>),
    /// Draw table, plots and report of an experiment anew from its CSV files
    Plot(plot::PlotArgs),
    /// Test figures (l1, mse, psnr, ssim, perplexity, active ratio) of a run
    Eval(eval::EvalArgs),
    /// Pass images (PNG, JPEG, WebP, BMP) through a run's autoencoder
    Reconstruct(eval::ReconstructArgs),
    /// Images to codes: a .npy file of int32 [B, H, W]; [B, H, W, D] with --residual D
    Encode(codes::EncodeArgs),
    /// Codes back to images, PNGs
    Decode(codes::DecodeArgs),
    /// Train what draws pictures: an autoregressive prior over a run's codes
    Prior(prior::PriorArgs),
    /// Draw pictures: codes from the prior, or from how often each is used
    Sample(sample::SampleArgs),
    /// Pictures between two images, by what the encoder makes of them
    Interpolate(sample::InterpolateArgs),
    /// What a folder of images, or a built-in data set, holds; draws a sheet of it
    Data(data::DataArgs),
    /// The methods that --method takes: what they do, their options, their papers
    Methods,
    /// Adapters, limits, features, and what is missing; exit code 0 only if training can run
    Doctor,
    /// Time training steps, kernels, and the adapter's own ceilings
    Bench(bench::BenchArgs),
}

/// Parses, runs, and turns errors into one line and an exit code: 2 for wrong usage, 1 for failure.
pub fn main() -> ExitCode {
    // Before there are threads.
    semivq::gpu::quiet_the_driver();
    outlive_file_limits();
    let command = Cli::command();
    let (cli, given) = match command.clone().try_get_matches().and_then(|matches| {
        let given = given::Given::new(&command, &matches);
        Ok((Cli::from_arg_matches(&matches)?, given))
    }) {
        Ok(both) => both,
        Err(error) => return said(&error),
    };
    let needs_none = match &cli.command {
        Command::Methods => Some("methods lists names"),
        Command::Data(_) => Some("data looks at images"),
        _ => None,
    };
    let DeviceArgs { adapter, backend } = &cli.device;
    let device = adapter
        .as_ref()
        .map(|_| "adapter")
        .or(backend.as_ref().map(|_| "backend"));
    if let (Some(does), Some(name)) = (needs_none, device) {
        output::note(format_args!(
            "error: --{name} has no effect: {does} and needs no GPU; leave it out"
        ));
        return ExitCode::from(2);
    }
    let result = pollster::block_on(async {
        match &cli.command {
            Command::Train(args) => train::run(&cli.device, args, &given).await,
            Command::Compare(args) => compare::run(&cli.device, args, &given).await,
            Command::Plot(args) => plot::run(args),
            Command::Eval(args) => eval::eval(&cli.device, args).await,
            Command::Reconstruct(args) => eval::reconstruct(&cli.device, args).await,
            Command::Encode(args) => codes::encode(&cli.device, args).await,
            Command::Decode(args) => codes::decode(&cli.device, args).await,
            Command::Prior(args) => prior::run(&cli.device, args).await,
            Command::Sample(args) => sample::sample(&cli.device, args).await,
            Command::Interpolate(args) => sample::interpolate(&cli.device, args).await,
            Command::Data(args) => data::run(args, &given),
            Command::Methods => Ok(methods::run()),
            Command::Doctor => doctor::run(&cli.device).await,
            Command::Bench(args) => bench::run(&cli.device, args).await,
        }
    });
    match result {
        Ok(code) => unless_lost(code),
        Err(error) => {
            output::note(format_args!("error: {}", given.in_flags(&error)));
            ExitCode::from(code(&error))
        }
    }
}

/// 2 for wrong usage, 1 for failure.
fn code(error: &Error) -> u8 {
    match error {
        Error::Config(_) | Error::Option { .. } | Error::Conflict(_) | Error::Shape(_) => 2,
        Error::About { source, .. } => code(source),
        _ => 1,
    }
}

/// A file that would outgrow the limit of its user (`ulimit -f`) is an error like a full disk, not the end.
fn outlive_file_limits() {
    #[cfg(unix)]
    {
        // Any handler will do: with one the write fails, and says why.
        let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
    }
}

/// What clap has to say: help, version, or what is wrong with the usage.
fn said(text: &clap::Error) -> ExitCode {
    let source = std::error::Error::source(text).and_then(|e| e.downcast_ref::<Error>());
    if let Some(Error::Option { name, value, want }) = source {
        let name = given::flag(name);
        output::note(format_args!("error: {name} must be {want}, not {value}"));
        return ExitCode::from(2);
    }
    output::clap(text);
    unless_lost(ExitCode::from(text.exit_code() as u8))
}

/// `code`, unless something of standard output was lost, which is said.
fn unless_lost(code: ExitCode) -> ExitCode {
    let Some(why) = output::lost() else {
        return code;
    };
    output::note(format_args!(
        "error: standard output: {why}; what was to be written is lost"
    ));
    ExitCode::FAILURE
}
