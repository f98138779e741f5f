//! Training beside PyTorch, and its figures beside scikit-image.

use libtest_mimic::Failed;
use semivq::gpu::{
    Arena, BuildOptions, Gpu, Init, ParameterLayout, Phase, Recorder, StepValues, Store,
};
use semivq::ops::ssim;
use semivq::optim::{Optimizer, Update, clip};
use semivq::train::TrainOptions;

use super::Case;
use super::support::share_of_tolerance;

/// The learning rate of every step, to float32's last digit but one.
pub fn schedules() -> Result<(), Failed> {
    let case = Case::read("schedule")?;
    let all = case.config.as_object().ok_or("no schedules")?;
    for (name, options) in all {
        let options = TrainOptions::from_partial(options.clone())?;
        let want = case.tensor(name)?;
        for (step, want) in (1..).zip(want) {
            let got = options.schedule.lr(step, options.lr, options.steps);
            if (got - want).abs() > 2e-7 * want {
                return Err(format!("{name}, step {step}: {got}, not {want}").into());
            }
        }
    }
    if all.len() < 5 {
        return Err("too few schedules".into());
    }
    Ok(())
}

/// Clipped gradients, and a stretch of parameters with a rate of its own, in both optimisers.
pub fn clipped_steps(gpu: &Gpu) -> Result<(), Failed> {
    let case = Case::read("clip")?;
    let number = |name: &str| case.config[name].as_f64().map(|v| v as f32);
    let (limit, factor) = (
        number("limit").ok_or("limit")?,
        number("factor").ok_or("factor")?,
    );
    let lr = number("lr").ok_or("lr")?;
    let adamw = Optimizer::Adamw {
        beta1: 0.8,
        beta2: 0.95,
        eps: 1e-8,
        weight_decay: 0.1,
    };
    let sgd = Optimizer::Sgd {
        momentum: 0.7,
        weight_decay: 0.1,
    };
    for (kind, optimizer) in [("adamw", adamw), ("sgd", sgd)] {
        let mut layout = ParameterLayout::default();
        let mut rec = Recorder::new(&mut layout, true);
        for name in ["a", "b", "c"] {
            let len = case.tensor(&format!("param.{name}"))?.len();
            rec.parameter(name, &[len], Init::Constant(0.0))?;
        }
        let clip = clip::record(&mut rec, limit);
        let own = |name: &str| if name == "b" { factor } else { 1.0 };
        let how = Update {
            factor: Some(clip.factor),
            rates: rec.layout().stretches(own),
        };
        if how.rates.len() != 3 {
            return Err(format!("{:?}", how.rates).into());
        }
        optimizer.record_with(&mut rec, &how);
        let recording = rec.finish();
        let store = Store::new(gpu, layout, 0)?;
        let plan = recording.build(gpu, &store, BuildOptions::default())?;
        if plan.phase(Phase::Optimiser).len() < 3 {
            return Err("a stretch has no update".into());
        }
        for name in ["a", "b", "c"] {
            let start = case.tensor(&format!("param.{name}"))?;
            store.write(gpu, Arena::Parameters, name, start)?;
        }
        for step in 0..5_u32 {
            for name in ["a", "b", "c"] {
                let gradient = case.tensor(&format!("grad.{name}_{step}"))?;
                store.write(gpu, Arena::Gradients, name, gradient)?;
            }
            plan.run(gpu, &optimizer.step(step + 1, lr))?;
            let norm = pollster::block_on(plan.read(gpu, clip.norm))?[0];
            let want = case.tensor("norms")?[step as usize];
            if (norm - want).abs() > 1e-6 * want {
                return Err(format!("{kind}, step {step}: norm {norm}, not {want}").into());
            }
            for (name, _, got) in pollster::block_on(store.read(gpu, Arena::Parameters))? {
                let want = case.tensor(&format!("{kind}.{name}_{step}"))?;
                let share = share_of_tolerance(&got, want, 2e-6, 1e-6);
                if share > 1.0 {
                    let message =
                        format!("{kind}, step {step}: {name} at {share:.2} of the tolerance");
                    return Err(message.into());
                }
            }
        }
    }
    Ok(())
}

/// The kernel and the plain loops against scikit-image; and what the window does not fit into is refused.
pub fn similarity(gpu: &Gpu) -> Result<(), Failed> {
    let case = Case::read("ssim")?;
    let shape = case.tensors["a"].0.clone();
    let image: usize = shape[1..].iter().product();
    let (a, b, want) = (case.tensor("a")?, case.tensor("b")?, case.tensor("ssim")?);
    let wide = |v: &[f32]| v.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
    for (i, want) in want.iter().enumerate() {
        let own = i * image..(i + 1) * image;
        let (a, b) = (wide(&a[own.clone()]), wide(&b[own]));
        let got = ssim::reference(&a, &b, [shape[2], shape[3]], 2.0);
        if (got - f64::from(*want)).abs() > 1e-6 {
            return Err(format!("image {i}: plain loops {got}, scikit-image {want}").into());
        }
    }
    let mut layout = ParameterLayout::guarded();
    let mut rec = Recorder::new(&mut layout, false);
    let [x, y] = ["x", "y"].map(|name| rec.input(name, &shape));
    let out = ssim::ssim(&mut rec, "ssim", x, y, 2.0)?;
    let small = rec.input("small", &[1, 1, 10, 30]);
    let refused = ssim::ssim(&mut rec, "ssim", small, small, 2.0).err();
    let text = refused.ok_or("10 rows were taken")?.to_string();
    if !text.contains("at least 11 x 11") {
        return Err(text.into());
    }
    let recording = rec.finish();
    let store = Store::new(gpu, layout, 0)?;
    let plan = recording.build(gpu, &store, BuildOptions { guarded: true })?;
    plan.write(gpu, x, a)?;
    plan.write(gpu, y, b)?;
    plan.run(gpu, &StepValues::default())?;
    pollster::block_on(plan.check_guards(gpu))?;
    let got = pollster::block_on(plan.read(gpu, out))?[0];
    let want = want.iter().sum::<f32>() / want.len() as f32;
    if (got - want).abs() > 1e-5 {
        return Err(format!("the kernel {got}, scikit-image {want}").into());
    }
    Ok(())
}
