//! An exchange between the phases of a step.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use libtest_mimic::Failed;
use semivq::Error;
use semivq::gpu::{Element, Exchange, Exchanged, Exchanging, Gpu};
use semivq::optim::Optimizer;
use semivq::train::checkpoint::State;
use semivq::train::{Method, Session, TrainOptions};

use super::support::command::ensure;
use super::support::session::{checkpoint, run};
use super::{moving, options, refused, replacing, session};

/// What an exchange was given, by step.
type Seen = Rc<RefCell<Vec<Vec<Exchanged>>>>;

/// Reads everything and writes it back, multiplied by `factor` where it is no integer.
struct Mirror {
    factor: f32,
    seen: Seen,
}

impl Exchange for Mirror {
    fn exchange<'a>(&'a mut self, gpu: &'a Gpu, tensors: &'a [Exchanged]) -> Exchanging<'a> {
        Box::pin(async move {
            let all = Exchanged::read(gpu, tensors).await?;
            for (tensor, mut words) in tensors.iter().zip(all) {
                if tensor.element == Element::F32 {
                    let scale = |w: &mut u32| *w = (f32::from_bits(*w) * self.factor).to_bits();
                    words.iter_mut().for_each(scale);
                }
                tensor.write(gpu, &words)?;
            }
            self.seen.borrow_mut().push(tensors.to_vec());
            Ok(())
        })
    }
}

fn mirror(session: &mut Session, factor: f32) -> Seen {
    let seen = Seen::default();
    let exchange = Mirror {
        factor,
        seen: Rc::clone(&seen),
    };
    session.set_exchange(Some(Box::new(exchange)));
    seen
}

pub fn an_exchange_that_changes_nothing_changes_nothing(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for options in [options(Method::Vq), options(Method::StePlus), moving()] {
        let mut alone = session(&gpu, &options, 24)?;
        let want = (run(&mut alone, 7)?, checkpoint(&alone)?);
        for parts in [1, 4] {
            let mut together = session(&gpu, &options, 24)?;
            together.submit_in_parts(parts);
            let seen = mirror(&mut together, 1.0);
            let mut metrics = run(&mut together, 3)?;
            pollster::block_on(together.steps(4, |m| metrics.push(m)))?;
            while let Some(m) = pollster::block_on(together.next_metrics())? {
                metrics.push(m);
            }
            let case = format!("{:?}, {parts} parts", options.method);
            ensure(seen.borrow().len() == 7, format!("{case}: not one a step"))?;
            let got = (metrics, checkpoint(&together)?);
            ensure(got == want, format!("{case}: the runs differ"))?;
        }
    }
    Ok(())
}

pub fn statistics_of_the_codebook_are_exchanged(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let of = |options: &TrainOptions| -> Result<Vec<(Element, u64)>, Failed> {
        let mut session = session(&gpu, options, 24)?;
        let seen = mirror(&mut session, 1.0);
        run(&mut session, 1)?;
        let seen = seen.borrow();
        ensure(seen[0][0].name == "gradients", "the gradients come first")?;
        ensure(
            seen[0][0].bytes >= 4 * session.parameter_count() as u64,
            "not all gradients",
        )?;
        Ok(seen[0][1..].iter().map(|t| (t.element, t.bytes)).collect())
    };
    let (codes, features) = (40, 32);
    let counts = (Element::U32, 4 * codes);
    let sums = (Element::F32, 4 * codes * features);
    ensure(of(&options(Method::Vq))?.is_empty(), "vq has statistics")?;
    ensure(of(&options(Method::Ema))? == [counts, sums], "ema")?;
    // Both declare the counts.
    ensure(of(&moving())? == [counts, sums], "ema and replacement")?;
    ensure(of(&replacing(Method::Vq))? == [counts], "replacement")
}

pub fn without_gradients_only_weight_decay_moves(gpu: Arc<Gpu>) -> Result<(), Failed> {
    const LR: f32 = 0.01;
    for decay in [0.0, 0.5] {
        let mut options = options(Method::Vq);
        options.lr = LR;
        let Optimizer::Adamw { weight_decay, .. } = &mut options.optimizer else {
            return Err("the default is no AdamW".into());
        };
        *weight_decay = decay;
        let mut session = session(&gpu, &options, 24)?;
        let tensors = |session: &Session| -> Result<_, Failed> {
            Ok(State::from_bytes(&checkpoint(session)?)?.tensors)
        };
        let before = tensors(&session)?;
        mirror(&mut session, 0.0);
        run(&mut session, 1)?;
        for ((name, _, was), (_, _, is)) in before.iter().zip(&tensors(&session)?) {
            let factor = 1.0 - LR * decay;
            let near = |(was, is): (&f32, &f32)| (is - was * factor).abs() <= 2e-7 * was.abs();
            let held = was.iter().zip(is).all(near) && (decay > 0.0 || was == is);
            ensure(held, format!("{name} moved, weight decay {decay}"))?;
        }
        session.set_exchange(None);
        run(&mut session, 1)?;
        ensure(
            tensors(&session)? != before,
            "nothing moves without an exchange",
        )?;
    }
    Ok(())
}

struct Failing;

impl Exchange for Failing {
    fn exchange<'a>(&'a mut self, _: &'a Gpu, _: &'a [Exchanged]) -> Exchanging<'a> {
        Box::pin(async { Err(Error::Config("nobody answers".into())) })
    }
}

/// More often than there are staging buffers.
pub fn a_step_that_fails_costs_no_staging_buffer(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let mut session = session(&gpu, &options(Method::Vq), 24)?;
    session.set_exchange(Some(Box::new(Failing)));
    for _ in 0..5 {
        refused(pollster::block_on(session.step()), &["nobody answers"])?;
    }
    ensure(session.steps_done() == 0, "a failed step was counted")?;
    session.set_exchange(None);
    ensure(run(&mut session, 5)?.len() == 5, "a step did not report")
}
