//! Stochastic gradient descent, weight decay included.

use std::sync::Arc;

use libtest_mimic::Failed;
use semivq::gpu::{Arena, BuildOptions, Gpu, Init, ParameterLayout, Recorder, Store};
use semivq::optim::Optimizer;
use semivq::train::Method;

use super::support::command::ensure;
use super::support::session::{checkpoint, glyphs, run};
use super::support::{normals, share_of_tolerance};
use super::{options, session};

const MOMENTUM: f32 = 0.9;
const WEIGHT_DECAY: f32 = 0.05;
const LR: f32 = 0.1;

const SGD: Optimizer = Optimizer::Sgd {
    momentum: MOMENTUM,
    weight_decay: WEIGHT_DECAY,
};

/// `v <- momentum v + g + wd p`, `p <- p - lr v`, for two parameters of odd lengths over some steps.
pub fn sgd_beside_a_plain_loop(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let names = [("a", 37), ("b", 300)];
    let mut layout = ParameterLayout::default();
    let mut rec = Recorder::new(&mut layout, true);
    for (name, len) in names {
        rec.parameter(name, &[len], Init::Normal(1.0))?;
    }
    SGD.record(&mut rec);
    let recording = rec.finish();
    let store = Store::new(&gpu, layout, 3)?;
    let plan = recording.build(&gpu, &store, BuildOptions::default())?;
    let read = |arena| pollster::block_on(store.read(&gpu, arena));
    let wide = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
    let start = read(Arena::Parameters)?;
    let mut p: Vec<Vec<f64>> = start.iter().map(|(_, _, values)| wide(values)).collect();
    let mut v: Vec<Vec<f64>> = p.iter().map(|p| vec![0.0; p.len()]).collect();
    for step in 1..=5 {
        for (i, (name, len)) in names.into_iter().enumerate() {
            let grad = normals(&format!("gradient {name} {step}"), len);
            store.write(&gpu, Arena::Gradients, name, &grad)?;
            for (at, g) in wide(&grad).into_iter().enumerate() {
                let (p, v) = (&mut p[i][at], &mut v[i][at]);
                *v = f64::from(MOMENTUM) * *v + g + f64::from(WEIGHT_DECAY) * *p;
                *p -= f64::from(LR) * *v;
            }
        }
        plan.run(&gpu, &SGD.step(step, LR))?;
        for (arena, want) in [(Arena::Parameters, &p), (Arena::Moment1, &v)] {
            for ((name, _, got), want) in read(arena)?.iter().zip(want) {
                let want: Vec<f32> = want.iter().map(|v| *v as f32).collect();
                let share = share_of_tolerance(got, &want, 2e-6, 1e-7);
                ensure(
                    share <= 1.0,
                    format!("step {step}, {arena:?} of {name} at {share:.2} of the tolerance"),
                )?;
            }
        }
    }
    Ok(())
}

pub fn sgd_trains_and_goes_on(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let mut options = options(Method::Vq, 8, 0.005);
    options.optimizer = SGD;
    let mut whole = session(&gpu, &options, glyphs(8, 4))?;
    let mut metrics = run(&mut whole, 60)?;
    let stopped = checkpoint(&whole)?;
    metrics.extend(run(&mut whole, 4)?);
    let (first, last) = (metrics[0].rec_loss, metrics[63].rec_loss);
    ensure(last < 0.7 * first, format!("{first} became {last} only"))?;
    let mut resumed = session(&gpu, &options, glyphs(8, 4))?;
    resumed.restore(&stopped)?;
    ensure(
        run(&mut resumed, 4)? == metrics[60..] && checkpoint(&whole)? == checkpoint(&resumed)?,
        "a resumed run differs",
    )
}
