//! `semivq data`

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use semivq::data::{Dataset, Source};
use semivq::models::ModelOptions;
use semivq::run::{io_error, sheet, stored};
use semivq::train::{RESIDENT, TrainOptions};
use semivq::{Error, Result, options};
use serde_json::json;

use super::given::Given;
use super::saved::notes;
use super::train;

/// The first bytes of a PNG file.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Classes that are listed at most.
const LISTED: usize = 24;

#[derive(Args)]
pub struct DataArgs {
    /// A folder or file as `train --data` takes it, or glyphs or scenes, which are built in
    #[arg(default_value = "glyphs", value_name = "DIR|glyphs|scenes")]
    data: PathBuf,
    /// Resize and crop the images of a folder to this height and width; of built-in scenes 32 or 64
    #[arg(long, value_parser = |t: &str| options::IMAGE_SIZE.parse::<usize>(t))]
    image_size: Option<usize>,
    /// Leave out the images of a folder that cannot be read, and say which
    #[arg(long)]
    skip_bad: bool,
    /// Seed of built-in images and of the test part where one is held out
    #[arg(long, default_value = "0", value_parser = |t: &str| options::SEED.parse::<u64>(t))]
    seed: u64,
    /// The sheet of training images to write, a PNG [default: runs/data-NAME.png]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl DataArgs {
    /// Where the sheet goes.
    ///
    /// # Errors
    /// [`Error::Config`] when something else lies there.
    fn sheet(&self) -> Result<PathBuf> {
        let Some(out) = &self.out else {
            let whole = std::path::absolute(&self.data).unwrap_or_else(|_| self.data.clone());
            let name = whole.file_name().unwrap_or_default().to_string_lossy();
            return Ok(Path::new("runs").join(format!("data-{name}.png")));
        };
        let taken = out.is_dir()
            || std::fs::read(out).is_ok_and(|bytes| !bytes.is_empty() && !bytes.starts_with(PNG));
        if taken {
            let message = format!(
                "{} is no PNG and would be replaced; choose another --out",
                out.display()
            );
            return Err(Error::Config(message));
        }
        Ok(out.clone())
    }
}

pub fn run(args: &DataArgs, given: &Given) -> Result<ExitCode> {
    let out = args.sheet()?;
    let options = TrainOptions {
        data: Some(stored(&args.data, "data")?),
        image_size: args.image_size,
        skip_bad: args.skip_bad,
        seed: args.seed,
        ..TrainOptions::default()
    };
    let data = train::read(&options, given)?;
    say(&data)?;
    for note in notes(&data, given) {
        out!("note: {note}");
    }
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder).map_err(|e| io_error(folder, &e))?;
    }
    sheet::write_sheet(&out, &data)?;
    out!("sheet: {}", out.display());
    Ok(ExitCode::SUCCESS)
}

fn say(data: &Dataset) -> Result<()> {
    let [channels, height, width] = data.shape();
    let kind = match channels {
        1 => "grey".to_owned(),
        3 => "colour".to_owned(),
        n => format!("{n} channels"),
    };
    out!("{}: {}", data.name, data.about.format);
    out!(
        "images: {height} x {width}, {kind}; {} to train, {} to test",
        data.train.len(),
        data.test.len()
    );
    let (mut means, mut deviations) = (String::new(), String::new());
    for (mean, deviation) in sheet::moments(data.train.as_ref())? {
        // Writing to a string does not fail.
        let _ = write!(means, " {mean:.4}");
        let _ = write!(deviations, " {deviation:.4}");
    }
    out!("pixels, from 0 to 1: mean{means}, standard deviation{deviations}");
    say_classes(data);
    let bytes = data.train.len() as u64 * data.train.stride() as u64;
    let place = if bytes <= RESIDENT {
        "kept on the GPU"
    } else {
        "streamed to the GPU"
    };
    out!(
        "memory: {:.1} MiB to train on, {place}",
        bytes as f64 / f64::from(1 << 20)
    );
    out!("models: {}", models(data)?);
    if let Some(cache) = &data.about.cache {
        out!("cache: {}", cache.display());
    }
    Ok(())
}

/// The classes and how many training images each has.
fn say_classes(data: &Dataset) {
    let counts = sheet::class_counts(data.train.as_ref());
    if counts.is_empty() {
        out!("classes: none");
        return;
    }
    let name = |i: usize| {
        data.about
            .classes
            .get(i)
            .cloned()
            .unwrap_or_else(|| i.to_string())
    };
    let all = counts.iter().enumerate();
    let mut listed: Vec<String> = all
        .map(|(i, count)| format!("{} {count}", name(i)))
        .collect();
    let more = listed.len().saturating_sub(LISTED);
    if more > 0 {
        listed.truncate(LISTED);
        listed.push(format!("and {more} more"));
    }
    out!("classes: {}; {}", counts.len(), listed.join(", "));
}

/// The models that take images of this size.
fn models(data: &Dataset) -> Result<String> {
    let mut takes = Vec::new();
    let mut asked = Vec::new();
    for name in ModelOptions::NAMES {
        let by = TrainOptions::from_partial(json!({"model": name}))?
            .model
            .granularity();
        asked.push(format!("{name} by {by}"));
        if data.check_size(by).is_ok() {
            takes.push(name);
        }
    }
    Ok(match takes.len() {
        0 => format!(
            "none; height and width must be divisible: for {}",
            asked.join(", ")
        ),
        _ => takes.join(", "),
    })
}
