//! The nearest code.

use semivq::gpu::{BuildOptions, Gpu, ParameterLayout, Recorder, StepUniform, Store};
use semivq::vq::Vectors;
use semivq::vq::search::{reference, search};

use super::support::harness::{Failed, Outcome};
use super::support::normals;

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
pub async fn nearest_is_nearest(gpu: &Gpu, center: f32, spread: f32, two: bool) -> Outcome {
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
pub async fn long_codebooks(gpu: &Gpu) -> Outcome {
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

/// The nearer of two codes that float32 just tells apart.
pub async fn of_two(gpu: &Gpu) -> Outcome {
    let got = found(gpu, &[512_695.0], &[512_804.0, 512_695.0], 1, false).await?;
    if got == [1] {
        return Ok(());
    }
    Err(format!("{got:?}").into())
}

/// A codebook with a NaN in a code: PyTorch's argmin over distances finds that code for every vector.
pub async fn a_code_with_nan_is_seen(gpu: &Gpu) -> Outcome {
    let z = normals("z beside NaN", 3 * 40);
    let mut codebook = normals("codes with NaN", 3 * 9);
    codebook[3 * 4 + 1] = f32::NAN;
    let got = found(gpu, &z, &codebook, 3, false).await?;
    if got.iter().all(|q| *q == 4) {
        return Ok(());
    }
    Err(format!("{got:?}").into())
}
