//! The layer beside the loops: forward, every gradient, and what two steps leave behind.

use std::collections::BTreeMap;

use semivq::gpu::{Gpu, Role, Store};
use semivq::ops::reference::Real;
use semivq::quant::codebook::AlterPenalty;
use semivq::quant::{VectorQuantConfig, Vectors, tensor};
use semivq::rng::Stream;

use super::combinations::Combination;
use super::reference::{self, Named, Outcome};
use super::support::harness::Failed;
use super::support::layer::{COMMITMENT, Layer};
use super::support::share_by_rows;
use super::tape::Ad;
use super::{lasting, normals, rows, run_step};

/// That of the golden files.
const RELATIVE: f64 = 2e-5;
const ABSOLUTE: f64 = 1e-6;
/// Codes must win by this, so that f32 and f64 agree on them.
const MARGIN: f64 = 1e-3;
const STEPS: u32 = 2;

type Values = BTreeMap<String, Vec<f32>>;

/// Values for everything that the layer has: near those of a layer in use.
pub fn draw(store: &Store, number: usize, initialized: bool) -> Values {
    let layout = store.layout();
    let parameters = layout.parameters().iter().map(|p| (&p.name, &p.shape));
    let buffers = layout.buffers().iter().filter(|b| b.role == Role::Model);
    let all = parameters.chain(buffers.map(|b| (&b.name, &b.shape)));
    let one = |(name, shape): (&String, &Vec<usize>)| {
        let stream = Stream::named(number as u64, name);
        let fan_in = *shape.get(1).unwrap_or(&1) as f32;
        let value = |i: u32| {
            let (normal, uniform) = (stream.normal(i), stream.uniform(i));
            if name.ends_with("initialized") {
                f32::from(u8::from(initialized))
            } else if name.ends_with("_var") {
                0.5 + uniform
            } else if name.contains("norm") && name.ends_with("weight") {
                1.0 + 0.2 * normal
            } else if name.ends_with("codebook.weight") {
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

/// A step's input: of the layer, and of what comes from above.
struct Step<'a> {
    config: &'a VectorQuantConfig,
    training: bool,
    vectors: Vectors,
    /// What the layer holds before it.
    values: &'a Values,
    /// From 1.
    number: u32,
}

/// Everything that the reference says of a step.
struct Expected {
    outcome: Outcome<Ad>,
    penalty: f64,
    grad_z: Vec<f64>,
    grads: Named<f64>,
}

impl Step<'_> {
    fn run<T: Real>(
        &self,
        values: &Named<T>,
        z: &[Vec<T>],
        velocity: Option<Vec<f64>>,
    ) -> Outcome<T> {
        let layer = reference::Layer {
            config: self.config,
            training: self.training,
            vectors: self.vectors,
            values,
            velocity,
        };
        layer.run(z.to_vec())
    }

    fn named<T>(&self, make: impl Fn(&f32) -> T) -> Named<T> {
        let all = self.values.iter();
        all.map(|(n, v)| (n.clone(), v.iter().map(&make).collect()))
            .collect()
    }

    /// A z in which each vector has one nearest code beyond doubt: those that have not are drawn again.
    fn draw_z(&self, what: &str, len: usize) -> Result<Vec<f32>, Failed> {
        let mut z = normals(what, len);
        let values = self.named(|v| f64::from(*v));
        for attempt in 0..200 {
            let wide: Vec<f64> = z.iter().map(|v| f64::from(*v)).collect();
            let margins = self.run(&values, &rows(&wide, &self.vectors), None).margins;
            if margins.iter().all(|m| *m > MARGIN) {
                return Ok(z);
            }
            let fresh = normals(&format!("{what}, attempt {attempt}"), len);
            for (n, margin) in margins.iter().enumerate() {
                for f in (0..self.vectors.features).filter(|_| *margin <= MARGIN) {
                    let at = self.vectors.index(n, f);
                    z[at] = fresh[at];
                }
            }
        }
        Err("no z without ties".into())
    }

    fn expect(&self, z: &[f32], grad_out: &[f32]) -> Expected {
        let variables = || -> (Named<Ad>, Vec<Vec<Ad>>) {
            let ad = |v: &f32| Ad::variable(f64::from(*v));
            let z: Vec<Ad> = z.iter().map(ad).collect();
            (self.named(ad), rows(&z, &self.vectors))
        };
        let mut grads: Named<f64> = BTreeMap::new();
        let mut velocity = None;
        if let (Some((_, momentum)), true) = (self.config.inplace_optimizer, self.training) {
            let (named, z) = variables();
            let slopes = self.run(&named, &z, None).inplace_loss.gradients();
            for (name, variables) in &named {
                grads.insert(name.clone(), slopes.of(variables));
            }
            let pull = grads.remove("codebook.weight").unwrap_or_default();
            let before = self.values.get("velocity");
            let before = |i: usize| before.map_or(0.0, |v| f64::from(v[i]));
            let one = |(i, g): (usize, &f64)| f64::from(momentum) * before(i) + g;
            velocity = Some(pull.iter().enumerate().map(one).collect());
        }
        let (named, z) = variables();
        let outcome = self.run(&named, &z, velocity);
        let upstream = rows(grad_out, &self.vectors);
        let mut scalar = outcome.loss * Ad::of(f64::from(COMMITMENT));
        for (out, g) in outcome.out.iter().flatten().zip(upstream.iter().flatten()) {
            scalar += *out * Ad::of(f64::from(*g));
        }
        let penalty = penalty(self.config, self.number, &outcome);
        scalar += penalty * Ad::of(f64::from(self.config.penalty_weight));
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
                grad_z[self.vectors.index(n, f)] = g;
            }
        }
        Expected {
            outcome,
            penalty: penalty.to_f64(),
            grad_z,
            grads,
        }
    }
}

/// The penalty on alpha in step `number`.
pub fn penalty(config: &VectorQuantConfig, number: u32, outcome: &Outcome<Ad>) -> Ad {
    let alpha = outcome.scale.iter().flatten();
    let one = Ad::of(1.0);
    match config.alter_penalty {
        AlterPenalty::Default => -alpha.map(|a| *a * *a).sum::<Ad>(),
        AlterPenalty::Between1 => alpha.map(|a| (one - *a) * (one - *a)).sum(),
        AlterPenalty::Small => {
            let half = Ad::of(-0.5 * f64::from(number));
            half * alpha.map(|a| *a * *a).sum::<Ad>()
        }
    }
}

/// Perplexity, percent of the codes in use, percent of the vectors that the most used one has.
fn usage(counts: &[u32]) -> [f64; 3] {
    let all: u32 = counts.iter().sum();
    let shares = counts.iter().map(|n| f64::from(*n) / f64::from(all));
    let entropy: f64 = shares.clone().map(|p| -p * (p + 1e-7).ln()).sum();
    let used = counts.iter().filter(|n| **n > 0).count() as f64;
    let top = shares.fold(0.0, f64::max);
    [
        entropy.exp(),
        100.0 * used / counts.len() as f64,
        100.0 * top,
    ]
}

/// One combination: forward, all gradients, and what each step changes; the second one begins with what
/// the first one left on the device.
pub async fn agrees(gpu: &Gpu, number: usize, combination: &Combination) -> Result<(), Failed> {
    let Combination {
        config,
        shape,
        training,
        initialized,
    } = combination;
    let vectors = Vectors::new(shape, config.dim, config.feature_size)?;
    let layer = Layer::new(gpu, config, shape, *training, true)?;
    let mut values = draw(&layer.store, number, *initialized);
    for (name, tensor) in &values {
        layer.store.write_any(gpu, name, tensor)?;
    }
    let len = shape.iter().product();
    for at in 1..=STEPS {
        let step = Step {
            config,
            training: *training,
            vectors,
            values: &values,
            number: at,
        };
        let z = step.draw_z(&format!("z {number} {at}"), len)?;
        let grad_out = normals(&format!("grad_out {number} {at}"), len);
        let want = step.expect(&z, &grad_out);
        layer.plan.write(gpu, layer.grad_out, &grad_out)?;
        run_step(gpu, &layer, at, &z).await?;
        layer.store.check_gradient_guards(gpu).await?;
        let compared = compare(gpu, &layer, &step, want).await;
        values = compared.map_err(|Failed(what)| {
            format!("{what} in step {at}\n  {config:?}\n  z {shape:?}, training {training}")
        })?;
    }
    Ok(())
}

pub fn check(name: &str, got: &[f32], want: &[f64]) -> Result<(), Failed> {
    check_rows(name, got, want, 1)
}

/// Each row relative to its own largest value.
pub fn check_rows(name: &str, got: &[f32], want: &[f64], rows: usize) -> Result<(), Failed> {
    let narrow: Vec<f32> = want.iter().map(|v| *v as f32).collect();
    let share = share_by_rows(got, &narrow, rows, RELATIVE, ABSOLUTE);
    if share > 1.0 {
        return Err(format!("{name} at {share:.2} of the tolerance").into());
    }
    Ok(())
}

pub fn flat<'a>(values: impl IntoIterator<Item = &'a Ad>) -> Vec<f64> {
    values.into_iter().map(|v| v.to_f64()).collect()
}

/// Everything of a step; returns what the layer holds after it.
async fn compare(
    gpu: &Gpu,
    layer: &Layer,
    step: &Step<'_>,
    want: Expected,
) -> Result<Values, Failed> {
    let (seen, outcome) = (&layer.seen, &want.outcome);
    let read = async |var| layer.plan.read(gpu, var).await;
    let in_rows = async |var| -> semivq::Result<Vec<f32>> {
        Ok(step.vectors.rows_of(&layer.plan.read(gpu, var).await?))
    };
    let count = step.vectors.count();
    let q: Vec<u32> = outcome.q.iter().map(|k| *k as u32).collect();
    if layer.plan.read_u32(gpu, seen.q).await? != q {
        return Err("the codes differ".into());
    }
    check_rows(
        "z",
        &in_rows(seen.z).await?,
        &flat(outcome.z.iter().flatten()),
        count,
    )?;
    check_rows(
        "z_q",
        &in_rows(seen.z_q).await?,
        &flat(outcome.z_q.iter().flatten()),
        count,
    )?;
    check_rows(
        "out",
        &in_rows(layer.out).await?,
        &flat(outcome.out.iter().flatten()),
        count,
    )?;
    let distance = seen.tensor(tensor::DISTANCE).ok_or("no distance")?;
    check("d", &read(distance).await?, &outcome.d)?;
    check("loss", &read(layer.loss).await?, &[outcome.loss.to_f64()])?;
    match (seen.tensor(tensor::SCALE), &outcome.scale) {
        (None, None) => {}
        (Some(scale), Some(want)) => check("scale", &read(scale).await?, &flat(want))?,
        _ => return Err("a scale is missing, or one too many".into()),
    }
    match (seen.scalar("alpha_penalty"), step.config.penalty_weight) {
        (None, 0.0) => {}
        (Some(penalty), 0.5) => check("penalty", &read(penalty).await?, &[want.penalty])?,
        _ => return Err("a penalty is missing, or one too many".into()),
    }
    let mut counts = vec![0; seen.codes];
    for k in &outcome.q {
        counts[*k] += 1;
    }
    if layer.plan.read_u32(gpu, seen.usage.counts).await? != counts {
        return Err("the counts differ".into());
    }
    let of = &seen.usage;
    let vars = [of.perplexity, of.active_ratio, of.top_share];
    for (var, want) in vars.into_iter().zip(usage(&counts)) {
        check("usage", &read(var).await?, &[want])?;
    }
    check("grad z", &read(layer.grad_z).await?, &want.grad_z)?;
    let gradients = layer.store.read(gpu, semivq::gpu::Arena::Gradients).await?;
    for (name, shape, got) in gradients {
        let rows = if shape.len() > 1 { shape[0] } else { 1 };
        check_rows(&format!("grad {name}"), &got, &want.grads[&name], rows)?;
    }
    let after = lasting(gpu, layer).await?;
    for (name, want) in &outcome.after {
        let what = format!("{name} after the step");
        let got = after.get(name).ok_or(format!("there is no {what}"))?;
        let mut want = want.clone();
        if name == "codebook.weight" {
            let before = &step.values[name];
            replaced(
                step.config.feature_size,
                &outcome.due,
                (before, got),
                &mut want,
            )?;
        }
        let rows = if name == "codebook.weight" {
            seen.codes
        } else {
            1
        };
        check_rows(&what, got, &want, rows)?;
    }
    if !step.training && after != *step.values {
        return Err("evaluation changed what the layer holds".into());
    }
    Ok(after)
}

/// Takes the rows of codes that were due out of the comparison: a chance put them where they are. But each
/// moved, and to somewhere.
pub fn replaced(
    features: usize,
    due: &[bool],
    (before, got): (&[f32], &[f32]),
    want: &mut [f64],
) -> Result<(), Failed> {
    if due.is_empty() {
        return Ok(());
    }
    let before = before.chunks(features);
    let rows = got.chunks(features).zip(want.chunks_mut(features));
    for ((k, (got, want)), before) in rows.enumerate().zip(before) {
        if !due[k] {
            continue;
        }
        if got == before || !got.iter().all(|v| v.is_finite()) {
            return Err(format!("code {k} was due and became {got:?}").into());
        }
        for (want, got) in want.iter_mut().zip(got) {
            *want = f64::from(*got);
        }
    }
    Ok(())
}
