//! All tests, with the set-up they need.

use crate::setup::{self, WASM};
use crate::{cargo, run, web};

/// What `cargo xtask test` does.
pub fn run_all() -> Result<(), String> {
    setup::wasm_target()?;
    setup::vulkan()?;
    let cargo = cargo();
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
    run(&cargo, "test --workspace --no-fail-fast", &quiet)?;
    browser("")
}

/// The fuzz test at length, optimised.
pub fn fuzz() -> Result<(), String> {
    setup::vulkan()?;
    let environment = [("SEMIVQ_FUZZ", "2000"), ("NODEVICE_SELECT", "1")];
    let args = "test --package semivq --release --test fuzz -- --nocapture";
    run(&cargo(), args, &environment)
}

/// The tests in headless Chromium: the core's and the page's, whose files' names contain `filter`.
pub fn browser(filter: &str) -> Result<(), String> {
    let chromium = setup::chromium()?;
    setup::vulkan()?;
    web::build()?;
    web::core_tests()?;
    run(&cargo(), "build --package semivq --bin semivq", &[])?;
    let environment = [
        ("SEMIVQ_CHROMIUM", chromium.as_str()),
        ("NODEVICE_SELECT", "1"),
    ];
    run("npm", &format!("test --silent -- {filter}"), &environment)
}
