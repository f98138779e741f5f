//! Memory that is shared, and grids that are folded.

use std::sync::Arc;

use libtest_mimic::Failed;
use semivq::data::{Dataset, Images};
use semivq::gpu::{Arena, BuildOptions, Gpu, ParameterLayout, Recorder, StepValues, Store, Traits};
use semivq::models::{Builder, Model, ResNet, ResNetOptions, Simple, SimpleOptions, Variant};
use semivq::ops::conv2d::{Conv2dOptions, conv2d};
use semivq::optim::Optimizer;
use semivq::quant::VectorQuantConfig;
use semivq::quant::codebook::{AlterPenalty, Estimator, ReplacePolicy};
use semivq::train::{Cost, TrainOptions};
use serde_json::{Value, json};

use super::support::command::ensure;
use super::support::{candidate_sets, forcing, normals};

/// What has a step of its own, or needs much memory for a while.
fn quantizers() -> Vec<(&'static str, VectorQuantConfig)> {
    let plain = VectorQuantConfig {
        num_codes: 24,
        ..VectorQuantConfig::default()
    };
    type Change = fn(&mut VectorQuantConfig);
    let all: [(&str, Change); 9] = [
        ("alpha and gamma", |c| {
            c.use_learnable_std = true;
            c.use_learnable_gamma = true;
            c.alter_penalty = AlterPenalty::Between1;
            c.penalty_weight = 0.5;
        }),
        ("replacement by k-means", |c| {
            c.replace_freq = 1;
            c.replace_policy = ReplacePolicy::InputKmeans;
        }),
        ("in-place", |c| {
            c.inplace_optimizer = Some((10.0, 0.9));
            c.beta = 1.0;
            c.affine_lr = 2.0;
        }),
        ("a moving average", |c| c.ema_decay = Some(0.9)),
        ("rotation", |c| c.estimator = Estimator::Rotation),
        ("rounding", |c| {
            c.fsq_levels = Some(vec![5, 4, 3]);
            c.num_codes = 60;
        }),
        ("three codebooks", |c| {
            c.residual = 3;
            c.replace_freq = 1;
            c.use_learnable_std = true;
        }),
        ("one codebook three times", |c| {
            c.residual = 3;
            c.residual_shared = true;
            c.ema_decay = Some(0.8);
            c.replace_below = 0.9;
        }),
        ("none", |c| c.no_vq = true),
    ];
    let made = all.into_iter().map(|(name, change)| {
        let mut config = plain.clone();
        change(&mut config);
        (name, config)
    });
    made.collect()
}

/// Without a device: the numbers that the session has on one.
pub(super) fn what_a_run_costs_is_known_before(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let small = |options: Value| {
        let mut all = json!({"batch": 8, "vq": {"num_codes": 16, "feature_size": 8}});
        for (name, value) in options.as_object().unwrap() {
            all[name] = value.clone();
        }
        TrainOptions::from_partial(all)
    };
    for (options, channels) in [
        (small(json!({}))?, 1),
        (small(json!({"method": "approach1", "clip_norm": 1.0}))?, 1),
        (small(json!({"method": "best", "flip": true}))?, 3),
        (small(json!({"method": "fsq", "accumulate": 2}))?, 1),
        (small(json!({"model": "resnet32", "blocks": 1}))?, 3),
    ] {
        let shape = [channels, 16, 16];
        let pixels = vec![7; 24 * channels * 256];
        let images = || Images {
            shape,
            pixels: pixels.clone(),
            labels: None,
        };
        let data = Dataset::new("grey", images(), images());
        let cost = Cost::of(&options, shape, 24, gpu.traits())?;
        let session = super::session(&gpu, &options, data)?;
        let plan = session.plan();
        let name = options.model.name();
        ensure(
            cost.parameters == session.parameter_count(),
            format!("{name}: {cost:?}"),
        )?;
        ensure(
            cost.dispatches == plan.dispatches(),
            format!("{name}: {cost:?}"),
        )?;
        // The session passes the parts of a batch one after the other.
        let work = plan.work() * options.accumulate as u64;
        ensure(
            cost.work.abs_diff(work) <= work / 20 + 4_000_000,
            format!("{name}: {cost:?}, not {work}"),
        )?;
        let least =
            plan.activation_bytes() + 16 * session.parameter_count() as u64 + pixels.len() as u64;
        ensure(
            (least..least + least / 4 + 4096).contains(&cost.bytes),
            format!("{name}: {cost:?}, at least {least}"),
        )?;
    }
    Ok(())
}

/// All tensors after two steps, in bits, and the bytes of all activations.
type Left = (Vec<(String, Vec<u32>)>, u64);

fn two_steps(gpu: &Gpu, model: &dyn Model, channels: usize, guarded: bool) -> Result<Left, Failed> {
    let optimizer = Optimizer::default();
    let mut layout = ParameterLayout::guarded();
    let mut rec = Recorder::new(&mut layout, true);
    let shape = [3, channels, 16, 24];
    let x = rec.input("x", &shape);
    let mut net = Builder::new(&mut rec, model.commitment_weight());
    let y = model.forward(&mut net, x)?;
    let loss = model.reconstruction_loss();
    let loss = loss.apply(&mut rec, "loss", y, x, 1.0)?;
    rec.backward()?;
    optimizer.record(&mut rec);
    let recording = rec.finish();
    let store = Store::new(gpu, layout, 9)?;
    store.poison_gradients(gpu);
    let plan = recording.build(gpu, &store, BuildOptions { guarded })?;
    let mut all = Vec::new();
    for step in 1..=2 {
        let images = normals(&format!("images {step}"), shape.iter().product());
        plan.write(gpu, x, &images)?;
        let values = optimizer.step(step, 1e-3).with_seed(5);
        plan.run(gpu, &values.with("epoch_steps", 1_u32))?;
        let loss = pollster::block_on(plan.read_u32(gpu, loss))?;
        all.push((format!("loss of step {step}"), loss));
        let arenas = [
            Arena::Gradients,
            Arena::Parameters,
            Arena::Buffers,
            Arena::Moment1,
            Arena::Moment2,
        ];
        for (arena, tensors) in arenas
            .iter()
            .zip(pollster::block_on(store.read_many(gpu, &arenas))?)
        {
            for (name, _, values) in tensors {
                let what = format!("{arena:?} {name} after step {step}");
                ensure(
                    values.iter().all(|v| v.is_finite()),
                    format!("{what} was not written"),
                )?;
                all.push((what, values.iter().map(|v| v.to_bits()).collect()));
            }
        }
    }
    Ok((all, plan.activation_bytes()))
}

/// A plan whose activations share memory gives the bits of one where none does.
pub fn sharing_memory_changes_nothing(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let mut models: Vec<(String, usize, Box<dyn Model>)> = Vec::new();
    for (name, config) in quantizers() {
        let simple = Simple::new(config.build()?, SimpleOptions::default());
        models.push((format!("simple, {name}"), 1, Box::new(simple)));
    }
    let plain = VectorQuantConfig {
        num_codes: 24,
        ..VectorQuantConfig::default()
    };
    let own = ResNetOptions::new(Variant::Resnet32);
    let resnet = ResNet::new(plain.build()?, ResNetOptions { blocks: 2, ..own });
    models.push(("resnet32".into(), 3, Box::new(resnet)));
    for (name, channels, model) in models {
        let (shared, few) = two_steps(&gpu, model.as_ref(), channels, false)?;
        let (alone, many) = two_steps(&gpu, model.as_ref(), channels, true)?;
        let differs = shared.iter().zip(&alone).find(|(a, b)| a != b);
        ensure(
            differs.is_none() && shared.len() == alone.len(),
            format!("{name}: {:?} differs", differs.map(|(a, _)| &a.0)),
        )?;
        // Most of what rests is kept to be read.
        let share = if name.ends_with("gamma") { 0.5 } else { 0.6 };
        ensure(
            (few as f64) < share * many as f64,
            format!("{name}: {few} bytes shared, {many} alone: hardly anything is shared"),
        )?;
    }
    Ok(())
}

/// Bytes of the activations of a step of `model`, each with memory of its own or shared.
fn activations(gpu: &Gpu, model: &dyn Model, shape: &[usize], alone: bool) -> Result<u64, Failed> {
    let mut layout = ParameterLayout::guarded();
    let mut rec = Recorder::new(&mut layout, true).tuned_for(gpu);
    let x = rec.input("x", shape);
    let mut net = Builder::new(&mut rec, model.commitment_weight());
    let y = model.forward(&mut net, x)?;
    let loss = model.reconstruction_loss();
    loss.apply(&mut rec, "loss", y, x, 1.0)?;
    rec.backward()?;
    Optimizer::default().record(&mut rec);
    let recording = rec.finish();
    let store = Store::new(gpu, layout, 9)?;
    let plan = recording.build(gpu, &store, BuildOptions { guarded: alone })?;
    Ok(plan.activation_bytes())
}

/// The large model trains in less than half of what its tensors take one by one.
pub fn resnet64_shares_more_than_half(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let quantizer = VectorQuantConfig {
        feature_size: 64,
        num_codes: 512,
        ..VectorQuantConfig::default()
    };
    let options = ResNetOptions::new(Variant::Resnet64);
    let model = ResNet::new(quantizer.build()?, options);
    let shape = [2, 3, 64, 64];
    let [few, many] = [false, true].map(|alone| activations(&gpu, &model, &shape, alone));
    let (few, many) = (few?, many?);
    println!("{few} bytes of {many}: {:.3}", few as f64 / many as f64);
    ensure(
        2 * few <= many,
        format!("{few} bytes shared, {many} alone: more than half"),
    )
}

/// More workgroups than a row of the grid has: the convolutions fold theirs into z.
pub fn a_folded_convolution_reaches_every_image(gpu: Arc<Gpu>) -> Result<(), Failed> {
    // An image of one pixel each is a tile of each: 64 of them are a workgroup.
    let count = 65_535 * 64 + 300;
    let values: Vec<f32> = (0..count).map(|i| (i % 1009) as f32).collect();
    let want: Vec<f32> = values.iter().map(|v| 2.0 * v + 1.0).collect();
    for set in candidate_sets("conv2d::") {
        let gpu = forcing(&gpu, &set);
        let mut layout = ParameterLayout::default();
        let mut rec = Recorder::new(&mut layout, false).with_traits(Traits {
            forced: set.forced.clone(),
            ..Traits::default()
        });
        let x = rec.input("x", &[count, 1, 1, 1]);
        let w = rec.input("w", &[1, 1, 3, 3]);
        let bias = rec.input("bias", &[1]);
        let y = conv2d(&mut rec, x, w, Some(bias), Conv2dOptions::SAME_3X3)?;
        rec.keep(y);
        ensure(
            rec.dispatches()[0].groups()[2] == 2,
            "the grid was not folded",
        )?;
        let recording = rec.finish();
        let store = Store::new(&gpu, layout, 0)?;
        let plan = recording.build(&gpu, &store, BuildOptions::default())?;
        plan.write(&gpu, x, &values)?;
        let mut kernel = [7.0_f32; 9];
        kernel[4] = 2.0;
        plan.write(&gpu, w, &kernel)?;
        plan.write(&gpu, bias, &[1.0_f32])?;
        plan.run(&gpu, &StepValues::default())?;
        ensure(
            pollster::block_on(plan.read(&gpu, y))? == want,
            format!("{:?}: an image was missed", set.forced),
        )?;
    }
    Ok(())
}

/// Every dispatch after the 65,535th workgroup lies in the second row of the grid.
pub fn a_folded_grid_reaches_every_element(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let count = 65_535 * 256 + 300;
    let mut layout = ParameterLayout::default();
    let mut rec = Recorder::new(&mut layout, false);
    let x = rec.input("x", &[count]);
    let y = semivq::ops::activation::relu(&mut rec, x);
    rec.keep(y);
    let recording = rec.finish();
    let store = Store::new(&gpu, layout, 0)?;
    let plan = recording.build(&gpu, &store, BuildOptions::default())?;
    let values: Vec<f32> = (0..count).map(|i| (i % 1009) as f32 + 1.0).collect();
    plan.write(&gpu, x, &values)?;
    plan.run(&gpu, &StepValues::default())?;
    ensure(
        pollster::block_on(plan.read(&gpu, y))? == values,
        "an element was missed",
    )
}
