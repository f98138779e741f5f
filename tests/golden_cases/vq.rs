//! Kind `vq`: the quantiser, `sum(out * grad_out) + 10 * loss (+ penalty)` differentiated.

use semivq::gpu::{Gpu, StepValues};
use semivq::quant::{VectorQuantConfig, Vectors, tensor};

use super::{Case, Fallible, LAYER};
use crate::support::layer::Layer;

/// `[G, F]` of alpha, which the layer keeps as `[F, G]`.
fn transposed(values: &[f32], groups: usize) -> Vec<f32> {
    let features = values.len() / groups;
    (0..values.len())
        .map(|i| values[i % features * groups + i / features])
        .collect()
}

pub async fn run(gpu: &Gpu, case: &mut Case) -> Fallible<()> {
    let mut options = case.config.clone();
    let training = options["training"]
        .as_bool()
        .ok_or("no training in the config")?;
    options
        .as_object_mut()
        .ok_or("config is no object")?
        .remove("training");
    let mut config: VectorQuantConfig = serde_json::from_value(options)?;
    let penalized = case.tensor("out.penalty").is_ok();
    if penalized {
        config.penalty_weight = 1.0;
    }
    let groups = config.affine_groups;
    let shape = case.tensor("in.z")?.shape.clone();
    let vectors = Vectors::new(&shape, config.dim, config.feature_size)?;
    let layer = Layer::new(gpu, &config, &shape, training, true)?;
    case.load_parameters(gpu, &layer.store)?;
    let Layer {
        store, plan, seen, ..
    } = &layer;
    plan.write(gpu, layer.z, &case.tensor("in.z")?.values)?;
    plan.write(gpu, layer.grad_out, &case.tensor("in.grad_out")?.values)?;
    let values = StepValues::default().with("step", 1_u32);
    plan.run(gpu, &values.with("epoch_steps", 1_u32))?;
    plan.check_guards(gpu).await?;
    store.check_gradient_guards(gpu).await?;
    case.compare_codes("out.q", &plan.read_u32(gpu, seen.q).await?)?;
    if case.tensor("out.z").is_ok() {
        let z = vectors.rows_of(&plan.read(gpu, seen.z).await?);
        case.compare("out.z", &z, LAYER)?;
    }
    let z_q = vectors.rows_of(&plan.read(gpu, seen.z_q).await?);
    case.compare("out.z_q", &z_q, LAYER)?;
    for (name, var) in [
        ("out.out", layer.out),
        ("out.d", seen.tensor(tensor::DISTANCE).ok_or("no distance")?),
        ("out.loss", layer.loss),
        ("out.perplexity", seen.usage.perplexity),
        ("out.active_ratio", seen.usage.active_ratio),
        ("grad.z", layer.grad_z),
    ] {
        case.compare(name, &plan.read(gpu, var).await?, LAYER)?;
    }
    if let Some(alpha) = seen.tensor(tensor::SCALE) {
        let alpha = transposed(&plan.read(gpu, alpha).await?, groups);
        case.compare("out.alpha", &alpha, LAYER)?;
    }
    if let Some(penalty) = seen.scalar("alpha_penalty") {
        case.compare("out.penalty", &plan.read(gpu, penalty).await?, LAYER)?;
    }
    case.compare_store(gpu, store, true, true, LAYER).await
}
