//! The project's chores; each sets up what it needs first.

mod setup;
mod test;
mod web;

use std::path::Path;
use std::process::{Command, ExitCode};

const USAGE: &str = "usage: cargo xtask test | fuzz | browser [FILTER] | web | serve [PORT]

  test     installs what the tests need (Debian and Ubuntu; elsewhere it names it), then checks
           formatting, lints (native and wasm32) and documentation, and runs all tests, also in
           headless Chromium.
           SEMIVQ_REQUIRE_GPU=1 makes a missing adapter a failure, SEMIVQ_ADAPTER chooses one.
  fuzz     2000 damaged files of each kind that is read, of which the tests try 200
  browser  only the tests in headless Chromium, of those only the files whose names contain FILTER
  web      builds the core for the browser and the page into dist/, which any file server can host
           and which is an npm package too
  serve    web, then serves dist/ at http://localhost:PORT (8080)";

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if let Err(error) = std::env::set_current_dir(&root) {
        eprintln!("error: {}: {error}", root.display());
        return ExitCode::FAILURE;
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["test"] => test::run_all(),
        ["fuzz"] => test::fuzz(),
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

/// Runs `program` with the words of `args`, which hold no spaces of their own.
fn run(program: &str, args: &str, environment: &[(&str, &str)]) -> Result<(), String> {
    println!("\n$ {program} {args}");
    let status = Command::new(program)
        .args(args.split_whitespace())
        .envs(environment.iter().copied())
        .status()
        .map_err(|e| format!("{program}: {e}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("`{program} {args}` failed ({status})"))
}
