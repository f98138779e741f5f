//! Kind `model`: steps of AdamW; gradients of the first, losses of all, parameters after the last.

use semivq::gpu::{BuildOptions, Gpu, ParameterLayout, Recorder, Store};
use semivq::models::{Builder, Model, ResNet, ResNetOptions, Simple, SimpleOptions, Variant};
use semivq::optim::Optimizer;
use semivq::quant::VectorQuantConfig;

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
    if let Some(width) = options["dim_z"].as_u64() {
        options["feature_size"] = width.into();
    }
    for key in ["dim_z", "blocks"] {
        options
            .as_object_mut()
            .ok_or("config is no object")?
            .remove(key);
    }
    let config: VectorQuantConfig = serde_json::from_value(options)?;
    let quantizer = config.build()?;
    let weight = case.number("commitment_weight")? as f32;
    let resnet = |variant: Variant| -> Fallible<Box<dyn Model>> {
        let blocks = case.number("blocks")? as usize;
        let options = ResNetOptions {
            blocks,
            ..ResNetOptions::new(variant)
        };
        let model = ResNet::new(quantizer.clone(), options);
        assert_eq!(
            model.commitment_weight(),
            weight,
            "the weight is the model's own"
        );
        Ok(Box::new(model))
    };
    let model: Box<dyn Model> = match case.text("model")? {
        "simple" => {
            let options = SimpleOptions {
                output_clamp: serde_json::from_value(case.config["output_clamp"].clone())?,
                commitment_weight: weight,
            };
            Box::new(Simple::new(quantizer.clone(), options))
        }
        "resnet32" => resnet(Variant::Resnet32)?,
        "resnet64" => resnet(Variant::Resnet64)?,
        other => return Err(format!("unknown model {other}").into()),
    };
    let optimizer = Optimizer::Adamw {
        beta1: case.number("beta1")? as f32,
        beta2: case.number("beta2")? as f32,
        eps: 1e-8,
        weight_decay: case.number("weight_decay")? as f32,
    };
    let mut layout = ParameterLayout::guarded();
    let mut rec = Recorder::new(&mut layout, true).tuned_for(gpu);
    let x = rec.input("x", &case.tensor("in.x")?.shape);
    let mut net = Builder::new(&mut rec, model.commitment_weight());
    let y = model.forward(&mut net, x)?;
    let [(_, seen)] = net.seen() else {
        return Err("one quantiser is wanted".into());
    };
    let seen = seen.clone();
    let cmt_loss = seen.scalar("cmt_loss").ok_or("no commitment loss")?;
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
    let lr = case.number("lr")? as f32;
    let mut trace = Vec::new();
    for step in 0..case.number("steps")? as u32 {
        let values = optimizer.step(step + 1, lr);
        plan.run(gpu, &values.with("epoch_steps", 1_u32))?;
        for scalar in [
            loss,
            cmt_loss,
            seen.usage.perplexity,
            seen.usage.active_ratio,
        ] {
            trace.extend(plan.read(gpu, scalar).await?);
        }
        if step == 0 {
            case.compare("out.y", &plan.read(gpu, y).await?, MODEL)?;
            case.compare_codes("out.q", &plan.read_u32(gpu, seen.q).await?)?;
            case.compare_store(gpu, &store, true, false, MODEL).await?;
        }
    }
    // Losses, perplexity, percent: each by itself, as the last two are far above the losses.
    case.compare_columns("out.trace", &trace, MODEL)?;
    case.compare_store(gpu, &store, false, true, MODEL).await
}
