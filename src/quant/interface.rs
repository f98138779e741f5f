//! What a model, a session and the front ends know of a quantiser.

use std::fmt;

use super::usage::{Usage, Window};
use super::vectors::Vectors;
use crate::error::{Result, ShapeError};
use crate::gpu::{Recorder, Var};

/// What an encoder must give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latent {
    /// F, features of a vector.
    pub features: usize,
    /// The axis on which they lie.
    pub axis: usize,
    /// Whether the encoder has a second head: the logarithm of a variance for each value of z.
    pub log_var: bool,
}

/// What an encoder gives.
#[derive(Debug, Clone, Copy)]
pub struct Encoded {
    /// The vectors, features on the axis of [`Latent::axis`].
    pub z: Var,
    /// The logarithm of the variance of each value, of z's shape, with [`Latent::log_var`].
    pub log_var: Option<Var>,
}

impl From<Var> for Encoded {
    fn from(z: Var) -> Self {
        Self { z, log_var: None }
    }
}

/// What a quantiser makes of a batch.
#[derive(Debug, Clone)]
pub struct Quantized {
    /// What the decoder gets, of the shape of z.
    pub output: Var,
    /// What can be seen of it, once for each code map ([`Quantizer::maps`]); empty where nothing was quantised.
    pub seen: Vec<Seen>,
}

/// What can be seen of a quantisation. All of it can be read back.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The vectors that were quantised, after the feature norm, in their own layout.
    pub z: Var,
    /// The quantised vectors, in the layout of z.
    pub z_q: Var,
    /// How the vectors lie in z and z_q.
    pub vectors: Vectors,
    /// K, the number of codes.
    pub codes: usize,
    /// Codes `[N]`, integers.
    pub q: Var,
    /// How the batch used the codes.
    pub usage: Usage,
    /// Usage over the last epoch's worth of vectors and ages of the codes; in training.
    pub window: Option<Window>,
    /// Vectors whose squared distance is NaN or infinite, a scalar.
    pub bad_vectors: Var,
    /// Losses and other figures of the quantiser's own, scalars, by the names that metrics have.
    pub scalars: Vec<(&'static str, Var)>,
    /// Tensors of the quantiser's own, by names such as those of [`tensor`].
    pub tensors: Vec<(&'static str, Var)>,
}

/// Names in [`Seen::tensors`] that reports and pictures know.
pub mod tensor {
    /// Distance of each vector to its code `[N]`.
    pub const DISTANCE: &str = "d";
    /// The codebook as it is stored `[K, F]`.
    pub const CODEBOOK: &str = "codebook";
    /// The codes among which the nearest is searched `[K, F]`.
    pub const EFFECTIVE: &str = "effective";
    /// The scale of the codebook `[F, G]`, alpha in Approach 1.
    pub const SCALE: &str = "scale";
    /// The bias of the codebook `[G, F]`.
    pub const BIAS: &str = "bias";
    /// A linear map of the codebook `[F, F]`.
    pub const MAP: &str = "map";
    /// Gamma, `[F, 1]` or `[K, F]`.
    pub const GAMMA: &str = "gamma";
}

impl Seen {
    /// The scalar of this name.
    #[must_use]
    pub fn scalar(&self, name: &str) -> Option<Var> {
        find(&self.scalars, name)
    }

    /// The tensor of this name.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<Var> {
        find(&self.tensors, name)
    }
}

fn find(all: &[(&'static str, Var)], name: &str) -> Option<Var> {
    let found = all.iter().find(|(own, _)| *own == name);
    found.map(|(_, var)| *var)
}

/// What is done before the first step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Nothing: the parameters are as they were drawn.
    Drawn,
    /// [`tensor::CODEBOOK`] becomes the centroids of the first batch's vectors.
    KMeans {
        /// Whether scale, bias and map ([`tensor::SCALE`], [`tensor::BIAS`], [`tensor::MAP`]) are
        /// undone, so that [`tensor::EFFECTIVE`] does.
        effective: bool,
    },
}

/// A factor of gradients or steps, see [`Quantizer::factors`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Factor {
    /// The option.
    pub name: &'static str,
    /// Its value.
    pub value: f32,
    /// What is trained with as a rule.
    pub usual: f32,
}

/// What stands before the parameters of layer `d`, from 0, of a residual quantiser.
pub(super) fn layer_name(d: usize) -> String {
    format!("layers.{d}")
}

/// The name of code map `map`, from 0, of `maps` that the quantiser `name` has: its own, with its layer's behind it
/// where there are several.
pub(crate) fn map_name(name: &str, maps: usize, map: usize) -> String {
    match maps {
        1 => name.to_owned(),
        _ => format!("{name}.{}", layer_name(map)),
    }
}

/// [`ShapeError`] unless `q` are the codes of `want` maps.
pub(super) fn check_maps(q: &[Var], want: usize) -> Result<()> {
    if q.len() == want {
        return Ok(());
    }
    let message = format!("codes of {} maps, {want} are wanted", q.len());
    Err(ShapeError::new("decode", message).into())
}

/// A quantiser: it stands between an encoder and a decoder.
pub trait Quantizer: fmt::Debug + Send + Sync {
    /// What the encoder must give.
    fn latent(&self) -> Latent;

    /// Records the quantisation of `encoded`; its own loss, if it has one, is trained with `weight`.
    ///
    /// # Errors
    /// [`crate::ShapeError`] when z lacks the axis of features.
    fn apply(&self, rec: &mut Recorder<'_>, encoded: Encoded, weight: f32) -> Result<Quantized>;

    /// How many codes a vector has: code maps of an image. One but in residual quantisation.
    fn maps(&self) -> usize {
        1
    }

    /// Records what the codes `q`, `[N]` of each map, stand for, in the layout of a z of `shape`: the way
    /// back from codes, in evaluation.
    ///
    /// # Errors
    /// [`crate::Error::Config`] where there are no codes; [`crate::ShapeError`] when `shape` has no
    /// axis of features, or there are not as many maps.
    fn decode(&self, rec: &mut Recorder<'_>, q: &[Var], shape: &[usize]) -> Result<Var>;

    /// Whether a step of its own does what its loss would: a model leaves the loss out then.
    fn steps_by_itself(&self) -> bool {
        false
    }

    /// What is done before the first step.
    fn start(&self) -> Start {
        Start::Drawn
    }

    /// What its kernels are told of step `step` (from 1), by the names of their slots: a temperature, say.
    fn step_values(&self, step: u32) -> Vec<(&'static str, f32)> {
        let _ = step;
        Vec::new()
    }

    /// The options that multiply gradients or steps: what a run that diverges is told to lower where
    /// one of them is far above what is usual.
    fn factors(&self) -> Vec<Factor> {
        Vec::new()
    }

    /// A term of the loss that can fall for ever: the option that weighs it, and a clause that says so.
    fn unbounded(&self) -> Option<(&'static str, &'static str)> {
        None
    }
}
