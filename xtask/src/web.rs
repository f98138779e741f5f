//! The browser's side: the core as wasm, the page, the npm package.

use std::fs;
use std::path::{Path, PathBuf};

use wasm_bindgen_cli_support::Bindgen;

use crate::setup::{self, WASM};
use crate::{cargo, run};

const CORE: &str = "www/core";
const DIST: &str = "dist";

fn failed(what: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{}: {error}", what.display())
}

/// JavaScript around a compiled module, in `out`.
pub fn bindgen(wasm: &Path, out: &Path, name: &str) -> Result<(), String> {
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(wasm)
        .out_name(name)
        .typescript(true)
        .omit_default_module_path(false);
    let result = bindgen.web(true).and_then(|b| b.generate(out));
    result.map_err(|e| failed(wasm, &format!("{e:#}")))
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
    let args = format!("build --package semivq --lib --profile web --target {WASM}");
    run(&cargo(), &args, &[])?;
    let wasm = PathBuf::from(format!("target/{WASM}/web/semivq.wasm"));
    bindgen(&wasm, Path::new(CORE), "semivq")?;
    let file = format!("{CORE}/semivq_bg.wasm");
    let features = "--enable-bulk-memory --enable-bulk-memory-opt --enable-reference-types \
        --enable-nontrapping-float-to-int --enable-sign-ext --enable-mutable-globals --enable-multivalue";
    let tool = "node_modules/binaryen/bin/wasm-opt";
    run(
        "node",
        &format!("{tool} -Oz {features} {file} -o {file}"),
        &[],
    )
}

/// `dist/`: the page, and the package.
pub fn build() -> Result<(), String> {
    packages()?;
    core()?;
    run("npm", "run --silent check", &[])?;
    run("npm", "run --silent build", &[])?;
    package()?;
    let size = |path: &str| fs::metadata(Path::new(DIST).join(path)).map_or(0, |m| m.len());
    println!(
        "\ndist/ is ready: the page (index.html) and the npm package (package.json); wasm {} KiB",
        size("core/semivq_bg.wasm") / 1024
    );
    Ok(())
}

/// The typed ES module beside the page.
fn package() -> Result<(), String> {
    run("npm", "run --silent package", &[])?;
    let out = Path::new(DIST).join("core");
    fs::create_dir_all(&out).map_err(|e| failed(&out, &e))?;
    for name in ["semivq.js", "semivq_bg.wasm"] {
        let from = Path::new(CORE).join(name);
        fs::copy(&from, out.join(name)).map_err(|e| failed(&from, &e))?;
    }
    // The generated types have `Symbol.dispose`, whatever library the project around them has chosen.
    let types = Path::new(CORE).join("semivq.d.ts");
    let text = fs::read_to_string(&types).map_err(|e| failed(&types, &e))?;
    let text = format!("/// <reference lib=\"esnext.disposable\" />\n{text}");
    fs::write(out.join("semivq.d.ts"), text).map_err(|e| failed(&out, &e))?;
    for (from, to) in [
        ("www/npm/package.json", "package.json"),
        ("www/README.md", "README.md"),
    ] {
        fs::copy(from, Path::new(DIST).join(to)).map_err(|e| failed(Path::new(from), &e))?;
    }
    Ok(())
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

/// The op and quantiser tests, compiled for the browser, as `tests/browser/core/`.
pub fn core_tests() -> Result<(), String> {
    let names = ["gradients", "vq_layer"];
    let chosen = names.map(|name| format!("--test {name}")).join(" ");
    let args = format!("test --package semivq --profile web {chosen} --no-run --target {WASM}");
    run(&cargo(), &args, &[])?;
    let folder = PathBuf::from(format!("target/{WASM}/web/deps"));
    for name in names {
        // Cargo puts a hash behind the name; the newest file is this build's.
        let entries = fs::read_dir(&folder).map_err(|e| failed(&folder, &e))?;
        let built = entries.flatten().filter(|entry| {
            let file = entry.file_name().to_string_lossy().into_owned();
            file.starts_with(&format!("{name}-")) && file.ends_with(".wasm")
        });
        let newest = built.max_by_key(|entry| entry.metadata().and_then(|m| m.modified()).ok());
        let wasm = newest.ok_or_else(|| failed(&folder, &format!("no {name}-*.wasm")))?;
        bindgen(&wasm.path(), Path::new("tests/browser/core"), name)?;
    }
    Ok(())
}
