//! `semivq eval` and `semivq reconstruct`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use semivq::data::Images;
use semivq::train::Evaluation;
use semivq::{Error, Result};

use super::run_dir::{self, io_error};
use super::saved::Saved;
use super::{DeviceArgs, pictures};

#[derive(Args)]
pub struct EvalArgs {
    /// Folder of a run, or a checkpoint FILE.safetensors (the page's too)
    run: PathBuf,
    /// Folder with IDX files. Default: what the run was trained on
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct ReconstructArgs {
    /// Folder of a run, or a checkpoint FILE.safetensors (the page's too)
    run: PathBuf,
    /// PNG images; height and width divisible by 4
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
        "test ({} images): l1 {:.4} | mse {:.4} | perplexity {} | active {} %",
        test.images,
        test.l1,
        test.mse,
        number(test.perplexity),
        number(test.active_ratio)
    )
}

pub async fn eval(device: &DeviceArgs, args: &EvalArgs) -> Result<ExitCode> {
    let saved = Saved::read(&args.run)?;
    let data = saved.data(args.data.as_deref())?;
    let session = saved.session(device.open().await?, data)?;
    let test = session.evaluate(&session.data().test).await?;
    if args.json {
        let text = serde_json::to_string(&test).unwrap_or_default();
        out!("{text}");
    } else {
        out!("{}", line(&test));
    }
    Ok(ExitCode::SUCCESS)
}

/// An error of the device's about the image in `path`, in words that fit it: there is one image.
pub fn about_image(path: &Path, error: Error) -> Error {
    match error {
        Error::Limit {
            tensor,
            bytes,
            limit,
            allowed,
        } => Error::file(
            path,
            format!(
                "is too large for this device: `{tensor}` needs {bytes} bytes, more than the limit `{limit}` of \
                 {allowed} bytes; crop or resize it"
            ),
        ),
        Error::NotFinite { .. } => Error::file(path, error.to_string()),
        other => other,
    }
}

pub async fn reconstruct(device: &DeviceArgs, args: &ReconstructArgs) -> Result<ExitCode> {
    let saved = Saved::read(&args.run)?;
    let default = || saved.output(run_dir::RECONSTRUCTED);
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
    let channels = saved.channels()?;
    let images: Vec<Images> = args
        .images
        .iter()
        .map(|p| read_png(p, channels))
        .collect::<Result<_>>()?;
    let session = saved.session_without_data(device.open().await?)?;
    std::fs::create_dir_all(&out).map_err(|e| io_error(&out, &e))?;
    for ((image, target), path) in images.iter().zip(&targets).zip(&args.images) {
        let result = session.reconstruct(image).await;
        let result = result.map_err(|e| about_image(path, e))?;
        pictures::write_image(target, &result, 0)?;
        out!("{}", target.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// A PNG with the model's number of channels.
pub fn read_png(path: &Path, channels: usize) -> Result<Images> {
    let bytes = std::fs::read(path).map_err(|e| io_error(path, &e))?;
    let image = image::load_from_memory_with_format(&bytes, image::ImageFormat::Png)
        .map_err(|e| Error::file(path, format!("is no readable PNG image ({e})")))?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    if !width.is_multiple_of(4) || !height.is_multiple_of(4) {
        let message = format!(
            "is {width} x {height}; width and height must be divisible by 4: crop or resize it"
        );
        return Err(Error::file(path, message));
    }
    let pixels = if channels == 1 {
        image.to_luma8().into_raw()
    } else {
        let rgb = image.to_rgb8().into_raw();
        (0..channels * width * height)
            .map(|i| rgb[i % (width * height) * channels + i / (width * height)])
            .collect()
    };
    Ok(Images {
        shape: [channels, height, width],
        pixels,
        labels: None,
    })
}
