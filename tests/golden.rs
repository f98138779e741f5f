//! The golden files: what the PyTorch oracle computed in float64, against the kernels.
//!
//! Reads every case under `tests/golden`, or under `$SEMIVQ_GOLDEN`, and compares every tensor by
//! name; one line a case with its largest share of the tolerance. The tolerance is on the largest
//! error over a tensor and stands here once a kind. Codes agree exactly.

mod golden_cases;
mod support;

use std::path::PathBuf;

use golden_cases::{Case, Outcome, run_case};

/// Cases that need something that is not built yet, by the word that tells them apart.
const NOT_YET: &[(&str, &str)] = &[("sq/", "stochastic quantisation")];

fn main() {
    let root = std::env::var_os("SEMIVQ_GOLDEN").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden"),
        PathBuf::from,
    );
    let paths = Case::find(&root);
    let gpu = support::gpu();
    let (mut passed, mut failed, mut ignored) = (0, 0, 0);
    println!("\nrunning {} tests", paths.len());
    for path in &paths {
        let name = Case::name_of(&root, path);
        let missing = NOT_YET.iter().find(|(prefix, _)| name.starts_with(prefix));
        let outcome = match (&gpu, missing) {
            (_, Some((_, what))) => Outcome::NotYet((*what).to_owned()),
            (Err(why), None) => Outcome::NotYet(format!("no adapter: {why}")),
            (Ok(gpu), None) => pollster::block_on(run_case(gpu, &name, path)),
        };
        match outcome {
            Outcome::Passed { share, tensor } => {
                passed += 1;
                println!(
                    "test {name} ... ok ({:.1} % of the tolerance, {tensor})",
                    100.0 * share
                );
            }
            Outcome::Failed(why) => {
                failed += 1;
                println!("test {name} ... FAILED: {why}");
            }
            Outcome::NotYet(why) => {
                ignored += 1;
                println!("test {name} ... ignored, needs {why}");
            }
        }
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {passed} passed; {failed} failed; {ignored} ignored; 0 measured; 0 filtered out\n"
    );
    if failed > 0 || paths.is_empty() {
        if paths.is_empty() {
            println!("no golden file under {}", root.display());
        }
        std::process::exit(1);
    }
}
