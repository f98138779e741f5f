//! What the tests of the command line share: running it, and small inputs.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use libtest_mimic::{Arguments, Failed, Trial};

/// A test in a folder of its own.
pub type Test = fn(&Path) -> Result<(), Failed>;

/// Runs `semivq` in `folder`.
pub fn semivq(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_semivq"));
    command.current_dir(folder).args(args);
    command.env("SEMIVQ_CACHE", folder.join("cache"));
    // `data` needs no GPU.
    if let (Ok(adapter), false) = (std::env::var("SEMIVQ_ADAPTER"), args[0] == "data") {
        command.args(["--adapter", &adapter]);
    }
    command.output().unwrap()
}

/// An error that says `message` unless it `holds`.
pub fn ensure(holds: bool, message: impl Into<String>) -> Result<(), Failed> {
    if holds {
        Ok(())
    } else {
        Err(message.into().into())
    }
}

/// Runs and expects success; returns what it printed.
pub fn good(folder: &Path, args: &[&str]) -> Result<String, Failed> {
    let output = semivq(folder, args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure(output.status.success(), format!("{args:?}: {stderr}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs and expects `code` and one line that says `want`, without a panic.
pub fn bad(folder: &Path, args: &[&str], code: i32, want: &str) -> Result<(), Failed> {
    let output = semivq(folder, args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure(
        output.status.code() == Some(code),
        format!("{args:?}: {:?}, {stderr}", output.status),
    )?;
    ensure(
        stderr.contains(want),
        format!("{args:?}: {stderr:?} does not say {want:?}"),
    )?;
    ensure(!stderr.contains("panicked"), format!("{args:?}: {stderr}"))?;
    let errors = stderr.lines().filter(|l| l.starts_with("error:")).count();
    ensure(
        errors == 1,
        format!("{args:?}: {errors} error lines: {stderr}"),
    )
}

/// An IDX file.
pub fn idx(magic: u8, sizes: &[u32], values: impl Iterator<Item = u8>) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, magic];
    for size in sizes {
        bytes.extend(size.to_be_bytes());
    }
    bytes.extend(values);
    bytes
}

/// A folder of IDX files: `count` train images, 13 test images, 8 by 12.
pub fn write_data(folder: &Path, count: u32) {
    std::fs::create_dir_all(folder).unwrap();
    let images = |n: u32| {
        idx(
            3,
            &[n, 8, 12],
            (0..n * 96).map(|i| (i / 7 * 37 % 256) as u8),
        )
    };
    std::fs::write(folder.join("train-images-idx3-ubyte"), images(count)).unwrap();
    std::fs::write(folder.join("t10k-images-idx3-ubyte"), images(13)).unwrap();
    std::fs::write(
        folder.join("train-labels-idx1-ubyte"),
        idx(1, &[count], (0..count).map(|i| (i % 10) as u8)),
    )
    .unwrap();
}

/// The file's bytes.
pub fn read(path: PathBuf) -> Result<Vec<u8>, Failed> {
    std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()).into())
}

/// A run that takes a moment; the last argument is missing.
pub const SMALL: [&str; 8] = [
    "train",
    "--data",
    "data",
    "--batch",
    "8",
    "--num-codes",
    "16",
    "--out",
];

/// The arguments of a small run in `out`.
pub fn train<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = SMALL.to_vec();
    args.push(out);
    args.extend(more);
    args
}

/// The files of a folder by their names, as far as equal runs share them.
pub type Contents = BTreeMap<String, Vec<u8>>;

/// Fails with the first file in which `x` and `y`, the contents of `at`, differ.
pub fn same_files(at: &Path, x: &Contents, y: &Contents) -> Result<(), Failed> {
    let names = |m: &Contents| m.keys().cloned().collect::<Vec<_>>();
    let at = at.display();
    ensure(
        names(x) == names(y),
        format!("{at}: {:?}, {:?}", names(x), names(y)),
    )?;
    for (name, bytes) in x {
        ensure(*bytes == y[name], format!("{at}: {name} differs"))?;
    }
    Ok(())
}

/// Runs `tests`, each in a folder of its own with images in `data`; without an adapter those that are not in
/// `anywhere` are ignored.
pub fn run_all(tests: &[(&str, Test)], anywhere: &[&str]) {
    let mut args = Arguments::from_args();
    args.test_threads = Some(1);
    let why = super::gpu().err();
    if let Some(why) = &why {
        println!("tests that train are ignored: {why}");
    }
    let trials = tests.iter().map(|(name, test)| {
        let test = *test;
        Trial::test(*name, move || {
            let folder = tempfile::tempdir()?;
            write_data(&folder.path().join("data"), 40);
            test(folder.path())
        })
        .with_ignored_flag(why.is_some() && !anywhere.contains(name))
    });
    libtest_mimic::run(&args, trials.collect()).exit();
}
