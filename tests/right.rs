//! Right, or said: the nearest code wherever float32 can tell, however far from the origin and however long
//! the codebook; the gradient of just the codes in use; k-means far from the origin; NaN that stays NaN.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "right/codebook.rs"]
mod codebook;
#[path = "right/not_finite.rs"]
mod not_finite;
#[path = "right/search.rs"]
mod search;
mod support;

use std::sync::Arc;

use semivq::gpu::{BuildOptions, Gpu, ParameterLayout, Recorder, StepValues, Store};
use semivq::ops::gather::{Page, gather, gather_flipped, is_flipped};
use semivq::quant::codebook::kmeans::{KMeansOptions, kmeans};
use support::harness::{self, Outcome, Test};
use support::normals;

/// Four clusters of 150 rows at `origin`, `origin + step`, .., with noise of a hundredth of a step: at 1000 with
/// steps of .1 scikit-learn finds inertia 1.2e-3. The centroids are those of the clusters, up to their rounding, and
/// the inertia is that of the centroids.
async fn kmeans_far_from_the_origin(gpu: &Gpu) -> Outcome {
    let noise = normals("k-means far away", 1200);
    let square = |row: &[f32], center: &[f64]| -> f64 {
        let pairs = row.iter().zip(center);
        pairs.map(|(a, b)| (f64::from(*a) - b).powi(2)).sum()
    };
    for (origin, step) in [
        (1000.0, 0.1),
        (-512_000.0, 100.0),
        (1e7, 1000.0),
        (1e30, 1e28),
        (1e-30, 1e-31),
    ] {
        let center = |i: usize| origin + step * (i / 2 % 4) as f32;
        let rows: Vec<f32> = (0..1200)
            .map(|i| center(i) + 0.01 * step * noise[i])
            .collect();
        let rows: Vec<&[f32]> = rows.chunks_exact(2).collect();
        let found = kmeans(gpu, &rows.concat(), 2, KMeansOptions::new(4, 0)).await?;
        let centroids: Vec<f64> = found.centroids.iter().map(|c| f64::from(*c)).collect();
        let nearest = |row: &&[f32]| {
            let all = centroids.chunks_exact(2);
            all.map(|c| square(row, c)).fold(f64::MAX, f64::min)
        };
        let by_hand: f64 = rows.iter().map(nearest).sum();
        let of_cluster = |k: usize| rows.iter().skip(k).step_by(4);
        let best = |k: usize| -> f64 {
            let sum = |f: usize| of_cluster(k).map(|row| f64::from(row[f])).sum::<f64>();
            let mean = [0, 1].map(|f| sum(f) / 150.0);
            of_cluster(k).map(|row| square(row, &mean)).sum()
        };
        let best: f64 = (0..4).map(best).sum();
        let right = (found.inertia - by_hand).abs() <= 1e-5 * by_hand;
        if !right || found.inertia > 1.01 * best {
            let got = found.inertia;
            return Err(format!(
                "at {origin:e}: inertia {got:e}, by hand {by_hand:e}, of the clusters {best:e}"
            )
            .into());
        }
    }
    Ok(())
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
    let shape = [5, 1, 2, 4];
    let out = gather(&mut rec, &recorded, order_var, &shape, (-1.0, 1.0))?;
    let flipped = gather_flipped(&mut rec, &recorded, order_var, &shape, (-1.0, 1.0))?;
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
    let (seed, mut seen) = (7 << 40 | 3, [0, 0]);
    for step in 1..=4_u32 {
        let values = StepValues::default().with("batch_start", 2_u32);
        let values = values.with("epoch_start", 90_u32).with("step", step);
        plan.run(gpu, &values.with_seed(seed))?;
        plan.check_guards(gpu).await?;
        for (flips, var) in [(false, out), (true, flipped)] {
            let found = plan.read(gpu, var).await?;
            for (i, value) in found.iter().enumerate() {
                let (image, pixel) = (i / 8, i % 8);
                let turned = flips && is_flipped(seed, step, 90 + image as u32);
                seen[usize::from(turned)] += usize::from(flips);
                let pixel = if turned {
                    pixel / 4 * 4 + 3 - pixel % 4
                } else {
                    pixel
                };
                let expected = f32::from(byte(order[2 + image] as usize, pixel)) / 127.5 - 1.0;
                if (value - expected).abs() > 1e-6 {
                    return Err(format!("value {i} is {value}, not {expected}").into());
                }
            }
        }
    }
    if seen.iter().any(|n| *n < 4 * 8) {
        return Err(format!("{seen:?} values as they are and flipped").into());
    }
    Ok(())
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
                move |gpu: Arc<Gpu>| async move {
                    search::nearest_is_nearest(&gpu, center, spread, two).await
                },
            ));
        }
    }
    macro_rules! gpu_tests {
        ($($name:literal => $test:path;)*) => {
            $(tests.push(Test::gpu($name, |gpu| async move { $test(&gpu).await }));)*
        };
    }
    gpu_tests! {
        "the nearest code of two" => search::of_two;
        "the nearest code by many small differences" => search::many_small_differences;
        "long codebooks are searched to their end" => search::long_codebooks;
        "65,536 codes of 256 features, the kernel for GPUs" => search::most_codes;
        "65,536 codes of 256 features, the kernel for CPUs" => search::most_codes_tuned;
        "a code with NaN is seen" => search::a_code_with_nan_is_seen;
        "an infinite code is never near" => search::an_infinite_code_is_never_near;
        "just the codes in use get a gradient and move" => codebook::just_the_codes_in_use;
        "a batch from several pages of images" => images_in_pages;
        "k-means far from the origin" => kmeans_far_from_the_origin;
        "activations keep NaN" => not_finite::activations_keep_nan;
        "pooling keeps NaN" => not_finite::pooling_keeps_nan;
        "losses keep NaN" => not_finite::losses_keep_nan;
        "wide groups keep NaN" => not_finite::wide_groups_keep_nan;
        "the maximum over a workgroup keeps NaN" => not_finite::maxima_keep_nan;
    }
    tests.extend(not_finite::as_pytorch());
    harness::run(tests);
}
