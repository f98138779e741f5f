//! The engine under a session: values of a step by name, phases, an exchange between them, several steps in a
//! submission, a live learning rate; and the errors of a recording that does not fit.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "engine/exchange.rs"]
mod exchange;
#[path = "engine/plans.rs"]
mod plans;
mod support;

use std::sync::Arc;

use libtest_mimic::Failed;
use semivq::Error;
use semivq::gpu::Gpu;
use semivq::train::{Method, Session, TrainOptions};
use support::command::ensure;
use support::session::{Test, checkpoint, glyphs, run, run_all};

fn options(method: Method) -> TrainOptions {
    let options = TrainOptions {
        batch: 2,
        lr: 1e-3,
        ..TrainOptions::default()
    };
    options
        .with_quantizer(|vq| vq.num_codes = 40)
        .and_then(|options| options.with_method(method))
        .unwrap()
}

/// EMA with replacement of codes: what moves the codebook besides the optimiser.
fn moving() -> TrainOptions {
    replacing(Method::Ema)
}

fn replacing(method: Method) -> TrainOptions {
    let replacing = options(method).with_quantizer(|vq| vq.replace_freq = 3);
    replacing.unwrap()
}

fn session(gpu: &Arc<Gpu>, options: &TrainOptions, images: usize) -> semivq::Result<Session> {
    let data = glyphs(images, 4);
    let model = options.build_model(data.shape()[0])?;
    Session::new(Arc::clone(gpu), model, data, options.session())
}

/// Whether `result` is an error whose text has all of `parts`.
fn refused<T>(result: semivq::Result<T>, parts: &[&str]) -> Result<(), Failed> {
    let Err(error) = result else {
        return Err(format!("accepted, but {parts:?} should be said").into());
    };
    let text = error.to_string();
    let all = parts.iter().all(|part| text.contains(part));
    ensure(all, format!("{text:?} does not say {parts:?}"))
}

/// An epoch of 20 steps and one of three: submissions of eight, and cut at the end of each epoch.
fn several_steps_equal_single_ones(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for options in [options(Method::Vq), moving()] {
        for images in [40, 6] {
            let mut single = session(&gpu, &options, images)?;
            let want = run(&mut single, 29)?;
            let want_state = checkpoint(&single)?;
            for parts in [1, 3] {
                let mut several = session(&gpu, &options, images)?;
                several.submit_in_parts(parts);
                let mut got = Vec::new();
                pollster::block_on(async {
                    several.steps(12, |m| got.push(m)).await?;
                    got.extend(several.step().await?);
                    several.steps(2, |m| got.push(m)).await?;
                    several.steps(14, |m| got.push(m)).await?;
                    while let Some(metrics) = several.next_metrics().await? {
                        got.push(metrics);
                    }
                    Ok::<_, Error>(())
                })?;
                ensure(several.steps_done() == 29, "not all steps were made")?;
                let case = format!("{:?}, {images} images, {parts} parts", options.method);
                ensure(got == want, format!("{case}: the metrics differ"))?;
                ensure(
                    checkpoint(&several)? == want_state,
                    format!("{case}: the checkpoints differ"),
                )?;
            }
        }
    }
    Ok(())
}

fn a_live_learning_rate_equals_a_new_recording(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let options = options(Method::Vq);
    let mut live = session(&gpu, &options, 24)?;
    let mut anew = session(&gpu, &options, 24)?;
    ensure(run(&mut live, 3)? == run(&mut anew, 3)?, "two runs differ")?;
    let faster = TrainOptions {
        lr: 4e-3,
        ..options.clone()
    };
    live.set_lr(faster.lr)?;
    ensure(
        live.options().lr == faster.lr,
        "the options have the old rate",
    )?;
    let model = faster.build_model(1)?;
    pollster::block_on(anew.reconfigure(model, faster.session()))?;
    let (got, want) = (run(&mut live, 3)?, run(&mut anew, 3)?);
    ensure(got == want, format!("{got:?}, anew {want:?}"))?;
    ensure(
        checkpoint(&live)? == checkpoint(&anew)?,
        "the checkpoints differ",
    )?;
    let mut slow = session(&gpu, &options, 24)?;
    run(&mut slow, 6)?;
    ensure(
        checkpoint(&live)? != checkpoint(&slow)?,
        "the rate has no effect",
    )?;
    refused(live.set_lr(-1.0), &["lr", "-1"])?;
    ensure(live.options().lr == faster.lr, "a refused rate was taken")
}

fn main() {
    let tests: &[(&str, Test)] = &[
        (
            "several steps equal single ones",
            several_steps_equal_single_ones,
        ),
        (
            "a live learning rate equals a new recording",
            a_live_learning_rate_equals_a_new_recording,
        ),
        (
            "an exchange that changes nothing changes nothing",
            exchange::an_exchange_that_changes_nothing_changes_nothing,
        ),
        (
            "statistics of the codebook are exchanged",
            exchange::statistics_of_the_codebook_are_exchanged,
        ),
        (
            "without gradients only weight decay moves",
            exchange::without_gradients_only_weight_decay_moves,
        ),
        (
            "a step that fails costs no staging buffer",
            exchange::a_step_that_fails_costs_no_staging_buffer,
        ),
        (
            "phases are the whole plan in order",
            plans::phases_are_the_whole_plan_in_order,
        ),
        (
            "a slot without a value is named",
            plans::a_slot_without_a_value_is_named,
        ),
        (
            "a dispatch that does not fit names its kernel",
            plans::a_dispatch_that_does_not_fit_names_its_kernel,
        ),
        (
            "a parameter that came later is named",
            plans::a_parameter_that_came_later_is_named,
        ),
    ];
    run_all(support::gpu(), tests)
}
