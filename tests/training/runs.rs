//! Whole runs of every method.

use std::sync::Arc;

use libtest_mimic::Failed;
use semivq::Error;
use semivq::gpu::Gpu;
use semivq::train::{Method, Weights};

use super::support::command::ensure;
use super::support::session::{checkpoint, glyphs, run};
use super::{options, session};

pub fn overfits_one_batch(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for method in Method::ALL {
        let mut session = session(&gpu, &options(method, 8, 3e-3), glyphs(8, 4))?;
        let metrics = run(&mut session, 200)?;
        let (first, last) = (metrics[0].rec_loss, metrics[199].rec_loss);
        // Of an evidence bound the loss is half the pixels times the logarithm of the squared error.
        let left = match method.bound() {
            Some(_) => ((last - first) / (28.0 * 28.0 / 2.0)).exp(),
            None => last / first,
        };
        ensure(
            left < 0.25,
            format!("{method:?}: {first} became {last} only"),
        )?;
    }
    Ok(())
}

pub fn two_runs_are_equal(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for method in Method::ALL {
        let once = || -> Result<_, Failed> {
            let mut session = session(&gpu, &options(method, 8, 1e-3), glyphs(24, 4))?;
            Ok((run(&mut session, 6)?, checkpoint(&session)?))
        };
        let (first, again) = (once()?, once()?);
        ensure(first.0.len() == 6, "a step did not report")?;
        ensure(first == again, format!("{method:?}: two runs differ"))?;
    }
    Ok(())
}

pub fn seeds_differ(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let once = |seed: u64| -> Result<_, Failed> {
        let mut options = options(Method::Vq, 8, 1e-3);
        options.seed = seed;
        let mut session = session(&gpu, &options, glyphs(24, 4))?;
        Ok(run(&mut session, 2)?)
    };
    ensure(once(1)? != once(2)?, "two seeds gave the same run")
}

pub fn resuming_equals_not_stopping(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for method in Method::ALL {
        // Three batches an epoch: the stop falls into the middle of the second one.
        let options = options(method, 8, 1e-3);
        let mut whole = session(&gpu, &options, glyphs(24, 4))?;
        let mut metrics = run(&mut whole, 4)?;
        let stopped = checkpoint(&whole)?;
        metrics.extend(run(&mut whole, 4)?);
        let mut resumed = session(&gpu, &options, glyphs(24, 4))?;
        resumed.restore(&stopped)?;
        ensure(resumed.steps_done() == 4, "the step was not restored")?;
        let tail = run(&mut resumed, 4)?;
        ensure(
            metrics[4..] == tail[..],
            format!("{method:?}: the metrics differ"),
        )?;
        ensure(
            checkpoint(&whole)? == checkpoint(&resumed)?,
            format!("{method:?}: the checkpoints differ"),
        )?;
    }
    Ok(())
}

pub fn evaluation_changes_nothing(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for method in Method::ALL {
        let mut session = session(&gpu, &options(method, 8, 1e-3), glyphs(24, 13))?;
        run(&mut session, 2)?;
        let before = checkpoint(&session)?;
        let test = session.data().test.clone();
        let first = pollster::block_on(session.evaluate(&test))?;
        let again = pollster::block_on(session.evaluate(&test))?;
        ensure(
            first == again && first.images == 13,
            format!("{first:?} then {again:?}"),
        )?;
        ensure(
            before == checkpoint(&session)?,
            format!("{method:?}: evaluation changed the model"),
        )?;
    }
    Ok(())
}

/// Codes there and back give what a reconstruction gives, for every method.
pub fn codes_stand_for_the_reconstruction(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for method in Method::ALL {
        let mut session = session(&gpu, &options(method, 8, 1e-3), glyphs(24, 13))?;
        run(&mut session, 3)?;
        let images = session.data().test.clone();
        let codes = pollster::block_on(session.encode(&images))?;
        let shapes: Vec<_> = codes.iter().map(|c| c.shape.clone()).collect();
        ensure(shapes == [[13, 7, 7]], format!("{shapes:?}"))?;
        let decoded = pollster::block_on(session.decode(&codes))?;
        let straight = pollster::block_on(session.reconstruct(&images))?;
        ensure(
            decoded.shape == straight.shape && decoded.pixels == straight.pixels,
            format!("{method:?}: decoding the codes gives other images"),
        )?;
        let mut wrong = codes.clone();
        wrong[0].values[5] = -1;
        let error = pollster::block_on(session.decode(&wrong)).err();
        let text = error.ok_or("code -1 was decoded")?.to_string();
        ensure(text.contains("code -1 does not exist"), text)?;
    }
    Ok(())
}

/// With `kmeans_init` the first step finds a codebook that lies among the vectors: far more codes are
/// in use, two runs are equal, and nothing is clustered again when a run goes on.
pub fn kmeans_starts_the_codebook(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for method in [
        Method::Vq,
        Method::Ema,
        Method::Approach1Plus,
        Method::StePlus,
    ] {
        let options = options(method, 8, 1e-3);
        let plain = run(&mut session(&gpu, &options, glyphs(24, 4))?, 1)?[0].clone();
        let options = options.with_quantizer(|vq| {
            vq.codebook_init = semivq::quant::codebook::CodebookInit::Kmeans;
        })?;
        let mut whole = session(&gpu, &options, glyphs(24, 4))?;
        let mut metrics = run(&mut whole, 2)?;
        let (used, before) = (metrics[0].perplexity, plain.perplexity);
        ensure(
            used > before.map(|p| 1.5 * p),
            format!("{method:?}: perplexity {before:?} became {used:?} only"),
        )?;
        let stopped = checkpoint(&whole)?;
        metrics.extend(run(&mut whole, 2)?);
        let mut resumed = session(&gpu, &options, glyphs(24, 4))?;
        resumed.restore(&stopped)?;
        ensure(
            metrics[2..] == run(&mut resumed, 2)?[..]
                && checkpoint(&whole)? == checkpoint(&resumed)?,
            format!("{method:?}: a resumed run differs"),
        )?;
    }
    Ok(())
}

/// K-means looks at the vectors of the weights that a run begins with, not at those of drawn ones.
pub fn kmeans_starts_on_given_weights(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let plain = options(Method::Vq, 8, 1e-2).with_quantizer(|vq| vq.no_vq = true)?;
    let mut before = session(&gpu, &plain, glyphs(24, 4))?;
    run(&mut before, 40)?;
    let weights = Weights::from_bytes(&checkpoint(&before)?)?;
    let options = options(Method::Vq, 8, 1e-3).with_quantizer(|vq| {
        vq.codebook_init = semivq::quant::codebook::CodebookInit::Kmeans;
    })?;
    let mut session = session(&gpu, &options, glyphs(24, 4))?;
    session.take_weights(&weights)?;
    let first = run(&mut session, 1)?.remove(0);
    ensure(
        first.active_ratio > Some(90.0),
        format!("active codes: {:?} %", first.active_ratio),
    )
}

pub fn a_diverging_run_says_so(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let mut session = session(&gpu, &options(Method::Vq, 8, 1e30), glyphs(8, 4))?;
    let error = run(&mut session, 20)
        .err()
        .ok_or("a learning rate of 1e30 went well")?;
    let Error::Diverged { step, .. } = &error else {
        return Err(error.to_string().into());
    };
    ensure((2..10).contains(step), format!("noticed at step {step}"))?;
    ensure(
        error.to_string().contains("lower `lr` (now 1e30)"),
        error.to_string(),
    )?;
    ensure(
        error.to_string().contains(
            "of the 392 vectors before the quantiser, or their squared distances, are NaN",
        ),
        error.to_string(),
    )?;
    ensure(
        checkpoint(&session).is_err(),
        "a checkpoint that is not finite was handed out",
    )
}
