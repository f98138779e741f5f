//! Quantisers are one interface: a model with two of them, and one of another kind, with a second head,
//! a loss of its own, a temperature and noise from outside, train, report, stop and go on like any other.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "quantizers/heads.rs"]
mod heads;
mod support;

use std::sync::Arc;

use libtest_mimic::Failed;
use semivq::gpu::{
    Access, Binding, BuildOptions, Gpu, Init, Kernel, ParameterLayout, Recorder, Shader, Slot,
    StepValues, Store, Var,
};
use semivq::models::{Builder, Model};
use semivq::ops::add::add;
use semivq::ops::conv2d::Conv2dOptions;
use semivq::ops::loss::PixelLoss;
use semivq::optim::Optimizer;
use semivq::quant::codebook::search::search;
use semivq::quant::{
    Encoded, Latent, Quantized, Quantizer, Seen, VectorQuantConfig, Vectors, usage,
};
use semivq::train::{Session, SessionOptions, StepMetrics};
use support::command::ensure;
use support::session::{Test, checkpoint, glyphs, run, run_all};

const HALVE: Conv2dOptions = Conv2dOptions {
    kernel: 4,
    stride: 2,
    padding: 1,
};
const FEATURES: usize = 8;

/// Two quantisers, the second of what the first one left, as in a hierarchical autoencoder.
struct Hierarchy {
    top: Arc<dyn Quantizer>,
    bottom: Arc<dyn Quantizer>,
}

impl Hierarchy {
    fn new() -> semivq::Result<Self> {
        let flat = |num_codes| VectorQuantConfig {
            feature_size: FEATURES,
            num_codes,
            ..VectorQuantConfig::default()
        };
        let rounded = VectorQuantConfig {
            fsq_levels: Some(vec![5, 3]),
            ..flat(15)
        };
        Ok(Self {
            top: rounded.build()?,
            bottom: flat(20).build()?,
        })
    }
}

impl Model for Hierarchy {
    fn name(&self) -> &'static str {
        "hierarchy"
    }

    fn granularity(&self) -> usize {
        4
    }

    fn quantizers(&self) -> Vec<(&str, &dyn Quantizer)> {
        vec![("top", self.top.as_ref()), ("bottom", self.bottom.as_ref())]
    }

    fn encode(&self, net: &mut Builder<'_, '_>, images: Var) -> semivq::Result<Vec<Var>> {
        let fine = net.conv2d("fine", images, FEATURES, HALVE)?;
        let x = net.gelu(fine);
        let coarse = net.conv2d("coarse", x, FEATURES, HALVE)?;
        let top = net.quantize("top", coarse, self.top.as_ref())?;
        let above = net.upsample_conv2d("above", top, FEATURES)?;
        let rest = net.add(fine, above)?;
        let bottom = net.quantize("bottom", rest, self.bottom.as_ref())?;
        Ok(vec![top, bottom])
    }

    fn decode(&self, net: &mut Builder<'_, '_>, z: &[Var]) -> semivq::Result<Var> {
        let above = net.upsample_conv2d("decoded", z[0], FEATURES)?;
        let x = net.add(above, z[1])?;
        let x = net.gelu(x);
        net.upsample_conv2d("image", x, 1)
    }
}

/// Adds noise from outside to z; its loss pulls the second head to that noise.
#[derive(Debug)]
struct Noisy;

impl Quantizer for Noisy {
    fn latent(&self) -> Latent {
        Latent {
            features: FEATURES,
            axis: 1,
            log_var: true,
        }
    }

    fn apply(
        &self,
        rec: &mut Recorder<'_>,
        encoded: Encoded,
        weight: f32,
    ) -> semivq::Result<Quantized> {
        let Encoded { z, log_var } = encoded;
        let log_var =
            log_var.ok_or_else(|| semivq::Error::Config("a second head is wanted".into()))?;
        let shape = rec.shape(z).to_vec();
        let vectors = Vectors::new(&shape, 1, FEATURES)?;
        let noise = rec.input("noise", &shape);
        let output = add(rec, z, noise)?;
        let loss = PixelLoss::Mse.apply(rec, "spread_loss", log_var, noise, weight)?;
        let temperature = rec.scalar("temperature");
        rec.dispatch(&TEMPERATURE, &(), &[temperature], 1);
        let codes = 6;
        let book = rec.frozen("book", &[codes, FEATURES], Init::Normal(1.0))?;
        let q = search(rec, z, &vectors, book);
        let used = usage::of(rec, q, codes)?;
        let seen = Seen {
            z: rec.keep(z),
            z_q: rec.keep(output),
            vectors,
            codes,
            q: rec.keep(q),
            bad_vectors: usage::count_bad(rec, z),
            scalars: [("spread_loss", loss), ("temperature", temperature)]
                .into_iter()
                .chain(used.scalars())
                .collect(),
            usage: used.usage,
            window: used.window,
            tensors: vec![("noise", noise)],
        };
        Ok(Quantized {
            output,
            seen: vec![seen],
        })
    }

    fn step_values(&self, step: u32) -> Vec<(&'static str, f32)> {
        vec![("temperature", temperature_of(step))]
    }

    fn decode(&self, _: &mut Recorder<'_>, _: &[Var], _: &[usize]) -> semivq::Result<Var> {
        Err(semivq::Error::Config("there is no way back".into()))
    }
}

/// A kernel from outside the crate: it writes down the temperature that it is told.
static TEMPERATURE: Kernel = Kernel {
    shader: &Shader {
        name: "temperature",
        source: "
            struct Step { temperature: f32 }
            @group(0) @binding(15) var<uniform> step: Step;
            @group(0) @binding(1) var<storage, read_write> seen: array<f32>;
            @compute @workgroup_size(1) fn show() { seen[0] = step.temperature; }
        ",
        fragments: &[],
        step: &[Slot {
            name: "temperature",
            ty: "f32",
        }],
    },
    entry: "show",
    workgroup: [1, 1, 1],
    params: &[],
    bindings: &[Binding(1, Access::Write), Binding(15, Access::Step)],
};

fn temperature_of(step: u32) -> f32 {
    1.0 / step as f32
}

/// An encoder with two heads around [`Noisy`].
struct TwoHeads;

impl Model for TwoHeads {
    fn name(&self) -> &'static str {
        "two heads"
    }

    fn quantizers(&self) -> Vec<(&str, &dyn Quantizer)> {
        vec![("noisy", &Noisy)]
    }

    fn encode(&self, net: &mut Builder<'_, '_>, images: Var) -> semivq::Result<Vec<Var>> {
        let z = net.conv2d("z", images, FEATURES, HALVE)?;
        let log_var = net.conv2d("log_var", images, FEATURES, HALVE)?;
        let encoded = Encoded {
            z,
            log_var: Some(log_var),
        };
        Ok(vec![net.quantize("noisy", encoded, &Noisy)?])
    }

    fn decode(&self, net: &mut Builder<'_, '_>, z: &[Var]) -> semivq::Result<Var> {
        net.upsample_conv2d("image", z[0], 1)
    }
}

fn session(gpu: &Arc<Gpu>, model: impl Model + 'static) -> semivq::Result<Session> {
    let options = SessionOptions {
        batch: 4,
        lr: 5e-3,
        seed: 2,
        optimizer: Optimizer::default(),
        ..SessionOptions::default()
    };
    Session::new(Arc::clone(gpu), Box::new(model), glyphs(16, 5), options)
}

/// A run learns, and one that is stopped goes on bit for bit.
fn learns_and_resumes<M: Model + 'static>(
    gpu: &Arc<Gpu>,
    model: impl Fn() -> semivq::Result<M>,
) -> Result<Vec<StepMetrics>, Failed> {
    let mut whole = session(gpu, model()?)?;
    let mut metrics = run(&mut whole, 20)?;
    let stopped = checkpoint(&whole)?;
    metrics.extend(run(&mut whole, 5)?);
    let mut resumed = session(gpu, model()?)?;
    resumed.restore(&stopped)?;
    ensure(
        metrics[20..] == run(&mut resumed, 5)?[..],
        "a resumed run differs",
    )?;
    let (first, last) = (metrics[0].rec_loss, metrics[24].rec_loss);
    ensure(last < 0.8 * first, format!("the loss: {first} to {last}"))?;
    Ok(metrics)
}

/// Figures of two quantisers stand under their names; codes of both lead to the reconstruction.
fn two_quantisers(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let metrics = learns_and_resumes(&gpu, Hierarchy::new)?;
    let last = &metrics[metrics.len() - 1];
    ensure(last.perplexity.is_none(), "whose perplexity?")?;
    for (quantizer, codes) in [("top", 15.0), ("bottom", 20.0)] {
        for name in ["cmt_loss", "active_ratio", "epoch_perplexity", "age_max"] {
            let name = format!("{quantizer}.{name}");
            ensure(last.others.contains_key(&name), name)?;
        }
        let perplexity = last.others[&format!("{quantizer}.perplexity")];
        ensure(
            (1.0..=codes).contains(&perplexity),
            format!("{quantizer}: {perplexity}"),
        )?;
    }
    let line = serde_json::to_string(last)?;
    ensure(serde_json::from_str::<StepMetrics>(&line)? == *last, line)?;

    let mut session = session(&gpu, Hierarchy::new()?)?;
    run(&mut session, 3)?;
    let images = session.data().test.clone();
    let codes = pollster::block_on(session.encode(&images))?;
    let shapes: Vec<_> = codes.iter().map(|c| c.shape.clone()).collect();
    ensure(shapes == [[5, 7, 7], [5, 14, 14]], format!("{shapes:?}"))?;
    let decoded = pollster::block_on(session.decode(&codes))?;
    let straight = pollster::block_on(session.reconstruct(&images))?;
    ensure(decoded == straight, "decoding the codes gives other images")?;
    let one = pollster::block_on(session.decode(&codes[..1])).err();
    let text = one.ok_or("codes of one of two were decoded")?.to_string();
    ensure(text.contains("codes of 2 quantisers"), text)?;
    let test = pollster::block_on(session.evaluate(&images))?;
    for name in ["top.perplexity", "bottom.active_ratio"] {
        ensure(test.others.contains_key(name), format!("{test:?}"))?;
    }
    for (quantizer, codes) in [(0, 15), (1, 20)] {
        let usage = pollster::block_on(session.code_usage(quantizer))?;
        ensure(
            usage.is_some_and(|u| u.counts.len() == codes),
            "usage of both",
        )?;
        let seen = pollster::block_on(session.inspect(quantizer))?.ok_or("nothing to see")?;
        ensure(seen.features == FEATURES, "features")?;
    }
    ensure(
        pollster::block_on(session.inspect(2))?.is_none(),
        "a third quantiser",
    )
}

/// What another kind of quantiser reports stands in the metrics under its names.
fn another_kind(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let metrics = learns_and_resumes(&gpu, || Ok(TwoHeads))?;
    let spread = |m: &StepMetrics| m.others.get("spread_loss").copied();
    let (first, last) = (spread(&metrics[0]), spread(&metrics[24]));
    ensure(
        last.is_some() && last < first.map(|first| 0.5 * first),
        format!("its own loss: {first:?} to {last:?}"),
    )?;
    for m in &metrics {
        let temperature = m.others.get("temperature").copied();
        ensure(
            temperature == Some(temperature_of(m.step)),
            format!("step {}: {temperature:?}", m.step),
        )?;
    }
    ensure(metrics[0].cmt_loss.is_none(), "it has no commitment loss")?;
    // Outside training its kernels are told the first step's temperature.
    let session = session(&gpu, TwoHeads)?;
    let test = pollster::block_on(session.evaluate(&session.data().test))?;
    ensure(test.mse.is_finite(), format!("{test:?}"))?;
    let codes = pollster::block_on(session.encode(&session.data().test))?;
    ensure(codes[0].shape == [5, 14, 14], "its codes")
}

/// Noise that is given from outside comes out, and its loss has its gradient at the second head.
fn noise_from_outside(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let shape = [2, FEATURES, 3, 3];
    let len: usize = shape.iter().product();
    let mut layout = ParameterLayout::guarded();
    let mut rec = Recorder::new(&mut layout, true).tuned_for(&gpu);
    let z = rec.input("z", &shape);
    let log_var = rec.input("log_var", &shape);
    rec.require_gradient(log_var);
    let encoded = Encoded {
        z,
        log_var: Some(log_var),
    };
    let quantized = Noisy.apply(&mut rec, encoded, 3.0)?;
    let seen = quantized.seen.first().ok_or("nothing to see")?;
    let noise = seen.tensor("noise").ok_or("no noise")?;
    rec.backward()?;
    let grad = rec.gradient(log_var).ok_or("no gradient")?;
    rec.keep(grad);
    let recording = rec.finish();
    let store = Store::new(&gpu, layout, 0)?;
    let plan = recording.build(&gpu, &store, BuildOptions { guarded: true })?;
    let [zs, logs, noises] = ["z", "log_var", "noise"].map(|name| support::normals(name, len));
    plan.write(&gpu, z, &zs)?;
    plan.write(&gpu, log_var, &logs)?;
    plan.write(&gpu, noise, &noises)?;
    let values = StepValues::default().with("step", 1_u32);
    let values = values.with("epoch_steps", 1_u32);
    plan.run(
        &gpu,
        &values.with("temperature", 1.0_f32).with("sampled", 0_u32),
    )?;
    let out = pollster::block_on(plan.read(&gpu, seen.z_q))?;
    let want: Vec<f32> = zs.iter().zip(&noises).map(|(z, n)| z + n).collect();
    ensure(out == want, "z and the noise")?;
    let grad = pollster::block_on(plan.read(&gpu, grad))?;
    let want: Vec<f32> = logs
        .iter()
        .zip(&noises)
        .map(|(l, n)| 3.0 * 2.0 * (l - n) / len as f32)
        .collect();
    let share = support::share_of_tolerance(&grad, &want, 1e-6, 0.0);
    ensure(
        share <= 1.0,
        format!("the gradient, {share} of the tolerance"),
    )
}

fn main() {
    let tests: &[(&str, Test)] = &[
        ("two quantisers in a model", two_quantisers),
        ("another kind of quantiser", another_kind),
        ("noise from outside", noise_from_outside),
        (
            "models have a second head",
            heads::models_have_a_second_head,
        ),
    ];
    run_all(support::gpu(), tests)
}
