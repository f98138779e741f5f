//! Usage from step to step, and input that is out of the ordinary.

use semivq::gpu::{Arena, Gpu};
use semivq::quant::codebook::{Distance, GammaPolicy};
use semivq::quant::{VectorQuantConfig, Vectors};

use super::support::harness::Failed;
use super::support::layer::Layer;
use super::{codes, normals, run_step};

/// Usage over an epoch of 5 steps and ages, against counting by hand.
pub async fn tracks_usage(gpu: &Gpu) -> Result<(), Failed> {
    let config = VectorQuantConfig {
        feature_size: 6,
        num_codes: 40,
        ..VectorQuantConfig::default()
    };
    let layer = Layer::new(gpu, &config, &[2, 6, 11], true, true)?;
    layer
        .plan
        .write(gpu, layer.grad_out, &vec![0.0_f32; 2 * 6 * 11])?;
    let window = layer.seen.window.ok_or("no window")?;
    let mut steps: Vec<Vec<u32>> = Vec::new();
    let mut ages = vec![0.0_f32; 40];
    // More steps than the ring has places.
    for step in 1..=140 {
        run_step(
            gpu,
            &layer,
            step,
            &normals(&format!("z {step}"), 2 * 6 * 11),
        )
        .await?;
        steps.push(codes(gpu, &layer).await?);
        for (k, age) in ages.iter_mut().enumerate() {
            let used = steps.last().is_some_and(|q| q.contains(&(k as u32)));
            *age = if used { 0.0 } else { *age + 1.0 };
        }
        if step % 9 != 0 && step > 6 {
            continue;
        }
        let last: Vec<u32> = steps.iter().rev().take(5).flatten().copied().collect();
        let counts: Vec<f32> = (0..40)
            .map(|k| last.iter().filter(|q| **q == k).count() as f32)
            .collect();
        let entropy: f32 = counts
            .iter()
            .map(|n| n / last.len() as f32)
            .map(|p| -p * (p + 1e-7).ln())
            .sum();
        let used = counts.iter().filter(|n| **n > 0.0).count() as f32;
        let scalars = [
            (window.perplexity, entropy.exp()),
            (window.active_ratio, 100.0 * used / 40.0),
            (window.age_mean, ages.iter().sum::<f32>() / 40.0),
            (window.age_max, ages.iter().copied().fold(0.0, f32::max)),
        ];
        if layer.plan.read(gpu, window.counts).await? != counts
            || layer.plan.read(gpu, window.age).await? != ages
        {
            return Err(format!("step {step}: the histogram or the ages differ").into());
        }
        for (var, want) in scalars {
            let got = layer.plan.read(gpu, var).await?[0];
            if (got - want).abs() > 1e-4 * want.abs().max(1.0) {
                return Err(format!("step {step}: {got}, want {want}").into());
            }
        }
    }
    Ok(())
}

/// One vector, one code, more codes than vectors, all vectors equal, odd F; for every method that
/// goes with them. Results and gradients are finite, and training goes on for some steps.
pub async fn takes_odd_input(gpu: &Gpu) -> Result<(), Failed> {
    let shapes: [(&str, &[usize], usize); 5] = [
        ("one vector", &[1, 7], 12),
        ("one code", &[3, 7, 5], 1),
        ("more codes than vectors", &[2, 7, 3], 64),
        ("all vectors equal", &[4, 7, 6], 12),
        ("one feature", &[4, 1, 6], 12),
    ];
    for method in semivq::train::Method::ALL {
        for (name, shape, num_codes) in shapes {
            let mut config = VectorQuantConfig {
                feature_size: shape[1],
                num_codes,
                ..VectorQuantConfig::default()
            };
            method.apply(&mut config);
            if config.replace_freq > 0 {
                config.replace_freq = 2;
            }
            let needs_more = config.use_learnable_std && num_codes < 4;
            // The batch norms of the small networks run over the features.
            let one_feature = shape[1] == 1
                && (config.use_learnable_std
                    || config.use_learnable_gamma && config.gamma_policy == GammaPolicy::Default);
            if needs_more || one_feature {
                let refused = Layer::new(gpu, &config, shape, true, true).err();
                if refused.is_none() {
                    return Err(format!("{name}, {method:?}: not refused").into());
                }
                continue;
            }
            let layer = Layer::new(gpu, &config, shape, true, true)?;
            let len = shape.iter().product();
            let grad = normals("grad_out", len);
            layer.plan.write(gpu, layer.grad_out, &grad)?;
            for step in 1..=4 {
                let mut z = normals(&format!("odd z {step}"), len);
                if name == "all vectors equal" {
                    z.fill(0.75);
                }
                run_step(gpu, &layer, step, &z).await?;
                let mut all = Vec::new();
                for var in [
                    layer.out,
                    layer.loss,
                    layer.seen.usage.perplexity,
                    layer.grad_z,
                ] {
                    all.extend(layer.plan.read(gpu, var).await?);
                }
                let arenas = [Arena::Gradients, Arena::Buffers, Arena::Parameters];
                let tensors = layer.store.read_many(gpu, &arenas).await?;
                all.extend(
                    tensors
                        .into_iter()
                        .flatten()
                        .flat_map(|(_, _, values)| values),
                );
                if !all.iter().all(|v| v.is_finite()) {
                    return Err(format!("{name}, {method:?}: not finite at step {step}").into());
                }
                let known = num_codes.max(config.num_codes) as u32;
                if codes(gpu, &layer).await?.iter().any(|q| *q >= known) {
                    return Err(format!("{name}, {method:?}: a code that does not exist").into());
                }
            }
        }
    }
    Ok(())
}

/// NaN and infinity in z: it says how many vectors, every method keeps to its codes.
pub async fn counts_bad_vectors(gpu: &Gpu) -> Result<(), Failed> {
    for dist in [Distance::Euclidean, Distance::Cosine] {
        let config = VectorQuantConfig {
            feature_size: 6,
            num_codes: 40,
            replace_freq: 1,
            dist,
            ..VectorQuantConfig::default()
        };
        let layer = Layer::new(gpu, &config, &[2, 6, 11], true, true)?;
        layer
            .plan
            .write(gpu, layer.grad_out, &vec![0.0_f32; 2 * 6 * 11])?;
        let mut z = normals("z 1", 2 * 6 * 11);
        run_step(gpu, &layer, 1, &z).await?;
        let bad = || layer.plan.read(gpu, layer.seen.bad_vectors);
        if bad().await? != [0.0] {
            return Err("finite vectors were counted".into());
        }
        let vectors = Vectors::new(&[2, 6, 11], 1, 6)?;
        for (n, f, value) in [
            (3, 0, f32::NAN),
            (3, 5, f32::NAN),
            (14, 2, f32::INFINITY),
            (21, 1, f32::NEG_INFINITY),
        ] {
            z[vectors.index(n, f)] = value;
        }
        run_step(gpu, &layer, 2, &z).await?;
        if bad().await? != [3.0] {
            return Err(format!("{dist:?}: {:?} bad vectors, want 3", bad().await?).into());
        }
        if codes(gpu, &layer).await?.iter().any(|q| *q >= 40) {
            return Err("a code that does not exist".into());
        }
    }
    Ok(())
}
