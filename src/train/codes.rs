//! From images to codes and back: plans of half a model.

use super::inference::{check_values, check_vectors, not_finite};
use super::step::values_of_evaluation;
use crate::data::Codes;
use crate::error::{Error, Result};
use crate::gpu::{BuildOptions, Gpu, ParameterLayout, Plan, Recorder, StepValues, Store, Var};
use crate::models::{Builder, Model};
use crate::quant::Quantizer;

/// A plan from a batch of images to their codes, in evaluation mode.
#[derive(Debug)]
pub struct Encoder {
    plan: Plan,
    values: StepValues,
    images: Var,
    /// Bad vectors and codes of each quantiser, and the codes' shape.
    quantizers: Vec<([Var; 2], Vec<usize>)>,
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
        model.encode(&mut net, images)?;
        let seen = net.seen().to_vec();
        let one = |(name, quantizer): (&str, &dyn Quantizer)| {
            let (_, seen) = seen
                .iter()
                .find(|(own, _)| own == name)
                .ok_or_else(no_codes)?;
            let mut shape = rec.shape(seen.z).to_vec();
            shape.remove(quantizer.latent().axis);
            Ok(([seen.bad_vectors, seen.q], shape))
        };
        let quantizers = model
            .quantizers()
            .into_iter()
            .map(one)
            .collect::<Result<_>>()?;
        let plan = rec.finish().build(gpu, store, BuildOptions::default())?;
        Ok(Self {
            plan,
            values: values_of_evaluation(model),
            images,
            quantizers,
        })
    }

    /// The codes of `values`, in the model's pixel range, those of each quantiser.
    ///
    /// # Errors
    /// [`Error::NotFinite`] when vectors before the quantiser are NaN or infinite; [`Error::Gpu`]
    /// when the device fails.
    pub async fn run(&self, gpu: &Gpu, values: &[f32]) -> Result<Vec<Codes>> {
        self.plan.write(gpu, self.images, values)?;
        self.plan.run(gpu, &self.values)?;
        let vars: Vec<Var> = self.quantizers.iter().flat_map(|(vars, _)| *vars).collect();
        let all = self.plan.read_many(gpu, &vars).await?;
        let mut codes = Vec::new();
        for (values, (_, shape)) in all.chunks_exact(2).zip(&self.quantizers) {
            check_vectors(f32::from_bits(values[0][0]) as usize)?;
            codes.push(Codes {
                shape: shape.clone(),
                values: values[1].iter().map(|q| q.cast_signed()).collect(),
            });
        }
        Ok(codes)
    }
}

/// A plan from a batch of codes to images, in evaluation mode.
#[derive(Debug)]
pub struct Decoder {
    plan: Plan,
    values: StepValues,
    /// Codes of each quantiser, and their shapes.
    q: Vec<Var>,
    codes: Vec<Vec<usize>>,
    output: Var,
    unclamped: Option<Var>,
    shape: Vec<usize>,
}

impl Decoder {
    /// The decoder of `model` for codes of these shapes `[B, H, W]`, one a quantiser.
    ///
    /// # Errors
    /// As [`Encoder::new`].
    pub fn new(
        gpu: &Gpu,
        store: &Store,
        model: &dyn Model,
        codes: Vec<Vec<usize>>,
    ) -> Result<Self> {
        let mut layout: ParameterLayout = store.layout().clone();
        let mut rec = Recorder::new(&mut layout, false).tuned_for(gpu);
        let (mut q, mut z) = (Vec::new(), Vec::new());
        for ((name, quantizer), shape) in model.quantizers().into_iter().zip(&codes) {
            let latent = quantizer.latent();
            if latent.axis > shape.len() {
                return Err(no_codes());
            }
            let mut full = shape.clone();
            full.insert(latent.axis, latent.features);
            let own = rec.input("q", &[shape.iter().product()]);
            q.push(own);
            z.push(rec.scope(name, |rec| quantizer.decode(rec, own, &full))?);
        }
        let mut net = Builder::new(&mut rec, 0.0);
        let output = model.decode(&mut net, &z)?;
        let unclamped = net.unclamped();
        rec.keep(output);
        let images = rec.shape(output).to_vec();
        let plan = rec.finish().build(gpu, store, BuildOptions::default())?;
        Ok(Self {
            plan,
            values: values_of_evaluation(model),
            q,
            codes,
            output,
            unclamped,
            shape: images,
        })
    }

    /// Whether it is one for codes of such shapes.
    #[must_use]
    pub fn takes(&self, codes: &[Codes]) -> bool {
        self.codes.iter().eq(codes.iter().map(|c| &c.shape))
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
    pub async fn run(&self, gpu: &Gpu, codes: &[Codes]) -> Result<Vec<f32>> {
        for (var, codes) in self.q.iter().zip(codes) {
            self.plan.write(gpu, *var, &codes.values)?;
        }
        self.plan.run(gpu, &self.values)?;
        if let Some(var) = self.unclamped {
            check_values(not_finite(&self.plan.read(gpu, var).await?))?;
        }
        self.plan.read(gpu, self.output).await
    }
}

/// What to say of codes where nothing is quantised.
pub(super) fn no_codes() -> Error {
    Error::Config("the model has no quantiser (no_vq), so there are no codes".into())
}
