//! Causal self-attention of sequences, in heads (Vaswani et al. 2017).
//!
//! qkv `[B, L, 3, E]`: query, key and value of each position, H heads of E/H features (a multiple of four) side by side;
//! y `[B, L, E]`:
//!
//! ```text
//! S[t,s] = scale q[t] . k[s],  s <= t,  scale = 1 / sqrt(E/H)
//! P[t]   = softmax(S[t])       y[t] = sum_s P[t,s] v[s]
//!
//! G[t,s]    = P[t,s] (grad_y[t] . v[s] - sum_r P[t,r] grad_y[t] . v[r])
//! grad_q[t] = scale sum_s G[t,s] k[s]      grad_k[s] = scale sum_t G[t,s] q[t]
//! grad_v[s] = sum_t P[t,s] grad_y[t]
//! ```
//!
//! The gradient is assigned. P is stored, `[B, H, L, L]`. [`attend_last`] is the same for one position, that of the
//! slot `position`, of sequences that grow: what comes behind it is not read.

use super::reference::{Real, Reference};
use crate::error::{Result, ShapeError};
use crate::gpu::{GRID, NUMBER, Recorder, Var, kernels, uniform_struct};

/// Numbers that go together.
const FOUR: usize = 4;

/// The longest sequence.
pub const MAX_LENGTH: usize = 4096;

uniform_struct! {
    /// Uniform of all entry points.
    struct Params {
        sequences: u32,
        heads: u32,
        width: u32,
        length: u32,
        queries: u32,
        scale: f32,
    }
}

kernels! {
    "attention", [GRID, NUMBER], step [position: u32];
    SCORES = "scores", 64, Params::FIELDS, [Read 1, Write 2, Step 15];
    SOFTMAX = "softmax", 64, Params::FIELDS, [Write 2, Step 15];
    MIX = "mix", 64, Params::FIELDS, [Read 1, Read 3, Write 4, Step 15];
    BACKWARD_WEIGHTS = "backward_weights", 64, Params::FIELDS, [Read 1, Read 5, Write 6];
    BACKWARD_SOFTMAX = "backward_softmax", 64, Params::FIELDS, [Read 3, Write 6];
    BACKWARD = "backward", 64, Params::FIELDS, [Read 1, Read 3, Read 5, Read 7, Write 8];
}

/// The shape contract.
#[derive(Debug, Clone, Copy)]
pub struct Attention {
    sequences: usize,
    length: usize,
    width: usize,
    heads: usize,
}

impl Attention {
    /// Checks `qkv` `[B, L, 3, E]`.
    ///
    /// # Errors
    /// [`ShapeError`] for another shape, for heads that do not divide E into multiples of four, and for sequences longer
    /// than [`MAX_LENGTH`].
    pub fn new(qkv: &[usize], heads: usize) -> Result<Self, ShapeError> {
        let refuse = |message: String| Err(ShapeError::new("attention", message));
        let &[sequences, length, 3, width] = qkv else {
            return refuse(format!("qkv must be [B, L, 3, E], not {qkv:?}"));
        };
        if heads == 0 || !width.is_multiple_of(4 * heads) {
            return refuse(format!(
                "{heads} heads do not divide the width of {width} into multiples of four"
            ));
        }
        if length > MAX_LENGTH {
            return refuse(format!(
                "sequences of {length} positions are too long: at most {MAX_LENGTH}"
            ));
        }
        Ok(Self {
            sequences,
            length,
            width,
            heads,
        })
    }

    fn head(&self) -> usize {
        self.width / self.heads
    }

    fn scale(&self) -> f64 {
        1.0 / (self.head() as f64).sqrt()
    }

    fn params(&self, queries: usize) -> Params {
        Params {
            sequences: self.sequences as u32,
            heads: self.heads as u32,
            width: (self.width / FOUR) as u32,
            length: self.length as u32,
            queries: queries as u32,
            scale: self.scale() as f32,
        }
    }

    /// Rows of P for so many positions of each sequence.
    fn rows(&self, queries: usize) -> usize {
        self.sequences * self.heads * queries
    }

    /// Records P and y for so many positions of each sequence.
    fn forward(&self, rec: &mut Recorder<'_>, qkv: Var, queries: usize) -> (Var, Var) {
        let params = self.params(queries);
        let (rows, pairs) = (self.rows(queries), self.rows(queries) * self.length);
        let shape = [self.sequences, self.heads, queries, self.length];
        let weights = rec.temporary("attention weights", &shape);
        let y = rec.temporary("attention", &[self.sequences, queries, self.width]);
        let flops = 2 * pairs * self.head();
        rec.dispatch(&SCORES, &params, &[qkv, weights], pairs)
            .flops(flops);
        rec.dispatch(&SOFTMAX, &params, &[weights], rows);
        let count = self.sequences * queries * self.width / FOUR;
        rec.dispatch(&MIX, &params, &[qkv, weights, y], count)
            .flops(flops);
        (weights, y)
    }
}

/// Attends from every position of `qkv` `[B, L, 3, E]` to itself and those before it: `[B, L, E]`.
///
/// # Errors
/// [`ShapeError`], see [`Attention::new`].
pub fn attention(rec: &mut Recorder<'_>, qkv: Var, heads: usize) -> Result<Var> {
    let op = Attention::new(rec.shape(qkv), heads)?;
    let length = op.length;
    let (weights, y) = op.forward(rec, qkv, length);
    rec.on_backward(y, &[qkv], move |rec, grad_y| {
        rec.contribute(qkv, |rec, grad| {
            let params = op.params(length);
            let (rows, pairs) = (op.rows(length), op.rows(length) * length);
            let shape = [op.sequences, op.heads, length, length];
            let slopes = rec.temporary("grad attention weights", &shape);
            rec.dispatch(&BACKWARD_WEIGHTS, &params, &[qkv, grad_y, slopes], pairs)
                .flops(2 * pairs * op.head());
            rec.dispatch(&BACKWARD_SOFTMAX, &params, &[weights, slopes], rows);
            let tensors = [qkv, weights, grad_y, slopes, grad];
            rec.dispatch(
                &BACKWARD,
                &params,
                &tensors,
                op.sequences * length * op.width / FOUR,
            )
            .flops(6 * pairs * op.head());
            Ok(())
        })
    });
    Ok(y)
}

/// Attends from the position that the slot `position` says alone, in sequences `qkv` `[B, L, 3, E]` of which it is the
/// last so far: `[B, 1, E]`. There is no gradient.
///
/// # Errors
/// [`ShapeError`], see [`Attention::new`].
pub fn attend_last(rec: &mut Recorder<'_>, qkv: Var, heads: usize) -> Result<Var> {
    let op = Attention::new(rec.shape(qkv), heads)?;
    Ok(op.forward(rec, qkv, 1).1)
}

impl Attention {
    /// Where `which` (q, k, v) of position s of sequence b begins, for `head`.
    fn place(&self, b: usize, s: usize, which: usize, head: usize) -> usize {
        ((b * self.length + s) * 3 + which) * self.width + head * self.head()
    }

    fn dot<T: Real>(&self, a: &[T], b: &[T]) -> T {
        (0..self.head()).map(|i| a[i] * b[i]).sum()
    }

    /// P of one position and head, up to it.
    fn weights<T: Real>(&self, qkv: &[T], b: usize, t: usize, head: usize) -> Vec<T> {
        let query = &qkv[self.place(b, t, 0, head)..];
        let scores: Vec<T> = (0..=t)
            .map(|s| T::of(self.scale()) * self.dot(query, &qkv[self.place(b, s, 1, head)..]))
            .collect();
        let sum: T = scores.iter().map(|s| (*s - scores[0]).exp()).sum();
        scores
            .iter()
            .map(|s| (*s - scores[0]).exp() / sum)
            .collect()
    }

    /// Every sequence, position and head.
    fn all(&self) -> impl Iterator<Item = (usize, usize, usize)> + '_ {
        let positions = (0..self.sequences).flat_map(|b| (0..self.length).map(move |t| (b, t)));
        positions.flat_map(|(b, t)| (0..self.heads).map(move |head| (b, t, head)))
    }
}

impl Reference for Attention {
    fn forward<T: Real>(&self, inputs: &[Vec<T>]) -> Vec<T> {
        let qkv = &inputs[0];
        let mut y = vec![T::of(0.0); self.sequences * self.length * self.width];
        for (b, t, head) in self.all() {
            let at = (b * self.length + t) * self.width + head * self.head();
            for (s, weight) in self.weights(qkv, b, t, head).into_iter().enumerate() {
                for i in 0..self.head() {
                    y[at + i] += weight * qkv[self.place(b, s, 2, head) + i];
                }
            }
        }
        y
    }

    fn backward<T: Real>(&self, inputs: &[Vec<T>], grad_y: &[T]) -> Vec<Vec<T>> {
        let qkv = &inputs[0];
        let mut grad = vec![T::of(0.0); qkv.len()];
        let scale = T::of(self.scale());
        for (b, t, head) in self.all() {
            let weights = self.weights(qkv, b, t, head);
            let upstream = &grad_y[(b * self.length + t) * self.width + head * self.head()..];
            let slopes: Vec<T> = (0..=t)
                .map(|s| self.dot(upstream, &qkv[self.place(b, s, 2, head)..]))
                .collect();
            let mean: T = weights.iter().zip(&slopes).map(|(w, s)| *w * *s).sum();
            let query = self.place(b, t, 0, head);
            for s in 0..=t {
                let (key, value) = (self.place(b, s, 1, head), self.place(b, s, 2, head));
                let slope = scale * weights[s] * (slopes[s] - mean);
                for i in 0..self.head() {
                    grad[query + i] += slope * qkv[key + i];
                    grad[key + i] += slope * qkv[query + i];
                    grad[value + i] += weights[s] * upstream[i];
                }
            }
        }
        vec![grad]
    }
}
