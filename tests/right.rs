//! Right, or said: the nearest code wherever float32 can tell, however far from the origin and however long
//! the codebook; k-means likewise; NaN that stays NaN.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;

use semivq::gpu::{BuildOptions, Gpu, ParameterLayout, Recorder, StepUniform, Store, Var};
use semivq::ops::activation::Activation;
use semivq::ops::gather::{Page, gather};
use semivq::ops::loss::PixelLoss;
use semivq::ops::max_pool2d::max_pool2d;
use semivq::vq::Vectors;
use semivq::vq::kmeans::{KMeansOptions, kmeans};
use semivq::vq::search::{reference, search};
use support::harness::{self, Failed, Outcome, Test};
use support::normals;

/// The codes that the device finds; `tuned` as a session would, else the kernel for GPUs.
async fn found(
    gpu: &Gpu,
    z: &[f32],
    codebook: &[f32],
    features: usize,
    tuned: bool,
) -> Result<Vec<u32>, Failed> {
    let (count, codes) = (z.len() / features, codebook.len() / features);
    let mut layout = ParameterLayout::guarded();
    let mut rec = Recorder::new(&mut layout, false);
    if tuned {
        rec = rec.tuned_for(gpu);
    }
    let z_var = rec.input("z", &[count, features]);
    let codebook_var = rec.input("codebook", &[codes, features]);
    let vectors = Vectors::rows(&[count, features]);
    let q = search(&mut rec, z_var, &vectors, codebook_var);
    rec.keep(q);
    let recording = rec.finish();
    let store = Store::new(gpu, layout, 0)?;
    let plan = recording.build(gpu, &store, BuildOptions { guarded: true })?;
    plan.write(gpu, z_var, z)?;
    plan.write(gpu, codebook_var, codebook)?;
    plan.run(gpu, &StepUniform::default());
    plan.check_guards(gpu).await?;
    Ok(plan.read_u32(gpu, q).await?)
}

/// Values around `center` with deviation `spread`; the centre's sign changes with the row where `two`.
fn around(
    name: &str,
    rows: usize,
    features: usize,
    center: f32,
    spread: f32,
    two: bool,
) -> Vec<f32> {
    let noise = normals(name, rows * features);
    let sign = |i: usize| {
        if two && i / features % 2 == 1 {
            -1.0
        } else {
            1.0
        }
    };
    (0..rows * features)
        .map(|i| sign(i) * center + spread * noise[i])
        .collect()
}

/// In f64 the nearest code, and whether the next one is farther by more than rounding of z - c.
async fn nearest_is_nearest(gpu: &Gpu, center: f32, spread: f32, two: bool) -> Outcome {
    let wide = |v: &[f32]| v.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>();
    for (count, codes, features, tuned) in [
        (300, 256, 32, false),
        (2100, 70, 13, true),
        (5, 1, 3, false),
    ] {
        let z = around("z", count, features, center, spread, two);
        let codebook = around("codebook", codes, features, center, spread, two);
        let got = found(gpu, &z, &codebook, features, tuned).await?;
        let (z, codebook) = (wide(&z), wide(&codebook));
        let want = reference(&z, &Vectors::rows(&[count, features]), &codebook);
        let square = |n: usize, k: u32| -> f64 {
            let code = &codebook[k as usize * features..];
            let row = &z[n * features..(n + 1) * features];
            row.iter().zip(code).map(|(a, b)| (a - b) * (a - b)).sum()
        };
        for n in 0..count {
            let (here, best) = (square(n, got[n]), square(n, want[n]));
            // Each difference of two f32 is exact to half a unit of its own.
            if here > best * (1.0 + 1e-6) {
                let message = format!(
                    "{center} +- {spread}, vector {n}: code {} at {here:e}, but {} at {best:e}",
                    got[n], want[n]
                );
                return Err(message.into());
            }
        }
    }
    Ok(())
}

/// Vectors that are copies of codes find just these.
async fn long_codebooks(gpu: &Gpu) -> Outcome {
    for (codes, features) in [(8192, 256), (16_384, 128), (65_536, 32)] {
        let codebook = normals("long codebook", codes * features);
        let want: Vec<u32> = (0..70_u32).map(|i| i * (codes as u32 - 1) / 69).collect();
        let z: Vec<f32> = want
            .iter()
            .flat_map(|k| codebook[*k as usize * features..][..features].to_vec())
            .collect();
        let got = found(gpu, &z, &codebook, features, true).await?;
        if got != want {
            return Err(format!("K {codes} F {features}: {got:?}, want {want:?}").into());
        }
    }
    Ok(())
}

/// Four clusters at 1000, 1000.1, .. with noise .001, 150 rows each: scikit-learn finds inertia 1.2e-3.
async fn kmeans_far_from_the_origin(gpu: &Gpu) -> Outcome {
    let noise = normals("k-means far away", 1200);
    let center = |i: usize| 1000.0 + 0.1 * (i / 2 % 4) as f32;
    let rows: Vec<f32> = (0..1200).map(|i| center(i) + 0.001 * noise[i]).collect();
    let found = kmeans(gpu, &rows, 2, KMeansOptions::new(4, 0)).await?;
    let by_hand: f64 = rows
        .chunks_exact(2)
        .map(|row| {
            let square = |c: &[f32]| -> f64 {
                let pairs = row.iter().zip(c);
                pairs
                    .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
                    .sum()
            };
            found
                .centroids
                .chunks_exact(2)
                .map(square)
                .fold(f64::MAX, f64::min)
        })
        .sum();
    let right = (found.inertia - by_hand).abs() <= 1e-5 * by_hand && found.inertia < 1.5e-3;
    if right {
        return Ok(());
    }
    Err(format!("inertia {:e}, by hand {by_hand:e}", found.inertia).into())
}

/// A batch whose images lie in three pages, by hand from the formula.
async fn images_in_pages(gpu: &Gpu) -> Outcome {
    let (pages, order) = ([0..3usize, 3..4, 4..7], [6u32, 2, 3, 0, 5, 4, 1]);
    let byte = |image: usize, pixel: usize| (37 * image + 11 * pixel) as u8;
    let mut layout = ParameterLayout::guarded();
    let mut rec = Recorder::new(&mut layout, false);
    let recorded: Vec<Page> = pages
        .iter()
        .map(|page| Page {
            images: rec.input("images", &[2 * page.len()]),
            first: page.start,
            count: page.len(),
        })
        .collect();
    let order_var = rec.input("order", &[7]);
    let out = gather(&mut rec, &recorded, order_var, &[5, 1, 2, 4], (-1.0, 1.0))?;
    let recording = rec.finish();
    let store = Store::new(gpu, layout, 0)?;
    let plan = recording.build(gpu, &store, BuildOptions { guarded: true })?;
    for (page, images) in pages.into_iter().zip(&recorded) {
        let places = page.flat_map(|i| (0..8).map(move |p| (i, p)));
        let bytes: Vec<u8> = places.map(|(i, p)| byte(i, p)).collect();
        plan.write(
            gpu,
            images.images,
            &bytemuck::pod_collect_to_vec::<u8, u32>(&bytes),
        )?;
    }
    plan.write(gpu, order_var, &order)?;
    let uniform = StepUniform {
        batch_start: 2,
        ..StepUniform::default()
    };
    plan.run(gpu, &uniform);
    plan.check_guards(gpu).await?;
    let found = plan.read(gpu, out).await?;
    for (i, value) in found.iter().enumerate() {
        let pixel = byte(order[2 + i / 8] as usize, i % 8);
        let expected = f32::from(pixel) / 127.5 - 1.0;
        if (value - expected).abs() > 1e-6 {
            return Err(format!("value {i} is {value}, not {expected}").into());
        }
    }
    Ok(())
}

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
    plan.run(gpu, &StepUniform::default());
    Ok((plan.read(gpu, y).await?, plan.read(gpu, grad).await?))
}

/// What PyTorch 2.15 gives at NaN: `relu, elu, gelu, sigmoid, clamp(-1, 1)` of NaN are NaN; their gradients 1, 1,
/// NaN, NaN, 0.
async fn activations_keep_nan(gpu: &Gpu) -> Outcome {
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
async fn pooling_keeps_nan(gpu: &Gpu) -> Outcome {
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
async fn losses_keep_nan(gpu: &Gpu) -> Outcome {
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
        plan.run(gpu, &StepUniform::default());
        let (mean, grad) = (plan.read(gpu, mean).await?, plan.read(gpu, grad).await?);
        let same = grad[1] == slope || (grad[1].is_nan() && slope.is_nan());
        if !mean[0].is_nan() || !same || grad[0].is_nan() {
            return Err(format!("{loss:?}: {mean:?}, gradient {grad:?}").into());
        }
    }
    Ok(())
}

/// A codebook with a NaN in a code: PyTorch's argmin over distances finds that code for every vector.
async fn a_code_with_nan_is_seen(gpu: &Gpu) -> Outcome {
    let z = normals("z beside NaN", 3 * 40);
    let mut codebook = normals("codes with NaN", 3 * 9);
    codebook[3 * 4 + 1] = f32::NAN;
    let got = found(gpu, &z, &codebook, 3, false).await?;
    if got.iter().all(|q| *q == 4) {
        return Ok(());
    }
    Err(format!("{got:?}").into())
}

fn main() {
    let mut tests = Vec::new();
    for (center, spread) in [
        (0.0, 1.0),
        (1000.0, 1.0),
        (1.0, 0.001),
        (10.0, 0.01),
        (512_000.0, 1.0),
    ] {
        for two in [false, true] {
            let sides = if two { "both sides of" } else { "one side of" };
            tests.push(Test::gpu(
                format!("the nearest code, {center} +- {spread} on {sides} the origin"),
                move |gpu: Arc<Gpu>| async move { nearest_is_nearest(&gpu, center, spread, two).await },
            ));
        }
    }
    tests.push(Test::gpu("the nearest code of two", |gpu| async move {
        let got = found(&gpu, &[512_695.0], &[512_804.0, 512_695.0], 1, false).await?;
        if got == [1] {
            Ok(())
        } else {
            Err(format!("{got:?}").into())
        }
    }));
    macro_rules! gpu_tests {
        ($($name:literal => $test:path;)*) => {
            $(tests.push(Test::gpu($name, |gpu| async move { $test(&gpu).await }));)*
        };
    }
    gpu_tests! {
        "long codebooks are searched to their end" => long_codebooks;
        "a batch from several pages of images" => images_in_pages;
        "k-means far from the origin" => kmeans_far_from_the_origin;
        "activations keep NaN" => activations_keep_nan;
        "pooling keeps NaN" => pooling_keeps_nan;
        "losses keep NaN" => losses_keep_nan;
        "a code with NaN is seen" => a_code_with_nan_is_seen;
    }
    harness::run(tests);
}
