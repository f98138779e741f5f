//! Models beside plain loops, and the residual one in a session.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::sync::Arc;

use libtest_mimic::Failed;
use semivq::data::{Dataset, Images};
use semivq::gpu::{Arena, BuildOptions, Gpu, ParameterLayout, Recorder, StepValues, Store};
use semivq::models::{Builder, Model, ResNet, ResNetOptions, Simple, SimpleOptions, Variant};
use semivq::ops::activation::Activation;
use semivq::ops::conv2d::{Conv2d, Conv2dOptions};
use semivq::ops::loss::OfImages;
use semivq::ops::max_pool2d::MaxPool2d;
use semivq::ops::reference::Reference;
use semivq::optim::Optimizer;
use semivq::quant::VectorQuantConfig;
use semivq::rng::Stream;
use semivq::train::{Session, SessionOptions};

use super::support::command::ensure;
use super::support::session::{checkpoint, run};
use super::support::{normals, share_by_rows};

const FEATURES: usize = 6;
const SHAPE: [usize; 4] = [2, 3, 8, 12];

/// A layer of the chain: its reference, and the name of its weights if it has any.
enum Layer {
    Conv(Conv2d, &'static str),
    Pool(MaxPool2d),
    Gelu,
}

impl Layer {
    fn inputs(&self, x: &[f64], weights: &BTreeMap<String, Vec<f64>>) -> Vec<Vec<f64>> {
        let mut all = vec![x.to_vec()];
        if let Self::Conv(_, name) = self {
            all.extend(["weight", "bias"].map(|part| weights[&format!("{name}.{part}")].clone()));
        }
        all
    }

    fn forward(&self, inputs: &[Vec<f64>]) -> Vec<f64> {
        match self {
            Self::Conv(op, _) => Reference::forward(op, inputs),
            Self::Pool(op) => Reference::forward(op, inputs),
            Self::Gelu => Reference::forward(&Activation::Gelu, inputs),
        }
    }

    fn backward(&self, inputs: &[Vec<f64>], grad: &[f64]) -> Vec<Vec<f64>> {
        match self {
            Self::Conv(op, _) => Reference::backward(op, inputs, grad),
            Self::Pool(op) => Reference::backward(op, inputs, grad),
            Self::Gelu => Reference::backward(&Activation::Gelu, inputs, grad),
        }
    }
}

/// `simple` without its quantiser, written down anew.
fn chain() -> Vec<Layer> {
    let [b, c, h, w] = SHAPE;
    let same = |x: [usize; 4], o: usize| {
        Conv2d::new(&x, &[o, x[1], 3, 3], Conv2dOptions::SAME_3X3).unwrap()
    };
    let doubled = |x: [usize; 4], o: usize| Conv2d::after_upsampling(&x, &[o, x[1], 3, 3]).unwrap();
    let halved = |x: [usize; 4]| MaxPool2d::new(&x, 2, 2).unwrap();
    vec![
        Layer::Conv(same(SHAPE, 16), "layers.0"),
        Layer::Pool(halved([b, 16, h, w])),
        Layer::Gelu,
        Layer::Conv(same([b, 16, h / 2, w / 2], FEATURES), "layers.3"),
        Layer::Pool(halved([b, FEATURES, h / 2, w / 2])),
        Layer::Conv(doubled([b, FEATURES, h / 4, w / 4], 16), "layers.7"),
        Layer::Gelu,
        Layer::Conv(doubled([b, 16, h / 2, w / 2], c), "layers.10"),
    ]
}

/// `simple` for three channels: output and every gradient.
pub fn colour_beside_plain_loops(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let config = VectorQuantConfig {
        feature_size: FEATURES,
        no_vq: true,
        ..VectorQuantConfig::default()
    };
    let model = Simple::new(config.build()?, SimpleOptions::default()).with_channels(SHAPE[1]);
    let mut layout = ParameterLayout::guarded();
    let mut rec = Recorder::new(&mut layout, true).tuned_for(&gpu);
    let x = rec.input("x", &SHAPE);
    let mut net = Builder::new(&mut rec, 1.0);
    let y = model.forward(&mut net, x)?;
    rec.keep(y);
    let loss = model.reconstruction_loss();
    loss.apply(&mut rec, "loss", y, x, 1.0)?;
    rec.backward()?;
    let recording = rec.finish();
    let store = Store::new(&gpu, layout, 4)?;
    store.poison_gradients(&gpu);
    let plan = recording.build(&gpu, &store, BuildOptions { guarded: true })?;
    let images = normals("colour", SHAPE.iter().product());
    plan.write(&gpu, x, &images)?;
    let values = StepValues::default().with("step", 1_u32);
    plan.run(&gpu, &values.with("epoch_steps", 1_u32))?;
    pollster::block_on(plan.check_guards(&gpu))?;

    let wide = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
    let all = pollster::block_on(store.read(&gpu, Arena::Parameters))?;
    let weights = all
        .into_iter()
        .map(|(name, _, v)| (name, wide(&v)))
        .collect();
    let images = wide(&images);
    let chain = chain();
    let mut values = images.clone();
    let mut inputs = Vec::new();
    for layer in &chain {
        inputs.push(layer.inputs(&values, &weights));
        values = layer.forward(&inputs[inputs.len() - 1]);
    }
    let check = |name: &str, got: &[f32], want: &[f64], rows: usize| {
        let want: Vec<f32> = want.iter().map(|v| *v as f32).collect();
        let share = share_by_rows(got, &want, rows, 2e-5, 1e-6);
        ensure(
            share <= 1.0,
            format!("{name} at {share:.2} of the tolerance"),
        )
    };
    check(
        "y",
        &pollster::block_on(plan.read(&gpu, y))?,
        &values,
        SHAPE[0],
    )?;
    let loss = OfImages {
        loss,
        images: SHAPE[0],
    };
    let mut grad = loss.backward(&[values, images], &[1.0]).swap_remove(0);
    let mut grads: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (layer, inputs) in chain.iter().zip(&inputs).rev() {
        let mut all = layer.backward(inputs, &grad);
        if let Layer::Conv(_, name) = layer {
            grads.insert(format!("{name}.bias"), all.remove(2));
            grads.insert(format!("{name}.weight"), all.remove(1));
        }
        grad = all.remove(0);
    }
    let got = pollster::block_on(store.read(&gpu, Arena::Gradients))?;
    ensure(got.len() == grads.len(), format!("{} gradients", got.len()))?;
    for (name, shape, got) in got {
        let rows = if shape.len() > 1 { shape[0] } else { 1 };
        check(&name, &got, &grads[&name], rows)?;
    }
    Ok(())
}

/// Colour images of broad waves.
fn waves(count: usize) -> Images {
    let phases = Stream::new(7, 1);
    let value = |i: usize| {
        let (image, at) = (i / 3072, i % 3072);
        let (channel, y, x) = (at / 1024, at / 32 % 32, at % 32);
        let phase = 6.0 * phases.uniform((3 * image + channel) as u32);
        let wave = (0.3 * (x + 2 * y) as f32 + phase).sin();
        (127.5 + 120.0 * wave) as u8
    };
    Images {
        shape: [3, 32, 32],
        pixels: (0..count * 3072).map(value).collect(),
        labels: None,
    }
}

/// The residual model learns in a session, stops, and goes on as if it had not.
pub fn resnet_trains_and_goes_on(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let quantizer = VectorQuantConfig {
        feature_size: 16,
        num_codes: 32,
        ..VectorQuantConfig::default()
    };
    let new = || -> semivq::Result<Session> {
        let own = ResNetOptions::new(Variant::Resnet32);
        let model = ResNet::new(quantizer.build()?, ResNetOptions { blocks: 1, ..own });
        let options = SessionOptions {
            batch: 4,
            lr: 2e-3,
            seed: 3,
            optimizer: Optimizer::default(),
            ..SessionOptions::default()
        };
        let data = Dataset::new("waves", waves(8), waves(4));
        Session::new(Arc::clone(&gpu), Box::new(model), data, options)
    };
    let mut whole = new()?;
    let mut metrics = run(&mut whole, 26)?;
    let stopped = checkpoint(&whole)?;
    metrics.extend(run(&mut whole, 4)?);
    let (first, last) = (metrics[0].rec_loss, metrics[29].rec_loss);
    ensure(last < 0.7 * first, format!("{first} became {last} only"))?;
    let mut resumed = new()?;
    resumed.restore(&stopped)?;
    ensure(
        run(&mut resumed, 4)? == metrics[26..] && checkpoint(&whole)? == checkpoint(&resumed)?,
        "a resumed run differs",
    )?;
    let images = waves(4);
    let codes = pollster::block_on(whole.encode(&images))?;
    let decoded = pollster::block_on(whole.decode(&codes))?;
    let straight = pollster::block_on(whole.reconstruct(&images))?;
    ensure(
        decoded.pixels == straight.pixels,
        "decoding the codes gives other images",
    )
}
