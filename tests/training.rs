//! Whole runs: they learn, repeat bit for bit, and go on as if they had never stopped; models,
//! optimisers and memory beside plain loops.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "training/losses.rs"]
mod losses;
#[path = "training/memory.rs"]
mod memory;
#[path = "training/models.rs"]
mod models;
#[path = "training/optimizers.rs"]
mod optimizers;
#[path = "training/parts.rs"]
mod parts;
#[path = "training/reconfigure.rs"]
mod reconfigure;
#[path = "training/refused.rs"]
mod refused;
#[path = "training/residual.rs"]
mod residual;
#[path = "training/runs.rs"]
mod runs;
mod support;
#[path = "training/traces.rs"]
mod traces;

use std::sync::Arc;

use semivq::data::Dataset;
use semivq::gpu::Gpu;
use semivq::train::{Method, Session, TrainOptions};
use support::session::{Test, run_all};

fn options(method: Method, batch: usize, lr: f32) -> TrainOptions {
    let options = TrainOptions {
        batch,
        lr,
        ..TrainOptions::default()
    };
    options
        .with_quantizer(|vq| vq.num_codes = 40)
        .and_then(|options| options.with_method(method))
        .unwrap()
}

fn session(gpu: &Arc<Gpu>, options: &TrainOptions, data: Dataset) -> semivq::Result<Session> {
    Session::new(
        Arc::clone(gpu),
        options.build_model(data.shape()[0])?,
        data,
        options.session(),
    )
}

fn main() {
    let tests: &[(&str, Test)] = &[
        ("overfits one batch", runs::overfits_one_batch),
        ("two runs are equal bit for bit", runs::two_runs_are_equal),
        ("two seeds give two runs", runs::seeds_differ),
        (
            "resuming equals not stopping",
            runs::resuming_equals_not_stopping,
        ),
        (
            "evaluation changes nothing",
            runs::evaluation_changes_nothing,
        ),
        (
            "resnet64 shares more than half of its memory",
            memory::resnet64_shares_more_than_half,
        ),
        (
            "what a run costs is known before",
            memory::what_a_run_costs_is_known_before,
        ),
        ("losses follow PyTorch's", traces::losses_follow_pytorch),
        (
            "weights are taken by name",
            traces::weights_are_taken_by_name,
        ),
        (
            "sharing memory changes nothing",
            memory::sharing_memory_changes_nothing,
        ),
        (
            "codes stand for the reconstruction",
            runs::codes_stand_for_the_reconstruction,
        ),
        (
            "k-means starts the codebook",
            runs::kmeans_starts_the_codebook,
        ),
        (
            "k-means starts on given weights",
            runs::kmeans_starts_on_given_weights,
        ),
        ("a diverging run says so", runs::a_diverging_run_says_so),
        (
            "what cannot run is refused by name",
            refused::what_cannot_run_is_refused_by_name,
        ),
        (
            "a checkpoint of another model is refused",
            refused::a_checkpoint_of_another_model_is_refused,
        ),
        (
            "a folded convolution reaches every image",
            memory::a_folded_convolution_reaches_every_image,
        ),
        (
            "colour beside plain loops",
            models::colour_beside_plain_loops,
        ),
        (
            "resnet trains and goes on",
            models::resnet_trains_and_goes_on,
        ),
        (
            "SGD beside a plain loop",
            optimizers::sgd_beside_a_plain_loop,
        ),
        ("SGD trains and goes on", optimizers::sgd_trains_and_goes_on),
        ("ELBOs train and go on", losses::elbos_train_and_go_on),
        (
            "a learned variance in parts",
            losses::a_learned_variance_in_parts,
        ),
        (
            "other options under way",
            reconfigure::other_options_under_way,
        ),
        (
            "what needs a new session",
            reconfigure::what_needs_a_new_session,
        ),
        (
            "parts make the whole batch",
            parts::parts_make_the_whole_batch,
        ),
        ("parts in every way", parts::parts_in_every_way),
        (
            "a rate for the quantiser's own",
            parts::a_rate_for_the_quantisers_own,
        ),
        ("figures of an evaluation", parts::figures_of_an_evaluation),
        (
            "residual: repeats and resumes",
            residual::repeats_and_resumes,
        ),
        (
            "residual: codes stand for the reconstruction",
            residual::codes_stand_for_the_reconstruction,
        ),
        (
            "residual: k-means starts each layer",
            residual::kmeans_starts_each_layer,
        ),
        (
            "residual: parts make the whole batch",
            residual::parts_make_the_whole_batch,
        ),
        (
            "residual: more codebooks reconstruct better",
            residual::more_codebooks_reconstruct_better,
        ),
        (
            "a folded grid reaches every element",
            memory::a_folded_grid_reaches_every_element,
        ),
    ];
    run_all(support::gpu(), tests)
}
