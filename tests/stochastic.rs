//! Stochastic quantisation: what is drawn has the probabilities that it should have, whole runs of each variance
//! with each model repeat and go on, and the uncertainty falls by itself.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "stochastic/noise.rs"]
mod noise;
mod support;

use std::sync::Arc;

use libtest_mimic::Failed;
use semivq::data::{Dataset, Images};
use semivq::gpu::{BuildOptions, Gpu, ParameterLayout, Recorder, StepValues, Store};
use semivq::quant::stochastic::{Inputs, Posterior, Temperature, Variance};
use semivq::quant::{VectorQuantConfig, Vectors};
use semivq::train::{Session, StepMetrics, TrainOptions};
use serde_json::{Value, json};
use support::command::ensure;
use support::session::{Test, checkpoint, glyphs, run, run_all};

/// Standard deviations that a statistic may be off: one run in a million and a half.
const SIGMAS: f64 = 5.0;

/// At a low temperature each vector becomes the code of the largest noisy logit: the codes of many equal vectors have
/// the posterior's frequencies.
fn what_is_drawn_has_its_probability(gpu: Arc<Gpu>) -> Result<(), Failed> {
    const N: usize = 1 << 15;
    const K: usize = 6;
    let vectors = Vectors {
        outer: 8,
        features: 2,
        positions: N / 8,
    };
    let mut layout = ParameterLayout::default();
    let mut rec = Recorder::new(&mut layout, true).tuned_for(&gpu);
    let z = rec.input("z", &[8, 2, N / 8]);
    let codebook = rec.input("codebook", &[K, 2]);
    let spread = rec.input("spread", &[1]);
    let inputs = Inputs {
        z,
        log_var: None,
        codebook,
        spread,
        noise: None,
    };
    let drawn = Posterior::new(Variance::All, vectors, K, 1.0).record(&mut rec, inputs)?;
    rec.keep(drawn.z_q);
    let recording = rec.finish();
    let store = Store::new(&gpu, layout, 0)?;
    let plan = recording.build(&gpu, &store, BuildOptions::default())?;
    let codes: Vec<f32> = (0..2 * K)
        .map(|i| 0.4 * (i as f32 * 1.7).sin() + 0.3 * i as f32)
        .collect();
    plan.write(&gpu, z, &vec![0.8_f32; 2 * N])?;
    plan.write(&gpu, codebook, &codes)?;
    plan.write(&gpu, spread, &[0.5_f32])?;
    let values = StepValues::default()
        .with("step", 1_u32)
        .with("part", 0_u32)
        .with("temperature", 1e-3_f32)
        .with("sampled", 0_u32);
    plan.run(&gpu, &values.with_seed(3))?;
    let z_q = pollster::block_on(plan.read(&gpu, drawn.z_q))?;
    let nearest = |n: usize| {
        let distance = |k: usize| -> f32 {
            let of = |f: usize| (z_q[vectors.index(n, f)] - codes[2 * k + f]).powi(2);
            of(0) + of(1)
        };
        (0..K)
            .min_by(|a, b| distance(*a).total_cmp(&distance(*b)))
            .unwrap_or(0)
    };
    let mut counts = [0_u32; K];
    for n in 0..N {
        counts[nearest(n)] += 1;
    }
    let weight = |k: usize| {
        let squares =
            (0.8 - f64::from(codes[2 * k])).powi(2) + (0.8 - f64::from(codes[2 * k + 1])).powi(2);
        (-squares / (2.0 * (1.0 + 0.5_f64.exp()))).exp()
    };
    let all: f64 = (0..K).map(weight).sum();
    let mut chi_square = 0.0;
    for (k, count) in counts.iter().enumerate() {
        let expected = N as f64 * weight(k) / all;
        chi_square += (f64::from(*count) - expected).powi(2) / expected;
    }
    // A fiftieth of the vectors between two codes would be one and the same.
    println!("  {counts:?}, chi-square {chi_square:.1} of 5 degrees of freedom");
    ensure(
        chi_square < 5.0 + SIGMAS * 10.0_f64.sqrt(),
        format!("chi-square {chi_square}"),
    )
}

/// Of a sampled evaluation each code is drawn with its posterior probability, wherever the codes of a row are scanned in
/// parts or a batch is cut; images behind others have noise of their own.
fn sampled_codes_have_the_posteriors_frequencies(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for (rows, codes) in [(1 << 15, 6), (1 << 12, 128)] {
        let vectors = Vectors {
            outer: 8,
            features: 2,
            positions: rows / 8,
        };
        let mut layout = ParameterLayout::default();
        let mut rec = Recorder::new(&mut layout, false).tuned_for(&gpu);
        let z = rec.input("z", &[8, 2, rows / 8]);
        let inputs = Inputs {
            z,
            log_var: None,
            codebook: rec.input("codebook", &[codes, 2]),
            spread: rec.input("spread", &[1]),
            noise: None,
        };
        let posterior = Posterior::new(Variance::All, vectors, codes, 1.0).in_chunks_of(3000);
        let drawn = posterior.record(&mut rec, inputs)?;
        rec.keep(drawn.q);
        let recording = rec.finish();
        let store = Store::new(&gpu, layout, 0)?;
        let plan = recording.build(&gpu, &store, BuildOptions::default())?;
        let places: Vec<f32> = (0..2 * codes)
            .map(|i| 0.9 * (i as f32 * 1.7).sin())
            .collect();
        plan.write(&gpu, z, &vec![0.8_f32; 2 * rows])?;
        plan.write(&gpu, inputs.codebook, &places)?;
        plan.write(&gpu, inputs.spread, &[-2.0_f32])?;
        let draw = |seed, sampled: u32| -> semivq::Result<Vec<u32>> {
            let values = StepValues::default()
                .with("step", 1_u32)
                .with("part", 0_u32)
                .with("temperature", 1.0_f32)
                .with("sampled", sampled);
            plan.run(&gpu, &values.with_seed(seed))?;
            let q = pollster::block_on(plan.read_many(&gpu, &[drawn.q]))?;
            Ok(q.into_iter().next().unwrap_or_default())
        };
        let first = draw(3, 1)?;
        let mut counts = vec![0_u32; codes];
        first.iter().for_each(|q| counts[*q as usize] += 1);
        let weight = |k: usize| {
            let square = |f: usize| (0.8 - f64::from(places[2 * k + f])).powi(2);
            (-(square(0) + square(1)) / (2.0 * (1.0 + (-2.0_f64).exp()))).exp()
        };
        let all: f64 = (0..codes).map(weight).sum();
        let square = |(k, count): (usize, &u32)| {
            let expected = rows as f64 * weight(k) / all;
            (f64::from(*count) - expected).powi(2) / expected
        };
        let chi_square: f64 = counts.iter().enumerate().map(square).sum();
        let freedom = (codes - 1) as f64;
        println!("  chi-square {chi_square:.1} of {freedom} degrees of freedom");
        ensure(
            (chi_square - freedom).abs() < SIGMAS * (2.0 * freedom).sqrt(),
            format!("{codes} codes: chi-square {chi_square}"),
        )?;
        ensure(draw(3, 1)? == first, "twice, and not alike")?;
        ensure(draw(4, 1)? != first, "two seeds are alike")?;
        // Behind two images the first six are what the last six were.
        let two = 2 * rows / 8;
        ensure(
            draw(3, 3)?[..rows - two] == first[two..],
            "noise is not the image's own",
        )?;
        let most = (0..codes).max_by(|a, b| weight(*a).total_cmp(&weight(*b)));
        let likeliest = draw(3, 0)?;
        ensure(
            likeliest.iter().all(|q| Some(*q as usize) == most),
            "the likeliest is another one",
        )?;
    }
    Ok(())
}

/// Figures of whole sessions: a seed has its own, however the test images are cut, and a codebook has none.
fn a_sampled_evaluation_repeats(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let of = |method: &str| json!({"method": method, "batch": 8, "vq": {"num_codes": 16, "feature_size": 8}});
    for method in ["sqvae", "sqvae-2", "sqvae-3", "sqvae-4", "vmf"] {
        let mut session = session(&gpu, of(method), glyphs(64, 300))?;
        run(&mut session, 2)?;
        let test = &session.data().test;
        let sampled = |seed| pollster::block_on(session.evaluate_sampled(test, seed));
        let (one, again, other) = (sampled(5)?, sampled(5)?, sampled(6)?);
        ensure(one == again, format!("{method}: a seed gives two figures"))?;
        let usual = pollster::block_on(session.evaluate(test))?;
        ensure(
            one.perplexity != other.perplexity,
            format!("{method}: seeds do nothing"),
        )?;
        // Codes that are drawn are more than those that are likeliest.
        ensure(
            one.perplexity > usual.perplexity,
            format!("{method}: {one:?}, {usual:?}"),
        )?;
        ensure(
            pollster::block_on(session.evaluate(test))? == usual,
            "an evaluation stays sampled",
        )?;
    }
    let session = session(&gpu, of("vq"), glyphs(64, 8))?;
    let refused = pollster::block_on(session.evaluate_sampled(&session.data().test, 0));
    let line = refused.unwrap_err().to_string();
    ensure(line.contains("no posterior") && !line.contains('\n'), line)
}

fn session(gpu: &Arc<Gpu>, options: Value, data: Dataset) -> semivq::Result<Session> {
    let options = TrainOptions::from_partial(options)?;
    let model = options.build_model(data.shape()[0])?;
    Session::new(Arc::clone(gpu), model, data, options.session())
}

/// Each method with each model: two runs are equal, and so is one that was stopped.
fn runs_repeat_and_go_on(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let colour = || {
        let pixels = (0..12 * 3 * 256)
            .map(|i: usize| (i * 7 % 251) as u8)
            .collect();
        let images = Images {
            shape: [3, 16, 16],
            pixels,
            labels: None,
        };
        Dataset::new("colour", images.clone(), images)
    };
    let small = json!({"batch": 6, "lr": 1e-3, "vq": {"num_codes": 20, "feature_size": 8}});
    let of = |method: &str, model: &str| {
        let mut options = small.clone();
        options["method"] = json!(method);
        options["model"] = json!(model);
        if model != "simple" {
            options["blocks"] = json!(1);
        }
        options
    };
    for (method, model) in [
        ("sqvae", "simple"),
        ("sqvae-2", "resnet32"),
        ("sqvae-3", "resnet64"),
        ("sqvae-4", "simple"),
        ("sqvae-4", "resnet32"),
        ("vmf", "simple"),
    ] {
        let data = || {
            if model == "simple" {
                glyphs(12, 6)
            } else {
                colour()
            }
        };
        let mut whole = session(&gpu, of(method, model), data())?;
        let first = run(&mut whole, 3)?;
        let half = checkpoint(&whole)?;
        let rest = run(&mut whole, 3)?;
        let mut resumed = session(&gpu, of(method, model), data())?;
        resumed.restore(&half)?;
        ensure(
            run(&mut resumed, 3)? == rest,
            format!("{method} of {model} goes on otherwise"),
        )?;
        let mut again = session(&gpu, of(method, model), data())?;
        ensure(
            run(&mut again, 3)? == first,
            format!("{method} of {model} does not repeat"),
        )?;
        let loss = |m: &StepMetrics| m.rec_loss;
        ensure(
            rest.iter().all(|m| loss(m).is_finite()),
            format!("{method} of {model} has no loss"),
        )?;
        ensure(
            rest[0].posterior_entropy.is_some() && rest[0].variance_mean.is_some(),
            "no entropy, or no variance",
        )?;
    }
    Ok(())
}

/// Self-annealing: the mean entropy of the posteriors falls, with no schedule that makes it. That of directions halves at
/// once; a variance of points starts at 21 and is at least 1, so that the first steps bring it a quarter of the way.
fn the_uncertainty_falls_by_itself(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for (method, most) in [("vmf", 0.5), ("sqvae", 0.8)] {
        let options = json!({
            "method": method, "batch": 16, "lr": 1e-2, "quantizer_lr": 3, "vq": {"num_codes": 64},
        });
        let mut session = session(&gpu, options, glyphs(256, 16))?;
        let metrics = run(&mut session, 150)?;
        let entropy = |m: &StepMetrics| m.posterior_entropy.unwrap_or(f32::NAN);
        let (first, last) = (entropy(&metrics[0]), entropy(&metrics[metrics.len() - 1]));
        println!("  {method}: {first:.3} nats, then {last:.3}");
        ensure(
            last < most * first,
            format!("{method}: from {first} to {last} nats"),
        )?;
    }
    Ok(())
}

/// N by K numbers are there for a chunk of rows only: what a step of many vectors and codes needs beside its inputs and
/// outputs stays small.
fn memory_does_not_grow_with_vectors_times_codes(gpu: Arc<Gpu>) -> Result<(), Failed> {
    const MIB: f64 = (1 << 20) as f64;
    let (count, features, codes) = (65_536, 64, 8192);
    let config: VectorQuantConfig = serde_json::from_value(json!({
        "feature_size": features, "num_codes": codes, "stochastic": "gaussian_1",
    }))?;
    let quantizer = config.build()?;
    let mut layout = ParameterLayout::default();
    let mut rec = Recorder::new(&mut layout, true).tuned_for(&gpu);
    let z = rec.input("z", &[count, features]);
    rec.require_gradient(z);
    let quantized = quantizer.apply(&mut rec, z.into(), 1.0)?;
    let upstream = rec.input("upstream", &[count, features]);
    rec.seed_gradient(quantized.output, upstream);
    rec.backward()?;
    let recording = rec.finish();
    let store = Store::new(&gpu, layout, 0)?;
    let plan = recording.build(&gpu, &store, BuildOptions::default())?;
    // z, z_q and the gradients of both.
    let own = 4 * 4 * count * features;
    let more = plan.activation_bytes() as f64 / MIB - own as f64 / MIB;
    println!("  {more:.1} MiB beside inputs and outputs");
    ensure(more < 64.0, format!("{more} MiB"))
}

fn the_temperature_falls_to_its_least(_: Arc<Gpu>) -> Result<(), Failed> {
    let temperature = Temperature {
        start: 2.0,
        decay: 0.1,
        least: 0.5,
    };
    ensure(temperature.at(1) == 2.0, "the first step has the start")?;
    let third = f64::from(temperature.at(3));
    ensure(
        (third - 2.0 * (-0.2_f64).exp()).abs() < 1e-6,
        format!("third step: {third}"),
    )?;
    ensure(temperature.at(1000) == 0.5, "it stays at the least")
}

fn main() {
    let tests: &[(&str, Test)] = &[
        (
            "the generator is uniform and independent",
            noise::the_generator_is_uniform_and_independent,
        ),
        (
            "Gumbel noise has its moments and its tail",
            noise::gumbel_noise_has_its_moments_and_its_tail,
        ),
        (
            "what is drawn has its probability",
            what_is_drawn_has_its_probability,
        ),
        (
            "sampled codes have the posterior's frequencies",
            sampled_codes_have_the_posteriors_frequencies,
        ),
        ("a sampled evaluation repeats", a_sampled_evaluation_repeats),
        ("runs repeat and go on", runs_repeat_and_go_on),
        (
            "the uncertainty falls by itself",
            the_uncertainty_falls_by_itself,
        ),
        (
            "memory does not grow with vectors times codes",
            memory_does_not_grow_with_vectors_times_codes,
        ),
        (
            "the temperature falls to its least",
            the_temperature_falls_to_its_least,
        ),
    ];
    run_all(support::gpu(), tests)
}
