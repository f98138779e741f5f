//! NaN that stays NaN, and infinity, as PyTorch has them.

use std::collections::BTreeMap;
use std::sync::Arc;

use semivq::gpu::{Arena, BuildOptions, Gpu, ParameterLayout, Recorder, StepValues, Store, Var};
use semivq::ops::activation::Activation;
use semivq::ops::batch_norm::{BatchNormState, batch_norm};
use semivq::ops::group_norm::group_norm;
use semivq::ops::loss::PixelLoss;
use semivq::ops::max_pool2d::max_pool2d;
use semivq::quant::Vectors;
use semivq::quant::codebook::GammaPolicy;
use semivq::quant::codebook::gamma::{gamma, personalize};
use semivq::quant::fsq::fsq;
use semivq::quant::norm::{Length, normalize, normalize_codebook};
use semivq::quant::usage;

use super::support::harness::{Failed, Outcome, Test};

/// Runs an elementwise or pooling operation forward and backward on `x` with a gradient of ones.
async fn both_ways(
    gpu: &Gpu,
    shape: &[usize],
    x: &[f32],
    op: impl Fn(&mut Recorder<'_>, Var) -> semivq::Result<Var>,
) -> Result<(Vec<f32>, Vec<f32>), Failed> {
    let mut layout = ParameterLayout::default();
    let mut rec = Recorder::new(&mut layout, true);
    let input = rec.input("x", shape);
    rec.require_gradient(input);
    let y = op(&mut rec, input)?;
    rec.keep(y);
    let y_shape = rec.shape(y).to_vec();
    let grad_y = rec.input("grad_y", &y_shape);
    rec.seed_gradient(y, grad_y);
    rec.backward()?;
    let grad = rec.gradient(input).ok_or("no gradient")?;
    rec.keep(grad);
    let recording = rec.finish();
    let store = Store::new(gpu, layout, 0)?;
    let plan = recording.build(gpu, &store, BuildOptions::default())?;
    plan.write(gpu, input, x)?;
    plan.write(gpu, grad_y, &vec![1.0_f32; y_shape.iter().product()])?;
    plan.run(gpu, &StepValues::default())?;
    Ok((plan.read(gpu, y).await?, plan.read(gpu, grad).await?))
}

/// What PyTorch 2.15 gives at NaN: `relu, elu, gelu, sigmoid, clamp(-1, 1)` of NaN are NaN; their gradients 1, 1,
/// NaN, NaN, 0.
pub async fn activations_keep_nan(gpu: &Gpu) -> Outcome {
    for (kind, slope) in [
        (Activation::Relu, 1.0),
        (Activation::Elu, 1.0),
        (Activation::Gelu, f32::NAN),
        (Activation::Sigmoid, f32::NAN),
        (Activation::Clamp, 0.0),
    ] {
        // Five are done one by one, eight by fours.
        for len in [5, 8] {
            let mut x = vec![0.5; len];
            x[3] = f32::NAN;
            let (y, grad) = both_ways(gpu, &[len], &x, |rec, x| Ok(kind.apply(rec, x))).await?;
            let same = grad[3] == slope || (grad[3].is_nan() && slope.is_nan());
            if !y[3].is_nan() || !same || y[2].is_nan() || grad[2].is_nan() {
                return Err(format!("{kind:?}: {y:?}, gradient {grad:?}").into());
            }
        }
    }
    Ok(())
}

/// As PyTorch's `max_pool2d`: a NaN is the maximum of its window, the last of several, and takes the gradient.
pub async fn pooling_keeps_nan(gpu: &Gpu) -> Outcome {
    let mut x: Vec<f32> = (0..16).map(|i| i as f32).collect();
    x[0] = f32::NAN;
    x[4] = f32::NAN;
    let (y, grad) = both_ways(gpu, &[1, 1, 4, 4], &x, |rec, x| max_pool2d(rec, x, 2, 2)).await?;
    let right = y[0].is_nan() && y[1..] == [7.0, 13.0, 15.0] && grad[4] == 1.0 && grad[0] == 0.0;
    if right {
        return Ok(());
    }
    Err(format!("{y:?}, gradient {grad:?}").into())
}

/// As PyTorch's `l1_loss` and `mse_loss`: one NaN makes the mean NaN; its own gradient is 0 and NaN.
pub async fn losses_keep_nan(gpu: &Gpu) -> Outcome {
    for (loss, slope) in [(PixelLoss::L1, 0.0), (PixelLoss::Mse, f32::NAN)] {
        let mut layout = ParameterLayout::default();
        let mut rec = Recorder::new(&mut layout, true);
        let y = rec.input("y", &[4]);
        let target = rec.input("target", &[4]);
        rec.require_gradient(y);
        let mean = loss.apply(&mut rec, "loss", y, target, 1.0)?;
        rec.backward()?;
        let grad = rec.gradient(y).ok_or("no gradient")?;
        rec.keep(grad);
        let recording = rec.finish();
        let store = Store::new(gpu, layout, 0)?;
        let plan = recording.build(gpu, &store, BuildOptions::default())?;
        plan.write(gpu, y, &[1.0_f32, f32::NAN, 3.0, 4.0])?;
        plan.write(gpu, target, &[0.0_f32; 4])?;
        plan.run(gpu, &StepValues::default())?;
        let (mean, grad) = (plan.read(gpu, mean).await?, plan.read(gpu, grad).await?);
        let same = grad[1] == slope || (grad[1].is_nan() && slope.is_nan());
        if !mean[0].is_nan() || !same || grad[0].is_nan() {
            return Err(format!("{loss:?}: {mean:?}, gradient {grad:?}").into());
        }
    }
    Ok(())
}

/// As `torch.nn.functional.group_norm` of groups beyond a workgroup's size: one NaN makes its group of its image NaN,
/// forward and backward, and the gradient of that group's weights; that of the biases is a plain sum.
pub async fn wide_groups_keep_nan(gpu: &Gpu) -> Outcome {
    const SHAPE: [usize; 4] = [2, 4, 1, 200];
    let mut layout = ParameterLayout::default();
    let mut rec = Recorder::new(&mut layout, true);
    let x = rec.input("x", &SHAPE);
    let (weight, bias) = (rec.input("weight", &[4]), rec.input("bias", &[4]));
    for var in [x, weight, bias] {
        rec.require_gradient(var);
    }
    let y = group_norm(&mut rec, x, 2, 1e-6, Some((weight, bias)))?;
    rec.keep(y);
    let grad_y = rec.input("grad_y", &SHAPE);
    rec.seed_gradient(y, grad_y);
    rec.backward()?;
    let mut kept = vec![y];
    for var in [x, weight, bias] {
        kept.push(rec.gradient(var).ok_or("no gradient")?);
    }
    for var in &kept {
        rec.keep(*var);
    }
    let recording = rec.finish();
    let store = Store::new(gpu, layout, 0)?;
    let plan = recording.build(gpu, &store, BuildOptions::default())?;
    // In each wave of the workgroup's loop, and in its first and last thread.
    for (image, place) in [(1, 500), (0, 255), (1, 400), (0, 799), (1, 0)] {
        let mut values: Vec<f32> = (0..1600).map(|i| (i * 7 % 11) as f32 / 4.0).collect();
        let at = 800 * image + place;
        values[at] = f32::NAN;
        plan.write(gpu, x, &values)?;
        plan.write(gpu, weight, &[1.0_f32, 2.0, 3.0, 4.0])?;
        plan.write(gpu, bias, &[0.5_f32; 4])?;
        let upstream: Vec<f32> = (0..1600).map(|i| (i * 5 % 13) as f32 / 4.0).collect();
        plan.write(gpu, grad_y, &upstream)?;
        plan.run(gpu, &StepValues::default())?;
        let of_channel = |c: usize| -> f32 {
            let all = upstream.iter().enumerate();
            all.filter(|(i, _)| i / 200 % 4 == c).map(|(_, g)| g).sum()
        };
        for (name, var) in ["y", "grad_x", "grad_weight", "grad_bias"]
            .iter()
            .zip(&kept)
        {
            for (i, value) in plan.read(gpu, *var).await?.into_iter().enumerate() {
                let right = match *name {
                    "grad_bias" => value == of_channel(i),
                    "grad_weight" => value.is_nan() == (i / 2 == place / 400),
                    _ => value.is_nan() == (i / 400 == at / 400),
                };
                if !right {
                    return Err(format!("NaN at {at}: {name} {i} is {value}").into());
                }
            }
        }
    }
    Ok(())
}

/// As `torch.max` over the ages of the codes: NaN if one of them is, wherever it stands; else the greatest.
pub async fn maxima_keep_nan(gpu: &Gpu) -> Outcome {
    const CODES: usize = 700;
    let mut layout = ParameterLayout::default();
    let mut rec = Recorder::new(&mut layout, true);
    let counts = rec.input("counts", &[CODES]);
    let window = usage::window(&mut rec, counts)?;
    let recording = rec.finish();
    let store = Store::new(gpu, layout, 0)?;
    let plan = recording.build(gpu, &store, BuildOptions::default())?;
    // The first and the last thread, both sides of each half of a wave, the tail.
    for place in [0, 1, 127, 128, 254, 255, 256, 511, 512, 698, 699] {
        for value in [f32::NAN, 5000.0, f32::INFINITY] {
            let mut ages: Vec<f32> = (0..CODES).map(|k| (k * 37 % 101) as f32).collect();
            ages[place] = value;
            store.write(gpu, Arena::Buffers, "usage_age", &ages)?;
            // One code is in use, which makes its age 0; the others grow older by 1.
            let mut used = [0_u32; CODES];
            used[300] = 9;
            plan.write(gpu, counts, &used)?;
            let values = StepValues::default().with("step", 1_u32);
            plan.run(gpu, &values.with("epoch_steps", 1_u32))?;
            let got = plan.read(gpu, window.age_max).await?[0];
            if !same(got, value + 1.0) {
                return Err(format!("{value} at {place}: {got}").into());
            }
        }
    }
    Ok(())
}

/// What PyTorch computed, made by `not_finite.py`.
const CASES: &str = include_str!("not_finite.txt");

/// An operation with one value that is not finite.
struct Case {
    name: &'static str,
    tensors: BTreeMap<&'static str, (Vec<usize>, Vec<f32>)>,
}

fn cases() -> impl Iterator<Item = Case> {
    CASES.split("# ").skip(1).map(|text| {
        let mut lines = text.lines();
        let name = lines.next().unwrap();
        let tensor = |line: &'static str| {
            let mut words = line.split(' ');
            let name = words.next().unwrap();
            let shape = words.next().unwrap().split(',');
            let shape = shape.map(|s| s.parse().unwrap()).collect();
            (name, (shape, words.map(|w| w.parse().unwrap()).collect()))
        };
        Case {
            name,
            tensors: lines.map(tensor).collect(),
        }
    })
}

/// NaN for NaN, an infinity for itself, a number to rounding.
fn same(got: f32, want: f32) -> bool {
    if want.is_finite() {
        return (got - want).abs() <= 1e-5 * want.abs().max(1.0);
    }
    got == want || (got.is_nan() && want.is_nan())
}

impl Case {
    /// The tensors called `PREFIX.NAME`, with that name.
    fn group(&self, prefix: &str) -> impl Iterator<Item = (&'static str, &[usize], &[f32])> {
        let all = self.tensors.iter();
        all.filter_map(move |(name, (shape, values))| {
            let (kind, name) = name.split_once('.')?;
            (kind == prefix).then_some((name, &shape[..], &values[..]))
        })
    }

    /// Records the operation on `v`; what it makes, as the file calls it.
    fn record(
        &self,
        rec: &mut Recorder<'_>,
        v: &BTreeMap<&str, Var>,
    ) -> Result<Vec<(&'static str, Var)>, Failed> {
        let rows = |name: &str| Vectors::rows(&self.tensors[name].0);
        let y = match self.name.split(' ').next().unwrap() {
            "unit" => normalize(rec, v["x"], &rows("in.x"), Length::Unit(1e-6)),
            "limited" => normalize(rec, v["x"], &rows("in.x"), Length::Limited(1e-8)),
            "codebook_l2" => normalize_codebook(rec, v["codebook"], Length::Limited(1e-8)),
            "codebook_l2c" => normalize_codebook(rec, v["codebook"], Length::Unit(1e-8)),
            "group_norm" => group_norm(rec, v["x"], 2, 1e-6, Some((v["weight"], v["bias"])))?,
            "instance_norm" => group_norm(rec, v["x"], 4, 1e-5, None)?,
            "batch_norm_training" | "batch_norm_evaluation" => {
                let state = BatchNormState {
                    weight: v["weight"],
                    bias: v["bias"],
                    running_mean: v["running_mean"],
                    running_var: v["running_var"],
                };
                batch_norm(rec, v["x"], state)?
            }
            "personalize" => personalize(rec, v["codebook"], ["w", "b", "v", "e"].map(|n| v[n])),
            "gamma" => {
                // Named without the `_layer` of a whole model.
                let y = gamma(rec, v["codebook"], GammaPolicy::Default)?;
                return Ok(vec![("y", y)]);
            }
            "fsq" => {
                let r = fsq(rec, v["z"], &rows("in.z"), &[5, 4, 3])?;
                return Ok(vec![
                    ("y", r.z_q),
                    ("q", r.q),
                    ("d", r.d),
                    ("squares", r.squares),
                ]);
            }
            other => return Err(format!("no operation {other}").into()),
        };
        let running = ["running_mean", "running_var"].into_iter();
        let running = running.filter_map(|name| Some((name, *v.get(name)?)));
        Ok([("y", y)].into_iter().chain(running).collect())
    }

    fn check(&self, what: &str, got: &[f32]) -> Outcome {
        let want = &self.tensors[what].1;
        // No code belongs to NaN: any of them will do.
        let right = |(got, want): (&f32, &f32)| match what {
            "out.q" if want.is_nan() => *got < 60.0,
            _ => same(*got, *want),
        };
        if got.len() == want.len() && got.iter().zip(want).all(right) {
            return Ok(());
        }
        Err(format!("{what}: {got:?}, want {want:?}").into())
    }

    async fn holds(&self, gpu: &Gpu) -> Outcome {
        let mut layout = ParameterLayout::guarded();
        let training = !self.name.starts_with("batch_norm_evaluation");
        let mut rec = Recorder::new(&mut layout, training);
        let mut vars = BTreeMap::new();
        for (name, shape, _) in self.group("in") {
            let var = rec.input(name, shape);
            rec.require_gradient(var);
            vars.insert(name, var);
        }
        for (name, shape, _) in self.group("buffer") {
            vars.insert(name, rec.input(name, shape));
        }
        let outputs = self.record(&mut rec, &vars)?;
        for (_, var) in &outputs {
            rec.keep(*var);
        }
        let mut upstream = None;
        if let Some((_, values)) = self.tensors.get("grad_y") {
            let y = outputs[0].1;
            let shape = rec.shape(y).to_vec();
            let grad_y = rec.input("grad_y", &shape);
            rec.seed_gradient(y, grad_y);
            rec.backward()?;
            upstream = Some((grad_y, values));
        }
        let gradient = |name| Some((name, rec.gradient(*vars.get(name)?)?));
        let grads: Vec<(&str, Var)> = self
            .group("grad")
            .filter_map(|(n, ..)| gradient(n))
            .collect();
        for (_, var) in &grads {
            rec.keep(*var);
        }
        let recording = rec.finish();
        let store = Store::new(gpu, layout, 0)?;
        let plan = recording.build(gpu, &store, BuildOptions { guarded: true })?;
        for (name, _, values) in self.group("in").chain(self.group("buffer")) {
            plan.write(gpu, vars[name], values)?;
        }
        for (name, _, values) in self.group("param") {
            store.write(gpu, Arena::Parameters, &format!("_layer.{name}"), values)?;
        }
        if let Some((grad_y, values)) = upstream {
            plan.write(gpu, grad_y, values)?;
        }
        plan.run(gpu, &StepValues::default())?;
        plan.check_guards(gpu).await?;
        for (name, var) in outputs {
            let got = match name {
                "q" => plan
                    .read_u32(gpu, var)
                    .await?
                    .into_iter()
                    .map(|q| q as f32)
                    .collect(),
                _ => plan.read(gpu, var).await?,
            };
            self.check(&format!("out.{name}"), &got)?;
        }
        let mut checked = grads.len();
        for (name, var) in grads {
            self.check(&format!("grad.{name}"), &plan.read(gpu, var).await?)?;
        }
        for (name, _, values) in store.read(gpu, Arena::Gradients).await? {
            let what = format!("grad.{}", name.trim_start_matches("_layer."));
            if self.tensors.contains_key(&what[..]) {
                self.check(&what, &values)?;
                checked += 1;
            }
        }
        if checked == self.group("grad").count() {
            return Ok(());
        }
        Err("a gradient is missing".into())
    }
}

/// A test for each case of the file.
pub fn as_pytorch() -> impl Iterator<Item = Test> {
    cases().map(|case| {
        let (name, case) = (case.name, Arc::new(case));
        Test::gpu(format!("as PyTorch, {name}"), move |gpu| {
            let case = Arc::clone(&case);
            async move { case.holds(&gpu).await }
        })
    })
}
