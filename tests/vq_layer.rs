//! The whole quantiser against plain loops, whatever options are combined; dead codes over 200 steps;
//! input that is out of the ordinary.

#[path = "vq_layer/reference.rs"]
mod reference;
mod support;
#[path = "vq_layer/tape.rs"]
mod tape;

use std::collections::BTreeMap;

use reference::{Layer, Named, Outcome};
use semivq::gpu::{
    Arena, BuildOptions, Gpu, ParameterLayout, Plan, Recorder, Role, StepValues, Store, Var,
};
use semivq::ops::reference::Real as _;
use semivq::quant::codebook::{CodebookNorm, Distance, Estimator, GammaPolicy, ReplacePolicy};
use semivq::quant::{Encoded, Norm, QuantizerConfig, Seen, VectorQuantConfig, Vectors, tensor};
use semivq::rng::{Stream, number_of};
use support::harness::{self, Failed, Test};
use support::share_of_tolerance;
use tape::Ad;

/// That of the golden files.
const RELATIVE: f64 = 2e-5;
const ABSOLUTE: f64 = 1e-6;
/// Weight of the commitment loss in the scalar that is differentiated, as in the golden files.
const COMMITMENT: f64 = 10.0;
/// Combinations of the property test.
const COMBINATIONS: u32 = 60;
/// Seed of what the layer draws.
const SEED: u64 = 11 + (7 << 40);
/// Codes must win by this, so that f32 and f64 agree on them.
const MARGIN: f64 = 1e-3;

/// A layer on the device, on its own.
struct OnGpu {
    store: Store,
    plan: Plan,
    z: Var,
    grad_out: Var,
    grad_z: Option<Var>,
    out: Var,
    seen: Seen,
    loss: Var,
}

impl OnGpu {
    fn new(
        gpu: &Gpu,
        config: &VectorQuantConfig,
        shape: &[usize],
        training: bool,
    ) -> Result<Self, Failed> {
        let quantizer = config.build()?;
        let mut layout = ParameterLayout::guarded();
        let mut rec = Recorder::new(&mut layout, training).tuned_for(gpu);
        let z = rec.input("z", shape);
        rec.require_gradient(z);
        let quantized = quantizer.apply(&mut rec, Encoded::from(z), COMMITMENT as f32)?;
        let (out, seen) = (quantized.output, quantized.seen.ok_or("nothing to see")?);
        rec.keep(out);
        let grad_out = rec.input("grad_out", shape);
        rec.seed_gradient(out, grad_out);
        rec.backward()?;
        let grad_z = rec.gradient(z);
        if let Some(grad_z) = grad_z {
            rec.keep(grad_z);
        }
        let recording = rec.finish();
        let store = Store::new(gpu, layout, 3)?;
        store.poison_gradients(gpu);
        let plan = recording.build(gpu, &store, BuildOptions { guarded: true })?;
        Ok(Self {
            store,
            plan,
            z,
            grad_out,
            grad_z,
            out,
            loss: seen.scalar("cmt_loss").ok_or("no loss")?,
            seen,
        })
    }

    async fn run(&self, gpu: &Gpu, step: u32, z: &[f32]) -> Result<(), Failed> {
        let values = StepValues::default()
            .with("step", step)
            .with("epoch_steps", 5_u32)
            .with_seed(SEED);
        self.plan.write(gpu, self.z, z)?;
        self.plan.run(gpu, &values)?;
        self.plan.check_guards(gpu).await?;
        gpu.check("the layer")?;
        Ok(())
    }

    async fn read(&self, gpu: &Gpu, var: Var) -> Result<Vec<f32>, Failed> {
        Ok(self.plan.read(gpu, var).await?)
    }

    async fn codes(&self, gpu: &Gpu) -> Result<Vec<u32>, Failed> {
        Ok(self.plan.read_u32(gpu, self.seen.q).await?)
    }

    async fn tensors(&self, gpu: &Gpu, arena: Arena) -> Result<BTreeMap<String, Vec<f32>>, Failed> {
        let all = self.store.read(gpu, arena).await?;
        Ok(all.into_iter().map(|(name, _, v)| (name, v)).collect())
    }

    async fn codebook(&self, gpu: &Gpu) -> Result<Vec<f32>, Failed> {
        let mut all = self.tensors(gpu, Arena::Parameters).await?;
        all.extend(self.tensors(gpu, Arena::Buffers).await?);
        all.remove("codebook.weight")
            .ok_or_else(|| "no codebook".into())
    }
}

/// Draws from a list.
struct Dice {
    stream: Stream,
    at: u32,
}

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.at += 1;
        (self.stream.uniform(self.at) * sides as f32) as usize
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())].clone()
    }

    /// One time in `times`.
    fn once_in(&mut self, times: usize) -> bool {
        self.roll(times) == 0
    }
}

/// A random combination of options, and the shape of z.
fn combination(number: u32) -> (VectorQuantConfig, Vec<usize>, bool) {
    let mut dice = Dice {
        stream: Stream::new(20_261_123, number),
        at: 0,
    };
    loop {
        let norm = dice.pick(&[
            Norm::None,
            Norm::None,
            Norm::L2,
            Norm::L2c,
            Norm::Bn,
            Norm::Gn,
            Norm::In,
        ]);
        let feature_size = if norm == Norm::Gn {
            dice.pick(&[32, 64])
        } else {
            dice.pick(&[5, 9, 14, 16, 23])
        };
        let inplace_optimizer = dice
            .once_in(4)
            .then(|| dice.pick(&[(10.0, 0.9), (0.5, 0.0)]));
        let fsq_levels = dice
            .once_in(8)
            .then(|| dice.pick(&[vec![8, 6, 5], vec![5, 3], vec![4, 7, 3, 5]]));
        let num_codes = match &fsq_levels {
            Some(levels) => levels.iter().product(),
            None => dice.pick(&[6, 12, 24, 30]),
        };
        let beta = dice.pick(&[0.0, 0.25, 0.97125, 1.0]);
        let on = |dice: &mut Dice| fsq_levels.is_none() && dice.once_in(3);
        let config = VectorQuantConfig {
            feature_size,
            num_codes,
            beta: if inplace_optimizer.is_some() {
                1.0
            } else {
                beta
            },
            sync_nu: if on(&mut dice) { 0.7 } else { 0.0 },
            affine_lr: if on(&mut dice) { 2.0 } else { 0.0 },
            affine_groups: dice.pick(&[1, 1, 2, 3]),
            using_statistics: on(&mut dice),
            use_learnable_std: on(&mut dice),
            use_learnable_gamma: on(&mut dice),
            gamma_policy: dice.pick(&[GammaPolicy::Default, GammaPolicy::Personalize]),
            inplace_optimizer,
            ema_decay: on(&mut dice).then_some(0.8),
            simvq: on(&mut dice) && dice.once_in(2),
            estimator: if on(&mut dice) {
                Estimator::Rotation
            } else {
                Estimator::StraightThrough
            },
            fsq_levels: fsq_levels.clone(),
            dim: dice.pick(&[0, 1, 1, 2]),
            norm,
            cb_norm: if on(&mut dice) {
                dice.pick(&[CodebookNorm::L2, CodebookNorm::L2c])
            } else {
                CodebookNorm::None
            },
            dist: if on(&mut dice) {
                Distance::Cosine
            } else {
                Distance::Euclidean
            },
            ..VectorQuantConfig::default()
        };
        let mut shape = vec![2 + dice.roll(3), 3 + dice.roll(5)];
        if dice.once_in(2) {
            shape.push(2 + dice.roll(4));
        }
        shape.insert(config.dim.min(shape.len()), feature_size);
        let training = !dice.once_in(4);
        // Norms over the pixels of an image need more than one of them; and behind a single hidden
        // unit the batch norm cancels what its weight does, so that only rounding is left to compare.
        let pixels: usize = shape[config.dim + 1..].iter().product();
        let alone = pixels == 1 && (norm == Norm::In || norm == Norm::Gn && feature_size == 32);
        let narrow = config.use_learnable_std && num_codes < 8;
        if QuantizerConfig::try_from(&config).is_ok() && !alone && !narrow {
            return (config, shape, training);
        }
    }
}

/// Values for everything that the layer has: near those of a layer in use.
fn draw(store: &Store, number: u32) -> BTreeMap<String, Vec<f32>> {
    let layout = store.layout();
    let parameters = layout.parameters().iter().map(|p| (&p.name, &p.shape));
    let buffers = layout.buffers().iter().filter(|b| b.role == Role::Model);
    let all = parameters.chain(buffers.map(|b| (&b.name, &b.shape)));
    let one = |(name, shape): (&String, &Vec<usize>)| {
        let stream = Stream::named(u64::from(number), name);
        let fan_in = *shape.get(1).unwrap_or(&1) as f32;
        let value = |i: u32| {
            let (normal, uniform) = (stream.normal(i), stream.uniform(i));
            if name.ends_with("initialized") {
                f32::from(u8::from(number.is_multiple_of(2)))
            } else if name.ends_with("_var") {
                0.5 + uniform
            } else if name.contains("norm") && name.ends_with("weight") {
                1.0 + 0.2 * normal
            } else if name == "codebook.weight" {
                1.2 * normal
            } else if shape.len() > 1 && !name.contains("running") {
                normal / fan_in.sqrt()
            } else {
                0.3 * normal
            }
        };
        let len: usize = shape.iter().product();
        (name.clone(), (0..len as u32).map(value).collect())
    };
    all.map(one).collect()
}

fn rows<T: Copy>(values: &[T], vectors: &Vectors) -> Vec<Vec<T>> {
    let row = |n: usize| {
        let features = 0..vectors.features;
        features.map(|f| values[vectors.index(n, f)]).collect()
    };
    (0..vectors.count()).map(row).collect()
}

/// Everything that the reference says of a case.
struct Expected {
    outcome: Outcome<Ad>,
    grad_z: Vec<f64>,
    grads: BTreeMap<String, Vec<f64>>,
}

fn expect(
    config: &VectorQuantConfig,
    training: bool,
    vectors: Vectors,
    values: &BTreeMap<String, Vec<f32>>,
    z: &[f32],
    grad_out: &[f32],
) -> Expected {
    let variables = || -> (Named<Ad>, Vec<Vec<Ad>>) {
        let ad = |v: &f32| Ad::variable(f64::from(*v));
        let named = values
            .iter()
            .map(|(n, v)| (n.clone(), v.iter().map(ad).collect()));
        let named = named.collect();
        let z: Vec<Ad> = z.iter().map(ad).collect();
        (named, rows(&z, &vectors))
    };
    let run = |named: &Named<Ad>, z: &[Vec<Ad>], step: Option<Vec<f64>>| {
        let layer = Layer {
            config,
            training,
            vectors,
            values: named,
            step,
        };
        layer.run(z.to_vec())
    };
    let mut grads: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut step = None;
    if let (Some((lr, _)), true) = (config.inplace_optimizer, training) {
        let (named, z) = variables();
        let slopes = run(&named, &z, None).inplace_loss.gradients();
        for (name, variables) in &named {
            grads.insert(name.clone(), slopes.of(variables));
        }
        let pull = grads.remove("codebook.weight").unwrap_or_default();
        step = Some(pull.iter().map(|g| -f64::from(lr) * g).collect());
    }
    let (named, z) = variables();
    let outcome = run(&named, &z, step);
    let upstream = rows(grad_out, &vectors);
    let mut scalar = outcome.loss * Ad::of(COMMITMENT);
    for (out, g) in outcome.out.iter().flatten().zip(upstream.iter().flatten()) {
        scalar += *out * Ad::of(f64::from(*g));
    }
    let slopes = scalar.gradients();
    for (name, variables) in &named {
        let main = slopes.of(variables);
        let early = grads.remove(name).unwrap_or_else(|| vec![0.0; main.len()]);
        let sum = main.iter().zip(early).map(|(a, b)| a + b).collect();
        grads.insert(name.clone(), sum);
    }
    let mut grad_z = vec![0.0; grad_out.len()];
    for (n, row) in z.iter().enumerate() {
        for (f, g) in slopes.of(row).into_iter().enumerate() {
            grad_z[vectors.index(n, f)] = g;
        }
    }
    Expected {
        outcome,
        grad_z,
        grads,
    }
}

fn normals(number: u32, name: &str, len: usize) -> Vec<f32> {
    let stream = Stream::named(u64::from(number), name);
    (0..len as u32).map(|i| 1.5 * stream.normal(i)).collect()
}

/// One combination: forward, all gradients, and what the step changes.
async fn agrees(gpu: &Gpu, number: u32) -> Result<(), Failed> {
    let (config, shape, training) = combination(number);
    let vectors = Vectors::new(&shape, config.dim, config.feature_size)?;
    let layer = OnGpu::new(gpu, &config, &shape, training)?;
    let values = draw(&layer.store, number);
    let len = shape.iter().product();
    let grad_out = normals(number, "grad_out", len);
    // Draw z until each vector has one nearest code beyond doubt.
    let (z, want) = (0..200)
        .map(|attempt| {
            let z = normals(number, &format!("z {attempt}"), len);
            let want = expect(&config, training, vectors, &values, &z, &grad_out);
            (z, want)
        })
        .find(|(_, want)| want.outcome.margin > MARGIN)
        .ok_or("no z without ties")?;
    for (name, tensor) in &values {
        let parameters = layer.store.layout().parameters();
        let arena = if parameters.iter().any(|p| p.name == *name) {
            Arena::Parameters
        } else {
            Arena::Buffers
        };
        layer.store.write(gpu, arena, name, tensor)?;
    }
    layer.plan.write(gpu, layer.grad_out, &grad_out)?;
    layer.run(gpu, 1, &z).await?;
    layer.store.check_gradient_guards(gpu).await?;
    let fail = |what: &str| -> Failed {
        format!("{what}\n  {config:?}\n  z {shape:?}, training {training}").into()
    };
    let check = |name: &str, got: &[f32], want: &[f64]| -> Result<(), Failed> {
        let narrow: Vec<f32> = want.iter().map(|v| *v as f32).collect();
        let share = share_of_tolerance(got, &narrow, RELATIVE, ABSOLUTE);
        if share > 1.0 {
            return Err(fail(&format!("{name} at {share:.2} of the tolerance")));
        }
        Ok(())
    };
    let flat =
        |rows: &[Vec<Ad>]| -> Vec<f64> { rows.iter().flatten().map(|v| v.to_f64()).collect() };
    let in_rows = |values: &[f32]| rows(values, &vectors).concat();
    let outcome = &want.outcome;
    let q: Vec<u32> = outcome.q.iter().map(|k| *k as u32).collect();
    if layer.codes(gpu).await? != q {
        return Err(fail("the codes differ"));
    }
    let seen = &layer.seen;
    let distance = seen.tensor(tensor::DISTANCE).ok_or("no distance")?;
    check(
        "z",
        &in_rows(&layer.read(gpu, seen.z).await?),
        &flat(&outcome.z),
    )?;
    check(
        "z_q",
        &in_rows(&layer.read(gpu, seen.z_q).await?),
        &flat(&outcome.z_q),
    )?;
    check(
        "out",
        &in_rows(&layer.read(gpu, layer.out).await?),
        &flat(&outcome.out),
    )?;
    check("d", &layer.read(gpu, distance).await?, &outcome.d)?;
    check(
        "loss",
        &layer.read(gpu, layer.loss).await?,
        &[outcome.loss.to_f64()],
    )?;
    match (seen.tensor(tensor::SCALE), &outcome.scale) {
        (None, None) => {}
        (Some(scale), Some(want)) => {
            let want: Vec<f64> = want.iter().map(|v| v.to_f64()).collect();
            check("scale", &layer.read(gpu, scale).await?, &want)?;
        }
        _ => return Err(fail("a scale is missing, or one too many")),
    }
    let grad_z = layer.grad_z.ok_or_else(|| fail("z got no gradient"))?;
    check("grad z", &layer.read(gpu, grad_z).await?, &want.grad_z)?;
    for (name, got) in layer.tensors(gpu, Arena::Gradients).await? {
        check(&format!("grad {name}"), &got, &want.grads[&name])?;
    }
    let mut after = layer.tensors(gpu, Arena::Parameters).await?;
    after.extend(layer.tensors(gpu, Arena::Buffers).await?);
    for (name, want) in &outcome.after {
        if let Some(got) = after.get(name) {
            check(&format!("{name} after the step"), got, want)?;
        }
    }
    if !training {
        for (name, before) in &values {
            if after[name] != *before {
                return Err(fail(&format!("evaluation changed {name}")));
            }
        }
    }
    Ok(())
}

/// Codes far too many for the vectors, 200 steps: a code unused for `PATIENCE` steps changes within
/// that step, a used one never does.
async fn replaces_dead_codes(gpu: &Gpu, policy: ReplacePolicy) -> Result<(), Failed> {
    const PATIENCE: u32 = 7;
    let config = VectorQuantConfig {
        feature_size: 6,
        num_codes: 150,
        replace_freq: PATIENCE as usize,
        replace_policy: policy,
        ..VectorQuantConfig::default()
    };
    let layer = OnGpu::new(gpu, &config, &[2, 6, 11], true)?;
    layer
        .plan
        .write(gpu, layer.grad_out, &vec![0.0_f32; 2 * 6 * 11])?;
    let mut unused = vec![0; config.num_codes];
    let mut before = layer.codebook(gpu).await?;
    let mut replaced = 0;
    for step in 1..=200 {
        let z = normals(step, "z", 2 * 6 * 11);
        layer.run(gpu, step, &z).await?;
        let after = layer.codebook(gpu).await?;
        let q = layer.codes(gpu).await?;
        let in_rows = rows(&z, &Vectors::new(&[2, 6, 11], 1, 6)?);
        for k in 0..config.num_codes {
            unused[k] = if q.contains(&(k as u32)) {
                0
            } else {
                unused[k] + 1
            };
            let row = &after[6 * k..6 * k + 6];
            let changed = row != &before[6 * k..6 * k + 6];
            let due = unused[k] == PATIENCE;
            if changed != due {
                return Err(format!(
                    "step {step}: code {k}, unused for {} steps, changed: {changed}",
                    unused[k]
                )
                .into());
            }
            if due {
                unused[k] = 0;
                replaced += 1;
                let near = |other: &[f32]| -> bool {
                    let squares =
                        |it: &mut dyn Iterator<Item = f32>| it.map(|v| v * v).sum::<f32>();
                    let e = squares(&mut row.iter().zip(other).map(|(a, b)| a - b)).sqrt();
                    // 1 % of the length a feature: six of them, and a wide margin.
                    e < 0.1 * squares(&mut other.iter().copied()).sqrt()
                };
                let fits = match policy {
                    // The very row that the generator's twin on the host draws.
                    ReplacePolicy::InputRandom => {
                        let stream = Stream::at_step(SEED, number_of("countdown"), step);
                        let n = (stream.uniform(k as u32) * in_rows.len() as f32) as usize;
                        near(&in_rows[n])
                    }
                    ReplacePolicy::Own => q.iter().any(|k| near(&before[6 * *k as usize..][..6])),
                    // A centroid lies within the vectors, not on one.
                    ReplacePolicy::InputKmeans => row.iter().all(|v| v.abs() < 8.0),
                };
                if !fits {
                    return Err(format!("step {step}: code {k} became {row:?}").into());
                }
            }
        }
        before = after;
    }
    if replaced < 500 {
        return Err(format!("only {replaced} codes were replaced").into());
    }
    Ok(())
}

/// Two layers with the same seed replace alike, and another step draws anew.
async fn replacement_repeats(gpu: &Gpu) -> Result<(), Failed> {
    for policy in [
        ReplacePolicy::InputRandom,
        ReplacePolicy::InputKmeans,
        ReplacePolicy::Own,
    ] {
        let config = VectorQuantConfig {
            feature_size: 6,
            num_codes: 150,
            replace_freq: 1,
            replace_policy: policy,
            ..VectorQuantConfig::default()
        };
        let z = normals(1, "z", 2 * 6 * 11);
        let once = async |step: u32| -> Result<Vec<f32>, Failed> {
            let layer = OnGpu::new(gpu, &config, &[2, 6, 11], true)?;
            layer
                .plan
                .write(gpu, layer.grad_out, &vec![0.0_f32; 2 * 6 * 11])?;
            layer.run(gpu, step, &z).await?;
            layer.codebook(gpu).await
        };
        let first = once(1).await?;
        if first != once(1).await? {
            return Err(format!("{policy:?}: two runs differ").into());
        }
        if first == once(2).await? {
            return Err(format!("{policy:?}: two steps drew the same").into());
        }
    }
    Ok(())
}

/// Usage over an epoch of 5 steps and ages, against counting by hand.
async fn tracks_usage(gpu: &Gpu) -> Result<(), Failed> {
    let config = VectorQuantConfig {
        feature_size: 6,
        num_codes: 40,
        ..VectorQuantConfig::default()
    };
    let layer = OnGpu::new(gpu, &config, &[2, 6, 11], true)?;
    layer
        .plan
        .write(gpu, layer.grad_out, &vec![0.0_f32; 2 * 6 * 11])?;
    let window = layer.seen.window.ok_or("no window")?;
    let mut steps: Vec<Vec<u32>> = Vec::new();
    let mut ages = vec![0.0_f32; 40];
    // More steps than the ring has places.
    for step in 1..=140 {
        layer
            .run(gpu, step, &normals(step, "z", 2 * 6 * 11))
            .await?;
        steps.push(layer.codes(gpu).await?);
        for (k, age) in ages.iter_mut().enumerate() {
            let used = steps.last().is_some_and(|q| q.contains(&(k as u32)));
            *age = if used { 0.0 } else { *age + 1.0 };
        }
        if step % 9 != 0 && step > 6 {
            continue;
        }
        let last: Vec<u32> = steps.iter().rev().take(5).flatten().copied().collect();
        let counts: Vec<f32> = (0..40)
            .map(|k| last.iter().filter(|q| **q == k).count() as f32)
            .collect();
        let entropy: f32 = counts
            .iter()
            .map(|n| n / last.len() as f32)
            .map(|p| -p * (p + 1e-7).ln())
            .sum();
        let used = counts.iter().filter(|n| **n > 0.0).count() as f32;
        let scalars = [
            (window.perplexity, entropy.exp()),
            (window.active_ratio, 100.0 * used / 40.0),
            (window.age_mean, ages.iter().sum::<f32>() / 40.0),
            (window.age_max, ages.iter().copied().fold(0.0, f32::max)),
        ];
        if layer.read(gpu, window.counts).await? != counts
            || layer.read(gpu, window.age).await? != ages
        {
            return Err(format!("step {step}: the histogram or the ages differ").into());
        }
        for (var, want) in scalars {
            let got = layer.read(gpu, var).await?[0];
            if (got - want).abs() > 1e-4 * want.abs().max(1.0) {
                return Err(format!("step {step}: {got}, want {want}").into());
            }
        }
    }
    Ok(())
}

/// One vector, one code, more codes than vectors, all vectors equal, odd F; for every method that
/// goes with them. Results and gradients are finite, and training goes on for some steps.
async fn takes_odd_input(gpu: &Gpu) -> Result<(), Failed> {
    let shapes: [(&str, &[usize], usize); 5] = [
        ("one vector", &[1, 7], 12),
        ("one code", &[3, 7, 5], 1),
        ("more codes than vectors", &[2, 7, 3], 64),
        ("all vectors equal", &[4, 7, 6], 12),
        ("one feature", &[4, 1, 6], 12),
    ];
    for method in semivq::train::Method::ALL {
        for (name, shape, codes) in shapes {
            let mut config = VectorQuantConfig {
                feature_size: shape[1],
                num_codes: codes,
                ..VectorQuantConfig::default()
            };
            method.apply(&mut config);
            if config.replace_freq > 0 {
                config.replace_freq = 2;
            }
            let needs_more = config.use_learnable_std && codes < 4;
            // The batch norms of the small networks run over the features.
            let one_feature = shape[1] == 1
                && (config.use_learnable_std
                    || config.use_learnable_gamma && config.gamma_policy == GammaPolicy::Default);
            if needs_more || one_feature {
                let refused = OnGpu::new(gpu, &config, shape, true).err();
                if refused.is_none() {
                    return Err(format!("{name}, {method:?}: not refused").into());
                }
                continue;
            }
            let layer = OnGpu::new(gpu, &config, shape, true)?;
            let len = shape.iter().product();
            let grad = normals(5, "grad_out", len);
            layer.plan.write(gpu, layer.grad_out, &grad)?;
            for step in 1..=4 {
                let mut z = normals(step, "odd z", len);
                if name == "all vectors equal" {
                    z.fill(0.75);
                }
                layer.run(gpu, step, &z).await?;
                let mut all = layer.read(gpu, layer.out).await?;
                all.extend(layer.read(gpu, layer.loss).await?);
                all.extend(layer.read(gpu, layer.seen.usage.perplexity).await?);
                all.extend(
                    layer
                        .tensors(gpu, Arena::Gradients)
                        .await?
                        .into_values()
                        .flatten(),
                );
                all.extend(
                    layer
                        .tensors(gpu, Arena::Buffers)
                        .await?
                        .into_values()
                        .flatten(),
                );
                all.extend(
                    layer
                        .tensors(gpu, Arena::Parameters)
                        .await?
                        .into_values()
                        .flatten(),
                );
                if let Some(grad_z) = layer.grad_z {
                    all.extend(layer.read(gpu, grad_z).await?);
                }
                if !all.iter().all(|v| v.is_finite()) {
                    return Err(format!("{name}, {method:?}: not finite at step {step}").into());
                }
                let known = codes.max(config.num_codes) as u32;
                if layer.codes(gpu).await?.iter().any(|q| *q >= known) {
                    return Err(format!("{name}, {method:?}: a code that does not exist").into());
                }
            }
        }
    }
    Ok(())
}

/// NaN and infinity in z: it says how many vectors, every method keeps to its codes.
async fn counts_bad_vectors(gpu: &Gpu) -> Result<(), Failed> {
    for dist in [Distance::Euclidean, Distance::Cosine] {
        let config = VectorQuantConfig {
            feature_size: 6,
            num_codes: 40,
            replace_freq: 1,
            dist,
            ..VectorQuantConfig::default()
        };
        let layer = OnGpu::new(gpu, &config, &[2, 6, 11], true)?;
        layer
            .plan
            .write(gpu, layer.grad_out, &vec![0.0_f32; 2 * 6 * 11])?;
        let mut z = normals(1, "z", 2 * 6 * 11);
        layer.run(gpu, 1, &z).await?;
        let bad = || layer.read(gpu, layer.seen.bad_vectors);
        if bad().await? != [0.0] {
            return Err("finite vectors were counted".into());
        }
        let vectors = Vectors::new(&[2, 6, 11], 1, 6)?;
        for (n, f, value) in [
            (3, 0, f32::NAN),
            (3, 5, f32::NAN),
            (14, 2, f32::INFINITY),
            (21, 1, f32::NEG_INFINITY),
        ] {
            z[vectors.index(n, f)] = value;
        }
        layer.run(gpu, 2, &z).await?;
        if bad().await? != [3.0] {
            return Err(format!("{dist:?}: {:?} bad vectors, want 3", bad().await?).into());
        }
        if layer.codes(gpu).await?.iter().any(|q| *q >= 40) {
            return Err("a code that does not exist".into());
        }
    }
    Ok(())
}

fn main() {
    let mut tests = Vec::new();
    for number in 0..COMBINATIONS {
        tests.extend(Test::gpu_by_candidates(
            &format!("combination {number}"),
            "search",
            move |gpu| async move { agrees(&gpu, number).await },
        ));
    }
    for policy in [
        ReplacePolicy::InputRandom,
        ReplacePolicy::InputKmeans,
        ReplacePolicy::Own,
    ] {
        tests.push(Test::gpu(
            format!("dead codes are replaced, {policy:?}"),
            move |gpu| async move { replaces_dead_codes(&gpu, policy).await },
        ));
    }
    tests.push(Test::gpu("replacement repeats", |gpu| async move {
        replacement_repeats(&gpu).await
    }));
    tests.push(Test::gpu("usage over an epoch", |gpu| async move {
        tracks_usage(&gpu).await
    }));
    tests.push(Test::gpu("odd input", |gpu| async move {
        takes_odd_input(&gpu).await
    }));
    tests.push(Test::gpu("bad vectors are counted", |gpu| async move {
        counts_bad_vectors(&gpu).await
    }));
    harness::run(tests);
}

/// What the page calls: the library's own start has taken the place of `main`.
#[cfg(target_arch = "wasm32")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn run_tests() {
    main();
}
