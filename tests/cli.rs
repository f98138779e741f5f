//! The command line as a user types it: a run from training to reconstruction, the same bytes
//! twice, and wrong input of every kind: one clear line, an exit code, nothing lost.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "cli/data.rs"]
mod data;
#[path = "cli/draw.rs"]
mod draw;
#[path = "cli/files.rs"]
mod files;
#[path = "cli/program.rs"]
mod program;
#[path = "cli/refused.rs"]
mod refused;
#[path = "cli/runs.rs"]
mod runs;
mod support;

use support::command::{Test, run_all};

/// Tests that run on any machine.
const WITHOUT_ADAPTER: [&str; 3] = ["wrong usage", "no adapter", "data is described"];

fn main() {
    let tests: &[(&str, Test)] = &[
        ("a whole run", runs::a_whole_run),
        (
            "the same seed gives the same bytes",
            runs::the_same_seed_gives_the_same_bytes,
        ),
        (
            "what is trained without a method",
            runs::what_is_trained_without_a_method,
        ),
        ("a run goes on from a file", runs::goes_on_from_a_file),
        ("a sampled evaluation", runs::a_sampled_evaluation),
        ("codes there and back", runs::codes_there_and_back),
        ("drawn pictures", draw::drawn_pictures),
        (
            "codes of several codebooks",
            runs::codes_of_several_codebooks,
        ),
        ("methods are listed", program::methods_are_listed),
        ("wrong usage", refused::wrong_usage),
        ("more than there is", refused::more_than_there_is),
        ("an unknown adapter", program::an_unknown_adapter),
        ("damaged data", refused::damaged_data),
        (
            "images not divisible by 4",
            refused::images_not_divisible_by_4,
        ),
        ("damaged runs", refused::damaged_runs),
        ("names of data sets", files::names_of_data_sets),
        (
            "more data than a binding holds",
            files::more_data_than_a_binding_holds,
        ),
        #[cfg(unix)]
        ("pipes and folders", files::pipes_and_folders),
        ("CIFAR", files::cifar),
        ("images of every kind", files::images_of_every_kind),
        (
            "images that cannot be read",
            files::images_that_cannot_be_read,
        ),
        (
            "nothing on standard error",
            files::nothing_on_standard_error,
        ),
        ("data is described", data::data_is_described),
        ("folders train", data::folders_train),
        ("an unwritable folder", refused::an_unwritable_folder),
        (
            "a diverging run keeps its checkpoint",
            refused::a_diverging_run_keeps_its_checkpoint,
        ),
        ("no adapter", program::no_adapter),
        (
            "doctor says that training can run",
            program::doctor_says_that_training_can_run,
        ),
        ("bench reports", program::bench_reports),
        #[cfg(unix)]
        ("Ctrl-C ends in order", program::ctrl_c_ends_in_order),
    ];
    run_all(tests, &WITHOUT_ADAPTER);
}
