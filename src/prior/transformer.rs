//! The network: a causal transformer with norms in front of attention and layers (Radford et al. 2019), without dropout.
//!
//! ```text
//! x = token[code before] + place;   each block:  x += proj(attention(qkv(norm1(x))))
//!                                                x += fc2(gelu(fc1(norm2(x))))
//! logits = head(norm(x))
//! ```

use super::embedding::{Rows, embedding};
use super::options::PriorOptions;
use super::sampler;
use super::sequences::Sequences;
use crate::error::Result;
use crate::gpu::{Init, Recorder, Var};
use crate::nn::{self, Bias};
use crate::ops::activation::gelu;
use crate::ops::add::add;
use crate::ops::attention::{attend_last, attention};

/// Of the tables at first, as in GPT-2.
const DEVIATION: f32 = 0.02;
/// That of PyTorch's `LayerNorm`.
const EPS: f32 = 1e-5;

/// Which positions of its sequences are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Span {
    /// All, in training and evaluation.
    Whole,
    /// The one that the slot `position` says: what is before it is remembered.
    Last,
}

/// Sizes of the network.
#[derive(Debug, Clone, Copy)]
pub struct Transformer {
    sequences: usize,
    length: usize,
    tokens: usize,
    width: usize,
    heads: usize,
    blocks: usize,
}

impl Transformer {
    /// The network of `options` for so many of `sequences` at once.
    #[must_use]
    pub fn new(options: &PriorOptions, sequences: &Sequences, count: usize) -> Self {
        Self {
            sequences: count,
            length: sequences.length(),
            tokens: sequences.tokens(),
            width: options.width,
            heads: options.heads,
            blocks: options.blocks,
        }
    }

    /// Records the logits `[B L, V]` of every position, from the code before each `[B L]`, which is V before the first.
    /// `sorted` is for the way back, see [`super::embedding::sorted`].
    ///
    /// # Errors
    /// [`crate::ShapeError`] when sequences are too long or too many.
    pub fn record(
        &self,
        rec: &mut Recorder<'_>,
        codes: Var,
        sorted: Option<[Var; 2]>,
    ) -> Result<Var> {
        let rows = Rows {
            codes,
            queries: self.length,
            sorted,
        };
        self.layers(rec, rows, Span::Whole)
    }

    /// Records the logits `[B, V]` of the position that the slot `position` says, from the code before it `[B]`; the
    /// positions before it must have been asked for, in order.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub fn record_last(&self, rec: &mut Recorder<'_>, codes: Var) -> Result<Var> {
        let rows = Rows {
            codes,
            queries: 1,
            sorted: None,
        };
        self.layers(rec, rows, Span::Last)
    }

    fn layers(&self, rec: &mut Recorder<'_>, rows: Rows, span: Span) -> Result<Var> {
        let init = Init::Normal(DEVIATION);
        // One more: what stands before the first code.
        let token = rec.parameter("token.weight", &[self.tokens + 1, self.width], init)?;
        let place = rec.parameter("place.weight", &[self.length, self.width], init)?;
        let mut x = embedding(rec, rows, token, place)?;
        for block in 0..self.blocks {
            x = rec.scope(&format!("blocks.{block}"), |rec| self.block(rec, x, span))?;
        }
        let x = layer_norm(rec, "norm", x)?;
        nn::linear(rec, "head", x, self.tokens, Bias::Matters)
    }

    fn block(&self, rec: &mut Recorder<'_>, x: Var, span: Span) -> Result<Var> {
        let y = layer_norm(rec, "norm1", x)?;
        // A bias of the keys would have no effect but rounding noise for a gradient, which AdamW makes full steps of.
        let qkv = nn::linear_without_bias(rec, "qkv", y, 3 * self.width)?;
        let shape = [self.sequences, self.length, 3, self.width];
        let y = match span {
            Span::Whole => {
                let qkv = rec.view(qkv, &shape);
                attention(rec, qkv, self.heads)?
            }
            Span::Last => {
                let all = rec.input("qkv of all positions", &shape);
                sampler::remember(rec, qkv, all);
                attend_last(rec, all, self.heads)?
            }
        };
        let rows = rec.shape(x)[0];
        let y = rec.view(y, &[rows, self.width]);
        let y = nn::linear(rec, "proj", y, self.width, Bias::Matters)?;
        let x = add(rec, x, y)?;
        let y = layer_norm(rec, "norm2", x)?;
        let y = nn::linear(rec, "fc1", y, 4 * self.width, Bias::Matters)?;
        let y = gelu(rec, y);
        let y = nn::linear(rec, "fc2", y, self.width, Bias::Matters)?;
        add(rec, x, y)
    }
}

/// Layer norm of `x` `[R, E]`: a group norm of one group.
fn layer_norm(rec: &mut Recorder<'_>, name: &str, x: Var) -> Result<Var> {
    let shape = rec.shape(x).to_vec();
    let image = rec.view(x, &[shape[0], shape[1], 1, 1]);
    let y = nn::group_norm(rec, name, image, 1, EPS)?;
    Ok(rec.view(y, &shape))
}
