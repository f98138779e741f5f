//! What is in the folder, and where its data are.

use std::path::Path;
#[cfg(unix)]
use std::process::Command;

use libtest_mimic::Failed;

#[cfg(unix)]
use super::PROGRAM;
use super::support::command::{bad, ensure, good, read, train, write_data};

/// What is there and listed after --overwrite is what this run wrote; what is not a run's stays.
pub fn overwrite_leaves_nothing_behind(folder: &Path) -> Result<(), Failed> {
    good(folder, &train("a", &["--steps", "3"]))?;
    good(folder, &["encode", "a"])?;
    good(folder, &["decode", "a", "a/codes.npy"])?;
    good(folder, &["reconstruct", "a", "a/decoded/0.png"])?;
    for mine in [
        "a/notes.txt",
        "a/decoded/mine.png",
        "a/training-set.safetensors",
    ] {
        std::fs::write(folder.join(mine), b"mine")?;
    }
    let args = [
        "train",
        "--data",
        "data",
        "--batch",
        "8",
        "--no-vq",
        "--steps",
        "1",
        "--overwrite",
        "--out",
        "a",
    ];
    let text = good(folder, &args)?;
    for gone in [
        "codes.png",
        "curves.png",
        "codes.npy",
        "decoded/0.png",
        "reconstructed",
        "training-3.safetensors",
    ] {
        ensure(
            !folder.join("a").join(gone).exists(),
            format!("{gone} is still there"),
        )?;
        ensure(!text.contains(gone), format!("{gone} is listed: {text}"))?;
    }
    for mine in [
        "a/notes.txt",
        "a/decoded/mine.png",
        "a/training-set.safetensors",
    ] {
        ensure(
            read(folder.join(mine))? == b"mine",
            format!("{mine} was touched"),
        )?;
    }
    // What is listed is there.
    for line in text.lines().filter(|l| l.starts_with("  ")) {
        for name in line.split([' ', ',']).filter(|w| w.contains('.')) {
            ensure(
                folder.join("a").join(name).exists(),
                format!("{name} is listed"),
            )?;
        }
    }
    Ok(())
}

/// Data are found from anywhere, or asked for where they are needed; what needs none does not ask.
pub fn a_run_and_its_data(folder: &Path) -> Result<(), Failed> {
    let [here, there] = ["here", "there"].map(|f| folder.join(f));
    for dir in [&here, &there] {
        std::fs::create_dir_all(dir)?;
    }
    write_data(&here.join("d8"), 40);
    let args = [
        "train",
        "--data",
        "d8",
        "--batch",
        "8",
        "--num-codes",
        "16",
        "--out",
        "r",
        "--steps",
        "2",
    ];
    good(&here, &args)?;
    let figures = good(&here, &["eval", "r", "--json"])?;
    ensure(
        good(&there, &["eval", "../here/r", "--json"])? == figures,
        "other figures",
    )?;
    good(&there, &["train", "--resume", "../here/r", "--steps", "3"])?;
    good(&here, &["encode", "r"])?;
    good(&here, &["decode", "r", "r/codes.npy"])?;
    let figures = good(&here, &["eval", "r", "--json"])?;
    std::fs::rename(here.join("d8"), folder.join("moved"))?;
    for command in [
        &["eval", "r"][..],
        &["encode", "r"],
        &["train", "--resume", "r", "--steps", "4"],
    ] {
        bad(&here, command, 1, "name theirs with --data")?;
    }
    ensure(
        good(&here, &["eval", "r", "--json", "--data", "../moved"])? == figures,
        "other figures",
    )?;
    let image = "../here/r/decoded/0.png";
    for command in [
        &["reconstruct", "../here/r", image][..],
        &["encode", "../here/r", image],
        &["decode", "../here/r", "../here/r/codes.npy"],
    ] {
        good(&there, command)?;
    }
    good(&here, &["encode", "r", "--data", "../moved"])?;
    let text = good(
        &here,
        &[
            "train", "--resume", "r", "--steps", "4", "--data", "../moved",
        ],
    )?;
    ensure(text.contains("on the images in ../moved"), text)?;
    // It is stored.
    good(&there, &["eval", "../here/r"])?;
    // A checkpoint file alone: results beside it, under its name.
    std::fs::copy(
        here.join("r/checkpoint.safetensors"),
        there.join("lone.safetensors"),
    )?;
    good(
        folder,
        &["encode", "there/lone.safetensors", "here/r/decoded/0.png"],
    )?;
    good(
        folder,
        &["decode", "there/lone.safetensors", "there/lone-codes.npy"],
    )?;
    good(
        folder,
        &[
            "reconstruct",
            "there/lone.safetensors",
            "here/r/decoded/0.png",
        ],
    )?;
    ensure(
        read(there.join("lone-decoded/0.png"))? == read(there.join("lone-reconstructed/0.png"))?,
        "codes there and back differ from a reconstruction",
    )?;
    ensure(
        good(folder, &["eval", "there/lone.safetensors", "--json"])?
            == good(folder, &["eval", "here/r", "--json"])?,
        "other figures",
    )?;
    bad(
        folder,
        &[
            "train",
            "--resume",
            "there/lone.safetensors",
            "--steps",
            "9",
        ],
        1,
        "training-4.safetensors",
    )?;
    bad(
        folder,
        &["eval", "nope.safetensors"],
        1,
        "nope.safetensors: No such file",
    )?;
    bad(folder, &["eval", "data"], 1, "is data the folder of a run?")
}

#[cfg(unix)]
pub fn a_path_that_is_no_utf8(folder: &Path) -> Result<(), Failed> {
    use std::os::unix::ffi::OsStrExt as _;
    let data = folder.join(std::ffi::OsStr::from_bytes(b"d\xff"));
    write_data(&data, 40);
    let output = Command::new(PROGRAM)
        .current_dir(folder)
        .args(["train", "--out", "a", "--data"])
        .arg(&data)
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure(
        output.status.code() == Some(2) && text.contains("no UTF-8"),
        text,
    )?;
    ensure(!folder.join("a").exists(), "a refused run left a folder")
}

/// Output that is lost is an error; a reader that has enough is not.
#[cfg(target_os = "linux")]
pub fn lost_output_is_an_error(folder: &Path) -> Result<(), Failed> {
    good(folder, &train("a", &["--steps", "1"]))?;
    let shell = |line: &str| -> Result<(Option<i32>, String), Failed> {
        let output = Command::new("sh")
            .current_dir(folder)
            .args(["-c", line, PROGRAM])
            .output()?;
        Ok((
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ))
    };
    for (line, want) in [
        ("\"$0\" eval a --json > /dev/full", Some(1)),
        ("\"$0\" eval a --json >&-", Some(1)),
        ("\"$0\" methods > /dev/full", Some(1)),
        ("\"$0\" methods >&-", Some(1)),
        ("\"$0\" --help > /dev/full", Some(1)),
        ("\"$0\" --help >&-", Some(1)),
        ("\"$0\" --version >&-", Some(1)),
        ("\"$0\" train --help >&-", Some(1)),
        ("\"$0\" train --voodoo >&-", Some(2)),
        ("\"$0\" eval a --json > /dev/null", Some(0)),
        ("\"$0\" eval a --json 1<> /dev/null", Some(0)),
        (
            "{ sleep 0.5; \"$0\" methods; test $? = 0 || echo panicked >&2; } | true",
            Some(0),
        ),
        ("\"$0\" eval a 2>&- > /dev/null", Some(0)),
    ] {
        let (code, text) = shell(line)?;
        ensure(code == want, format!("{line}: {code:?}, {text}"))?;
        ensure(!text.contains("panicked"), format!("{line}: {text}"))?;
        if want == Some(1) {
            ensure(
                text.contains("error: standard output"),
                format!("{line}: {text}"),
            )?;
        }
    }
    Ok(())
}
