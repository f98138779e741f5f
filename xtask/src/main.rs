//! The project's chores; each sets up what it needs first.

mod lean;
mod setup;
mod test;
mod web;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::LazyLock;

use cargo_metadata::{Artifact, Message};

const USAGE: &str =
    "usage: cargo xtask test | fuzz | browser [FILTER] | tables | web | serve [PORT]

  test     installs what the tests need (Debian and Ubuntu; elsewhere it names it), then checks
           formatting, lints (native, wasm32, without features, for Windows and macOS) and
           documentation, and runs all tests, also in headless Chromium.
           SEMIVQ_REQUIRE_GPU=1 makes a missing adapter a failure, SEMIVQ_ADAPTER chooses one.
  fuzz     2000 damaged files of each kind that is read, of which the tests try 200
  browser  only the tests in headless Chromium, of those only the files whose names contain FILTER
  tables   writes www/options.ts, which is made of the tables of options and methods
  web      builds the core for the browser and the page into dist/, which any file server can host
           and which is an npm package too
  serve    web, then serves dist/, compressed, at http://localhost:PORT (8080)";

/// `CARGO_TARGET_DIR`, whole: a relative one is meant from the folder that this was called in.
static TARGET: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
    let folder = std::env::var_os("CARGO_TARGET_DIR").filter(|folder| !folder.is_empty())?;
    std::path::absolute(folder).ok()
});

fn main() -> ExitCode {
    LazyLock::force(&TARGET);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if let Err(error) = std::env::set_current_dir(&root) {
        eprintln!("error: {}: {error}", root.display());
        return ExitCode::FAILURE;
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["test"] => test::run_all(),
        ["fuzz"] => test::fuzz(),
        ["tables"] => test::tables(),
        ["web"] => web::build(),
        ["browser"] => test::browser(""),
        ["browser", filter] => test::browser(filter),
        ["serve"] => web::serve("8080"),
        ["serve", port] if port.parse::<u16>().is_ok() => web::serve(port),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// The cargo that runs this.
fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".into())
}

/// `program` with the words of `args`, which hold no spaces of their own.
fn command(program: &str, args: &str, environment: &[(&str, &str)]) -> Command {
    println!("\n$ {program} {args}");
    // npm is a script there, which is found by its whole name only.
    let npm = cfg!(windows) && program == "npm";
    let mut command = Command::new(if npm { "npm.cmd" } else { program });
    command.args(args.split_whitespace());
    command.envs(environment.iter().copied());
    if let Some(folder) = &*TARGET {
        command.env("CARGO_TARGET_DIR", folder);
    }
    command
}

/// Runs it.
fn run(program: &str, args: &str, environment: &[(&str, &str)]) -> Result<(), String> {
    let status = command(program, args, environment).status();
    let status = status.map_err(|e| format!("{program}: {e}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("`{program} {args}` failed ({status})"))
}

/// Runs cargo, and returns the file of each of the `targets` that it made: the program, or what ends
/// in `ending`.
fn build(args: &str, targets: &[&str], ending: &str) -> Result<Vec<PathBuf>, String> {
    let args = format!("{args} --message-format json-render-diagnostics");
    let cargo = cargo();
    let mut child = command(&cargo, &args, &[])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{cargo}: {e}"))?;
    let mut artifacts: Vec<Artifact> = Vec::new();
    if let Some(output) = child.stdout.take() {
        for message in Message::parse_stream(std::io::BufReader::new(output)) {
            if let Message::CompilerArtifact(artifact) =
                message.map_err(|e| format!("{cargo}: {e}"))?
            {
                artifacts.push(artifact);
            }
        }
    }
    let status = child.wait().map_err(|e| format!("{cargo}: {e}"))?;
    if !status.success() {
        return Err(format!("`cargo {args}` failed ({status})"));
    }
    let file = |target: &&str| {
        let own = || artifacts.iter().filter(|a| a.target.name == **target);
        let programs = own().filter_map(|a| a.executable.as_ref());
        let mut files = programs.chain(own().flat_map(|a| &a.filenames));
        let file = files.find(|file| file.as_str().ends_with(ending));
        file.map(|file| file.clone().into_std_path_buf())
            .ok_or_else(|| format!("`cargo {args}` made no {target}{ending}"))
    };
    targets.iter().map(file).collect()
}
