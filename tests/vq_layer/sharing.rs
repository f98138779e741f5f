//! A layer whose activations share memory, as in a run, gives the bits of one where none does: nothing is
//! overwritten before its last use, and what is read was kept.

use semivq::gpu::{Arena, Gpu, Var};

use super::agree::draw;
use super::combinations::Combination;
use super::support::harness::Failed;
use super::support::layer::Layer;
use super::{normals, run_step};

/// Every tensor that the layer hands out, by name.
fn handed_out(layer: &Layer) -> Vec<(&'static str, Var)> {
    let seen = &layer.seen;
    let mut all = vec![
        ("out", layer.out),
        ("grad z", layer.grad_z),
        ("z", seen.z),
        ("z_q", seen.z_q),
        ("q", seen.q),
        ("counts", seen.usage.counts),
        ("bad vectors", seen.bad_vectors),
    ];
    all.extend(&seen.scalars);
    all.extend(&seen.tensors);
    all.extend(seen.window.map(|w| ("counts of the window", w.counts)));
    all
}

/// All bits after two steps, by name.
async fn bits(
    gpu: &Gpu,
    number: usize,
    combination: &Combination,
    guarded: bool,
) -> Result<Vec<(String, Vec<u32>)>, Failed> {
    let Combination { config, shape, .. } = combination;
    let layer = Layer::new(gpu, config, shape, combination.training, guarded)?;
    for (name, values) in draw(&layer.store, number, combination.initialized) {
        layer.store.write_any(gpu, &name, &values)?;
    }
    let len = shape.iter().product();
    let mut all = Vec::new();
    for step in 1..=2 {
        let grad_out = normals(&format!("grad_out {number} {step}"), len);
        layer.plan.write(gpu, layer.grad_out, &grad_out)?;
        let z = normals(&format!("z {number} {step}"), len);
        run_step(gpu, &layer, step, &z).await?;
        for (name, var) in handed_out(&layer) {
            let bits = layer.plan.read_u32(gpu, var).await?;
            all.push((format!("{name} of step {step}"), bits));
        }
        let arenas = [Arena::Gradients, Arena::Parameters, Arena::Buffers];
        for (arena, tensors) in arenas
            .iter()
            .zip(layer.store.read_many(gpu, &arenas).await?)
        {
            for (name, _, values) in tensors {
                let bits = values.iter().map(|v| v.to_bits()).collect();
                all.push((format!("{arena:?} {name} after step {step}"), bits));
            }
        }
    }
    Ok(all)
}

pub async fn changes_nothing(
    gpu: &Gpu,
    number: usize,
    combination: &Combination,
) -> Result<(), Failed> {
    let shared = bits(gpu, number, combination, false).await?;
    let alone = bits(gpu, number, combination, true).await?;
    let pairs = shared.iter().zip(&alone);
    match pairs.into_iter().find(|(a, b)| a != b) {
        None if shared.len() == alone.len() => Ok(()),
        differs => {
            let name = differs.map(|(a, _)| a.0.as_str());
            Err(format!("{name:?} differs\n  {combination:?}").into())
        }
    }
}
