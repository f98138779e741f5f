//! The golden files: what the PyTorch oracle computed in float64, against the kernels.
//!
//! Reads every case under `tests/golden`, or under `$SEMIVQ_GOLDEN`, and compares every tensor by
//! name; one line a case with its largest share of the tolerance. The tolerance is on the largest
//! error over a row of a tensor and stands in `golden_cases` once a kind. Codes agree exactly. Each case runs with every kernel that
//! could do its work, whichever the adapter would get.

mod golden_cases;
mod support;

use std::path::{Path, PathBuf};

use golden_cases::{Case, Outcome, run_case};
use semivq::gpu::Gpu;

/// Cases that need something that is not built yet, by the word that tells them apart.
const NOT_YET: &[(&str, &str)] = &[];

/// The case under each of the kernels that an operation chooses from; the worst outcome, with what was forced.
async fn by_candidates(gpu: &Gpu, name: &str, path: &Path) -> Outcome {
    let mut worst = Outcome::NotYet("a kernel to choose".into());
    for set in support::candidate_sets("") {
        let with = |text: String| format!("{text}, {}", set.forced.join(" and "));
        match run_case(&support::forcing(gpu, &set), name, path).await {
            Outcome::Failed(why) => return Outcome::Failed(with(why)),
            outcome @ Outcome::NotYet(_) => return outcome,
            Outcome::Passed { share, tensor } => match &worst {
                Outcome::Passed { share: most, .. } if *most >= share => {}
                _ => worst = Outcome::Passed { share, tensor },
            },
        }
    }
    worst
}

fn main() {
    let root = std::env::var_os("SEMIVQ_GOLDEN").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden"),
        PathBuf::from,
    );
    // The published package leaves its folder out; a folder that is named must be there.
    if !root.exists() && std::env::var_os("SEMIVQ_GOLDEN").is_none() {
        println!("skipped: {} is not part of the package", root.display());
        return;
    }
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
            (Ok(gpu), None) => pollster::block_on(by_candidates(gpu, &name, path)),
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
