//! Kind `sq`: stochastic quantisation, `sum(out * grad_out) + 10 * loss` differentiated.

use semivq::gpu::{BuildOptions, Gpu, ParameterLayout, Recorder, StepValues, Store};
use semivq::quant::stochastic::{Probe, Stochastic, StochasticConfig, Temperature, Variance};
use semivq::quant::{Encoded, Norm, Vectors};

use super::{Case, Fallible, LAYER};
use crate::support::layer::COMMITMENT;

/// p `[N, K]` of the logits `[K, N]`.
fn probabilities(logits: &[f32], count: usize) -> Vec<f32> {
    let row = |n: usize| -> Vec<f64> {
        let own = logits.iter().skip(n).step_by(count);
        own.map(|l| f64::from(*l)).collect()
    };
    let softmax = |row: Vec<f64>| -> Vec<f32> {
        let most = row.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = row.iter().map(|l| (l - most).exp()).sum();
        row.iter()
            .map(|l| ((l - most).exp() / sum) as f32)
            .collect()
    };
    (0..count).flat_map(|n| softmax(row(n))).collect()
}

/// All rows at once, and a few at a time, as with large codebooks.
pub async fn run(gpu: &Gpu, case: &mut Case) -> Fallible<()> {
    run_in_chunks(gpu, case, None).await?;
    run_in_chunks(gpu, case, Some(7)).await
}

async fn run_in_chunks(gpu: &Gpu, case: &mut Case, rows: Option<usize>) -> Fallible<()> {
    let variance: Variance = serde_json::from_value(case.config["variance"].clone())?;
    let training = case.config["training"]
        .as_bool()
        .ok_or("no training in the config")?;
    let temperature = case.number("temperature")? as f32;
    let shape = case.tensor("in.z")?.shape.clone();
    let num_codes = case.number("num_codes")? as usize;
    let quantizer = Stochastic::new(StochasticConfig {
        feature_size: case.number("feature_size")? as usize,
        num_codes,
        dim: 1,
        norm: Norm::None,
        variance,
        temperature: Temperature {
            start: temperature,
            decay: 0.0,
            least: temperature,
        },
    });
    let vectors = Vectors::new(&shape, 1, shape[1])?;
    let mut layout = ParameterLayout::guarded();
    let mut rec = Recorder::new(&mut layout, training).tuned_for(gpu);
    let [z, log_var, grad_out] = ["z", "log_var", "grad_out"].map(|name| rec.input(name, &shape));
    let noise = training.then(|| rec.input("noise", &[vectors.count(), num_codes]));
    let of_encoder = variance.of_encoder();
    rec.require_gradient(z);
    if of_encoder {
        rec.require_gradient(log_var);
    }
    let encoded = Encoded {
        z,
        log_var: of_encoder.then_some(log_var),
    };
    let probe = Probe {
        noise,
        logits: true,
        rows,
    };
    let quantized = quantizer.apply_with(&mut rec, encoded, COMMITMENT, probe)?;
    let (out, mut seen) = (quantized.output, quantized.seen);
    let seen = seen.pop().ok_or("nothing to see")?;
    rec.seed_gradient(out, grad_out);
    rec.backward()?;
    let wanted = |rec: &Recorder<'_>, var| rec.gradient(var).ok_or("no gradient");
    let grad_z = wanted(&rec, z)?;
    rec.keep(grad_z);
    let grad_log_var = of_encoder.then(|| wanted(&rec, log_var)).transpose()?;
    if let Some(grad) = grad_log_var {
        rec.keep(grad);
    }
    let recording = rec.finish();
    let store = Store::new(gpu, layout, 3)?;
    store.poison_gradients(gpu);
    let plan = recording.build(gpu, &store, BuildOptions { guarded: true })?;
    case.load_parameters(gpu, &store)?;
    for (name, var) in [
        ("in.z", Some(z)),
        ("in.log_var", encoded.log_var),
        ("in.grad_out", Some(grad_out)),
        ("in.noise", noise),
    ] {
        if let Some(var) = var {
            plan.write(gpu, var, &case.tensor(name)?.values)?;
        }
    }
    let values = StepValues::default()
        .with("step", 1_u32)
        .with("part", 0_u32)
        .with("epoch_steps", 1_u32)
        .with("temperature", temperature)
        .with("sampled", 0_u32)
        .with_seed(0);
    plan.run(gpu, &values)?;
    plan.check_guards(gpu).await?;
    store.check_gradient_guards(gpu).await?;
    let perplexity = match training {
        true => seen.scalar("posterior_perplexity").ok_or("no perplexity")?,
        false => seen.usage.perplexity,
    };
    for (name, var) in [
        ("out.out", Some(seen.z_q)),
        ("out.loss", seen.scalar("cmt_loss")),
        ("out.perplexity", Some(perplexity)),
        ("grad.z", Some(grad_z)),
        ("grad.log_var", grad_log_var),
    ] {
        if let Some(var) = var {
            case.compare(name, &plan.read(gpu, var).await?, LAYER)?;
        }
    }
    if rows.is_none() {
        let logits = seen.tensor("logits").ok_or("no logits")?;
        let logits = plan.read(gpu, logits).await?;
        let probabilities = probabilities(&logits, vectors.count());
        case.compare("out.probabilities", &probabilities, LAYER)?;
    }
    case.compare_store(gpu, &store, true, true, LAYER).await
}
