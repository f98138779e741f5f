//! Residual quantisation beside the loops: each layer is the reference's, on what those before it left over.

use std::collections::BTreeMap;

use semivq::gpu::Gpu;
use semivq::ops::reference::Real;
use semivq::quant::{Norm, VectorQuantConfig, Vectors};

use super::agree::{check, check_rows, draw, flat, penalty, replaced};
use super::combinations::Combination;
use super::reference::{self, Named, Outcome};
use super::support::harness::Failed;
use super::support::layer::{COMMITMENT, Layer};
use super::tape::Ad;
use super::{lasting, normals, rows, run_step};

/// Codes must win by this, so that f32 and f64 agree on them.
const MARGIN: f64 = 1e-3;
const STEPS: u32 = 2;

type Values = BTreeMap<String, Vec<f32>>;
type Rows<T> = Vec<Vec<T>>;

/// What stands before the names of layer `d`.
fn prefix(config: &VectorQuantConfig, d: usize) -> String {
    match config.residual_shared {
        true => String::new(),
        false => format!("layers.{d}."),
    }
}

/// The name in the whole of what layer `d` calls `name`.
fn whole(config: &VectorQuantConfig, d: usize, name: &str) -> String {
    match name.starts_with("norm_layer") {
        true => name.to_owned(),
        false => prefix(config, d) + name,
    }
}

/// What layer `d` holds, by its own names; the norm of z is the first one's.
fn of_layer<T: Clone>(config: &VectorQuantConfig, d: usize, values: &Named<T>) -> Named<T> {
    let own = |(name, values): (&String, &Vec<T>)| {
        let own = match name.starts_with("norm_layer") {
            true => Some(name.as_str()),
            false => name.strip_prefix(&prefix(config, d)),
        };
        Some((own?.to_owned(), values.clone()))
    };
    values.iter().filter_map(own).collect()
}

/// A step: what the quantiser is and holds before it.
struct Step<'a> {
    config: &'a VectorQuantConfig,
    training: bool,
    vectors: Vectors,
    values: &'a Values,
    /// From 1.
    number: u32,
}

impl Step<'_> {
    fn named<T>(&self, make: impl Fn(&f32) -> T) -> Named<T> {
        let all = self.values.iter();
        all.map(|(n, v)| (n.clone(), v.iter().map(&make).collect()))
            .collect()
    }

    /// The options of layer `d`: z is normalised once.
    fn config(&self, d: usize) -> VectorQuantConfig {
        let mut config = self.config.clone();
        config.norm = if d == 0 { config.norm } else { Norm::None };
        config
    }

    fn run<T: Real>(
        &self,
        d: usize,
        values: &Named<T>,
        z: &Rows<T>,
        velocity: Option<Vec<f64>>,
    ) -> Outcome<T> {
        let layer = reference::Layer {
            config: &self.config(d),
            training: self.training,
            vectors: self.vectors,
            values: &of_layer(self.config, d, values),
            velocity,
        };
        layer.run(z.clone())
    }

    /// All layers, each on what is left of its rows, in which the others are held constant.
    fn chain<T: Real>(
        &self,
        values: &Named<T>,
        mut z: Rows<T>,
        velocities: &[Option<Vec<f64>>],
    ) -> Vec<Outcome<T>> {
        let mut all = Vec::new();
        for (d, velocity) in velocities.iter().enumerate() {
            let outcome = self.run(d, values, &z, velocity.clone());
            z = left_over(&outcome);
            all.push(outcome);
        }
        all
    }

    /// The velocity of each layer's in-place step, and the gradients of the loss that it takes.
    fn steps_in_place(&self, z: &[f32]) -> (Vec<Option<Vec<f64>>>, Named<f64>) {
        let wide = z.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
        let mut rest = rows(&wide, &self.vectors);
        let (mut velocities, mut grads) = (Vec::new(), Named::new());
        for d in 0..self.config.residual {
            let mut velocity = None;
            if let (Some((_, momentum)), true) = (self.config.inplace_optimizer, self.training) {
                let named = self.named(|v| Ad::variable(f64::from(*v)));
                let constant = |row: &Vec<f64>| row.iter().map(|v| Ad::of(*v)).collect();
                let z: Rows<Ad> = rest.iter().map(constant).collect();
                let slopes = self.run(d, &named, &z, None).inplace_loss.gradients();
                for (name, variables) in &named {
                    if name.starts_with(&prefix(self.config, d)) {
                        grads.insert(name.clone(), slopes.of(variables));
                    }
                }
                let of = |name: &str| whole(self.config, d, name);
                let pull = grads.remove(&of("codebook.weight")).unwrap_or_default();
                let before = self.values.get(&of("velocity"));
                let before = |i: usize| before.map_or(0.0, |v| f64::from(v[i]));
                let one = |(i, g): (usize, &f64)| f64::from(momentum) * before(i) + g;
                velocity = Some(pull.iter().enumerate().map(one).collect());
            }
            let values = self.named(|v| f64::from(*v));
            rest = left_over(&self.run(d, &values, &rest, velocity.clone()));
            velocities.push(velocity);
        }
        (velocities, grads)
    }

    /// A z in which each vector has one nearest code beyond doubt in every layer.
    fn draw_z(&self, what: &str, len: usize) -> Result<Vec<f32>, Failed> {
        let mut z = normals(what, len);
        let values = self.named(|v| f64::from(*v));
        for attempt in 0..200 {
            let wide: Vec<f64> = z.iter().map(|v| f64::from(*v)).collect();
            let (velocities, _) = self.steps_in_place(&z);
            let all = self.chain(&values, rows(&wide, &self.vectors), &velocities);
            let doubtful = |n: &usize| all.iter().any(|o| o.margins[*n] <= MARGIN);
            let again: Vec<usize> = (0..self.vectors.count()).filter(doubtful).collect();
            if again.is_empty() {
                return Ok(z);
            }
            let fresh = normals(&format!("{what}, attempt {attempt}"), len);
            for (n, f) in again
                .into_iter()
                .flat_map(|n| (0..self.vectors.features).map(move |f| (n, f)))
            {
                let at = self.vectors.index(n, f);
                z[at] = fresh[at];
            }
        }
        Err("no z without ties".into())
    }

    /// What the step leaves behind, by name, and the codes that it replaces, by the name of their codebook.
    fn after(&self, all: &[Outcome<Ad>]) -> (Named<f64>, BTreeMap<String, Vec<bool>>) {
        let (mut after, mut due) = (Named::new(), BTreeMap::new());
        for (d, outcome) in all.iter().enumerate() {
            let named = outcome.after.iter();
            after.extend(named.map(|(name, v)| (whole(self.config, d, name), v.clone())));
            due.insert(
                whole(self.config, d, "codebook.weight"),
                outcome.due.clone(),
            );
        }
        if self.config.residual_shared && self.training {
            // As it stands before anything moves it; then the vectors of all layers move it at once.
            let plain = VectorQuantConfig {
                ema_decay: None,
                replace_freq: 0,
                replace_below: 0.0,
                ..self.config(1)
            };
            let values = self.named(|v| f64::from(*v));
            let layer = |config| reference::Layer {
                config,
                training: true,
                vectors: self.vectors,
                values: &values,
                velocity: None,
            };
            let numbers = |rows: &Rows<Ad>| -> Rows<f64> {
                rows.iter()
                    .map(|row| row.iter().map(|v| v.to_f64()).collect())
                    .collect()
            };
            let still = layer(&plain).run(numbers(&all[0].z));
            let z: Rows<f64> = all.iter().flat_map(|o| numbers(&o.z)).collect();
            let q: Vec<usize> = all.iter().flat_map(|o| o.q.clone()).collect();
            let stored = still.after["codebook.weight"].clone();
            let codes = layer(self.config).moved(stored, &z, &q, &mut after);
            due.insert("codebook.weight".into(), codes);
        }
        (after, due)
    }
}

/// What a layer leaves of its rows.
fn left_over<T: Real>(outcome: &Outcome<T>) -> Rows<T> {
    let pairs = outcome.z.iter().zip(&outcome.z_q);
    pairs
        .map(|(z, e)| {
            z.iter()
                .zip(e)
                .map(|(z, e)| *z - T::of(e.to_f64()))
                .collect()
        })
        .collect()
}

/// One combination: forward, all gradients, and what each of two steps changes.
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
        layer.plan.write(gpu, layer.grad_out, &grad_out)?;
        run_step(gpu, &layer, at, &z).await?;
        layer.store.check_gradient_guards(gpu).await?;
        let compared = compare(gpu, &layer, &step, &z, &grad_out).await;
        values = compared.map_err(|Failed(what)| {
            format!("{what} in step {at}\n  {config:?}\n  z {shape:?}, training {training}")
        })?;
    }
    Ok(())
}

/// Everything of a step; returns what the quantiser holds after it.
async fn compare(
    gpu: &Gpu,
    layer: &Layer,
    step: &Step<'_>,
    z: &[f32],
    grad_out: &[f32],
) -> Result<Values, Failed> {
    let (velocities, mut grads) = step.steps_in_place(z);
    let ad = |v: &f32| Ad::variable(f64::from(*v));
    let (named, z) = (step.named(ad), z.iter().map(ad).collect::<Vec<Ad>>());
    let all = step.chain(&named, rows(&z, &step.vectors), &velocities);
    let mut out: Rows<Ad> = all[0].out.clone();
    for outcome in &all[1..] {
        for (sum, own) in out.iter_mut().flatten().zip(outcome.out.iter().flatten()) {
            *sum += *own;
        }
    }
    let mut scalar = Ad::of(0.0);
    for outcome in &all {
        scalar += outcome.loss * Ad::of(f64::from(COMMITMENT));
        let weight = f64::from(step.config.penalty_weight);
        scalar += penalty(step.config, step.number, outcome) * Ad::of(weight);
    }
    let upstream = rows(grad_out, &step.vectors);
    for (out, g) in out.iter().flatten().zip(upstream.iter().flatten()) {
        scalar += *out * Ad::of(f64::from(*g));
    }
    let slopes = scalar.gradients();

    let in_rows = async |var| -> semivq::Result<Vec<f32>> {
        Ok(step.vectors.rows_of(&layer.plan.read(gpu, var).await?))
    };
    let count = step.vectors.count();
    for (d, (seen, outcome)) in layer.maps.iter().zip(&all).enumerate() {
        let q: Vec<u32> = outcome.q.iter().map(|k| *k as u32).collect();
        if layer.plan.read_u32(gpu, seen.q).await? != q {
            return Err(format!("the codes of layer {d} differ").into());
        }
        for (what, var, want) in [("z", seen.z, &outcome.z), ("z_q", seen.z_q, &outcome.z_q)] {
            let what = format!("{what} of layer {d}");
            check_rows(
                &what,
                &in_rows(var).await?,
                &flat(want.iter().flatten()),
                count,
            )?;
        }
        let loss = layer
            .plan
            .read(gpu, seen.scalar("cmt_loss").ok_or("no loss")?)
            .await?;
        check(
            &format!("loss of layer {d}"),
            &loss,
            &[outcome.loss.to_f64()],
        )?;
        let mut counts = vec![0; seen.codes];
        outcome.q.iter().for_each(|k| counts[*k] += 1);
        if layer.plan.read_u32(gpu, seen.usage.counts).await? != counts {
            return Err(format!("the counts of layer {d} differ").into());
        }
    }
    check_rows(
        "out",
        &in_rows(layer.out).await?,
        &flat(out.iter().flatten()),
        count,
    )?;
    let grad_z = layer.plan.read(gpu, layer.grad_z).await?;
    check("grad z", &grad_z, &slopes.of(&z))?;
    for (name, variables) in &named {
        let main = slopes.of(variables);
        let early = grads.remove(name).unwrap_or_else(|| vec![0.0; main.len()]);
        let sum = main.iter().zip(early).map(|(a, b)| a + b).collect();
        grads.insert(name.clone(), sum);
    }
    for (name, shape, got) in layer.store.read(gpu, semivq::gpu::Arena::Gradients).await? {
        let rows = if shape.len() > 1 { shape[0] } else { 1 };
        check_rows(&format!("grad {name}"), &got, &grads[&name], rows)?;
    }
    let held = lasting(gpu, layer).await?;
    let (after, due) = step.after(&all);
    for (name, want) in &after {
        let got = held.get(name).ok_or(format!("there is no {name}"))?;
        let mut want = want.clone();
        let mut rows = 1;
        if let Some(due) = due.get(name) {
            let before = &step.values[name];
            replaced(step.config.feature_size, due, (before, got), &mut want)?;
            rows = step.config.num_codes;
        }
        check_rows(&format!("{name} after the step"), got, &want, rows)?;
    }
    if !step.training && held != *step.values {
        return Err("evaluation changed what the quantiser holds".into());
    }
    Ok(held)
}
