//! The folder of a run. Every file is written under a temporary name and renamed, so that a
//! reader sees the old one or the new one; only the metrics are appended to.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use semivq::data::{Dataset, idx, synthetic};
use semivq::train::{Method, Session, StepMetrics, TrainOptions};
use semivq::{Error, Result};

pub const CONFIG: &str = "config.json";
pub const CHECKPOINT: &str = "checkpoint.safetensors";
pub const METRICS: &str = "metrics.jsonl";
pub const SUMMARY: &str = "summary.json";

/// An I/O error about `path`, with what to do about the usual ones.
pub fn io_error(path: &Path, error: &std::io::Error) -> Error {
    use std::io::ErrorKind;
    let hint = match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "; choose another folder with --out"
        }
        ErrorKind::StorageFull => "; free some space, then go on with --resume",
        ErrorKind::NotFound => "; check the path",
        _ => "",
    };
    Error::file(path, format!("{error}{hint}"))
}

/// An error that came of what `path` holds: a code that does not exist, an image too large for the
/// device. What the file has no part in stays as it is.
pub fn about(path: &Path, error: Error) -> Error {
    match error {
        Error::Limit { .. } | Error::Shape(_) => Error::file(path, error.to_string()),
        other => other,
    }
}

/// Writes `bytes` to `path` under a temporary name first.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(|e| {
        // What is left of the temporary file is of no use, and may be what fills the disk.
        let _ = std::fs::remove_file(&temporary);
        io_error(path, &e)
    })
}

/// `value` as indented JSON.
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let mut text =
        serde_json::to_string_pretty(value).map_err(|e| Error::file(path, e.to_string()))?;
    text.push('\n');
    write_file(path, text.as_bytes())
}

/// The folder of a new run, created: `out`, or the next free `runs/METHOD-N`.
pub fn create(out: Option<&Path>, overwrite: bool, method: Method) -> Result<PathBuf> {
    let dir = match out {
        Some(dir) => {
            if dir.join(CONFIG).exists() && !overwrite {
                return Err(Error::Config(format!(
                    "{} holds a run already; go on with it (--resume {0}), choose another --out, or replace it \
                     (--overwrite)",
                    dir.display()
                )));
            }
            dir.to_path_buf()
        }
        None => {
            let numbered = |n: usize| PathBuf::from("runs").join(format!("{}-{n}", method.name()));
            (1..)
                .map(numbered)
                .find(|dir| !dir.exists())
                .unwrap_or_default()
        }
    };
    std::fs::create_dir_all(&dir).map_err(|e| io_error(&dir, &e))?;
    Ok(dir)
}

/// The options of the run in `dir`.
pub fn read_options(dir: &Path) -> Result<TrainOptions> {
    let path = dir.join(CONFIG);
    let text = std::fs::read_to_string(&path).map_err(|e| {
        Error::file(
            &path,
            format!("{e}; is {} the folder of a run?", dir.display()),
        )
    })?;
    serde_json::from_str(&text)
        .map_err(|e| Error::file(&path, format!("is no configuration of a run ({e})")))
}

/// The data set that the options name, or `data` in its place.
pub fn load_data(options: &TrainOptions, data: Option<&Path>) -> Result<Dataset> {
    match data.or(options.data.as_deref().map(Path::new)) {
        Some(folder) => idx::read_folder(folder),
        None => Ok(synthetic::glyphs(options.seed)),
    }
}

/// A session of `options`.
pub fn open_session(
    gpu: std::sync::Arc<semivq::gpu::Gpu>,
    options: &TrainOptions,
    data: Dataset,
) -> Result<Session> {
    let model = options.build_model(data.train.shape[0])?;
    Session::new(gpu, model, data, options.session())
}

/// Takes up the checkpoint of the run in `dir`.
pub fn restore(session: &mut Session, dir: &Path) -> Result<()> {
    let path = dir.join(CHECKPOINT);
    let bytes = std::fs::read(&path).map_err(|e| io_error(&path, &e))?;
    session
        .restore(&bytes)
        .map_err(|e| Error::file(&path, e.to_string()))
}

/// The growing file of metrics.
pub struct MetricsLog {
    path: PathBuf,
    file: BufWriter<File>,
    /// Every line so far, for the curves.
    pub lines: Vec<StepMetrics>,
    every: u32,
}

impl MetricsLog {
    /// The log of the run in `dir`, its lines up to step `keep` kept, later ones dropped.
    pub fn open(dir: &Path, keep: u32, every: u32) -> Result<Self> {
        let path = dir.join(METRICS);
        let mut lines: Vec<StepMetrics> = Vec::new();
        if keep > 0 {
            let text = std::fs::read_to_string(&path).map_err(|e| io_error(&path, &e))?;
            let parsed = text.lines().filter_map(|l| serde_json::from_str(l).ok());
            lines = parsed.filter(|m: &StepMetrics| m.step <= keep).collect();
        }
        let mut text = String::new();
        for line in &lines {
            text.push_str(&to_line(line));
        }
        write_file(&path, text.as_bytes())?;
        let file = OpenOptions::new()
            .append(true)
            .open(&path)
            .map_err(|e| io_error(&path, &e))?;
        Ok(Self {
            path,
            file: BufWriter::new(file),
            lines,
            every,
        })
    }

    pub fn add(&mut self, metrics: StepMetrics) -> Result<()> {
        if metrics.step.is_multiple_of(self.every) {
            let line = to_line(&metrics);
            self.file
                .write_all(line.as_bytes())
                .map_err(|e| io_error(&self.path, &e))?;
            self.lines.push(metrics);
        }
        Ok(())
    }

    pub fn flush(&mut self) -> Result<()> {
        self.file.flush().map_err(|e| io_error(&self.path, &e))
    }
}

fn to_line(metrics: &StepMetrics) -> String {
    let mut line = serde_json::to_string(metrics).unwrap_or_default();
    line.push('\n');
    line
}
