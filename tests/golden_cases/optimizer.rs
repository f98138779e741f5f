//! Kind `optimizer`: five steps from given gradients.

use semivq::gpu::{Arena, BuildOptions, Gpu, Init, ParameterLayout, Recorder, Store};
use semivq::optim::Optimizer;

use super::{Case, Fallible, LAYER};

pub async fn run(gpu: &Gpu, case: &mut Case) -> Fallible<()> {
    let optimizer = match case.text("optimizer")? {
        "adamw" => Optimizer::Adamw {
            beta1: case.number("beta1")? as f32,
            beta2: case.number("beta2")? as f32,
            eps: case.number("eps")? as f32,
            weight_decay: case.number("weight_decay")? as f32,
        },
        "sgd" => Optimizer::Sgd {
            momentum: case.number("momentum")? as f32,
            weight_decay: 0.0,
        },
        other => return Err(format!("unknown optimizer {other}").into()),
    };
    let lr = case.number("lr")? as f32;
    let shape = case.tensor("param.p")?.shape.clone();
    let mut layout = ParameterLayout::default();
    let mut rec = Recorder::new(&mut layout, true).tuned_for(gpu);
    rec.parameter("p", &shape, Init::Constant(0.0))?;
    optimizer.record(&mut rec);
    let recording = rec.finish();
    let store = Store::new(gpu, layout, 0)?;
    case.load_parameters(gpu, &store)?;
    let plan = recording.build(gpu, &store, BuildOptions::default())?;
    for step in 0..case.group("after").len() {
        let grad = &case.tensor(&format!("in.grad_{step}"))?.values;
        store.write(gpu, Arena::Gradients, "p", grad)?;
        plan.run(gpu, &optimizer.step(step as u32 + 1, lr))?;
        let after = store.read(gpu, Arena::Parameters).await?;
        case.compare(&format!("after.p_{step}"), &after[0].2, LAYER)?;
    }
    Ok(())
}
