//! Codebooks one after the other, in whole runs.

use std::sync::Arc;

use libtest_mimic::Failed;
use semivq::data::Source;
use semivq::gpu::Gpu;
use semivq::quant::codebook::CodebookInit;
use semivq::train::{Method, TrainOptions};

use super::support::command::ensure;
use super::support::session::{checkpoint, glyphs, run};
use super::{options, session};

const LAYERS: usize = 3;

/// What a residual quantiser is made of: methods whose codebooks come about in different ways, and one codebook for all.
fn made() -> Result<Vec<(String, TrainOptions)>, Failed> {
    let shares = |method| matches!(method, Method::Vq | Method::Best | Method::SimVq);
    let methods = [
        Method::Vq,
        Method::Approach1Plus,
        Method::Approach3,
        Method::StePlus,
        Method::Cosine,
        Method::Rotation,
        Method::SimVq,
        Method::Best,
    ];
    let mut all = Vec::new();
    for method in methods {
        for shared in [false, true] {
            if shared && !shares(method) {
                continue;
            }
            let options = options(method, 8, 1e-3).with_quantizer(|vq| {
                vq.residual = LAYERS;
                vq.residual_shared = shared;
                // Within the few steps of a test.
                vq.replace_freq = vq.replace_freq.min(2);
            })?;
            all.push((format!("{method:?}, shared {shared}"), options));
        }
    }
    Ok(all)
}

pub fn repeats_and_resumes(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for (name, options) in made()? {
        let mut whole = session(&gpu, &options, glyphs(24, 4))?;
        let mut metrics = run(&mut whole, 4)?;
        let stopped = checkpoint(&whole)?;
        metrics.extend(run(&mut whole, 4)?);
        let ended = checkpoint(&whole)?;

        let mut again = session(&gpu, &options, glyphs(24, 4))?;
        ensure(
            run(&mut again, 8)? == metrics && checkpoint(&again)? == ended,
            format!("{name}: two runs differ"),
        )?;
        let mut resumed = session(&gpu, &options, glyphs(24, 4))?;
        resumed.restore(&stopped)?;
        ensure(
            run(&mut resumed, 4)? == metrics[4..] && checkpoint(&resumed)? == ended,
            format!("{name}: a resumed run differs"),
        )?;

        let last = &metrics[7];
        let each: Vec<f32> = (0..LAYERS)
            .filter_map(|d| last.others.get(&format!("layers.5.layers.{d}.perplexity")))
            .copied()
            .collect();
        let mean = each.iter().sum::<f32>() / LAYERS as f32;
        ensure(
            each.len() == LAYERS && last.perplexity == Some(mean),
            format!("{name}: {last:?}"),
        )?;
        let line = serde_json::to_string(last)?;
        ensure(
            serde_json::from_str::<semivq::train::StepMetrics>(&line)? == *last,
            line,
        )?;
    }
    Ok(())
}

/// A code map for each layer, which together lead to the reconstruction.
pub fn codes_stand_for_the_reconstruction(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for (name, options) in made()? {
        let mut session = session(&gpu, &options, glyphs(24, 13))?;
        run(&mut session, 3)?;
        let images = session.data().test.clone();
        let codes = pollster::block_on(session.encode(&images))?;
        let shapes: Vec<_> = codes.iter().map(|c| c.shape.clone()).collect();
        ensure(shapes == [[13, 7, 7]; LAYERS], format!("{shapes:?}"))?;
        let decoded = pollster::block_on(session.decode(&codes))?;
        let straight = pollster::block_on(session.reconstruct(&images))?;
        ensure(
            decoded == straight,
            format!("{name}: decoding the codes gives other images"),
        )?;
        let error = pollster::block_on(session.decode(&codes[..2])).err();
        let text = error.ok_or("codes of two layers were decoded")?.to_string();
        ensure(text.contains("codes of 3 code maps"), text)?;
        let test = pollster::block_on(session.evaluate(&images))?;
        let of = |d: usize| test.others[&format!("layers.5.layers.{d}.perplexity")];
        let mean = (0..LAYERS).map(of).sum::<f64>() / LAYERS as f64;
        ensure(
            test.perplexity.is_some_and(|p| (p - mean).abs() < 1e-9),
            format!("{name}: {test:?}"),
        )?;
    }
    Ok(())
}

/// Each codebook begins on what those before it leave over: all of it is used at once, and each leaves less.
pub fn kmeans_starts_each_layer(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let options = options(Method::Ema, 8, 1e-3).with_quantizer(|vq| {
        vq.residual = LAYERS;
        vq.codebook_init = CodebookInit::Kmeans;
    })?;
    let mut session = session(&gpu, &options, glyphs(24, 4))?;
    let first = run(&mut session, 1)?.remove(0);
    let mut before = f32::INFINITY;
    for d in 0..LAYERS {
        let of = |name: &str| first.others[&format!("layers.5.layers.{d}.{name}")];
        ensure(of("active_ratio") > 90.0, format!("layer {d}: {first:?}"))?;
        // The loss is what the layer leaves of each value, squared.
        let left = of("cmt_loss");
        ensure(
            left < 0.7 * before,
            format!("layer {d}: {before} to {left}"),
        )?;
        before = left;
    }
    Ok(())
}

/// Gradients and statistics of a batch in parts are those of the whole to rounding.
pub fn parts_make_the_whole_batch(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for shared in [false, true] {
        let of = |accumulate: usize| -> Result<_, Failed> {
            let mut options = options(Method::Ema, 8, 1e-3).with_quantizer(|vq| {
                vq.residual = LAYERS;
                vq.residual_shared = shared;
            })?;
            options.accumulate = accumulate;
            Ok(run(&mut session(&gpu, &options, glyphs(24, 4))?, 4)?)
        };
        let (whole, parts) = (of(1)?, of(2)?);
        for (a, b) in whole.iter().zip(&parts) {
            let close = |a: f32, b: f32| (a - b).abs() <= 1e-3 * a.abs();
            let own = a.others.iter().all(|(name, v)| close(*v, b.others[name]));
            ensure(
                close(a.rec_loss, b.rec_loss) && own,
                format!("shared {shared}: {a:?}, in parts {b:?}"),
            )?;
        }
    }
    Ok(())
}

/// More codebooks, smaller errors: the test images' after the same steps, by number of codebooks.
pub fn more_codebooks_reconstruct_better(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let mut errors = Vec::new();
    for layers in [1, 2, 4] {
        let options = options(Method::Best, 16, 1e-3).with_quantizer(|vq| vq.residual = layers)?;
        let mut session = session(&gpu, &options, glyphs(512, 64))?;
        run(&mut session, 150)?;
        let test = session.data().test.clone();
        ensure(test.len() == 64, "test images")?;
        errors.push(pollster::block_on(session.evaluate(&test))?.mse);
    }
    println!("test mse of 1, 2 and 4 codebooks of 40 codes: {errors:.4?}");
    ensure(
        errors[1] < 0.95 * errors[0] && errors[2] < 0.95 * errors[1],
        format!("{errors:?}"),
    )
}
