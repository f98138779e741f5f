//! Whole runs: they learn, repeat bit for bit, and go on as if they had never stopped; models,
//! optimisers and memory beside plain loops.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "training/memory.rs"]
mod memory;
#[path = "training/models.rs"]
mod models;
#[path = "training/optimizers.rs"]
mod optimizers;
#[path = "training/reconfigure.rs"]
mod reconfigure;
#[path = "training/refused.rs"]
mod refused;
#[path = "training/runs.rs"]
mod runs;
mod support;

use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use semivq::data::{Dataset, Images, Source, synthetic};
use semivq::gpu::Gpu;
use semivq::train::{Method, Session, StepMetrics, TrainOptions};

type Test = fn(Arc<Gpu>) -> Result<(), Failed>;

/// The first `count` images of `source`.
fn first(source: &dyn Source, count: usize) -> Images {
    Images {
        shape: source.shape(),
        pixels: source.read_range(0..count).unwrap(),
        labels: None,
    }
}

/// The first images of the built-in set.
fn data(train: usize, test: usize) -> Dataset {
    let all = synthetic::glyphs(5);
    Dataset::new(
        "a few glyphs",
        first(&all.train, train),
        first(&all.test, test),
    )
}

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

/// `steps` more steps and all their metrics.
fn run(session: &mut Session, steps: u32) -> semivq::Result<Vec<StepMetrics>> {
    pollster::block_on(async {
        let mut all = Vec::new();
        for _ in 0..steps {
            all.extend(session.step().await?);
        }
        while let Some(metrics) = session.next_metrics().await? {
            all.push(metrics);
        }
        Ok(all)
    })
}

fn checkpoint(session: &Session) -> semivq::Result<Vec<u8>> {
    pollster::block_on(session.checkpoint(serde_json::Value::Null))
}

fn main() {
    let mut args = Arguments::from_args();
    args.test_threads = Some(1);
    let gpu = support::gpu().map(Arc::new);
    if let Err(why) = &gpu {
        println!("GPU tests are ignored: {why}");
    }
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
        (
            "other options under way",
            reconfigure::other_options_under_way,
        ),
        (
            "what needs a new session",
            reconfigure::what_needs_a_new_session,
        ),
        (
            "a folded grid reaches every element",
            memory::a_folded_grid_reaches_every_element,
        ),
    ];
    let trials = tests.iter().map(|(name, test)| {
        let device = gpu.clone();
        let test = *test;
        Trial::test(*name, move || {
            let gpu = device?;
            test(Arc::clone(&gpu))?;
            gpu.check("the test")?;
            Ok(())
        })
        .with_ignored_flag(gpu.is_err())
    });
    libtest_mimic::run(&args, trials.collect()).exit();
}
