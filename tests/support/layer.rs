//! A quantiser recorded by itself, where `sum(out * grad_out) + 10 * loss (+ penalty)` is differentiated.

use semivq::gpu::{BuildOptions, Gpu, ParameterLayout, Plan, Recorder, Store, Var};
use semivq::quant::{Encoded, Seen, VectorQuantConfig};

/// Weight of the commitment loss in the scalar that is differentiated, as in the golden files.
pub const COMMITMENT: f32 = 10.0;

/// A quantiser on the device.
pub struct Layer {
    pub store: Store,
    pub plan: Plan,
    pub z: Var,
    pub grad_out: Var,
    pub grad_z: Var,
    pub out: Var,
    pub loss: Var,
    pub seen: Seen,
    /// What can be seen of each code map, the first of which is `seen`.
    pub maps: Vec<Seen>,
}

impl Layer {
    /// The quantiser of `config` for a z of `shape`. A `guarded` one gives every tensor memory of its own with
    /// a gap behind it, the other one shares memory as a run does; the gradients are poisoned in both.
    pub fn new(
        gpu: &Gpu,
        config: &VectorQuantConfig,
        shape: &[usize],
        training: bool,
        guarded: bool,
    ) -> Result<Self, String> {
        let text = |error: semivq::Error| error.to_string();
        let quantizer = config.build().map_err(text)?;
        let mut layout = ParameterLayout::guarded();
        let mut rec = Recorder::new(&mut layout, training).tuned_for(gpu);
        let z = rec.input("z", shape);
        rec.require_gradient(z);
        let second = quantizer.latent().log_var;
        let log_var = second.then(|| rec.input("log_var", shape));
        let quantized = quantizer.apply(&mut rec, Encoded { z, log_var }, COMMITMENT);
        let quantized = quantized.map_err(text)?;
        let (out, maps) = (quantized.output, quantized.seen);
        let seen = maps.first().ok_or("nothing to see")?.clone();
        rec.keep(out);
        let grad_out = rec.input("grad_out", shape);
        rec.seed_gradient(out, grad_out);
        rec.backward().map_err(text)?;
        let grad_z = rec.gradient(z).ok_or("z got no gradient")?;
        rec.keep(grad_z);
        let recording = rec.finish();
        let store = Store::new(gpu, layout, 3).map_err(text)?;
        store.poison_gradients(gpu);
        let plan = recording.build(gpu, &store, BuildOptions { guarded });
        let plan = plan.map_err(text)?;
        if let Some(log_var) = log_var {
            let zeros = vec![0.0_f32; shape.iter().product()];
            plan.write(gpu, log_var, &zeros).map_err(text)?;
        }
        Ok(Self {
            plan,
            store,
            z,
            grad_out,
            grad_z,
            out,
            loss: seen.scalar("cmt_loss").ok_or("no loss")?,
            seen,
            maps,
        })
    }
}
