//! The prior beside the same network of PyTorch's layers.

use libtest_mimic::Failed;
use semivq::gpu::{Arena, BuildOptions, Gpu, ParameterLayout, Recorder, Store};
use semivq::optim::Optimizer;
use semivq::prior::cross_entropy::cross_entropy;
use semivq::prior::embedding::sorted;
use semivq::prior::{PriorOptions, Sequences, Transformer};
use serde_json::json;

use super::Case;

/// Losses of each code, all gradients, and the parameters after three steps.
pub fn steps(gpu: &Gpu) -> Result<(), Failed> {
    let case = Case::read("prior")?;
    let number = |name: &str| case.config[name].as_u64().map_or(0, |v| v as usize);
    let maps = json!({ "maps": case.config["maps"] });
    let sequences: Sequences = serde_json::from_value(maps)?;
    let options = PriorOptions {
        width: number("width"),
        heads: number("heads"),
        blocks: number("blocks"),
        ..PriorOptions::default()
    };
    let tokens = &case.codes["in.tokens"];
    let (length, start) = (sequences.length(), sequences.tokens() as u32);
    let count = tokens.len() / length;
    let mut layout = ParameterLayout::guarded();
    let mut rec = Recorder::new(&mut layout, true).tuned_for(gpu);
    let before = rec.input("before", &[tokens.len()]);
    let goal = rec.input("goal", &[tokens.len()]);
    let ranges = rec.input("ranges", &[length, 2]);
    let order = rec.input("order", &[tokens.len()]);
    let starts = rec.input("starts", &[start as usize + 2]);
    let net = Transformer::new(&options, &sequences, count);
    let logits = net.record(&mut rec, before, Some([order, starts]))?;
    let foretold = cross_entropy(&mut rec, logits, goal, ranges, 1.0)?;
    rec.keep(foretold.losses);
    rec.backward()?;
    Optimizer::default().record(&mut rec);
    let recording = rec.finish();
    let store = Store::new(gpu, layout, 0)?;
    let plan = recording.build(gpu, &store, BuildOptions { guarded: true })?;
    let mut loaded = 0;
    for (key, (_, values)) in &case.tensors {
        if let Some(name) = key.strip_prefix("param.") {
            store.write_any(gpu, name, values)?;
            loaded += 1;
        }
    }
    if loaded != store.layout().parameters().len() {
        return Err("the case does not hold all parameters".into());
    }
    let shifted: Vec<u32> = tokens
        .chunks(length)
        .flat_map(|row| std::iter::once(start).chain(row[..length - 1].to_vec()))
        .collect();
    let [in_order, firsts] = sorted(&shifted, start as usize + 1);
    plan.write(gpu, before, &shifted)?;
    plan.write(gpu, goal, tokens)?;
    plan.write(gpu, ranges, &sequences.ranges())?;
    plan.write(gpu, order, &in_order)?;
    plan.write(gpu, starts, &firsts)?;
    let lr = case.config["lr"].as_f64().ok_or("lr")? as f32;
    for step in 1..=3 {
        store.poison_gradients(gpu);
        let values = Optimizer::default().step(step, lr);
        plan.run(gpu, &values.with("position", 0_u32))?;
        pollster::block_on(plan.check_guards(gpu))?;
        pollster::block_on(store.check_gradient_guards(gpu))?;
        if step > 1 {
            continue;
        }
        let read = |var| pollster::block_on(plan.read(gpu, var));
        case.check("out.losses", &read(foretold.losses)?)?;
        case.check("out.loss", &read(foretold.loss)?)?;
        for (name, _, values) in pollster::block_on(store.read(gpu, Arena::Gradients))? {
            case.check(&format!("grad.{name}"), &values)?;
        }
    }
    for (name, _, values) in pollster::block_on(store.read(gpu, Arena::Parameters))? {
        case.check(&format!("after.{name}"), &values)?;
    }
    Ok(())
}
