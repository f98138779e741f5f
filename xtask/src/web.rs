//! The browser's side: the core as wasm, the page, the npm package.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use cargo_metadata::MetadataCommand;
use flate2::Compression;
use flate2::write::GzEncoder;
use wasm_bindgen_cli_support::Bindgen;

use crate::lean::Lean;
use crate::setup::{self, WASM};
use crate::{build as cargo_build, run};

const CORE: &str = "www/core";
/// What Vite copies into dist/ as it is: the modules of the page that tests a GPU, which it loads when asked to.
const GPU: &str = "www/public/gpu";
const DIST: &str = "dist";
const LICENCES: [&str; 2] = ["LICENSE-APACHE", "LICENSE-MIT"];
/// Where the package's manifest takes its version.
const UNSET: &str = "\"version\": \"0.0.0\"";

fn failed(what: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{}: {error}", what.display())
}

/// JavaScript around a compiled module, in `out`, the module made small. The `core` has TypeScript types, and is given
/// its module; others find theirs beside themselves.
fn bindgen(wasm: &Path, out: &str, name: &str, core: bool) -> Result<(), String> {
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(wasm)
        .out_name(name)
        .typescript(core)
        .omit_default_module_path(core);
    let result = bindgen.web(true).and_then(|b| b.generate(out));
    result.map_err(|e| failed(wasm, &format!("{e:#}")))?;
    let file = format!("{out}/{name}_bg.wasm");
    if core {
        make_lean(Path::new(&file))?;
    }
    let features = "--strip-producers --enable-bulk-memory --enable-bulk-memory-opt --enable-reference-types \
        --enable-nontrapping-float-to-int --enable-sign-ext --enable-mutable-globals --enable-multivalue";
    let tool = "node_modules/binaryen/bin/wasm-opt";
    run(
        "node",
        &format!("{tool} -Oz {features} {file} -o {file}"),
        &[],
    )
}

/// Writes the shaders in a module as [`Lean`] has them, with spaces behind them: what they do not need weighs.
fn make_lean(wasm: &Path) -> Result<(), String> {
    let mut sources = Vec::new();
    for dir in ["shaders", "shaders/lib"].map(Path::new) {
        for entry in fs::read_dir(dir).map_err(|e| failed(dir, &e))? {
            let path = entry.map_err(|e| failed(dir, &e))?.path();
            if path.extension().is_some_and(|e| e == "wgsl") {
                sources.push(fs::read_to_string(&path).map_err(|e| failed(&path, &e))?);
            }
        }
    }
    let lean = Lean::of(&sources.iter().map(String::as_str).collect::<Vec<_>>());
    let mut bytes = fs::read(wasm).map_err(|e| failed(wasm, &e))?;
    let mut found = 0;
    for source in &sources {
        // What nothing in the module asks for, it does not hold.
        let Some(at) = find(&bytes, source.as_bytes()) else {
            continue;
        };
        found += 1;
        let mut lean = lean.apply(source).into_bytes();
        lean.resize(source.len(), b' ');
        bytes[at..at + source.len()].copy_from_slice(&lean);
    }
    let files = sources.len();
    if 2 * found < files {
        let why = format!("only {found} of {files} shaders are in it as they stand");
        return Err(failed(wasm, &why));
    }
    fs::write(wasm, bytes).map_err(|e| failed(wasm, &e))
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    let first = part.first()?;
    let starts = bytes.iter().enumerate().filter(|(_, byte)| *byte == first);
    starts
        .map(|(at, _)| at)
        .find(|&at| bytes[at..].starts_with(part))
}

/// The npm packages of the lock file.
pub fn packages() -> Result<(), String> {
    setup::node()?;
    let time = |path: &str| fs::metadata(path).and_then(|m| m.modified());
    let lock = "package-lock.json";
    let lock = time(lock).map_err(|e| failed(Path::new(lock), &e))?;
    if time("node_modules/.package-lock.json").is_ok_and(|installed| installed >= lock) {
        return Ok(());
    }
    run("npm", "ci --no-audit --no-fund", &[])
}

/// The core as `www/core/`.
pub fn core() -> Result<(), String> {
    setup::wasm_target()?;
    // Linked here alone: a native build has no use for a shared library.
    let args =
        format!("rustc --package semivq --lib --crate-type cdylib --profile web --target {WASM}");
    for wasm in cargo_build(&args, &["semivq"], ".wasm")? {
        bindgen(&wasm, CORE, "semivq", true)?;
    }
    Ok(())
}

/// The tests of operations and quantiser, and the bench, as [`GPU`].
fn gpu_modules() -> Result<(), String> {
    let names = ["gradients", "vq_layer", "bench"];
    let chosen = names.map(|name| format!("--test {name}")).join(" ");
    let args = format!("test --package semivq --profile web {chosen} --no-run --target {WASM}");
    for (name, wasm) in names.iter().zip(cargo_build(&args, &names, ".wasm")?) {
        bindgen(&wasm, GPU, name, false)?;
    }
    Ok(())
}

/// `dist/`: the page, and the package.
pub fn build() -> Result<(), String> {
    packages()?;
    core()?;
    gpu_modules()?;
    run("npm", "run --silent check", &[])?;
    run("npm", "run --silent build", &[])?;
    package()?;
    let wasm = Path::new(DIST).join("core/semivq_bg.wasm");
    let bytes = fs::read(&wasm).map_err(|e| failed(&wasm, &e))?;
    let mut zipped = GzEncoder::new(Vec::new(), Compression::best());
    let zipped = zipped.write_all(&bytes).and_then(|()| zipped.finish());
    println!(
        "\ndist/ is ready: the page (index.html) and the npm package (package.json); wasm {:.1} kB, {:.1} kB as gzip",
        bytes.len() as f64 / 1e3,
        zipped.map_err(|e| failed(&wasm, &e))?.len() as f64 / 1e3,
    );
    Ok(())
}

/// The npm package beside the page.
fn package() -> Result<(), String> {
    run("npm", "run --silent package", &[])?;
    let dist = Path::new(DIST);
    let out = dist.join("core");
    fs::create_dir_all(&out).map_err(|e| failed(&out, &e))?;
    for name in ["semivq.js", "semivq_bg.wasm"] {
        copy(&Path::new(CORE).join(name), &out.join(name))?;
    }
    // The generated types have `Symbol.dispose`, whatever library the project around them has chosen.
    let types = Path::new(CORE).join("semivq.d.ts");
    let text = fs::read_to_string(&types).map_err(|e| failed(&types, &e))?;
    let text = format!("/// <reference lib=\"esnext.disposable\" />\n{text}");
    fs::write(out.join("semivq.d.ts"), text).map_err(|e| failed(&out, &e))?;
    let files = ["www/npm/README.md", "www/npm/core.wasm.d.ts"].map(Path::new);
    for file in files.into_iter().chain(LICENCES.map(Path::new)) {
        copy(file, &dist.join(file.file_name().unwrap_or_default()))?;
    }
    // One version for the crate and for the package: that of Cargo.toml.
    let manifest = Path::new("www/npm/package.json");
    let text = fs::read_to_string(manifest).map_err(|e| failed(manifest, &e))?;
    if !text.contains(UNSET) {
        return Err(failed(manifest, &format!("has no {UNSET}")));
    }
    let text = text.replace(UNSET, &format!("\"version\": \"{}\"", version()?));
    let manifest = dist.join("package.json");
    fs::write(&manifest, text).map_err(|e| failed(&manifest, &e))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to).map(|_| ()).map_err(|e| failed(from, &e))
}

/// The crate's version.
fn version() -> Result<String, String> {
    let metadata = MetadataCommand::new().no_deps().exec();
    let metadata = metadata.map_err(|e| failed(Path::new("Cargo.toml"), &e))?;
    let package = metadata.packages.iter().find(|p| p.name == "semivq");
    package
        .map(|p| p.version.to_string())
        .ok_or_else(|| "Cargo.toml has no package semivq".to_owned())
}

/// [`build`], then a file server.
pub fn serve(port: &str) -> Result<(), String> {
    build()?;
    println!("\nhttp://localhost:{port}/  (Ctrl-C ends)");
    run(
        "npm",
        &format!("run --silent preview -- --port {port}"),
        &[],
    )
}
