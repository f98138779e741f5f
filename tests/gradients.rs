//! Each operation's plain-loop reference against central differences in f64 (no GPU), and its
//! kernels against the reference on shapes that are distinct and odd: outputs filled with NaN
//! beforehand, gaps behind every tensor checked.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;

use semivq::gpu::{BuildOptions, Gpu, ParameterLayout, Recorder, StepValues, Store, Var};
use semivq::ops::activation::Activation;
use semivq::ops::batch_norm::{BatchNorm, BatchNormState, batch_norm};
use semivq::ops::conv_transpose2d::{ConvTranspose2d, conv_transpose2d};
use semivq::ops::conv2d::{Conv2d, Conv2dOptions, conv2d, upsample_conv2d};
use semivq::ops::group_norm::{GroupNorm, group_norm};
use semivq::ops::linear::{Bias, Linear, linear, linear_without_bias};
use semivq::ops::loss::PixelLoss;
use semivq::ops::max_pool2d::{MaxPool2d, max_pool2d};
use semivq::ops::reference::Reference;
use semivq::ops::upsample::{Upsample, upsample_nearest};
use semivq::quant::Vectors;
use semivq::quant::codebook::affine::{self, Apply, Transform};
use semivq::quant::codebook::gamma::{self, Table};
use semivq::quant::codebook::search::{self, search};
use semivq::quant::norm::{self, Length, VectorNorm};
use support::harness::{self, Failed, Test};
use support::{normals, share_of_tolerance};

type Record = Box<dyn Fn(&mut Recorder<'_>, &[Var]) -> semivq::Result<Var> + Send + Sync>;
type Check = Box<dyn Fn(&[Vec<f32>]) -> Result<(), Failed> + Send + Sync>;
type Backward = Box<dyn Fn(&[Vec<f32>], &[f32]) -> (Vec<f32>, Vec<Vec<f32>>) + Send + Sync>;

/// One operation on one set of shapes.
struct Case {
    name: String,
    shapes: Vec<Vec<usize>>,
    /// A loss is a root: nothing comes from above.
    root: bool,
    differences: Check,
    reference: Backward,
    record: Record,
}

/// Central differences of `sum(y * w)` in f64 against the reference's own backward.
fn central_differences<R: Reference>(op: &R, inputs: &[Vec<f32>]) -> Result<(), Failed> {
    const H: f64 = 1e-5;
    let mut x: Vec<Vec<f64>> = inputs
        .iter()
        .map(|v| v.iter().map(|x| f64::from(*x)).collect())
        .collect();
    let y = op.forward(&x);
    let w: Vec<f64> = normals("upstream", y.len())
        .iter()
        .map(|v| f64::from(*v))
        .collect();
    let scalar = |x: &[Vec<f64>]| -> f64 { op.forward(x).iter().zip(&w).map(|(a, b)| a * b).sum() };
    for (i, grad) in op.backward(&x, &w).iter().enumerate() {
        // Every element of small inputs, a spread of those of large ones.
        let stride = (grad.len() / 60).max(1);
        for j in (0..grad.len()).step_by(stride) {
            let at = x[i][j];
            x[i][j] = at + H;
            let above = scalar(&x);
            x[i][j] = at - H;
            let below = scalar(&x);
            x[i][j] = at;
            let slope = (above - below) / (2.0 * H);
            let error = (slope - grad[j]).abs();
            if error.is_nan() || error > 1e-6 * (1.0 + slope.abs()) {
                return Err(format!(
                    "input {i}, element {j}: {} but central differences say {slope}",
                    grad[j]
                )
                .into());
            }
        }
    }
    Ok(())
}

fn case<R: Reference + Clone + Send + Sync + 'static>(
    name: &str,
    op: R,
    shapes: &[&[usize]],
    record: impl Fn(&mut Recorder<'_>, &[Var]) -> semivq::Result<Var> + Send + Sync + 'static,
) -> Case {
    let twin = op.clone();
    Case {
        name: name.to_owned(),
        shapes: shapes.iter().map(|s| s.to_vec()).collect(),
        root: false,
        differences: Box::new(move |inputs| central_differences(&op, inputs)),
        reference: Box::new(move |inputs, grad_y| {
            let wide: Vec<Vec<f64>> = inputs
                .iter()
                .map(|v| v.iter().map(|x| f64::from(*x)).collect())
                .collect();
            let grad: Vec<f64> = grad_y.iter().map(|v| f64::from(*v)).collect();
            let narrow = |v: Vec<f64>| v.into_iter().map(|x| x as f32).collect::<Vec<f32>>();
            let y = narrow(twin.forward(&wide));
            let grads = if grad.is_empty() {
                Vec::new()
            } else {
                twin.backward(&wide, &grad)
            };
            (y, grads.into_iter().map(narrow).collect())
        }),
        record: Box::new(record),
    }
}

fn convolution(
    b: usize,
    c: usize,
    size: [usize; 2],
    o: usize,
    k: usize,
    s: usize,
    p: usize,
) -> Case {
    let options = Conv2dOptions {
        kernel: k,
        stride: s,
        padding: p,
    };
    let (x, w) = ([b, c, size[0], size[1]], [o, c, k, k]);
    let op = Conv2d::new(&x, &w, options).unwrap();
    let name = format!("conv2d {c}->{o} k{k}s{s}p{p} of {}x{}", size[0], size[1]);
    case(&name, op, &[&x, &w, &[o]], move |rec, v| {
        conv2d(rec, v[0], v[1], Some(v[2]), options)
    })
}

fn cases() -> Vec<Case> {
    let mut all = vec![
        // Few and many channels, tails of every tile, more taps than fit a workgroup at once.
        convolution(3, 1, [9, 7], 5, 3, 1, 1),
        convolution(2, 9, [11, 18], 10, 3, 1, 1),
        convolution(2, 17, [6, 5], 9, 3, 1, 1),
        convolution(2, 33, [5, 21], 17, 3, 1, 1),
        convolution(2, 40, [3, 4], 1, 3, 1, 1),
        convolution(3, 11, [8, 13], 8, 3, 1, 0),
        convolution(2, 3, [10, 7], 9, 4, 2, 1),
        convolution(2, 5, [9, 11], 7, 5, 3, 2),
        convolution(2, 7, [5, 3], 6, 1, 1, 0),
        convolution(1, 13, [7, 9], 3, 2, 2, 0),
    ];
    let (x, w) = ([2, 3, 6, 7], [4, 3, 3, 3]);
    let same = Conv2dOptions::SAME_3X3;
    let op = Conv2d::new(&x, &w, same).unwrap();
    all.push(case("conv2d without bias", op, &[&x, &w], move |rec, v| {
        conv2d(rec, v[0], v[1], None, same)
    }));
    for (c, o, size) in [
        (3, 9, [5, 7]),
        (11, 8, [3, 9]),
        (18, 1, [7, 3]),
        (1, 5, [1, 1]),
    ] {
        let (x, w) = ([2, c, size[0], size[1]], [o, c, 3, 3]);
        let op = Conv2d::after_upsampling(&x, &w).unwrap();
        let name = format!("upsample_conv2d {c}->{o} of {}x{}", size[0], size[1]);
        let record =
            |rec: &mut Recorder<'_>, v: &[Var]| upsample_conv2d(rec, v[0], v[1], Some(v[2]));
        all.push(case(&name, op, &[&x, &w, &[o]], record));
    }
    for (x, w, stride, padding) in [
        ([2, 5, 4, 7], [5, 3, 4, 4], 2, 1),
        ([3, 9, 5, 3], [9, 10, 3, 3], 1, 1),
        ([1, 4, 3, 5], [4, 7, 5, 5], 3, 2),
    ] {
        let options = Conv2dOptions {
            kernel: w[2],
            stride,
            padding,
        };
        let op = ConvTranspose2d::new(&x, &w, options).unwrap();
        let name = format!("conv_transpose2d k{}s{stride}p{padding} of {x:?}", w[2]);
        all.push(case(&name, op, &[&x, &w, &[w[1]]], move |rec, v| {
            conv_transpose2d(rec, v[0], v[1], v[2], options)
        }));
    }
    for (window, stride) in [(2, 2), (3, 2), (3, 3), (2, 3)] {
        let x = [2, 3, 11, 8];
        let op = MaxPool2d::new(&x, window, stride).unwrap();
        let name = format!("max_pool2d {window} at stride {stride}");
        all.push(case(&name, op, &[&x], move |rec, v| {
            max_pool2d(rec, v[0], window, stride)
        }));
    }
    for factor in [2, 3] {
        let x = [2, 3, 5, 7];
        let op = Upsample::new(&x, factor).unwrap();
        let name = format!("upsample by {factor}");
        all.push(case(&name, op, &[&x], move |rec, v| {
            upsample_nearest(rec, v[0], factor)
        }));
    }
    for a in [
        Activation::Gelu,
        Activation::Elu,
        Activation::Relu,
        Activation::Sigmoid,
        Activation::Clamp,
    ] {
        // By one and by four.
        for length in [257, 260] {
            let name = format!("{a:?} of 3x{length}").to_lowercase();
            all.push(case(&name, a, &[&[3, length]], move |rec, v| {
                Ok(a.apply(rec, v[0]))
            }));
        }
    }
    let op = Linear::new(&[19, 23], &[31, 23], Bias::Absent).unwrap();
    let shapes: [&[usize]; 2] = [&[19, 23], &[31, 23]];
    all.push(case("linear without bias", op, &shapes, |rec, v| {
        linear_without_bias(rec, v[0], v[1])
    }));
    let op = Linear::new(&[13, 67], &[9, 67], Bias::Matters).unwrap();
    all.push(case(
        "linear",
        op,
        &[&[13, 67], &[9, 67], &[9]],
        |rec, v| linear(rec, v[0], v[1], v[2], Bias::Matters),
    ));
    for shape in [vec![263, 5], vec![3, 4, 7, 5]] {
        let op = BatchNorm::new(&shape, true).unwrap();
        let c = shape[1];
        let name = format!("batch_norm {shape:?}");
        all.push(case(&name, op, &[&shape, &[c], &[c]], move |rec, v| {
            let state = BatchNormState {
                weight: v[1],
                bias: v[2],
                running_mean: rec.buffer("running_mean", &[c], 0.0)?,
                running_var: rec.buffer("running_var", &[c], 1.0)?,
            };
            batch_norm(rec, v[0], state)
        }));
    }
    for loss in [PixelLoss::L1, PixelLoss::Mse] {
        let shape = [5, 1031];
        let name = format!("{loss:?} loss").to_lowercase();
        let mut one = case(&name, loss, &[&shape, &shape], move |rec, v| {
            loss.apply(rec, "loss", v[0], v[1], 1.0)
        });
        one.root = true;
        all.push(one);
    }
    let op = Apply {
        codes: 21,
        features: 5,
        groups: 3,
    };
    all.push(case(
        "affine",
        op,
        &[&[21, 5], &[5, 3], &[3, 5]],
        |rec, v| {
            let (scale, bias) = (v[1], v[2]);
            Ok(affine::apply(rec, v[0], Transform { scale, bias }))
        },
    ));
    let op = VectorNorm {
        vectors: Vectors {
            outer: 3,
            features: 7,
            positions: 11,
        },
        length: Length::Unit(1e-6),
    };
    all.push(case("unit vectors", op, &[&[3, 7, 11]], move |rec, v| {
        Ok(norm::normalize(rec, v[0], &op.vectors, op.length))
    }));
    for (shape, groups) in [([3, 12, 5, 7], 4), ([2, 10, 17, 31], 5)] {
        let op = GroupNorm::new(&shape, groups, 1e-6).unwrap();
        let name = format!("group_norm {shape:?} in {groups}");
        let c = shape[1];
        all.push(case(&name, op, &[&shape, &[c], &[c]], move |rec, v| {
            group_norm(rec, v[0], groups, 1e-6, Some((v[1], v[2])))
        }));
        let op = GroupNorm::new(&shape, c, 1e-5).unwrap();
        let name = format!("instance_norm {shape:?}");
        all.push(case(&name, op, &[&shape], move |rec, v| {
            group_norm(rec, v[0], c, 1e-5, None)
        }));
    }
    let op = Table {
        codes: 277,
        features: 3,
    };
    all.push(case(
        "gamma personalize",
        op,
        &[&[277, 3], &[3, 2], &[3], &[3, 2], &[3]],
        |rec, v| Ok(gamma::personalize(rec, v[0], [v[1], v[2], v[3], v[4]])),
    ));
    all
}

fn inputs_of(case: &Case) -> Vec<Vec<f32>> {
    let one =
        |(i, s): (usize, &Vec<usize>)| normals(&format!("{} {i}", case.name), s.iter().product());
    case.shapes.iter().enumerate().map(one).collect()
}

/// The kernels against the reference in f64; the tolerance is that of the golden files.
async fn on_gpu(gpu: &Gpu, case: &Case) -> Result<(), Failed> {
    let inputs = inputs_of(case);
    let mut layout = ParameterLayout::guarded();
    let mut rec = Recorder::new(&mut layout, true).tuned_for(gpu);
    let vars: Vec<Var> = case.shapes.iter().map(|s| rec.input("input", s)).collect();
    for var in &vars {
        rec.require_gradient(*var);
    }
    let y = (case.record)(&mut rec, &vars)?;
    rec.keep(y);
    let shape = rec.shape(y).to_vec();
    let grad_y = rec.input("grad_y", &shape);
    let upstream = if case.root {
        vec![1.0]
    } else {
        normals("upstream", shape.iter().product())
    };
    if !case.root {
        rec.seed_gradient(y, grad_y);
    }
    rec.backward()?;
    let grads: Vec<Option<Var>> = vars.iter().map(|v| rec.gradient(*v)).collect();
    for grad in grads.iter().flatten() {
        rec.keep(*grad);
    }
    let recording = rec.finish();
    let store = Store::new(gpu, layout, 0)?;
    let plan = recording.build(gpu, &store, BuildOptions { guarded: true })?;
    for (var, values) in vars.iter().zip(&inputs) {
        plan.write(gpu, *var, values)?;
    }
    if !case.root {
        plan.write(gpu, grad_y, &upstream)?;
    }
    plan.run(gpu, &StepValues::default())?;
    plan.check_guards(gpu).await?;
    let (want_y, want_grads) = (case.reference)(&inputs, &upstream);
    let check = |what: String, got: &[f32], want: &[f32]| {
        let share = share_of_tolerance(got, want, 2e-5, 1e-6);
        if share > 1.0 {
            Err(format!("{what} at {share:.2} of the tolerance"))
        } else {
            Ok(())
        }
    };
    check("y".into(), &plan.read(gpu, y).await?, &want_y)?;
    for (i, (grad, want)) in grads.iter().zip(&want_grads).enumerate() {
        match grad {
            Some(grad) => check(
                format!("gradient of input {i}"),
                &plan.read(gpu, *grad).await?,
                want,
            )?,
            None if want.is_empty() => {}
            None => return Err(format!("input {i} got no gradient").into()),
        }
    }
    gpu.check(&case.name)?;
    Ok(())
}

/// The search against the reference: one vector, one code, ties, K > N, odd F, features last; tails of
/// all tiles, vectors side by side by fours.
async fn search_on_gpu(gpu: &Gpu) -> Result<(), Failed> {
    for (outer, features, positions, codes) in [
        (3, 33, 100, 67),
        (2, 9, 8, 31),
        (5, 70, 61, 33),
        (3, 7, 11, 19),
        (1, 4, 1, 1),
        (2, 65, 3, 40),
        (5, 3, 1, 16),
        (1, 1, 130, 2),
        // Enough for the wide tiles: side by side by fours, not so, and features last.
        (3, 6, 700, 40),
        (9, 5, 257, 67),
        (2501, 33, 1, 35),
    ] {
        let vectors = Vectors {
            outer,
            features,
            positions,
        };
        let z = normals("search z", outer * features * positions);
        let mut codebook = normals("search codes", codes * features);
        // The last code repeats the first: a tie must go to the lower index.
        codebook.copy_within(..features, (codes - 1) * features);
        let mut layout = ParameterLayout::guarded();
        let mut rec = Recorder::new(&mut layout, false).tuned_for(gpu);
        let z_var = rec.input("z", &[outer, features, positions]);
        let codebook_var = rec.input("codebook", &[codes, features]);
        let q = search(&mut rec, z_var, &vectors, codebook_var);
        rec.keep(q);
        let recording = rec.finish();
        let store = Store::new(gpu, layout, 0)?;
        let plan = recording.build(gpu, &store, BuildOptions { guarded: true })?;
        plan.write(gpu, z_var, &z)?;
        plan.write(gpu, codebook_var, &codebook)?;
        plan.run(gpu, &StepValues::default())?;
        plan.check_guards(gpu).await?;
        let wide = |v: &[f32]| v.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>();
        let want = search::reference(&wide(&z), &vectors, &wide(&codebook));
        let got = plan.read_u32(gpu, q).await?;
        if got != want {
            return Err(format!(
                "N {} F {features} K {codes}: {got:?}, want {want:?}",
                vectors.count()
            )
            .into());
        }
    }
    gpu.check("search")?;
    Ok(())
}

fn main() {
    let mut tests = Vec::new();
    for case in cases().into_iter().map(Arc::new) {
        let twin = Arc::clone(&case);
        tests.push(Test::host(
            format!("central differences, {}", case.name),
            move || (twin.differences)(&inputs_of(&twin)),
        ));
        let name = format!("GPU, {}", case.name);
        let run = move |gpu: Arc<Gpu>| {
            let case = Arc::clone(&case);
            async move { on_gpu(&gpu, &case).await }
        };
        if name.contains("conv2d") {
            tests.extend(Test::gpu_by_candidates(&name, "conv2d", run));
        } else {
            tests.push(Test::gpu(name, run));
        }
    }
    tests.extend(Test::gpu_by_candidates(
        "GPU, search",
        "search",
        |gpu| async move { search_on_gpu(&gpu).await },
    ));
    harness::run(tests);
}

/// What the page calls: the library's own start has taken the place of `main`.
#[cfg(target_arch = "wasm32")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn run_tests() {
    main();
}
