//! The models' second head, where a quantiser wants one.

use std::sync::Arc;

use libtest_mimic::Failed;
use semivq::gpu::{Arena, BuildOptions, Gpu, ParameterLayout, Recorder, StepValues, Store};
use semivq::models::{Builder, Model, ResNet, ResNetOptions, Simple, SimpleOptions, Variant};
use semivq::quant::{Quantizer, VectorQuantConfig};

use super::support::command::ensure;
use super::support::normals;
use super::{FEATURES, Noisy};

/// The models of the house around `quantizer`.
fn models(quantizer: &Arc<dyn Quantizer>) -> [Box<dyn Model>; 3] {
    let simple = Simple::new(Arc::clone(quantizer), SimpleOptions::default());
    let resnet = |variant| {
        let options = ResNetOptions {
            blocks: 2,
            ..ResNetOptions::new(variant)
        };
        ResNet::new(Arc::clone(quantizer), options).with_channels(1)
    };
    [
        Box::new(simple),
        Box::new(resnet(Variant::Resnet32)),
        Box::new(resnet(Variant::Resnet64)),
    ]
}

/// Names and shapes of what a model has around its quantiser, which `forward` records.
fn around_the_quantizer(model: &dyn Model, layout: &ParameterLayout) -> Vec<(String, Vec<usize>)> {
    let quantizers = model.quantizers();
    let inner = |name: &str| {
        quantizers
            .iter()
            .any(|(q, _)| name.starts_with(&format!("{q}.")))
    };
    let all = layout.parameters().iter().filter(|p| !inner(&p.name));
    all.map(|p| (p.name.clone(), p.shape.clone())).collect()
}

/// The models hand a second head over where it is wanted, of z's shape ([`Noisy`] takes no other), and its gradient
/// reaches the head's weights. Where it is not wanted, they have no parameter more.
pub(super) fn models_have_a_second_head(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let shape = [2, 1, 8, 12];
    let plain = VectorQuantConfig {
        feature_size: FEATURES,
        num_codes: 6,
        ..VectorQuantConfig::default()
    };
    let noisy: Arc<dyn Quantizer> = Arc::new(Noisy);
    let pairs = models(&noisy).into_iter().zip(models(&plain.build()?));
    for ((model, plain), head) in pairs.zip(["log_var", "_log_var", "_log_var"]) {
        let of = |text: String| format!("{}: {text}", model.name());
        let mut layout = ParameterLayout::guarded();
        let mut rec = Recorder::new(&mut layout, true).tuned_for(&gpu);
        let images = rec.input("images", &shape);
        let mut net = Builder::new(&mut rec, 1.0);
        model.forward(&mut net, images)?;
        let seen = net.seen()[0].1.clone();
        ensure(
            rec.shape(seen.z) == [2, FEATURES, 2, 3],
            of(format!("z is {:?}", rec.shape(seen.z))),
        )?;
        let noise = seen.tensor("noise").ok_or("no noise")?;
        rec.backward()?;
        let recording = rec.finish();

        let mut without = ParameterLayout::default();
        let mut rec = Recorder::new(&mut without, true).tuned_for(&gpu);
        let input = rec.input("images", &shape);
        plain.forward(&mut Builder::new(&mut rec, 1.0), input)?;
        drop(rec);
        let own = format!("{head}.");
        let (heads, rest): (Vec<_>, Vec<_>) = around_the_quantizer(model.as_ref(), &layout)
            .into_iter()
            .partition(|(name, _)| name.starts_with(&own));
        let before = around_the_quantizer(plain.as_ref(), &without);
        ensure(rest == before, of(format!("{rest:?}, not {before:?}")))?;
        let kernel = match model.name() {
            Simple::NAME => vec![FEATURES, 16, 3, 3],
            _ => vec![FEATURES, FEATURES, 1, 1],
        };
        let want = [("weight", kernel), ("bias", vec![FEATURES])]
            .map(|(name, shape)| (format!("{own}{name}"), shape));
        ensure(heads == want, of(format!("{heads:?}")))?;

        let store = Store::new(&gpu, layout, 0)?;
        store.poison_gradients(&gpu);
        let plan = recording.build(&gpu, &store, BuildOptions { guarded: true })?;
        plan.write(&gpu, images, &normals("images", shape.iter().product()))?;
        plan.write(&gpu, noise, &normals("noise", 2 * FEATURES * 2 * 3))?;
        let values = StepValues::default().with("step", 1_u32);
        let values = values.with("epoch_steps", 1_u32);
        plan.run(
            &gpu,
            &values.with("temperature", 1.0_f32).with("sampled", 0_u32),
        )?;
        let gradients = pollster::block_on(store.read(&gpu, Arena::Gradients))?;
        for (name, _) in heads {
            let found = gradients.iter().find(|(own, ..)| *own == name);
            let (_, _, grad) = found.ok_or_else(|| of(format!("no gradient of {name}")))?;
            ensure(
                grad.iter().all(|g| g.is_finite() && *g != 0.0),
                of(format!("the gradient of {name}: {grad:?}")),
            )?;
        }
    }
    Ok(())
}
