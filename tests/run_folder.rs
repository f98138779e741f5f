//! The life of a run's folder: whatever a kill, a full disk or an editor leaves in it, the run goes on
//! to the end that it would have had, or one line says why not.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "run_folder/evaluations.rs"]
mod evaluations;
#[path = "run_folder/files.rs"]
mod files;
#[path = "run_folder/options.rs"]
mod options;
#[path = "run_folder/states.rs"]
mod states;
mod support;
#[path = "run_folder/values.rs"]
mod values;

use std::path::Path;

use libtest_mimic::Failed;
use serde_json::Value;
use support::command::{Contents, Test, read, run_all, same_files};

const PROGRAM: &str = env!("CARGO_BIN_EXE_semivq");

fn json(path: &Path) -> Result<Value, Failed> {
    Ok(serde_json::from_slice(&read(path.to_path_buf())?)?)
}

/// All files of a run by name; of the summary without the seconds, which no two runs share.
fn contents(dir: &Path) -> Result<Contents, Failed> {
    let mut all = Contents::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name().into_string().unwrap();
        let mut bytes = read(dir.join(&name))?;
        if name == "summary.json" {
            let mut summary: Value = serde_json::from_slice(&bytes)?;
            summary
                .as_object_mut()
                .ok_or("no object")?
                .remove("seconds");
            bytes = summary.to_string().into_bytes();
        }
        all.insert(name, bytes);
    }
    Ok(all)
}

fn same(a: &Path, b: &Path) -> Result<(), Failed> {
    same_files(b, &contents(a)?, &contents(b)?)
}

fn copy(from: &Path, to: &Path) -> Result<(), Failed> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn main() {
    let tests: &[(&str, Test)] = &[
        ("every state goes on", states::every_state_goes_on),
        ("metrics are rebuilt", states::metrics_are_rebuilt),
        ("one process at a time", states::one_process_at_a_time),
        (
            "options of a resumed run",
            options::options_of_a_resumed_run,
        ),
        (
            "an interrupted change of options",
            options::an_interrupted_change_of_options,
        ),
        (
            "contradictions are refused",
            options::contradictions_are_refused,
        ),
        (
            "overwrite leaves nothing behind",
            files::overwrite_leaves_nothing_behind,
        ),
        ("a run and its data", files::a_run_and_its_data),
        #[cfg(unix)]
        ("a path that is no UTF-8", files::a_path_that_is_no_utf8),
        ("broken values are named", values::broken_values_are_named),
        (
            "sums that overflow are an error",
            values::sums_that_overflow_are_an_error,
        ),
        (
            "a run of version 0.1.0 goes on",
            values::a_run_of_version_0_1_0_goes_on,
        ),
        #[cfg(target_os = "linux")]
        ("lost output is an error", files::lost_output_is_an_error),
        #[cfg(unix)]
        ("a full disk", states::a_full_disk),
        ("a finished run", states::a_finished_run),
        ("a run is watched", evaluations::a_run_is_watched),
        ("a run ends early", evaluations::a_run_ends_early),
        ("epochs and schedules", evaluations::epochs_and_schedules),
        ("large codebooks", values::large_codebooks),
        ("kills at random moments", states::kills_at_random_moments),
    ];
    run_all(tests, &[]);
}
