//! The command line of `semivq`; a thin view of the library.

#[cfg(not(target_arch = "wasm32"))]
mod cli;

#[cfg(not(target_arch = "wasm32"))]
fn main() -> std::process::ExitCode {
    cli::main()
}

/// The browser uses the library; a binary is for native targets.
#[cfg(target_arch = "wasm32")]
fn main() {}
