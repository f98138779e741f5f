//! The gradient of a long codebook.

use semivq::gpu::{Arena, BuildOptions, Gpu, Init, ParameterLayout, Recorder, Store};
use semivq::optim::Optimizer;
use semivq::quant::Vectors;
use semivq::quant::codebook::Estimator;
use semivq::quant::codebook::quantize::{Weights, quantize};
use semivq::quant::codebook::search::search;

use super::support::harness::Outcome;
use super::support::normals;

/// 77 vectors beside 11 of 70,000 codes, which their sums take in three parts: the rows of these codes hold, in f64,
/// `sum of nu g + w beta 2/(NF) (c - z)` over their vectors, all others exactly 0; and one step of SGD takes lr times that
/// from these and leaves all others as they are, to the bit.
pub async fn just_the_codes_in_use(gpu: &Gpu) -> Outcome {
    const CODES: usize = 70_000;
    const FEATURES: usize = 4;
    const COUNT: usize = 77;
    const USED: [usize; 11] = [
        0, 7_001, 14_000, 21_003, 29_999, 32_768, 42_000, 51_234, 65_535, 65_536, 69_999,
    ];
    const LR: f32 = 0.5;
    let weights = Weights {
        estimator: Estimator::StraightThrough,
        cosine: false,
        commitment: 10.0,
        beta: 0.75,
        sync_nu: 0.25,
    };
    let codebook = normals("a long codebook", CODES * FEATURES);
    let code_of = |n: usize| USED[n * 4 % USED.len()];
    let noise = normals("beside the codes", COUNT * FEATURES);
    let z: Vec<f32> = (0..COUNT * FEATURES)
        .map(|i| codebook[FEATURES * code_of(i / FEATURES) + i % FEATURES] + 1e-3 * noise[i])
        .collect();
    let upstream = normals("upstream", COUNT * FEATURES);

    let mut layout = ParameterLayout::guarded();
    let mut rec = Recorder::new(&mut layout, true);
    let vectors = Vectors::rows(&[COUNT, FEATURES]);
    let z_var = rec.input("z", &[COUNT, FEATURES]);
    let grad_var = rec.input("grad", &[COUNT, FEATURES]);
    let codes = rec.parameter("codebook", &[CODES, FEATURES], Init::Constant(0.0))?;
    let q = search(&mut rec, z_var, &vectors, codes);
    rec.keep(q);
    let quantized = quantize(&mut rec, z_var, q, codes, codes, &vectors, weights)?;
    rec.seed_gradient(quantized.z_q, grad_var);
    rec.backward()?;
    let optimizer = Optimizer::named("sgd")?;
    optimizer.record(&mut rec);
    let recording = rec.finish();
    let store = Store::new(gpu, layout, 0)?;
    let plan = recording.build(gpu, &store, BuildOptions { guarded: true })?;
    store.write(gpu, Arena::Parameters, "codebook", &codebook)?;
    store.poison_gradients(gpu);
    plan.write(gpu, z_var, &z)?;
    plan.write(gpu, grad_var, &upstream)?;
    plan.run(gpu, &optimizer.step(1, LR))?;
    plan.check_guards(gpu).await?;
    store.check_gradient_guards(gpu).await?;

    let found = plan.read_u32(gpu, q).await?;
    if let Some(n) = (0..COUNT).find(|n| found[*n] as usize != code_of(*n)) {
        return Err(format!("vector {n}: code {}, want {}", found[n], code_of(n)).into());
    }
    let mut want = vec![0.0_f64; CODES * FEATURES];
    for n in 0..COUNT {
        for f in 0..FEATURES {
            let (at, i) = (FEATURES * code_of(n) + f, FEATURES * n + f);
            let pull = f64::from(codebook[at]) - f64::from(z[i]);
            want[at] += 0.25 * f64::from(upstream[i])
                + 10.0 * 0.75 * 2.0 / (COUNT * FEATURES) as f64 * pull;
        }
    }
    let grad = &store.read(gpu, Arena::Gradients).await?[0].2;
    let after = &store.read(gpu, Arena::Parameters).await?[0].2;
    for (i, (g, p)) in grad.iter().zip(after).enumerate() {
        let (row, before) = (i / FEATURES, codebook[i]);
        let moved = f64::from(before) - f64::from(LR) * want[i];
        let right = if USED.contains(&row) {
            (f64::from(*g) - want[i]).abs() <= 1e-6
                && (f64::from(*p) - moved).abs() <= 1e-6
                && *g != 0.0
        } else {
            *g == 0.0 && p.to_bits() == before.to_bits()
        };
        if !right {
            let message = format!(
                "code {row}, feature {}: gradient {g:e}, want {:e}; {before} becomes {p}, want {moved}",
                i % FEATURES,
                want[i]
            );
            return Err(message.into());
        }
    }
    Ok(())
}
