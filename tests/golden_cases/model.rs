//! Kind `model`: steps of AdamW; gradients of the first, losses of all, parameters after the last.

use semivq::gpu::{BuildOptions, Gpu, ParameterLayout, Recorder, Store};
use semivq::models::{Builder, Model, OutputClamp, Simple};
use semivq::optim::Optimizer;
use semivq::vq::{VectorQuant, VectorQuantConfig};

use super::{Case, Fallible, MODEL};

const NOT_THE_QUANTIZERS: &[&str] = &[
    "model",
    "output_clamp",
    "steps",
    "commitment_weight",
    "lr",
    "beta1",
    "beta2",
    "weight_decay",
];

pub async fn run(gpu: &Gpu, case: &mut Case) -> Fallible<()> {
    let mut options = case.config.clone();
    for key in NOT_THE_QUANTIZERS {
        options
            .as_object_mut()
            .ok_or("config is no object")?
            .remove(*key);
    }
    let config: VectorQuantConfig = serde_json::from_value(options)?;
    let clamp: OutputClamp = serde_json::from_value(case.config["output_clamp"].clone())?;
    if case.text("model")? != "simple" {
        return Err("unknown model".into());
    }
    let model = Simple::new(
        VectorQuant::new(config)?,
        clamp,
        case.number("commitment_weight")? as f32,
    );
    let optimizer = Optimizer::Adamw {
        beta1: case.number("beta1")? as f32,
        beta2: case.number("beta2")? as f32,
        eps: 1e-8,
        weight_decay: case.number("weight_decay")? as f32,
    };
    let mut layout = ParameterLayout::guarded();
    let mut rec = Recorder::new(&mut layout, true);
    let x = rec.input("x", &case.tensor("in.x")?.shape);
    let mut net = Builder::new(&mut rec, model.commitment_weight());
    let y = model.forward(&mut net, x)?;
    let record = net.record().ok_or("no record")?;
    rec.keep(y);
    let loss = model
        .reconstruction_loss()
        .apply(&mut rec, "rec_loss", y, x, 1.0)?;
    rec.backward()?;
    optimizer.record(&mut rec);
    let recording = rec.finish();
    let store = Store::new(gpu, layout, 0)?;
    store.poison_gradients(gpu);
    case.load_parameters(gpu, &store)?;
    let plan = recording.build(gpu, &store, BuildOptions { guarded: true })?;
    plan.write(gpu, x, &case.tensor("in.x")?.values)?;
    let mut trace = Vec::new();
    for step in 0..case.number("steps")? as u32 {
        plan.run(gpu, &optimizer.step(step + 1, case.number("lr")? as f32));
        for scalar in [loss, record.loss, record.perplexity, record.active_ratio] {
            trace.extend(plan.read(gpu, scalar).await?);
        }
        if step == 0 {
            case.compare("out.y", &plan.read(gpu, y).await?, MODEL)?;
            case.compare_codes("out.q", &plan.read_u32(gpu, record.q).await?)?;
            case.compare_store(gpu, &store, true, false, MODEL).await?;
        }
    }
    case.compare("out.trace", &trace, MODEL)?;
    case.compare_store(gpu, &store, false, true, MODEL).await
}
