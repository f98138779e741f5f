//! Arguments, and one file a command.

/// A line on standard output. Unlike `println!` it does not panic when nobody reads any more: a run
/// goes on behind `| head`.
macro_rules! out {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

mod args;
mod bench;
mod charts;
mod codes;
mod doctor;
mod eval;
mod methods;
mod pictures;
mod progress;
mod run_dir;
mod train;

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
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
  semivq train --method approach1 --data DIR   the learnable standard deviation, on IDX files
  semivq eval runs/vq-1               the test figures of a run"
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
    /// Test figures (l1, mse, perplexity, active ratio) of a run
    Eval(eval::EvalArgs),
    /// Pass PNG images through a run's autoencoder
    Reconstruct(eval::ReconstructArgs),
    /// Images to codes: a .npy file of int32 [B, H, W]
    Encode(codes::EncodeArgs),
    /// Codes back to images, PNGs
    Decode(codes::DecodeArgs),
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
    let cli = Cli::parse();
    let result = pollster::block_on(async {
        match &cli.command {
            Command::Train(args) => train::run(&cli.device, args).await,
            Command::Eval(args) => eval::eval(&cli.device, args).await,
            Command::Reconstruct(args) => eval::reconstruct(&cli.device, args).await,
            Command::Encode(args) => codes::encode(&cli.device, args).await,
            Command::Decode(args) => codes::decode(&cli.device, args).await,
            Command::Methods => Ok(methods::run()),
            Command::Doctor => doctor::run(&cli.device).await,
            Command::Bench(args) => bench::run(&cli.device, args).await,
        }
    });
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(match error {
                Error::Config(_) | Error::Shape(_) => 2,
                _ => 1,
            })
        }
    }
}
