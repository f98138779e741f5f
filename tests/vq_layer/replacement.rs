//! Dead codes over 200 steps.

use semivq::gpu::Gpu;
use semivq::quant::codebook::ReplacePolicy;
use semivq::quant::{VectorQuantConfig, Vectors};
use semivq::rng::{Stream, number_of};

use super::support::harness::Failed;
use super::support::layer::Layer;
use super::{SEED, codes, lasting, normals, rows, run_step};

async fn codebook(gpu: &Gpu, layer: &Layer) -> Result<Vec<f32>, Failed> {
    let mut all = lasting(gpu, layer).await?;
    all.remove("codebook.weight")
        .ok_or_else(|| "no codebook".into())
}

/// Codes far too many for the vectors, 200 steps: a code unused for `PATIENCE` steps changes within
/// that step, a used one never does.
pub async fn replaces_dead_codes(gpu: &Gpu, policy: ReplacePolicy) -> Result<(), Failed> {
    const PATIENCE: u32 = 7;
    let config = VectorQuantConfig {
        feature_size: 6,
        num_codes: 150,
        replace_freq: PATIENCE as usize,
        replace_policy: policy,
        ..VectorQuantConfig::default()
    };
    let layer = Layer::new(gpu, &config, &[2, 6, 11], true, true)?;
    layer
        .plan
        .write(gpu, layer.grad_out, &vec![0.0_f32; 2 * 6 * 11])?;
    let mut unused = vec![0; config.num_codes];
    let mut before = codebook(gpu, &layer).await?;
    let mut replaced = 0;
    for step in 1..=200 {
        let z = normals(&format!("z {step}"), 2 * 6 * 11);
        run_step(gpu, &layer, step, &z).await?;
        let after = codebook(gpu, &layer).await?;
        let q = codes(gpu, &layer).await?;
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
pub async fn replacement_repeats(gpu: &Gpu) -> Result<(), Failed> {
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
        let z = normals("z 1", 2 * 6 * 11);
        let once = async |step: u32| -> Result<Vec<f32>, Failed> {
            let layer = Layer::new(gpu, &config, &[2, 6, 11], true, true)?;
            layer
                .plan
                .write(gpu, layer.grad_out, &vec![0.0_f32; 2 * 6 * 11])?;
            run_step(gpu, &layer, step, &z).await?;
            codebook(gpu, &layer).await
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
