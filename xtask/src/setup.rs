//! What the machine must have: installed on Debian and Ubuntu, named elsewhere.

use std::path::Path;
use std::process::Command;

use crate::run;

pub const WASM: &str = "wasm32-unknown-unknown";

/// Where it is compiled but not run.
pub const ELSEWHERE: [&str; 2] = ["x86_64-pc-windows-msvc", "aarch64-apple-darwin"];

/// Whether `program --version` runs.
fn has(program: &str) -> bool {
    let program = if cfg!(windows) && program == "npm" {
        "npm.cmd"
    } else {
        program
    };
    Command::new(program)
        .arg("--version")
        .output()
        .is_ok_and(|o| o.status.success())
}

/// Installs Debian's `packages`, or says how; `what` is missing.
fn install(what: &str, packages: &str) -> Result<(), String> {
    let install = format!("install --yes --no-install-recommends {packages}");
    if !Path::new("/usr/bin/apt-get").exists() {
        return Err(format!(
            "{what} not found: install it (on Debian the packages {packages}), then try again"
        ));
    }
    let root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|o| o.stdout.trim_ascii() == b"0");
    if !root {
        return Err(format!(
            "{what} not found; install it, then try again:\n  sudo sh -c 'apt-get update && apt-get {install}'"
        ));
    }
    println!("{what} not found: installing {packages}");
    let quiet = [("DEBIAN_FRONTEND", "noninteractive")];
    run("apt-get", "update", &quiet)?;
    run("apt-get", &install, &quiet)
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

/// A Vulkan driver, where that is the way to the GPU.
pub fn vulkan() -> Result<(), String> {
    if !cfg!(target_os = "linux") || has_vulkan() {
        return Ok(());
    }
    install("a Vulkan driver", "libvulkan1 mesa-vulkan-drivers")
}

/// The compiler's targets: wasm, Windows and macOS. rustup adds those of rust-toolchain.toml only when
/// it installs the toolchain itself.
pub fn targets() -> Result<(), String> {
    add(&[WASM, ELSEWHERE[0], ELSEWHERE[1]])
}

/// The target of the page.
pub fn wasm_target() -> Result<(), String> {
    add(&[WASM])
}

fn add(targets: &[&str]) -> Result<(), String> {
    let listed = Command::new("rustup")
        .args(["target", "list", "--installed"])
        .output();
    // No rustup: then the distribution's packages decide what there is.
    let Ok(listed) = listed else { return Ok(()) };
    let listed = String::from_utf8_lossy(&listed.stdout);
    let there = |target: &&str| listed.lines().any(|line| line == *target);
    let missing: Vec<&str> = targets.iter().copied().filter(|t| !there(t)).collect();
    match missing[..] {
        [] => Ok(()),
        _ => run("rustup", &format!("target add {}", missing.join(" ")), &[]),
    }
}

/// Vite's least version of Node.
const NODE: (u32, u32) = (20, 19);

/// Node.js and npm.
pub fn node() -> Result<(), String> {
    if !has("node") || !has("npm") {
        install("Node.js with npm", "nodejs npm")?;
    }
    let output = Command::new("node").arg("--version").output();
    let text = output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
    let text = text.map_err(|e| format!("node: {e}"))?;
    let mut numbers = text.trim_start_matches('v').split('.').map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= NODE => Ok(()),
        _ => Err(format!(
            "Node.js {}.{} or later is needed to build the page, this is {text}: https://nodejs.org",
            NODE.0, NODE.1
        )),
    }
}

/// The first program of these names on the PATH.
fn on_path(names: &[&str]) -> Option<String> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&folders).collect();
    let paths = names
        .iter()
        .flat_map(|name| folders.iter().map(move |f| f.join(name)));
    paths
        .into_iter()
        .find(|path| path.exists())
        .map(|path| path.display().to_string())
}

/// A browser for the tests: what `variable` says, what is found under one of `names`, or what `packages` install.
fn browser(what: &str, variable: &str, names: &[&str], packages: &str) -> Result<String, String> {
    if let Some(path) = std::env::var(variable).ok().or_else(|| on_path(names)) {
        return Ok(path);
    }
    install(what, packages)?;
    on_path(names)
        .ok_or_else(|| format!("{what} was installed but not found; set {variable} to it"))
}

/// A Chromium, with WebGPU.
pub fn chromium() -> Result<String, String> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    browser(
        "Chromium",
        "SEMIVQ_CHROMIUM",
        &names,
        "chromium fonts-dejavu-core",
    )
}

/// A Firefox, on Debian one without WebGPU: what the page shows there.
pub fn firefox() -> Result<String, String> {
    let names = ["firefox-esr", "firefox"];
    browser(
        "Firefox",
        "SEMIVQ_FIREFOX",
        &names,
        "firefox-esr fonts-dejavu-core",
    )
}
