//! What a run would cost, before it is begun and without a device.

use serde::Serialize;

use super::session::record_step;
use super::{RESIDENT, TrainOptions};
use crate::error::Result;
use crate::gpu::{ParameterLayout, Recorder, Traits};

/// What a training run needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Numbers that are learned.
    pub parameters: usize,
    /// GPU dispatches a step.
    pub dispatches: usize,
    /// What a step takes, see [`crate::gpu::Plan::work`].
    pub work: u64,
    /// Bytes on the device: parameters, their gradients and moments, activations, and the training images.
    pub bytes: u64,
}

impl Cost {
    /// That of `options` on `count` training images of `shape` `[C, H, W]`, with the kernels that an adapter of these
    /// `traits` gets.
    ///
    /// # Errors
    /// As [`TrainOptions::validate`], and [`crate::ShapeError`] where the model does not take such images.
    pub fn of(
        options: &TrainOptions,
        shape: [usize; 3],
        count: usize,
        traits: &Traits,
    ) -> Result<Self> {
        let [c, h, w] = shape;
        let model = options.build_model(c)?;
        let session = options.session();
        session.validate()?;
        let mut layout = ParameterLayout::default();
        let mut rec = Recorder::new(&mut layout, true).with_traits(traits.clone());
        let images = [session.batch / session.accumulate, c, h, w];
        record_step(&mut rec, model.as_ref(), &session, |rec| {
            Ok(rec.input("images", &images))
        })?;
        let recording = rec.finish();
        let held = (count * c * h * w) as u64;
        Ok(Self {
            parameters: layout.parameter_count(),
            // And the one that gathers the batch.
            dispatches: recording.dispatches() + 1,
            work: recording.work() * session.accumulate as u64,
            bytes: layout.bytes() + recording.activation_bytes() + held.min(RESIDENT),
        })
    }
}
