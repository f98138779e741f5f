//! Damaged files of every kind that is read: each is taken, or refused in one line with exit code 1 or 2;
//! nothing panics, hangs or takes a gibibyte of memory.
//!
//! 200 mutants a kind, `SEMIVQ_FUZZ` says another number (`cargo xtask fuzz`: 2000). The parsers run in
//! this process; checkpoints, configurations and a sample of the others through the program.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "fuzz/mutate.rs"]
mod mutate;
mod support;

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use mutate::{Rng, mutate};
use peak_alloc::PeakAlloc;
use semivq::data::{cifar, idx, npy, picture};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bytes.
const MOST_MEMORY: usize = 1 << 30;
/// The longest that the program may take over one file.
const PATIENCE: Duration = Duration::from_secs(120);

type Parse = fn(&Path, &[u8]) -> semivq::Result<()>;
/// Sound files of one kind.
type Sound = Vec<Vec<u8>>;
type Finish = fn(&mut Rng, Vec<u8>) -> Vec<u8>;

fn mutants() -> usize {
    let given = std::env::var("SEMIVQ_FUZZ").ok();
    given.map_or(200, |n| n.parse().expect("SEMIVQ_FUZZ is a number"))
}

/// Mutant `index` of a kind: a sound file, damaged, and wrapped as `finish` has it.
fn mutant(kind: &Kind, index: usize) -> Vec<u8> {
    let mut rng = Rng::new(kind.name, index);
    let mut bytes = kind.sound[index % kind.sound.len()].clone();
    let other = kind.sound[rng.below(kind.sound.len())].clone();
    if kind.text && rng.coin() {
        // A text that is still one is the likelier to be believed.
        mutate::value(&mut rng, &mut bytes);
    } else {
        mutate(&mut rng, &mut bytes, &other, kind.head);
    }
    (kind.finish)(&mut rng, bytes)
}

struct Kind {
    name: &'static str,
    sound: Sound,
    /// Bytes in which sizes stand.
    head: usize,
    /// Whether it is JSON.
    text: bool,
    /// What is done to the damaged bytes, so that more than a checksum is tried.
    finish: Finish,
}

fn as_is(_: &mut Rng, bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

fn idx_file(sizes: &[u32]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    bytes.extend(sizes.iter().flat_map(|s| s.to_be_bytes()));
    let count: u32 = sizes.iter().product();
    bytes.extend((0..count).map(|i| (i / 7 * 37 % 256) as u8));
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Half of the mutants are damaged before they are compressed, half afterwards.
fn gzip_mutant(rng: &mut Rng, bytes: Vec<u8>) -> Vec<u8> {
    let mut zipped = gzip(&bytes);
    if rng.coin() {
        return zipped;
    }
    let other = zipped.clone();
    mutate(rng, &mut zipped, &other, 16);
    zipped
}

/// Half of the mutants get right checksums again, or nothing behind the first chunk would be tried.
fn png_mutant(rng: &mut Rng, mut bytes: Vec<u8>) -> Vec<u8> {
    if rng.coin() {
        return bytes;
    }
    let mut at = 8;
    while let Some(length) = bytes.get(at..at + 4) {
        let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
        let end = at + 8 + length;
        if end + 4 > bytes.len() {
            break;
        }
        let mut crc = flate2::Crc::new();
        crc.update(&bytes[at + 4..end]);
        bytes[end..end + 4].copy_from_slice(&crc.sum().to_be_bytes());
        at = end + 4;
    }
    bytes
}

/// The files of `tests/cases/FOLDER` whose extension is that too.
fn cases(folder: &str) -> Sound {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases")
        .join(folder);
    let entries = std::fs::read_dir(path).unwrap().map(|e| e.unwrap().path());
    let mut paths: Vec<PathBuf> = entries
        .filter(|p| p.extension().is_some_and(|e| e == folder))
        .collect();
    paths.sort();
    paths.iter().map(|p| std::fs::read(p).unwrap()).collect()
}

/// Images of two sizes, one of them grey.
fn encoded(format: image::ImageFormat) -> Sound {
    let colour = image::RgbImage::from_fn(16, 12, |x, y| {
        image::Rgb([x * 9, y * 17, x * y].map(|v| v as u8))
    });
    let grey = image::GrayImage::from_fn(24, 8, |x, y| image::Luma([(x * y) as u8]));
    let all = [image::DynamicImage::from(colour), grey.into()];
    let written = all.map(|image| {
        let mut out = std::io::Cursor::new(Vec::new());
        image.write_to(&mut out, format).unwrap();
        out.into_inner()
    });
    written.into()
}

fn kind(name: &'static str) -> Kind {
    let (sound, head, finish): (Sound, usize, Finish) = match name {
        "IDX images" => (vec![idx_file(&[9, 8, 12]), idx_file(&[2, 4, 4])], 16, as_is),
        "IDX labels" => (vec![idx_file(&[40]), idx_file(&[3])], 8, as_is),
        "gzip" => (
            vec![idx_file(&[9, 8, 12]), idx_file(&[40, 4, 4])],
            16,
            gzip_mutant,
        ),
        "CIFAR" => {
            let records = |labels: usize| (0..2 * (3072 + labels)).map(|i| (i % 7) as u8).collect();
            (vec![records(1), records(2)], 4, as_is)
        }
        ".npy" => (cases("npy"), 140, as_is),
        "PNG" => (cases("png"), 80, png_mutant),
        "JPEG" => (encoded(image::ImageFormat::Jpeg), 640, as_is),
        "WebP" => (encoded(image::ImageFormat::WebP), 60, as_is),
        "BMP" => (encoded(image::ImageFormat::Bmp), 60, as_is),
        _ => unreachable!("{name} is no kind"),
    };
    Kind {
        name,
        sound,
        head,
        text: false,
        finish,
    }
}

/// The parsers of this process and how they are called.
const PARSERS: [(&str, Parse); 9] = [
    ("IDX images", |path, bytes| {
        idx::parse_images(&path.display().to_string(), bytes).map(|_| ())
    }),
    ("IDX labels", |path, bytes| {
        idx::parse_labels(&path.display().to_string(), bytes).map(|_| ())
    }),
    ("gzip", |path, bytes| {
        idx::parse_images(&path.display().to_string(), bytes).map(|_| ())
    }),
    ("CIFAR", |path, bytes| {
        cifar::parse(&path.display().to_string(), bytes).map(|_| ())
    }),
    (".npy", |path, bytes| npy::parse(path, bytes).map(|_| ())),
    ("PNG", |path, bytes| {
        picture::parse(path, bytes, 1)?;
        picture::parse(path, bytes, 3).map(|_| ())
    }),
    ("JPEG", |path, bytes| {
        picture::parse(path, bytes, 3).map(|_| ())
    }),
    ("WebP", |path, bytes| {
        picture::parse(path, bytes, 3).map(|_| ())
    }),
    ("BMP", |path, bytes| {
        picture::parse(path, bytes, 3).map(|_| ())
    }),
];

/// Every mutant is taken or refused in one line that begins with the file's name.
fn in_process(name: &'static str, parse: Parse) -> Result<(), Failed> {
    let kind = kind(name);
    let path = Path::new("the file");
    let mut refused = 0;
    for sound in &kind.sound {
        let sound = if name == "gzip" {
            gzip(sound)
        } else {
            sound.clone()
        };
        if let Err(error) = parse(path, &sound) {
            refused += 1;
            // The cases of .npy hold some that are refused for good reason.
            if name != ".npy" {
                return Err(format!("a sound file is refused: {error}").into());
            }
        }
    }
    if refused == kind.sound.len() {
        return Err("every sound file is refused".into());
    }
    let mut tally = [0_usize; 2];
    for index in 0..mutants() {
        let bytes = mutant(&kind, index);
        let outcome = catch_unwind(AssertUnwindSafe(|| parse(path, &bytes)));
        let outcome = outcome.map_err(|_| format!("mutant {index} of {name} panics"))?;
        tally[usize::from(outcome.is_err())] += 1;
        if let Err(error) = outcome {
            let text = error.to_string();
            if !text.starts_with("the file: ") || text.contains(['\n', '\r']) {
                return Err(format!("mutant {index} of {name}: {text:?}").into());
            }
        }
        let peak = MEMORY.peak_usage();
        if peak > MOST_MEMORY {
            return Err(format!("mutant {index} of {name}: {peak} bytes at once").into());
        }
    }
    println!("{name}: {} taken, {} refused", tally[0], tally[1]);
    // Damage that never hurts, or always the same way, tries nothing.
    if tally[1] == 0 {
        return Err("no mutant is refused".into());
    }
    Ok(())
}

/// The program in `folder`, in a gibibyte of address space where it starts in that at all.
struct Program {
    folder: tempfile::TempDir,
    limited: bool,
}

impl Program {
    /// With a run of two steps in `run`.
    fn new() -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        std::fs::create_dir(&data)?;
        for (part, count) in [("train", 20), ("t10k", 4)] {
            let bytes = idx_file(&[count, 8, 8]);
            std::fs::write(data.join(format!("{part}-images-idx3-ubyte")), bytes)?;
        }
        let mut program = Self {
            folder,
            limited: false,
        };
        let train =
            "train --data data --batch 4 --num-codes 8 --feature-size 4 --steps 2 --out run";
        program
            .outcome(train, "the sound run")
            .and_then(must_succeed)?;
        program.limited = cfg!(unix);
        if program.limited && program.outcome(EVAL, "in a gibibyte")?.0 != 0 {
            println!("the driver needs more than a gibibyte of addresses: memory is not limited");
            program.limited = false;
        }
        Ok(program)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Failed> {
        Ok(std::fs::write(self.folder.path().join(name), bytes)?)
    }

    /// Exit code and standard error of `args`; `what` is tried.
    fn outcome(&self, args: &str, what: &str) -> Result<(i32, String), Failed> {
        let program = env!("CARGO_BIN_EXE_semivq");
        let mut command = if self.limited {
            let mut shell = Command::new("sh");
            shell.args(["-c", "ulimit -v 1048576 && exec \"$@\"", "sh", program]);
            shell
        } else {
            Command::new(program)
        };
        command.env("SEMIVQ_CACHE", self.folder.path().join("cache"));
        command.args(args.split_whitespace());
        // `data` needs no GPU.
        if let (Ok(adapter), false) = (std::env::var("SEMIVQ_ADAPTER"), args.starts_with("data ")) {
            command.args(["--adapter", &adapter]);
        }
        let errors = self.folder.path().join("stderr");
        command
            .current_dir(self.folder.path())
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&errors)?);
        let mut child = command.spawn()?;
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if started.elapsed() > PATIENCE {
                child.kill()?;
                child.wait()?;
                return Err(format!("{what}: not done after {PATIENCE:?}").into());
            }
            std::thread::sleep(Duration::from_millis(3));
        };
        let text = String::from_utf8_lossy(&std::fs::read(&errors)?).into_owned();
        let code = status
            .code()
            .ok_or_else(|| format!("{what}: {status}, {text}"))?;
        Ok((code, text))
    }

    /// `args` succeed, or end with one line and exit code 1 or 2; whether they succeed.
    fn holds(&self, args: &str, what: &str) -> Result<bool, Failed> {
        let (code, text) = self.outcome(args, what)?;
        let lines: Vec<&str> = text.lines().filter(|line| !from_the_driver(line)).collect();
        let one = matches!(lines[..], [line] if line.starts_with("error: "));
        match (code, one) {
            (0, _) if lines.is_empty() => Ok(true),
            (1 | 2, true) => Ok(false),
            _ => Err(format!("{what}: {args}: exit code {code}, {text}").into()),
        }
    }
}

fn must_succeed((code, text): (i32, String)) -> Result<(), Failed> {
    if code == 0 {
        return Ok(());
    }
    Err(format!("exit code {code}: {text}").into())
}

/// Mesa's device-select layer, on machines without a desktop.
fn from_the_driver(line: &str) -> bool {
    line.contains("XDG_RUNTIME_DIR")
}

/// Evaluates the run.
const EVAL: &str = "eval run";
/// Goes on with the run for a step, in a folder of its own, so that the run stays as it is.
const RESUME: &str = "train --resume run/checkpoint.safetensors --steps 3 --out new --overwrite";

/// Mutants of `file` in the run's folder, each tried with `command`.
fn in_the_run(name: &'static str, file: &str, head: usize, command: &str) -> Result<(), Failed> {
    let program = Program::new()?;
    let path = program.folder.path().join(file);
    let sound = std::fs::read(&path)?;
    let kind = Kind {
        name,
        sound: vec![sound],
        head,
        text: file.ends_with(".json"),
        finish: as_is,
    };
    let mut tally = [0_usize; 2];
    for index in 0..mutants() {
        program.write(file, &mutant(&kind, index))?;
        let taken = program.holds(command, &format!("mutant {index} of {name}"))?;
        tally[usize::from(!taken)] += 1;
    }
    println!("{name}: {} taken, {} refused", tally[0], tally[1]);
    program.write(file, &kind.sound[0])?;
    program
        .outcome(command, "the sound run again")
        .and_then(must_succeed)?;
    if tally[1] == 0 {
        return Err("no mutant is refused".into());
    }
    Ok(())
}

/// A tenth of the mutants of the other kinds, as the user gives them to the program.
fn on_the_command_line() -> Result<(), Failed> {
    let program = Program::new()?;
    let train = "train --data data --batch 1 --num-codes 8 --feature-size 4 --steps 1 --overwrite --out new";
    let folder = "data images --image-size 8 --out sheet.png";
    let sound = encoded(image::ImageFormat::Jpeg);
    std::fs::create_dir(program.folder.path().join("images"))?;
    for i in 0..3 {
        program.write(&format!("images/{i}.jpg"), &sound[i % 2])?;
    }
    for (name, file, args) in [
        ("IDX images", "data/train-images-idx3-ubyte", train),
        ("gzip", "data/t10k-images-idx3-ubyte", train),
        (".npy", "x.npy", "decode run x.npy"),
        ("PNG", "x.png", "reconstruct run x.png"),
        ("JPEG", "images/a.jpg", folder),
        ("WebP", "images/a.jpg", folder),
        ("PNG", "images/a.jpg", folder),
    ] {
        let before = std::fs::read(program.folder.path().join(file)).ok();
        let kind = kind(name);
        for index in 0..mutants() / 10 {
            program.write(file, &mutant(&kind, index))?;
            program.holds(args, &format!("mutant {index} of {name}"))?;
        }
        if let Some(before) = before {
            program.write(file, &before)?;
        } else {
            std::fs::remove_file(program.folder.path().join(file))?;
        }
    }
    Ok(())
}

fn main() {
    let args = Arguments::from_args();
    let why = support::gpu().err();
    if let Some(why) = &why {
        println!("GPU tests are ignored: {why}");
    }
    let mut trials: Vec<Trial> = PARSERS
        .into_iter()
        .map(|(name, parse)| Trial::test(name, move || in_process(name, parse)))
        .collect();
    let on_gpu = [
        Trial::test("checkpoint", || {
            in_the_run("checkpoint", "run/checkpoint.safetensors", 400, EVAL)
        }),
        Trial::test("configuration", || {
            in_the_run("configuration", "run/config.json", usize::MAX, EVAL)
        }),
        // Its model file is sound.
        Trial::test("training state", || {
            in_the_run("training state", "run/training-2.safetensors", 400, RESUME)
        }),
        Trial::test("on the command line", on_the_command_line),
    ];
    trials.extend(on_gpu.map(|trial| trial.with_ignored_flag(why.is_some())));
    libtest_mimic::run(&args, trials).exit();
}
