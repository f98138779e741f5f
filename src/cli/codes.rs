//! `semivq encode` and `semivq decode`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use semivq::data::{Codes, Images, npy};
use semivq::run::{self, Saved, pictures};
use semivq::{Error, Result};

use super::{DeviceArgs, saved};

#[derive(Args)]
pub struct EncodeArgs {
    /// Folder of a run, or a checkpoint FILE.safetensors (the page's too)
    run: PathBuf,
    /// Images (PNG, JPEG, WebP, BMP) of one size, whose height and width the model's strides divide. Default: the run's test images
    images: Vec<PathBuf>,
    /// A folder of images or glyphs or scenes, as `train --data` takes it; its test images are encoded. Default: what the run was trained on
    #[arg(long, value_name = "DIR", conflicts_with = "images")]
    data: Option<PathBuf>,
    /// The file to write [default: RUN/codes.npy, or FILE-codes.npy]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Args)]
pub struct DecodeArgs {
    /// Folder of a run, or a checkpoint FILE.safetensors (the page's too)
    run: PathBuf,
    /// A .npy file of int32 or int64 [B, H, W], or [B, H, W, D] of a run with --residual D, as `encode` writes it
    codes: PathBuf,
    /// Folder for the images, 0.png, 1.png, .. [default: RUN/decoded, or FILE-decoded]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// All images in one, which they must fit by their size.
fn joined(saved: &Saved, paths: &[PathBuf]) -> Result<Images> {
    let mut all: Option<Images> = None;
    for path in paths {
        let image = saved::image(saved, path)?;
        let Some(all) = &mut all else {
            all = Some(image);
            continue;
        };
        if all.shape != image.shape {
            let [_, height, width] = image.shape;
            let [_, first_height, first_width] = all.shape;
            return Err(Error::file(
                path,
                format!(
                    "is {width} x {height}, the first image is {first_width} x {first_height}; \
                     encode images of one size at a time"
                ),
            ));
        }
        all.pixels.extend(image.pixels);
    }
    all.ok_or_else(|| Error::Config("there are no images to encode".into()))
}

pub async fn encode(device: &DeviceArgs, args: &EncodeArgs) -> Result<ExitCode> {
    let saved = saved::read(&args.run)?;
    let codes = if let Some(first) = args.images.first() {
        let images = joined(&saved, &args.images)?;
        let session = saved.session_without_data(device.open().await?)?;
        let codes = session.encode(&images).await;
        codes.map_err(|e| saved::about(first, e))?
    } else {
        let data = saved::data(&saved, args.data.as_deref())?;
        let session = saved.session(device.open().await?, data)?;
        session.encode(&session.data().test).await?
    };
    // The models of the command line have one quantiser, so that all code maps are of one shape.
    let codes = Codes::joined(&codes);
    let out = args.out.clone();
    let out = out.unwrap_or_else(|| saved.output(run::CODES));
    run::write_file(&out, &npy::to_bytes(&codes))?;
    out!("{}: int32 {:?}", out.display(), codes.shape);
    Ok(ExitCode::SUCCESS)
}

pub async fn decode(device: &DeviceArgs, args: &DecodeArgs) -> Result<ExitCode> {
    let codes = npy::read(&args.codes)?;
    let saved = saved::read(&args.run)?;
    let session = saved.session_without_data(device.open().await?)?;
    let maps = codes.shape.get(3).copied().unwrap_or(1);
    let wanted = (0..)
        .take_while(|map| session.code_count(*map).is_some())
        .count();
    if maps != wanted && wanted > 0 {
        let shape = match wanted {
            1 => "[B, H, W]".to_owned(),
            _ => format!("[B, H, W, {wanted}], as many codes of a vector as it has codebooks"),
        };
        let message = format!("holds {:?}, the run has codes {shape}", codes.shape);
        return Err(Error::file(&args.codes, message));
    }
    let images = session.decode(&codes.maps()).await;
    let images = images.map_err(|e| saved::about(&args.codes, e))?;
    let out = args.out.clone();
    let out = out.unwrap_or_else(|| saved.output(run::DECODED));
    pictures::write_each(&out, &images)?;
    out!("{}: {} images", out.display(), images.len());
    Ok(ExitCode::SUCCESS)
}
