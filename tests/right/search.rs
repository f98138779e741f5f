//! The nearest code.

use semivq::gpu::{BuildOptions, Gpu, ParameterLayout, Recorder, StepValues, Store};
use semivq::quant::Vectors;
use semivq::quant::codebook::search::{reference, search};

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
    plan.run(gpu, &StepValues::default())?;
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

/// Two codes as seen from the origin. The squares of one are 1 and 255 times 5.76e-8, of which each by itself is lost
/// beside 1: 1.0000147 in all, farther than the other's 1.000007, which a plain sum in float32 takes for the farther.
pub async fn many_small_differences(gpu: &Gpu) -> Outcome {
    let mut far = [2.4e-4_f32; 256];
    far[0] = 1.0;
    let mut near = [0.0_f32; 256];
    near[0] = 1.000_003_5;
    let got = found(gpu, &[0.0; 256], &[far, near].concat(), 256, false).await?;
    if got == [1] {
        return Ok(());
    }
    Err(format!("{got:?}").into())
}

/// Of the longest codebook of wide codes: copies of codes find just these, the first and the last among them.
async fn copies_find_their_codes(gpu: &Gpu, count: u32, tuned: bool) -> Outcome {
    const CODES: u32 = 65_536;
    const FEATURES: usize = 256;
    let codebook = normals("most codes", CODES as usize * FEATURES);
    let want: Vec<u32> = (0..count)
        .map(|i| (u64::from(i) * u64::from(CODES - 1) / u64::from(count - 1)) as u32)
        .collect();
    let z: Vec<f32> = want
        .iter()
        .flat_map(|k| codebook[*k as usize * FEATURES..][..FEATURES].to_vec())
        .collect();
    let got = found(gpu, &z, &codebook, FEATURES, tuned).await?;
    match got.iter().zip(&want).find(|(got, want)| got != want) {
        None => Ok(()),
        Some((got, want)) => Err(format!("a copy of code {want} finds {got}").into()),
    }
}

/// Forty copies: fewer than the tuned kernel is for.
pub async fn most_codes(gpu: &Gpu) -> Outcome {
    copies_find_their_codes(gpu, 40, false).await
}

/// 2048, `search_wide::LEAST`: what the tuned kernel is for on an adapter that runs on a CPU.
pub async fn most_codes_tuned(gpu: &Gpu) -> Outcome {
    copies_find_their_codes(gpu, 2048, true).await
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

/// PyTorch's `((z[:, None] - C[None]) ** 2).sum(-1).argmin(-1)` in float32, by its formula: the first NaN, else the
/// lowest of the least.
fn argmin(z: &[f32], codebook: &[f32], features: usize) -> Vec<u32> {
    let nearest = |row: &[f32]| {
        let squares = |code: &[f32]| -> f32 {
            let pairs = row.iter().zip(code);
            pairs.map(|(a, b)| (a - b) * (a - b)).sum()
        };
        let all: Vec<f32> = codebook.chunks_exact(features).map(squares).collect();
        let first_nan = all.iter().position(|d| d.is_nan());
        let least = all.iter().copied().fold(f32::INFINITY, f32::min);
        let lowest = all.iter().position(|d| *d == least);
        first_nan.or(lowest).unwrap_or(0) as u32
    };
    z.chunks_exact(features).map(nearest).collect()
}

/// A codebook with infinite codes, among them by a sum that overflows: as PyTorch's argmin, which takes one only
/// where all are, the first then; both kernels, vectors in doubt between two equal codes and vectors that are
/// infinite themselves. Of an infinite vector and a code infinite alike the difference is NaN, so that code it is.
pub async fn an_infinite_code_is_never_near(gpu: &Gpu) -> Outcome {
    const FEATURES: usize = 3;
    const CODES: usize = 70;
    let finite = normals("codes beside infinity", FEATURES * CODES);
    let with = |bad: &[(usize, f32)]| {
        let mut codebook = finite.clone();
        for (k, value) in bad {
            codebook[FEATURES * k + k % FEATURES] = *value;
        }
        codebook
    };
    let (inf, all) = (f32::INFINITY, 0..CODES);
    let mut twins = with(&[(0, inf), (33, -inf), (69, inf)]);
    twins.copy_within(FEATURES * 5..FEATURES * 6, FEATURES * 68);
    let every: Vec<(usize, f32)> = all
        .map(|k| (k, if k % 2 == 0 { inf } else { -inf }))
        .collect();
    let codebooks = [
        ("one", with(&[(4, inf)])),
        ("the first and the last", with(&[(0, -inf), (69, inf)])),
        (
            "one whose square overflows",
            with(&[(0, 2e19), (40, -3e38)]),
        ),
        ("and two equal ones", twins),
        ("all", with(&every)),
        ("all but one", with(&[&every[..50], &every[51..]].concat())),
        ("and a NaN", with(&[(3, inf), (64, f32::NAN)])),
    ];
    for (name, codebook) in &codebooks {
        for (count, tuned) in [(40, false), (2048, true)] {
            let mut z = normals("z beside infinity", FEATURES * count);
            // Copies of the codes that may be equal; infinite vectors.
            for n in (0..count).step_by(7) {
                z[FEATURES * n..][..FEATURES].copy_from_slice(&finite[FEATURES * 5..][..FEATURES]);
            }
            z[FEATURES * 9] = inf;
            z[FEATURES * 10 + 1] = -inf;
            z[FEATURES * 11 + 2] = 1e30;
            let got = found(gpu, &z, codebook, FEATURES, tuned).await?;
            let want = argmin(&z, codebook, FEATURES);
            if let Some(n) = (0..count).find(|n| got[*n] != want[*n]) {
                let message = format!(
                    "{name}, tuned {tuned}, vector {n}: {}, want {}",
                    got[n], want[n]
                );
                return Err(message.into());
            }
        }
    }
    Ok(())
}
