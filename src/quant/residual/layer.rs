//! The quantiser: its layers in their order, and the codebook that they may share.

use super::passing::{join, leave};
use crate::error::Result;
use crate::gpu::{Recorder, Var};
use crate::ops::add::add;
use crate::quant::codebook::{CodebookConfig, Coded, Stages, VectorQuant};
use crate::quant::feature_norm::Norm;
use crate::quant::interface::{
    Encoded, Factor, Latent, Quantized, Quantizer, Seen, Start, check_maps, layer_name,
};
use crate::quant::usage;
use crate::quant::vectors::Vectors;

/// Options of [`Residual`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResidualConfig {
    /// What each layer is. Its norm of z is that of all of them.
    pub layer: CodebookConfig,
    /// D, the number of layers, at least 2.
    pub layers: usize,
    /// Whether they have one codebook.
    pub shared: bool,
}

/// Residual quantisation. Parameters are those of its layers, below `layers.0`, `layers.1` and so on; a codebook that
/// all of them share has the names of one without layers.
#[derive(Debug, Clone)]
pub struct Residual {
    norm: Norm,
    layer: VectorQuant,
    layers: usize,
    shared: bool,
}

impl Residual {
    pub(in crate::quant) fn new(config: ResidualConfig) -> Self {
        Self {
            norm: config.layer.norm,
            layer: VectorQuant::new(CodebookConfig {
                norm: Norm::None,
                ..config.layer
            }),
            layers: config.layers,
            shared: config.shared,
        }
    }

    /// Records the codebook that all layers share, if they do.
    fn shared_book(
        &self,
        rec: &mut Recorder<'_>,
        z: Option<(Var, &Vectors)>,
    ) -> Result<Option<Stages>> {
        let book = self.shared.then(|| self.layer.book(rec, z));
        book.transpose()
    }

    /// Records what moves that codebook besides the optimiser: the vectors of all layers together.
    fn move_shared(&self, rec: &mut Recorder<'_>, book: Stages, seen: &[Seen]) -> Result<()> {
        let parts = |of: fn(&Seen) -> Var| seen.iter().map(of).collect::<Vec<Var>>();
        let one = seen[0].vectors;
        let vectors = Vectors {
            outer: seen.len() * one.outer,
            ..one
        };
        let shape = [vectors.outer, vectors.features, vectors.positions];
        let z = join(rec, &parts(|s| s.z), &shape);
        let q = join(rec, &parts(|s| s.q), &[vectors.count()]);
        let counts = usage::counts(rec, q, seen[0].codes);
        let on = Coded {
            z,
            vectors,
            q,
            counts,
        };
        self.layer.moved(rec, book, &on)?;
        Ok(())
    }
}

impl Quantizer for Residual {
    fn latent(&self) -> Latent {
        self.layer.latent()
    }

    fn maps(&self) -> usize {
        self.layers
    }

    fn apply(&self, rec: &mut Recorder<'_>, encoded: Encoded, weight: f32) -> Result<Quantized> {
        let vectors = self.layer.vectors(rec.shape(encoded.z))?;
        let mut rest = self.norm.apply(rec, encoded.z, &vectors)?;
        let shared = self.shared_book(rec, Some((rest, &vectors)))?;
        let quantize = |rec: &mut Recorder<'_>, d: usize, rest: Var| {
            rec.scope(&layer_name(d), |rec| match shared {
                Some(book) => {
                    let z = (rest, vectors);
                    self.layer.quantize_by(rec, book, z, weight, false)
                }
                None => self.layer.apply(rec, rest.into(), weight),
            })
        };
        let Quantized {
            mut output,
            mut seen,
        } = quantize(rec, 0, rest)?;
        let mut last = output;
        for d in 1..self.layers {
            rest = leave(rec, rest, last);
            let own = quantize(rec, d, rest)?;
            output = add(rec, output, own.output)?;
            last = own.output;
            seen.extend(own.seen);
        }
        let moves = rec.training() && self.layer.moves_by_itself();
        if let Some(book) = shared.filter(|_| moves) {
            self.move_shared(rec, book, &seen)?;
        }
        Ok(Quantized { output, seen })
    }

    fn decode(&self, rec: &mut Recorder<'_>, q: &[Var], shape: &[usize]) -> Result<Var> {
        check_maps(q, self.layers)?;
        let shared = self.shared_book(rec, None)?;
        let look_up = |rec: &mut Recorder<'_>, d: usize| {
            rec.scope(&layer_name(d), |rec| match shared {
                Some(book) => self.layer.decode_book(rec, book, q[d], shape),
                None => self.layer.decode(rec, &q[d..=d], shape),
            })
        };
        let mut output = look_up(rec, 0)?;
        for d in 1..self.layers {
            let own = look_up(rec, d)?;
            output = add(rec, output, own)?;
        }
        Ok(output)
    }

    fn steps_by_itself(&self) -> bool {
        self.layer.steps_by_itself()
    }

    fn start(&self) -> Start {
        self.layer.start()
    }

    fn factors(&self) -> Vec<Factor> {
        self.layer.factors()
    }

    fn unbounded(&self) -> Option<(&'static str, &'static str)> {
        self.layer.unbounded()
    }
}
