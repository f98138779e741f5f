//! From images to codes and back: plans of half a model.

use super::inference::{check_values, check_vectors, not_finite};
use crate::data::Codes;
use crate::error::{Error, Result};
use crate::gpu::{BuildOptions, Gpu, ParameterLayout, Plan, Recorder, StepValues, Store, Var};
use crate::models::{Builder, Model};

/// A plan from a batch of images to their codes, in evaluation mode.
#[derive(Debug)]
pub struct Encoder {
    plan: Plan,
    images: Var,
    q: Var,
    bad_vectors: Var,
    shape: Vec<usize>,
}

impl Encoder {
    /// The encoder of `model` for images of `shape` `[B, C, H, W]`.
    ///
    /// # Errors
    /// [`Error::Config`] when the model has no quantiser; [`crate::ShapeError`] when the images do
    /// not fit it; [`Error::Limit`] when the batch is too large for the device.
    pub fn new(gpu: &Gpu, store: &Store, model: &dyn Model, shape: &[usize]) -> Result<Self> {
        let mut layout: ParameterLayout = store.layout().clone();
        let mut rec = Recorder::new(&mut layout, false).tuned_for(gpu);
        let images = rec.input("images", shape);
        let mut net = Builder::new(&mut rec, 0.0);
        let z = model.encode(&mut net, images)?;
        let (name, quantizer) = model.quantizer();
        net.vector_quant(name, z, quantizer)?;
        let record = net.record().ok_or_else(no_codes)?;
        let mut shape = rec.shape(z).to_vec();
        shape.remove(quantizer.config().dim);
        let plan = rec.finish().build(gpu, store, BuildOptions::default())?;
        Ok(Self {
            plan,
            images,
            q: record.q,
            bad_vectors: record.bad_vectors,
            shape,
        })
    }

    /// The codes of `values`, in the model's pixel range.
    ///
    /// # Errors
    /// [`Error::NotFinite`] when vectors before the quantiser are NaN or infinite; [`Error::Gpu`]
    /// when the device fails.
    pub async fn run(&self, gpu: &Gpu, values: &[f32]) -> Result<Codes> {
        self.plan.write(gpu, self.images, values)?;
        self.plan.run(gpu, &StepValues::default())?;
        let mut all = self
            .plan
            .read_many(gpu, &[self.bad_vectors, self.q])
            .await?;
        let q = all.pop().unwrap_or_default();
        check_vectors(f32::from_bits(all[0][0]) as usize)?;
        Ok(Codes {
            shape: self.shape.clone(),
            values: q.into_iter().map(u32::cast_signed).collect(),
        })
    }
}

/// A plan from a batch of codes to images, in evaluation mode.
#[derive(Debug)]
pub struct Decoder {
    plan: Plan,
    q: Var,
    output: Var,
    unclamped: Option<Var>,
    codes: Vec<usize>,
    shape: Vec<usize>,
}

impl Decoder {
    /// The decoder of `model` for codes of `shape` `[B, H, W]`.
    ///
    /// # Errors
    /// As [`Encoder::new`].
    pub fn new(gpu: &Gpu, store: &Store, model: &dyn Model, shape: &[usize]) -> Result<Self> {
        let mut layout: ParameterLayout = store.layout().clone();
        let mut rec = Recorder::new(&mut layout, false).tuned_for(gpu);
        let (name, quantizer) = model.quantizer();
        let config = quantizer.config();
        if config.dim > shape.len() {
            return Err(no_codes());
        }
        let mut full = shape.to_vec();
        full.insert(config.dim, config.feature_size);
        let q = rec.input("q", &[shape.iter().product()]);
        let z = rec.scope(name, |rec| quantizer.decode(rec, q, &full))?;
        let mut net = Builder::new(&mut rec, 0.0);
        let output = model.decode(&mut net, z)?;
        let unclamped = net.unclamped();
        rec.keep(output);
        let images = rec.shape(output).to_vec();
        let plan = rec.finish().build(gpu, store, BuildOptions::default())?;
        Ok(Self {
            plan,
            q,
            output,
            unclamped,
            codes: shape.to_vec(),
            shape: images,
        })
    }

    /// Whether it is one for codes of `shape`.
    #[must_use]
    pub fn takes(&self, shape: &[usize]) -> bool {
        self.codes == shape
    }

    /// `[B, C, H, W]` of the images.
    #[must_use]
    pub fn image_shape(&self) -> &[usize] {
        &self.shape
    }

    /// The images of `codes`, in the model's pixel range.
    ///
    /// # Errors
    /// [`Error::NotFinite`] when they were NaN or infinite before they were clamped; [`Error::Gpu`]
    /// when the device fails.
    pub async fn run(&self, gpu: &Gpu, codes: &[i32]) -> Result<Vec<f32>> {
        self.plan.write(gpu, self.q, codes)?;
        self.plan.run(gpu, &StepValues::default())?;
        if let Some(var) = self.unclamped {
            check_values(not_finite(&self.plan.read(gpu, var).await?))?;
        }
        self.plan.read(gpu, self.output).await
    }
}

fn no_codes() -> Error {
    Error::Config("the model has no quantiser (no_vq), so there are no codes".into())
}
