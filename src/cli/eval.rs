//! `semivq eval` and `semivq reconstruct`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use semivq::data::{Images, png};
use semivq::train::{Evaluation, Session};
use semivq::{Error, Result};

use super::run_dir::{self, io_error};
use super::{DeviceArgs, pictures};

#[derive(Args)]
pub struct EvalArgs {
    /// Folder of a run
    dir: PathBuf,
    /// Folder with IDX files. Default: what the run was trained on
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct ReconstructArgs {
    /// Folder of a run
    dir: PathBuf,
    /// PNG images; height and width divisible by 4
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// Folder for the results [default: RUN/reconstructed]
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

/// The session of the run in `dir`, on its own data or on `data`, as it was at its last checkpoint.
/// Its training plan is not used, so it is recorded for the smallest batch.
pub async fn open_run(device: &DeviceArgs, dir: &Path, data: Option<&Path>) -> Result<Session> {
    let mut options = run_dir::read_options(dir)?;
    let data = run_dir::load_data(&options, data)?;
    options.batch = 1;
    let mut session = run_dir::open_session(device.open().await?, &options, data)?;
    run_dir::restore(&mut session, dir)?;
    Ok(session)
}

pub async fn eval(device: &DeviceArgs, args: &EvalArgs) -> Result<ExitCode> {
    let session = open_run(device, &args.dir, args.data.as_deref()).await?;
    let test = session.evaluate(&session.data().test).await?;
    if args.json {
        let text = serde_json::to_string(&test).unwrap_or_default();
        out!("{text}");
    } else {
        out!("{}", line(&test));
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn reconstruct(device: &DeviceArgs, args: &ReconstructArgs) -> Result<ExitCode> {
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| args.dir.join("reconstructed"));
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
    let session = open_run(device, &args.dir, None).await?;
    let channels = session.data().train.shape[0];
    let images: Vec<Images> = args
        .images
        .iter()
        .map(|path| png::read(path, channels))
        .collect::<Result<_>>()?;
    std::fs::create_dir_all(&out).map_err(|e| io_error(&out, &e))?;
    for ((image, path), target) in images.iter().zip(&args.images).zip(&targets) {
        let result = session.reconstruct(image).await;
        let result = result.map_err(|e| run_dir::about(path, e))?;
        pictures::write_image(target, &result, 0)?;
        out!("{}", target.display());
    }
    Ok(ExitCode::SUCCESS)
}
