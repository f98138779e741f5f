//! The whole quantiser against plain loops, whatever options are combined, and with its memory shared;
//! dead codes over 200 steps; input that is out of the ordinary.

#[path = "vq_layer/agree.rs"]
mod agree;
#[path = "vq_layer/combinations.rs"]
mod combinations;
#[path = "vq_layer/layered.rs"]
mod layered;
#[path = "vq_layer/odd.rs"]
mod odd;
#[path = "vq_layer/reference.rs"]
mod reference;
#[path = "vq_layer/replacement.rs"]
mod replacement;
#[path = "vq_layer/residual.rs"]
mod residual;
#[path = "vq_layer/sharing.rs"]
mod sharing;
mod support;
#[path = "vq_layer/tape.rs"]
mod tape;

use std::collections::BTreeMap;
use std::sync::Arc;

use semivq::gpu::{Arena, Gpu, StepValues};
use semivq::quant::Vectors;
use semivq::quant::codebook::ReplacePolicy;
use support::harness::{self, Failed, Test};
use support::layer::Layer;

/// Seed of what the layer draws.
const SEED: u64 = 11 + (7 << 40);

/// Runs step `step` (from 1) on `z`; where the layer is guarded, nothing may be written beside its tensors.
async fn run_step(gpu: &Gpu, layer: &Layer, step: u32, z: &[f32]) -> Result<(), Failed> {
    let values = StepValues::default()
        .with("step", step)
        .with("epoch_steps", 5_u32)
        .with("part", 0_u32)
        .with("temperature", 1.0_f32)
        .with("sampled", 0_u32)
        .with_seed(SEED);
    layer.plan.write(gpu, layer.z, z)?;
    layer.plan.run(gpu, &values)?;
    layer.plan.check_guards(gpu).await?;
    gpu.check("the layer")?;
    Ok(())
}

async fn codes(gpu: &Gpu, layer: &Layer) -> Result<Vec<u32>, Failed> {
    Ok(layer.plan.read_u32(gpu, layer.seen.q).await?)
}

/// What lasts from step to step: parameters and buffers.
async fn lasting(gpu: &Gpu, layer: &Layer) -> Result<BTreeMap<String, Vec<f32>>, Failed> {
    let arenas = [Arena::Parameters, Arena::Buffers];
    let all = layer.store.read_many(gpu, &arenas).await?;
    let all = all.into_iter().flatten();
    Ok(all.map(|(name, _, values)| (name, values)).collect())
}

fn rows<T: Copy>(values: &[T], vectors: &Vectors) -> Vec<Vec<T>> {
    let row = |n: usize| {
        let features = 0..vectors.features;
        features.map(|f| values[vectors.index(n, f)]).collect()
    };
    (0..vectors.count()).map(row).collect()
}

/// Values of a z or of what comes from above.
fn normals(name: &str, len: usize) -> Vec<f32> {
    let all = support::normals(name, len);
    all.into_iter().map(|v| 1.5 * v).collect()
}

fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    tests.push(Test::host(
        "every pair of options is in a combination",
        || Ok(combinations::cover_every_pair()?),
    ));
    for (number, combination) in combinations::all().into_iter().map(Arc::new).enumerate() {
        let twin = Arc::clone(&combination);
        tests.push(Test::gpu(
            format!("combination {number}, memory shared"),
            move |gpu| {
                let combination = Arc::clone(&twin);
                async move { sharing::changes_nothing(&gpu, number, &combination).await }
            },
        ));
        let run = move |gpu: Arc<Gpu>| {
            let combination = Arc::clone(&combination);
            async move { agree::agrees(&gpu, number, &combination).await }
        };
        let name = format!("combination {number}");
        tests.extend(Test::gpu_by_candidates(&name, "search", run));
    }
    tests.push(Test::host(
        "residual combinations cover what layers share",
        || Ok(layered::cover_what_layers_share()?),
    ));
    for (number, combination) in layered::all().into_iter().map(Arc::new).enumerate() {
        let name = format!("residual combination {number}");
        tests.push(Test::gpu(name, move |gpu| {
            let combination = Arc::clone(&combination);
            async move { residual::agrees(&gpu, number, &combination).await }
        }));
    }
    for policy in [
        ReplacePolicy::InputRandom,
        ReplacePolicy::InputKmeans,
        ReplacePolicy::Own,
    ] {
        tests.push(Test::gpu(
            format!("dead codes are replaced, {policy:?}"),
            move |gpu| async move { replacement::replaces_dead_codes(&gpu, policy).await },
        ));
    }
    tests.push(Test::gpu(
        "codes are put on distinct vectors",
        |gpu| async move { replacement::puts_codes_on_distinct_vectors(&gpu).await },
    ));
    tests.push(Test::gpu("replacement repeats", |gpu| async move {
        replacement::replacement_repeats(&gpu).await
    }));
    tests.push(Test::gpu("usage over an epoch", |gpu| async move {
        odd::tracks_usage(&gpu).await
    }));
    tests.push(Test::gpu("odd input", |gpu| async move {
        odd::takes_odd_input(&gpu).await
    }));
    tests.push(Test::gpu("bad vectors are counted", |gpu| async move {
        odd::counts_bad_vectors(&gpu).await
    }));
    tests
}

fn main() {
    harness::run(tests());
}

/// What the page opens.
#[cfg(target_arch = "wasm32")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn open(on_purpose: bool) -> support::suite::Suite {
    support::suite::Suite::new(tests(), on_purpose)
}
