//! `semivq sample` and `semivq interpolate`

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use semivq::data::Images;
use semivq::prior::{Sampling, Sequences, Tokens};
use semivq::run::{INTERPOLATION, PRIOR, SAMPLES, pictures, sheet};
use semivq::train::Session;
use semivq::{Error, Result};

use super::output::note;
use super::{DeviceArgs, prior, saved, suggest};

/// All samples on one picture.
const SHEET: &str = "sheet.png";
/// Pictures at most: a seed has different noise for that many.
const MOST: usize = 1 << 20;

/// Where codes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DrawnFrom {
    /// The prior that `semivq prior` trained
    Prior,
    /// How often each code is used, wherever it stands
    Histogram,
}

#[derive(Args)]
pub struct SampleArgs {
    /// Folder of a run, or a checkpoint FILE.safetensors (the page's too)
    run: PathBuf,
    /// Pictures
    #[arg(long, default_value_t = 64)]
    count: usize,
    /// Seed: the same one draws the same pictures
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Below 1 likely codes become likelier still, at 0 the likeliest is taken [default: 1]
    #[arg(long, allow_negative_numbers = true)]
    temperature: Option<f32>,
    /// Draws from so many of the likeliest codes [default: all]
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
    /// What codes are drawn from [default: the prior where there is one]
    #[arg(long, value_enum)]
    from: Option<DrawnFrom>,
    /// Folder for the pictures, 0.png, 1.png, .. and all on sheet.png [default: RUN/samples, or FILE-samples]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Args)]
pub struct InterpolateArgs {
    /// Folder of a run, or a checkpoint FILE.safetensors (the page's too)
    run: PathBuf,
    /// The first image (PNG, JPEG, WebP, BMP)
    a: PathBuf,
    /// The last one, of the same size
    b: PathBuf,
    /// Pictures, those of both ends among them
    #[arg(long, default_value_t = 9)]
    count: usize,
    /// The picture to write [default: RUN/interpolation.png, or FILE-interpolation.png]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// [`Error::Option`] unless `value` is from `least` to `most`.
fn check(name: &str, value: usize, least: usize, most: usize) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::Option {
        name: name.into(),
        value: value.to_string(),
        want: format!("a whole number from {least} to {most}"),
    })
}

impl SampleArgs {
    fn check(&self) -> Result<()> {
        check("count", self.count, 1, MOST)?;
        if let Some(top_k) = self.top_k {
            check("top_k", top_k, 1, u32::MAX as usize)?;
        }
        match self.temperature {
            Some(value) if !value.is_finite() || value < 0.0 => Err(Error::Option {
                name: "temperature".into(),
                value: value.to_string(),
                want: "a number of at least 0".into(),
            }),
            _ => Ok(()),
        }
    }

    /// Where codes come from, `file` being the prior's.
    fn source(&self, file: &Path) -> DrawnFrom {
        match (self.from, file.exists()) {
            (Some(from), _) => from,
            (None, true) => DrawnFrom::Prior,
            (None, false) => {
                note(format_args!(
                    "note: codes are drawn from their histogram, each by itself; {} trains what knows how they \
                     stand together",
                    suggest::prior(&self.run)
                ));
                DrawnFrom::Histogram
            }
        }
    }
}

/// The pictures of `tokens`.
async fn pictures_of(session: &Session, sequences: &Sequences, tokens: &Tokens) -> Result<Images> {
    session.decode(&sequences.codes_of(tokens.values())).await
}

pub async fn sample(device: &DeviceArgs, args: &SampleArgs) -> Result<ExitCode> {
    args.check()?;
    let saved = saved::read(&args.run)?;
    let file = saved.output(PRIOR);
    let from = args.source(&file);
    let given = [
        ("temperature", args.temperature.is_some()),
        ("top_k", args.top_k.is_some()),
    ];
    if let (DrawnFrom::Histogram, Some((name, _))) = (from, given.iter().find(|(_, given)| *given))
    {
        return Err(Error::Conflict(format!(
            "{name} has no effect: it is for a prior, and the codes' histogram is drawn from; leave it out"
        )));
    }
    let images = if from == DrawnFrom::Prior {
        let gpu = device.open().await?;
        let prior = prior::read(&gpu, &args.run, &saved, &file)?;
        let session = saved.session_without_data(Arc::clone(&gpu))?;
        let how = Sampling {
            seed: args.seed,
            temperature: args.temperature.unwrap_or(1.0),
            top_k: args.top_k,
        };
        let tokens = prior.sample(args.count, how).await?;
        pictures_of(&session, prior.sequences(), &tokens).await?
    } else {
        let data = saved::data(&saved, None)?;
        let session = saved.session(device.open().await?, data)?;
        let histogram = prior::histogram(&session).await?;
        let tokens = histogram.sample(args.count, args.seed);
        pictures_of(&session, histogram.sequences(), &tokens).await?
    };
    let out = args.out.clone();
    let out = out.unwrap_or_else(|| saved.output(SAMPLES));
    pictures::write_each(&out, &images)?;
    let all = out.join(SHEET);
    sheet::write_grid(&all, &images)?;
    let from = match from {
        DrawnFrom::Prior => "the prior",
        DrawnFrom::Histogram => "the codes' histogram",
    };
    out!("{}: {} pictures from {from}", out.display(), images.len());
    out!("{}", all.display());
    Ok(ExitCode::SUCCESS)
}

pub async fn interpolate(device: &DeviceArgs, args: &InterpolateArgs) -> Result<ExitCode> {
    check("count", args.count, 2, 64)?;
    let saved = saved::read(&args.run)?;
    let [a, b] = [&args.a, &args.b].map(|path| saved::image(&saved, path));
    let (a, b) = (a?, b?);
    if a.shape != b.shape {
        let size = |image: &Images| format!("{} x {}", image.shape[2], image.shape[1]);
        return Err(Error::file(
            &args.b,
            format!(
                "is {}, {} is {}; both must be of one size",
                size(&b),
                args.a.display(),
                size(&a)
            ),
        ));
    }
    let session = saved.session_without_data(device.open().await?)?;
    let between = session.interpolate(&a, &b, args.count).await;
    let between = between.map_err(|e| saved::about(&args.a, e))?;
    let mut row = a.clone();
    row.pixels.extend_from_slice(&between.pixels);
    row.pixels.extend_from_slice(&b.pixels);
    let out = args.out.clone();
    let out = out.unwrap_or_else(|| saved.output(INTERPOLATION));
    sheet::write_row(&out, &row)?;
    out!(
        "{}: the first image, {} pictures from its codes to the other's, the other image",
        out.display(),
        args.count
    );
    Ok(ExitCode::SUCCESS)
}
