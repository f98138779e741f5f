//! `semivq eval` and `semivq reconstruct`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use semivq::data::Images;
use semivq::run::{self, io_error, pictures};
use semivq::train::Evaluation;
use semivq::{Error, Result};

use super::{DeviceArgs, saved};

#[derive(Args)]
pub struct EvalArgs {
    /// Folder of a run, or a checkpoint FILE.safetensors (the page's too)
    run: PathBuf,
    /// A folder of images, or glyphs or scenes, as `train --data` takes it. Default: what the run was trained on
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Of stochastic quantisation: codes drawn from their posteriors, by this seed, in place of the likeliest ones
    #[arg(long, value_name = "SEED")]
    sampled: Option<u64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct ReconstructArgs {
    /// Folder of a run, or a checkpoint FILE.safetensors (the page's too)
    run: PathBuf,
    /// Images (PNG, JPEG, WebP, BMP), of a height and width that the model's strides divide
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// Folder for the results [default: RUN/reconstructed, or FILE-reconstructed]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// The figures in one line.
pub fn line(test: &Evaluation) -> String {
    let number = |v: Option<f64>| v.map_or("-".into(), |v| format!("{v:.2}"));
    format!(
        "test ({} images): l1 {:.4} | mse {:.4} | psnr {} dB | ssim {} | perplexity {} | active {} %",
        test.images,
        test.l1,
        test.mse,
        number(test.psnr),
        test.ssim.map_or("-".into(), |v| format!("{v:.4}")),
        number(test.perplexity),
        number(test.active_ratio)
    )
}

pub async fn eval(device: &DeviceArgs, args: &EvalArgs) -> Result<ExitCode> {
    let saved = saved::read(&args.run)?;
    let data = saved::data(&saved, args.data.as_deref())?;
    let session = saved.session(device.open().await?, data)?;
    let images = &session.data().test;
    let test = match args.sampled {
        Some(seed) => session.evaluate_sampled(images, seed).await?,
        None => session.evaluate(images).await?,
    };
    if args.json {
        let text = serde_json::to_string(&test).unwrap_or_default();
        out!("{text}");
    } else {
        out!("{}", line(&test));
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn reconstruct(device: &DeviceArgs, args: &ReconstructArgs) -> Result<ExitCode> {
    let saved = saved::read(&args.run)?;
    let default = || saved.output(run::RECONSTRUCTED);
    let out = args.out.clone().unwrap_or_else(default);
    let mut targets = Vec::new();
    for path in &args.images {
        let stem = path.file_stem().unwrap_or_default();
        let target = out.join(stem).with_extension("png");
        if targets.contains(&target) {
            let name = stem.to_string_lossy();
            return Err(Error::Config(format!(
                "two images are called {name}; reconstruct them one by one"
            )));
        }
        targets.push(target);
    }
    let images: Vec<Images> = args
        .images
        .iter()
        .map(|path| saved::image(&saved, path))
        .collect::<Result<_>>()?;
    let session = saved.session_without_data(device.open().await?)?;
    std::fs::create_dir_all(&out).map_err(|e| io_error(&out, &e))?;
    for ((image, path), target) in images.iter().zip(&args.images).zip(&targets) {
        let result = session.reconstruct(image).await;
        let result = result.map_err(|e| saved::about(path, e))?;
        pictures::write_image(target, &result, 0)?;
        out!("{}", target.display());
    }
    Ok(ExitCode::SUCCESS)
}
