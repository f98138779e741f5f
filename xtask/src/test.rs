//! All tests, with the set-up they need.

use crate::setup::{self, WASM};
use crate::{build, cargo, run, web};

/// What `cargo xtask test` does.
pub fn run_all() -> Result<(), String> {
    setup::targets()?;
    setup::vulkan()?;
    let cargo = cargo();
    let deny = [("RUSTDOCFLAGS", "-D warnings")];
    run(&cargo, "fmt --all --check", &[])?;
    run(
        &cargo,
        "clippy --workspace --all-targets -- -D warnings",
        &[],
    )?;
    for features in ["", "--no-default-features"] {
        let wasm =
            format!("clippy --package semivq --lib {features} --target {WASM} -- -D warnings");
        run(&cargo, &wasm, &[])?;
    }
    for features in ["", "--features pictures", "--features compare"] {
        let without = format!(
            "clippy --package semivq --all-targets --no-default-features {features} -- -D warnings"
        );
        run(&cargo, &without, &[])?;
    }
    // That it compiles there is seen without a linker for it.
    for target in setup::ELSEWHERE {
        let there =
            format!("clippy --package semivq --all-targets --target {target} -- -D warnings");
        run(&cargo, &there, &[])?;
    }
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

/// `www/options.ts` anew.
pub fn tables() -> Result<(), String> {
    let args = "test --package semivq --test tables the_page_and_the_package";
    run(&cargo(), args, &[("SEMIVQ_WRITE_TABLES", "1")])
}

/// The tests in headless Chromium: the core's and the page's, whose files' names contain `filter`.
pub fn browser(filter: &str) -> Result<(), String> {
    let chromium = setup::chromium()?;
    let firefox = setup::firefox()?;
    setup::vulkan()?;
    web::build()?;
    let programs = build(
        "build --package semivq --bin semivq",
        &["semivq"],
        std::env::consts::EXE_SUFFIX,
    )?;
    let program = programs[0].display().to_string();
    let environment = [
        ("SEMIVQ_CHROMIUM", chromium.as_str()),
        ("SEMIVQ_FIREFOX", firefox.as_str()),
        ("SEMIVQ_BIN", &program),
        ("NODEVICE_SELECT", "1"),
    ];
    run("npm", &format!("test --silent -- {filter}"), &environment)
}
