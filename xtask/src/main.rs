//! The project's chores. `cargo xtask test` sets the machine up and passes all tests: formatting,
//! lints on native and wasm32, documentation, and every test.

use std::path::Path;
use std::process::{Command, ExitCode};

const USAGE: &str = "usage: cargo xtask test

  test   installs what the tests need (Debian and Ubuntu; elsewhere it names it), then checks
         formatting, lints (native and wasm32) and documentation, and runs all tests.
         SEMIVQ_REQUIRE_GPU=1 makes a missing adapter a failure, SEMIVQ_ADAPTER chooses one.";

const WASM: &str = "wasm32-unknown-unknown";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["test"] => test(),
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

fn test() -> Result<(), String> {
    set_up()?;
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let deny = [("RUSTDOCFLAGS", "-D warnings")];
    run(&cargo, "fmt --all --check", &[])?;
    run(
        &cargo,
        "clippy --workspace --all-targets -- -D warnings",
        &[],
    )?;
    let wasm = format!("clippy --package semivq --lib --target {WASM} -- -D warnings");
    run(&cargo, &wasm, &[])?;
    run(&cargo, "doc --package semivq --lib --no-deps", &deny)?;
    // Mesa's device-select layer complains on machines without a desktop; this is its off switch.
    let quiet = [("NODEVICE_SELECT", "1")];
    run(&cargo, "test --workspace --no-fail-fast", &quiet)
}

/// The Vulkan loader and some driver.
fn has_vulkan() -> bool {
    let folders = [
        "/usr/share/vulkan/icd.d",
        "/etc/vulkan/icd.d",
        "/usr/local/share/vulkan/icd.d",
    ];
    let manifest =
        |folder: &&str| std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    let named = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"]
        .iter()
        .any(|v| std::env::var_os(v).is_some());
    let loader = Command::new("ldconfig").arg("-p").output();
    let loader =
        loader.is_ok_and(|o| String::from_utf8_lossy(&o.stdout).contains("libvulkan.so.1"));
    loader && (named || folders.iter().any(manifest))
}

/// rustup adds the targets of rust-toolchain.toml only when it installs the toolchain itself.
fn add_wasm_target() -> Result<(), String> {
    let installed = Command::new("rustup")
        .args(["target", "list", "--installed"])
        .output();
    match installed {
        Ok(o) if String::from_utf8_lossy(&o.stdout).contains(WASM) => Ok(()),
        Ok(_) => run("rustup", &format!("target add {WASM}"), &[]),
        // No rustup: then the distribution's packages decide what there is.
        Err(_) => Ok(()),
    }
}

fn set_up() -> Result<(), String> {
    add_wasm_target()?;
    if !cfg!(target_os = "linux") || has_vulkan() {
        return Ok(());
    }
    let install = "install --yes --no-install-recommends libvulkan1 mesa-vulkan-drivers";
    let command = format!("apt-get update && apt-get {install}");
    let root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|o| o.stdout.trim_ascii() == b"0");
    if !Path::new("/usr/bin/apt-get").exists() {
        println!(
            "no Vulkan driver found: install your distribution's Mesa Vulkan drivers to run the GPU tests"
        );
        return Ok(());
    }
    if !root {
        return Err(format!(
            "no Vulkan driver found; install one, then try again:\n  sudo sh -c '{command}'"
        ));
    }
    println!("no Vulkan driver found: installing one");
    let quiet = [("DEBIAN_FRONTEND", "noninteractive")];
    run("apt-get", "update", &quiet)?;
    run("apt-get", install, &quiet)
}
