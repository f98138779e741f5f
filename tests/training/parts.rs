//! A batch in parts is the whole batch to rounding; what a step does besides goes on as if it had never stopped.

use std::sync::Arc;

use libtest_mimic::Failed;
use semivq::gpu::{Gpu, NamedTensor};
use semivq::ops::loss::PixelLoss;
use semivq::ops::ssim;
use semivq::optim::Optimizer;
use semivq::optim::schedule::{Decay, Schedule};
use semivq::train::checkpoint::State;
use semivq::train::{Feeding, Method, Session, TrainOptions};
use serde_json::json;

use super::support::command::ensure;
use super::support::session::{checkpoint, glyphs, run};
use super::support::share_of_tolerance;
use super::{options, session};

/// Its velocities after one step are the gradients.
const SGD: Optimizer = Optimizer::Sgd {
    momentum: 0.9,
    weight_decay: 0.0,
};

fn near(what: &str, got: &[NamedTensor], want: &[NamedTensor]) -> Result<(), Failed> {
    ensure(
        got.len() == want.len() && !got.is_empty(),
        format!("{what}: others"),
    )?;
    for ((name, _, got), (_, _, want)) in got.iter().zip(want) {
        let share = share_of_tolerance(got, want, 2e-5, 1e-7);
        ensure(
            share <= 1.0,
            format!("{what}: {name} at {share:.2} of the tolerance"),
        )?;
    }
    Ok(())
}

/// Gradients, codebook statistics and figures of a batch in 2, 4 and 8 parts beside those of the whole; in less memory.
pub fn parts_make_the_whole_batch(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for method in [
        Method::Vq,
        Method::Approach2,
        Method::Affine,
        Method::Ema,
        Method::Rotation,
        Method::SimVq,
        Method::Fsq,
        Method::SqVae3,
    ] {
        let options = options(method, 8, 0.01);
        let whole = TrainOptions {
            optimizer: SGD,
            // The variance of an evidence bound is one of each part.
            loss: options.loss.and(Some(PixelLoss::Mse)),
            flip: true,
            ..options
        };
        let mut together = session(&gpu, &whole, glyphs(24, 4))?;
        let first = run(&mut together, 1)?;
        let state = State::from_bytes(&checkpoint(&together)?)?;
        let later = run(&mut together, 3)?;
        for accumulate in [2, 4, 8] {
            let case = format!("{method:?} in {accumulate} parts");
            let options = TrainOptions {
                accumulate,
                ..whole.clone()
            };
            let mut parts = session(&gpu, &options, glyphs(24, 4))?;
            let bytes = |s: &Session| s.plan().activation_bytes();
            ensure(
                bytes(&parts) < bytes(&together),
                format!(
                    "{case}: {} bytes, {} for the whole",
                    bytes(&parts),
                    bytes(&together)
                ),
            )?;
            let own = run(&mut parts, 1)?;
            let got = State::from_bytes(&checkpoint(&parts)?)?;
            let (got, want) = (got.training()?, state.training()?);
            near(&case, &got.moment1, &want.moment1)?;
            if method == Method::Ema {
                near(&case, &got.buffers, &want.buffers)?;
            }
            let figures = |all: &[semivq::train::StepMetrics]| -> Vec<f32> {
                let one = |m: &semivq::train::StepMetrics| {
                    [
                        Some(m.rec_loss),
                        m.cmt_loss,
                        m.perplexity,
                        m.active_ratio,
                        m.top_share,
                        m.epoch_perplexity,
                        m.age_mean,
                        m.age_max,
                    ]
                };
                all.iter()
                    .flat_map(one)
                    .map(Option::unwrap_or_default)
                    .collect()
            };
            let close = |got: &[f32], want: &[f32], tolerance: f32| {
                let pairs = got.iter().zip(want);
                pairs
                    .into_iter()
                    .all(|(a, b)| (a - b).abs() <= tolerance * b.abs().max(1e-3))
            };
            let (got, want) = (figures(&own), figures(&first));
            ensure(
                close(&got, &want, 1e-5),
                format!("{case}: {got:?}, not {want:?}"),
            )?;
            let (got, want) = (figures(&run(&mut parts, 3)?), figures(&later));
            ensure(
                close(&got, &want, 2e-3),
                format!("{case}: {got:?}, not {want:?}"),
            )?;
        }
    }
    let refused = TrainOptions::from_partial(json!({"method": "ste++", "accumulate": 2}));
    let text = refused
        .err()
        .ok_or("the in-place step was taken")?
        .to_string();
    ensure(
        text.contains("accumulate (2) and inplace_optimizer exclude"),
        text,
    )?;
    let refused = TrainOptions::from_partial(json!({"batch": 8, "accumulate": 3}));
    let text = refused.err().ok_or("3 parts of 8 were taken")?.to_string();
    ensure(
        text.contains("accumulate (3) must divide the batch (8)"),
        text,
    )
}

/// All that a step can do at once.
fn everything(accumulate: usize) -> TrainOptions {
    TrainOptions {
        accumulate,
        clip_norm: 0.05,
        quantizer_lr: 0.3,
        steps: Some(12),
        schedule: Schedule {
            warmup: 3,
            decay: Decay::Cosine { min_lr: 1e-5 },
        },
        ..options(Method::Approach1Plus, 16, 1e-3)
    }
}

/// Several steps in a submission, images streamed, a run that stops in between: the same bits.
pub fn parts_in_every_way(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for accumulate in [1, 2, 16] {
        let case = format!("{accumulate} parts");
        let options = everything(accumulate);
        let data = || glyphs(40, 4);
        let mut whole = session(&gpu, &options, data())?;
        let mut metrics = run(&mut whole, 5)?;
        let stopped = checkpoint(&whole)?;
        metrics.extend(run(&mut whole, 7)?);
        let want = (metrics, checkpoint(&whole)?);
        for (step, m) in (1..).zip(&want.0) {
            let lr = options.schedule.lr(step, 1e-3, Some(12));
            ensure(m.lr == Some(lr), format!("{case}, step {step}: {:?}", m.lr))?;
            ensure(
                m.grad_norm.is_some_and(|n| n > 0.0),
                format!("{case}: no norm"),
            )?;
        }
        let streamed = Session::with_feeding(
            Arc::clone(&gpu),
            options.build_model(1)?,
            data(),
            options.session(),
            Feeding::Streamed,
        )?;
        for (how, mut session) in [
            ("resident", session(&gpu, &options, data())?),
            ("streamed", streamed),
        ] {
            let mut metrics = Vec::new();
            pollster::block_on(async {
                session.steps(12, |m| metrics.push(m)).await?;
                while let Some(m) = session.next_metrics().await? {
                    metrics.push(m);
                }
                Ok::<(), semivq::Error>(())
            })?;
            let got = (metrics, checkpoint(&session)?);
            ensure(got == want, format!("{case}, {how}: the runs differ"))?;
        }
        let mut resumed = session(&gpu, &options, data())?;
        resumed.restore(&stopped)?;
        ensure(
            run(&mut resumed, 7)? == want.0[5..] && checkpoint(&resumed)? == want.1,
            format!("{case}: a resumed run differs"),
        )?;
    }
    Ok(())
}

/// With a factor of 0 what the quantiser learns besides its codebook stays, and all else moves.
pub fn a_rate_for_the_quantisers_own(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for method in [
        Method::Approach1,
        Method::Approach2,
        Method::Affine,
        Method::SimVq,
    ] {
        let options = TrainOptions {
            quantizer_lr: 0.0,
            ..options(method, 8, 1e-3)
        };
        let mut session = session(&gpu, &options, glyphs(24, 4))?;
        let tensors =
            |s: &Session| -> Result<_, Failed> { Ok(State::from_bytes(&checkpoint(s)?)?) };
        let before = tensors(&session)?;
        run(&mut session, 2)?;
        let after = tensors(&session)?;
        let trained: Vec<&String> = after.training()?.moment1.iter().map(|t| &t.0).collect();
        let mut held = 0;
        for ((name, _, was), (_, _, is)) in before.tensors.iter().zip(&after.tensors) {
            if !trained.contains(&name) {
                continue;
            }
            let own = name.starts_with("layers.5.") && name != "layers.5.codebook.weight";
            held += usize::from(own);
            ensure((was == is) == own, format!("{method:?}: {name}"))?;
        }
        ensure(
            held > 0,
            format!("{method:?}: nothing is the quantiser's own"),
        )?;
    }
    Ok(())
}

/// PSNR and SSIM of an evaluation are those of plain loops over the reconstructions.
pub fn figures_of_an_evaluation(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let mut session = session(&gpu, &options(Method::Vq, 8, 1e-3), glyphs(24, 5))?;
    run(&mut session, 5)?;
    let images = session.data().test.clone();
    let got = pollster::block_on(session.evaluate(&images))?;
    let bytes = images.read_range(0..5)?;
    let inference = session.inference(&[5, 1, 28, 28])?;
    let made = pollster::block_on(inference.run(&gpu, &bytes))?.images;
    let (mut psnr, mut similarity) = (0.0, 0.0);
    for (bytes, made) in bytes.chunks_exact(784).zip(made.chunks_exact(784)) {
        let wanted: Vec<f64> = bytes.iter().map(|b| f64::from(*b) / 127.5 - 1.0).collect();
        let made: Vec<f64> = made.iter().map(|v| f64::from(*v)).collect();
        let squares = wanted.iter().zip(&made).map(|(a, b)| (a - b) * (a - b));
        psnr += 10.0 * (4.0 / (squares.sum::<f64>() / 784.0)).log10() / 5.0;
        similarity += ssim::reference(&wanted, &made, [28, 28], 2.0) / 5.0;
    }
    let near = |got: Option<f64>, want: f64| got.is_some_and(|v| (v - want).abs() < 1e-4);
    ensure(
        near(got.psnr, psnr) && near(got.ssim, similarity),
        format!("{got:?}, not {psnr} and {similarity}"),
    )
}
