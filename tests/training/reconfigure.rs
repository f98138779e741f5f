//! Other options in the middle of a run.

use std::sync::Arc;

use libtest_mimic::Failed;
use semivq::gpu::Gpu;
use semivq::train::{Method, Session, TrainOptions};

use super::support::command::ensure;
use super::support::session::{checkpoint, glyphs, run};
use super::{options, session};

fn reconfigure(session: &mut Session, options: &TrainOptions) -> semivq::Result<()> {
    let model = options.build_model(session.data().shape()[0])?;
    pollster::block_on(session.reconfigure(model, options.session()))
}

/// With the same options nothing happens; with others the run goes on as a new session with them that
/// takes up the checkpoint.
pub fn other_options_under_way(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for method in Method::ALL {
        let before = options(method, 8, 1e-3);
        let mut other = before.clone();
        other.lr = 3e-4;
        // Where codes have a commitment loss, beta may change.
        if let Ok(changed) = other.clone().with_quantizer(|vq| vq.beta = 0.5) {
            other = changed;
        }
        for after in [before.clone(), other] {
            let mut live = session(&gpu, &before, glyphs(24, 4))?;
            run(&mut live, 2)?;
            let stopped = checkpoint(&live)?;
            reconfigure(&mut live, &after)?;
            ensure(live.steps_done() == 2, "the steps were not carried over")?;
            let mut fresh = session(&gpu, &after, glyphs(24, 4))?;
            fresh.restore(&stopped)?;
            ensure(
                run(&mut live, 2)? == run(&mut fresh, 2)?
                    && checkpoint(&live)? == checkpoint(&fresh)?,
                format!("{method:?}, lr {}: a reconfigured run differs", after.lr),
            )?;
        }
    }
    Ok(())
}

/// Another seed, batch or shape is refused, and the session stays as it was.
pub fn what_needs_a_new_session(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let before = options(Method::Vq, 8, 1e-3);
    let mut session = session(&gpu, &before, glyphs(24, 4))?;
    run(&mut session, 2)?;
    let stopped = checkpoint(&session)?;
    let (mut seed, mut batch) = (before.clone(), before.clone());
    seed.seed += 1;
    batch.batch = 4;
    let codes = before.with_quantizer(|vq| vq.num_codes = 41)?;
    for (options, want) in [
        (seed, "start a new session"),
        (batch, "start a new session"),
        (codes, "codebook.weight"),
    ] {
        let error = reconfigure(&mut session, &options).err().ok_or(want)?;
        let text = error.to_string();
        ensure(text.contains(want), text)?;
        ensure(
            checkpoint(&session)? == stopped,
            format!("{want}: the session changed"),
        )?;
    }
    Ok(())
}
