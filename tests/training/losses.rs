//! Losses that a model does not have by itself: runs with an ELBO.

use std::sync::Arc;

use libtest_mimic::Failed;
use semivq::gpu::Gpu;
use semivq::ops::loss::{LOG_VAR, PixelLoss};
use semivq::optim::Optimizer;
use semivq::train::checkpoint::State;
use semivq::train::{Method, TrainOptions};

use super::support::command::ensure;
use super::support::session::{checkpoint, glyphs, run};
use super::support::share_of_tolerance;
use super::{options, session};

fn with(loss: PixelLoss) -> TrainOptions {
    TrainOptions {
        loss: Some(loss),
        ..options(Method::Vq, 8, 0.005)
    }
}

/// Both fall, with the squared error of the test images; a learned variance falls with them, and a resumed run has it.
pub fn elbos_train_and_go_on(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for loss in [PixelLoss::Elbo, PixelLoss::ElboLearned] {
        let options = with(loss);
        let mut whole = session(&gpu, &options, glyphs(8, 8))?;
        let test = |s: &semivq::train::Session| pollster::block_on(s.evaluate(&s.data().test));
        let before = test(&whole)?.mse;
        let mut metrics = run(&mut whole, 60)?;
        let stopped = checkpoint(&whole)?;
        metrics.extend(run(&mut whole, 4)?);
        let (first, last) = (metrics[0].rec_loss, metrics[63].rec_loss);
        ensure(
            last < first - 50.0,
            format!("{loss:?}: {first} became {last} only"),
        )?;
        let after = test(&whole)?.mse;
        ensure(
            after < 0.8 * before,
            format!("{loss:?}: mse {before} became {after} only"),
        )?;
        let state = State::from_bytes(&stopped)?;
        let log_var = state.tensors.iter().find(|(name, ..)| name == LOG_VAR);
        match loss {
            PixelLoss::ElboLearned => {
                let (_, shape, values) = log_var.ok_or("no log variance")?;
                ensure(
                    *shape == [1] && values[0] < -0.1,
                    format!("the log variance: {values:?}"),
                )?;
            }
            _ => ensure(log_var.is_none(), "a log variance")?,
        }
        let mut resumed = session(&gpu, &options, glyphs(8, 8))?;
        resumed.restore(&stopped)?;
        ensure(
            run(&mut resumed, 4)? == metrics[60..] && checkpoint(&whole)? == checkpoint(&resumed)?,
            format!("{loss:?}: a resumed run differs"),
        )?;
    }
    Ok(())
}

/// With a learned variance a batch in parts is the whole batch, gradients and loss.
pub fn a_learned_variance_in_parts(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let whole = TrainOptions {
        // Its velocities after one step are the gradients.
        optimizer: Optimizer::Sgd {
            momentum: 0.9,
            weight_decay: 0.0,
        },
        ..with(PixelLoss::ElboLearned)
    };
    let parts = TrainOptions {
        accumulate: 4,
        ..whole.clone()
    };
    let mut all = Vec::new();
    for options in [whole, parts] {
        let mut session = session(&gpu, &options, glyphs(8, 4))?;
        let loss = run(&mut session, 1)?[0].rec_loss;
        let state = State::from_bytes(&checkpoint(&session)?)?;
        all.push((loss, state.training()?.moment1.clone()));
    }
    let [(want_loss, want), (loss, got)] = &all[..] else {
        return Err("two runs".into());
    };
    let near = (loss - want_loss).abs() < 1e-5 * want_loss;
    ensure(near, format!("the loss: {loss}, not {want_loss}"))?;
    for ((name, _, got), (_, _, want)) in got.iter().zip(want) {
        let share = share_of_tolerance(got, want, 2e-5, 1e-7);
        ensure(
            share <= 1.0,
            format!("{name} at {share:.2} of the tolerance"),
        )?;
    }
    Ok(())
}
