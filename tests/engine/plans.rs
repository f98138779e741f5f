//! Phases and slots of a plan, and the errors of a recording that does not fit.

use std::sync::Arc;

use libtest_mimic::Failed;
use semivq::gpu::{
    BuildOptions, Gpu, Init, Kernel, ParameterLayout, Phase, Recorder, STEPS_AT_ONCE, StepValues,
    Store,
};
use semivq::kernels;
use semivq::optim::Optimizer;
use semivq::train::Method;

use super::support::command::ensure;
use super::{options, refused, session};

pub fn phases_are_the_whole_plan_in_order(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for method in Method::ALL {
        let session = session(&gpu, &options(method), 24)?;
        let plan = session.plan();
        let all = [
            Phase::Forward,
            Phase::Backward,
            Phase::Updates,
            Phase::Optimiser,
        ];
        let [forward, backward, updates, optimiser] = all.map(|phase| plan.phase(phase));
        let whole = forward.start == 0
            && forward.end == backward.start
            && backward.end == updates.start
            && updates.end == optimiser.start
            && optimiser.end == plan.dispatches();
        ensure(whole, format!("{method:?}: the phases leave gaps"))?;
        ensure(forward.len() > 5 && backward.len() > 5, "a half is missing")?;
        ensure(optimiser.len() == 1, "the optimiser is one dispatch")?;
        let updates = updates.len();
        ensure(method != Method::Vq || updates == 0, "vq has updates")?;
        ensure(method != Method::Ema || updates > 0, "ema has none")?;
    }
    Ok(())
}

pub fn a_slot_without_a_value_is_named(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let mut layout = ParameterLayout::default();
    let mut rec = Recorder::new(&mut layout, true);
    rec.parameter("p", &[3], Init::Constant(1.0))?;
    let optimizer = Optimizer::default();
    optimizer.record(&mut rec);
    let recording = rec.finish();
    let store = Store::new(&gpu, layout, 0)?;
    let plan = recording.build(&gpu, &store, BuildOptions::default())?;
    refused(
        plan.run(&gpu, &StepValues::default().with("lr", 0.5_f32)),
        &["adamw::adamw", "bias1"],
    )?;
    refused(
        plan.run(&gpu, &optimizer.step(1, 0.5).with("lr", 1_u32)),
        &["adamw::adamw", "lr", "f32", "u32"],
    )?;
    let many = vec![optimizer.step(1, 0.5); STEPS_AT_ONCE + 1];
    refused(plan.set_steps(&gpu, &many), &["at most"])?;
    plan.run(&gpu, &optimizer.step(1, 0.5))?;
    Ok(())
}

fn kernel(label: &str) -> Result<&'static Kernel, Failed> {
    let found = kernels::all().into_iter().find(|k| k.label() == label);
    found.ok_or_else(|| format!("there is no {label}").into())
}

/// A dispatch of `label` with so many tensors and no params.
fn dispatched(gpu: &Gpu, label: &str, tensors: usize) -> Result<semivq::Result<()>, Failed> {
    let kernel = kernel(label)?;
    let mut layout = ParameterLayout::default();
    let mut rec = Recorder::new(&mut layout, false);
    let vars: Vec<_> = (0..tensors).map(|_| rec.input("x", &[64])).collect();
    rec.dispatch(kernel, &(), &vars, 1);
    let recording = rec.finish();
    let store = Store::new(gpu, layout, 0)?;
    let built = recording.build(gpu, &store, BuildOptions::default());
    Ok(built.map(|_| ()))
}

pub fn a_dispatch_that_does_not_fit_names_its_kernel(gpu: Arc<Gpu>) -> Result<(), Failed> {
    dispatched(&gpu, "bench::copy", 2)??;
    for count in [1, 3] {
        let parts = ["bench::copy", &format!("{count} tensors"), "binds 2"];
        refused(dispatched(&gpu, "bench::copy", count)?, &parts)?;
    }
    refused(dispatched(&gpu, "sum::sum", 2)?, &["sum::sum", "params"])
}

pub fn a_parameter_that_came_later_is_named(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let record = |layout: &mut ParameterLayout, layers: &[&str]| -> semivq::Result<_> {
        let mut rec = Recorder::new(layout, false);
        let mut x = rec.input("x", &[4, 8]);
        for layer in layers {
            x = semivq::nn::linear_without_bias(&mut rec, layer, x, 8)?;
        }
        Ok(rec.finish())
    };
    let mut layout = ParameterLayout::default();
    record(&mut layout, &["first"])?;
    let store = Store::new(&gpu, layout, 0)?;
    let mut later = store.layout().clone();
    let recording = record(&mut later, &["first", "second"])?;
    let built = recording.build(&gpu, &store, BuildOptions::default());
    refused(built, &["second.weight", "[8, 8]"])
}
