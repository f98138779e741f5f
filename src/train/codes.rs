//! From images to codes and back: plans of half a model.

use super::inference::{check_values, check_vectors, not_finite};
use super::step::values_of_evaluation;
use crate::data::Codes;
use crate::error::{Error, Result, ShapeError};
use crate::gpu::{BuildOptions, Gpu, ParameterLayout, Plan, Recorder, StepValues, Store, Var};
use crate::models::{Builder, Model};
use crate::quant::{Seen, map_name};

/// Each code map of `model` as it was recorded, with its shape `[B, H, W]`, in the order of its quantisers.
///
/// # Errors
/// [`Error::Config`] when one is not among those `seen`.
pub(super) fn code_maps<'s>(
    rec: &Recorder<'_>,
    model: &dyn Model,
    seen: &'s [(String, Seen)],
) -> Result<Vec<(&'s Seen, Vec<usize>)>> {
    let mut all = Vec::new();
    for (name, quantizer) in model.quantizers() {
        let maps = quantizer.maps();
        for map in 0..maps {
            let name = map_name(name, maps, map);
            let own = seen.iter().find(|(own, _)| *own == name);
            let (_, seen) = own.ok_or_else(no_codes)?;
            let mut shape = rec.shape(seen.z).to_vec();
            shape.remove(quantizer.latent().axis);
            all.push((seen, shape));
        }
    }
    Ok(all)
}

/// A plan from a batch of images to their codes, in evaluation mode.
#[derive(Debug)]
pub struct Encoder {
    plan: Plan,
    values: StepValues,
    images: Var,
    /// Bad vectors and codes of each code map, and the codes' shape.
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
        let maps = code_maps(&rec, model, &seen)?.into_iter();
        let quantizers = maps
            .map(|(seen, shape)| ([seen.bad_vectors, seen.q], shape))
            .collect();
        let plan = rec.finish().build(gpu, store, BuildOptions::default())?;
        Ok(Self {
            plan,
            values: values_of_evaluation(model),
            images,
            quantizers,
        })
    }

    /// The codes of `values`, in the model's pixel range, those of each quantiser: one after the other its code maps.
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
    /// The code maps, and their shapes.
    q: Vec<Var>,
    codes: Vec<Vec<usize>>,
    output: Var,
    unclamped: Option<Var>,
    shape: Vec<usize>,
}

impl Decoder {
    /// The decoder of `model` for codes of these shapes `[B, H, W]`, one a quantiser, or as many as it has code maps
    /// ([`crate::quant::Quantizer::maps`]).
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
        for (name, quantizer) in model.quantizers() {
            let latent = quantizer.latent();
            let own = codes[q.len()..].iter().take(quantizer.maps());
            let Some(shape) = own.clone().next().filter(|s| s.len() >= latent.axis) else {
                return Err(no_codes());
            };
            if own.clone().any(|other| other != shape) {
                let message = format!("the code maps of {name} have different shapes");
                return Err(ShapeError::new("decode", message).into());
            }
            let mut full = shape.clone();
            full.insert(latent.axis, latent.features);
            let maps: Vec<Var> = own
                .map(|shape| rec.input("q", &[shape.iter().product()]))
                .collect();
            z.push(rec.scope(name, |rec| quantizer.decode(rec, &maps, &full))?);
            q.extend(maps);
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
