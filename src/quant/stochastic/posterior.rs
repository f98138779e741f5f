//! The posterior of each vector over the codes, what is drawn of it, and the way back.
//!
//! z holds N vectors of F features, C the codes `[K, F]`, s a scalar, B images, T the temperature, lambda the
//! weight of the loss in training:
//!
//! ```text
//! w[n,c] = 1 / (2 (v + e^s))      v: 1, or e^log_var of the mean over each image, each vector, or no mean
//! L[n,k] = -sum_c w[n,c] (z[n,c] - C[k,c])^2           vMF: (1 + e^s) z_n . C_k, both of length 1
//! p = softmax(L)      t = softmax((L + gumbel) / T), in evaluation 1 at the largest L      z_q = t C
//!                 or, sampled, at the largest L + gumbel: a draw from p
//! loss = (sum p log p + sum w (z - z_q)^2) / B         vMF: (1 + e^s) z . (z - z_q) in place of the latter
//!
//! G = grad z_q - 2 lambda/B w (z - z_q)                vMF: grad z_q - lambda/B (1 + e^s) z
//! D[n,k] = t (G_n . C_k - G_n . z_q) / T + lambda/B p (log p - sum_j p_j log p_j)      (the first in training only)
//! grad_C[k] = sum_n t[n,k] G_n + 2 D[n,k] w_n (z_n - C_k)
//! grad_z[n] = 2 w_n (sum_k D[n,k] C_k + lambda/B (z_n - z_q))
//! grad_w[n] = -sum_k D[n,k] (z_n - C_k)^2 + lambda/B (z_n - z_q)^2;   grad_(v + e^s) = -2 w^2 grad_w
//! ```
//!
//! There is no straight-through. All gradients are assigned. Rows are taken in chunks such that what there is of
//! each vector and code (N by K) stays below [`CHUNK`]; with more than one chunk the logits are computed anew on the
//! way back. The products are those of [`crate::ops::linear`].

use super::products::{over_codes, product};
use super::sizes::{Params, Posterior, flag};
use super::variance::Variance;
use crate::error::{Result, ShapeError};
use crate::gpu::{GRID, NUMBER, RANDOM, REDUCE, Recorder, Var, kernels};
use crate::ops::sum;
use crate::quant::vectors::VECTORS;
use crate::rng;

kernels! {
    "posterior", [GRID, NUMBER, REDUCE, VECTORS, RANDOM, POSTERIOR],
    step [step: u32, part: u32, seed_low: u32, seed_high: u32, temperature: f32, sampled: u32];
    BASE_OF_ALL = "base_of_all", 1, &[], [Write 5];
    BASE_OF_VECTORS = "base_of_vectors", 64, Params::FIELDS, [Read 4, Write 5];
    BASE_OF_IMAGES = "base_of_images", 256, Params::FIELDS, [Read 4, Write 5];
    SUM_STRETCHES = "sum_stretches", 256, Params::FIELDS, [Read 19, Write 20];
    MEAN_VARIANCE = "mean_variance", 256, Params::FIELDS, [Read 3, Read 19, Write 20];
    PACK = "pack", 64, Params::FIELDS, [Read 1, Read 2, Read 3, Write 6];
    PACK_CODES = "pack_codes", 64, Params::FIELDS, [Read 7, Write 6];
    SCAN = "scan", 64, Params::FIELDS, [Read 8, Read 9, Write 10, Step 15];
    COMBINE = "combine", 64, Params::FIELDS, [Write 10, Write 11, Write 13, Write 16, Step 15];
    DRAW = "draw", 64, Params::FIELDS, [Read 8, Read 9, Read 12, Read 14, Write 20, Step 15];
    SUM_ROWS = "sum_rows", 64, Params::FIELDS, [Read 8, Read 12, Write 6];
    SUM_BLOCKS = "sum_blocks", 64, Params::FIELDS, [Read 19, Write 20];
    PERPLEXITY = "perplexity", 256, Params::FIELDS, [Read 19, Write 20];
    UNPACK = "unpack", 64, Params::FIELDS,
        [Read 1, Read 2, Read 3, Read 14, Read 17, Write 18, Read 19, Write 20];
}

/// The fragment with the sizes and the variance of each value, which the way back has too.
pub(super) const POSTERIOR: (&str, &str) = (
    "lib/posterior.wgsl",
    include_str!("../../../shaders/lib/posterior.wgsl"),
);

/// What is summed by a workgroup where the sums are of no one.
pub(super) const STRETCH: usize = 4096;

/// What the posterior is of.
#[derive(Debug, Clone, Copy)]
pub struct Inputs {
    /// The vectors; of [`Variance::Directions`] of length 1.
    pub z: Var,
    /// The logarithm of a variance of each value of z, where the variance is of the encoder.
    pub log_var: Option<Var>,
    /// The codes `[K, F]`; of [`Variance::Directions`] of length 1.
    pub codebook: Var,
    /// s, a parameter `[1]`.
    pub spread: Var,
    /// For tests: the noise `[N, K]` in place of what is drawn.
    pub noise: Option<Var>,
}

/// What is drawn, and figures.
#[derive(Debug, Clone, Copy)]
pub struct Drawn {
    /// What the decoder gets, in the layout of z.
    pub z_q: Var,
    /// The code of the largest probability of each vector `[N]`, integers; in a sampled evaluation the one drawn.
    pub q: Var,
    /// The loss, a scalar.
    pub loss: Var,
    /// The mean entropy of a posterior in nats, a scalar.
    pub entropy: Var,
    /// The mean variance, a scalar; of directions 1 over the concentration.
    pub variance: Var,
    /// The perplexity of the mean posterior, a scalar, in training.
    pub perplexity: Option<Var>,
    /// The loss of each vector `[N]`: no number where z is none.
    pub losses: Var,
    /// X and L of the rows where one chunk has all of them.
    pub(super) kept: Option<(Var, Var)>,
    /// Of each vector: sum p log p `[N]`; what both softmaxes are divided by, as logarithms `[2, N]`.
    pub(super) entropies: Var,
    pub(super) sums: Var,
    /// v, and Y.
    pub(super) base: Var,
    pub(super) packed_codes: Var,
    /// t where one chunk has all rows.
    pub(super) weights: Option<Var>,
}

impl Drawn {
    /// The logits `[K, N]`, up to what is the same for all codes of a vector, where one chunk has all rows.
    #[must_use]
    pub fn logits(&self) -> Option<Var> {
        self.kept.map(|(_, logits)| logits)
    }
}

impl Posterior {
    /// Records X and L of a chunk.
    pub(super) fn logits(
        &self,
        rec: &mut Recorder<'_>,
        inputs: &Inputs,
        (base, packed_codes): (Var, Var),
        params: &Params,
    ) -> Result<(Var, Var)> {
        let (rows, columns) = (params.rows as usize, self.columns());
        let x = rec.temporary("x", &[rows, columns]);
        let tensors = [inputs.z, base, inputs.spread, x];
        rec.dispatch(&PACK, params, &tensors, rows * columns)
            .constants(&self.constants());
        Ok((x, product(rec, "logits", packed_codes, x)?))
    }

    /// Whether the noise is given, and the tensor that stands for it.
    fn noise(inputs: &Inputs) -> ((&'static str, f64), Var) {
        let given = ("GIVEN", flag(inputs.noise.is_some()));
        (given, inputs.noise.unwrap_or(inputs.z))
    }

    /// Records what the softmaxes of a chunk's rows are divided by, the entropies, and the likeliest codes.
    fn scan(
        &self,
        rec: &mut Recorder<'_>,
        inputs: &Inputs,
        logits: Var,
        (sums, q, entropies): (Var, Var, Var),
        params: &Params,
    ) {
        let (rows, parts) = (params.rows as usize, params.parts as usize);
        let partial = rec.temporary("partial", &[6, parts, rows]);
        let (given, noise) = Self::noise(inputs);
        rec.dispatch(&SCAN, params, &[logits, noise, partial], rows * parts)
            .constants(&[given, ("DRAWN", flag(self.training))]);
        let tensors = [partial, sums, q, entropies];
        rec.dispatch(&COMBINE, params, &tensors, rows);
    }

    /// Records t of a chunk, drawn in training.
    pub(super) fn weights(
        &self,
        rec: &mut Recorder<'_>,
        inputs: &Inputs,
        (logits, sums, q): (Var, Var, Var),
        params: &Params,
    ) -> Var {
        let items = params.rows as usize * self.codes;
        let weights = rec.temporary("t", &[self.codes, params.rows as usize]);
        let (given, noise) = Self::noise(inputs);
        let tensors = [logits, noise, sums, q, weights];
        rec.dispatch(&DRAW, params, &tensors, items)
            .constants(&[given, ("DRAWN", flag(self.training))]);
        weights
    }

    fn base(&self, rec: &mut Recorder<'_>, log_var: Option<Var>, params: &Params) -> Result<Var> {
        let base = rec.temporary("v", &[self.bases()]);
        let Some(log_var) = log_var.filter(|_| self.variance.of_encoder()) else {
            if self.variance.of_encoder() {
                let message = "this variance needs the encoder's log-variance".to_owned();
                return Err(ShapeError::new("stochastic", message).into());
            }
            rec.dispatch_per_group(&BASE_OF_ALL, &(), &[base], 1);
            return Ok(base);
        };
        let tensors = [log_var, base];
        if self.variance == Variance::Image {
            rec.dispatch_per_group(&BASE_OF_IMAGES, params, &tensors, self.bases());
        } else {
            rec.dispatch(&BASE_OF_VECTORS, params, &tensors, self.bases())
                .constants(&self.constants());
        }
        Ok(base)
    }

    /// Sums of stretches of so many of `values`.
    pub(super) fn stretches(rec: &mut Recorder<'_>, values: Var, each: usize) -> Var {
        let length = rec.len(values);
        let groups = length.div_ceil(each);
        let sums = rec.temporary("sums", &[groups]);
        let params = Params {
            length: length as u32,
            shared_by: each as u32,
            ..Params::default()
        };
        rec.dispatch_per_group(&SUM_STRETCHES, &params, &[values, sums], groups);
        sums
    }

    fn mean_variance(&self, rec: &mut Recorder<'_>, base: Var, spread: Var) -> Var {
        let count = rec.len(base);
        let sums = Self::stretches(rec, base, STRETCH);
        let params = Params {
            length: rec.len(sums) as u32,
            scale: 1.0 / count as f32,
            ..Params::default()
        };
        let out = rec.scalar("variance_mean");
        rec.dispatch_per_group(&MEAN_VARIANCE, &params, &[spread, sums, out], 1)
            .constants(&self.constants());
        out
    }

    /// Records it, with its way back to z, the codebook, s and the log-variance.
    ///
    /// # Errors
    /// [`ShapeError`] where the log-variance is missing.
    pub fn record(mut self, rec: &mut Recorder<'_>, inputs: Inputs) -> Result<Drawn> {
        self.training = rec.training();
        self.stream = rng::number_of(&format!("gumbel {}", rec.name(inputs.codebook)));
        let count = self.vectors.count();
        let chunks = self.chunks();
        let all = self.params(&(0..count));
        let base = self.base(rec, inputs.log_var, &all)?;
        let packed_codes = match self.variance {
            Variance::Directions => inputs.codebook,
            _ => {
                let packed = rec.temporary("packed codes", &[self.codes, self.columns()]);
                rec.dispatch(&PACK_CODES, &all, &[inputs.codebook, packed], self.codes)
                    .constants(&self.constants());
                packed
            }
        };
        let sums = rec.temporary("log sums", &[2, count]);
        let entropies = rec.temporary("entropies", &[count]);
        let losses = rec.temporary("losses", &[count]);
        let q = rec.temporary("q", &[count]);
        let shape = rec.shape(inputs.z).to_vec();
        let z_q = rec.temporary("z_q", &shape);
        let usage = self.training.then(|| rec.temporary("usage", &[self.codes]));
        let (mut kept, mut kept_weights) = (None, None);
        for rows in &chunks {
            let params = self.params(rows);
            let (x, logits) = self.logits(rec, &inputs, (base, packed_codes), &params)?;
            self.scan(rec, &inputs, logits, (sums, q, entropies), &params);
            let rows_of = if self.training {
                let weights = self.weights(rec, &inputs, (logits, sums, q), &params);
                kept_weights = Some(weights);
                over_codes(rec, "drawn", weights, inputs.codebook)?
            } else {
                inputs.codebook
            };
            let tensors = [
                inputs.z,
                base,
                inputs.spread,
                q,
                entropies,
                losses,
                rows_of,
                z_q,
            ];
            rec.dispatch(&UNPACK, &params, &tensors, rows.len())
                .constants(&self.constants());
            if let Some(usage) = usage {
                let blocks = rows.len().div_ceil(256);
                let block = rec.temporary("usage of blocks", &[blocks, self.codes]);
                let tensors = [logits, sums, block];
                rec.dispatch(&SUM_ROWS, &params, &tensors, blocks * self.codes);
                rec.dispatch(&SUM_BLOCKS, &params, &[block, usage], self.codes);
            }
            kept = Some((x, logits));
        }
        let single = chunks.len() == 1;
        let perplexity = usage.map(|usage| {
            let out = rec.scalar("posterior_perplexity");
            rec.dispatch_per_group(&PERPLEXITY, &all, &[usage, out], 1);
            out
        });
        let images = self.vectors.outer as f32;
        let loss = sum::sum(rec, "cmt_loss", losses, 1.0 / images);
        let entropy = sum::sum(rec, "posterior_entropy", entropies, -1.0 / count as f32);
        let variance = self.mean_variance(rec, base, inputs.spread);
        let drawn = Drawn {
            z_q,
            q,
            loss,
            entropy,
            variance,
            perplexity,
            losses,
            entropies,
            kept: kept.filter(|_| single),
            weights: kept_weights.filter(|_| single),
            sums,
            base,
            packed_codes,
        };
        let sources = [
            Some(inputs.z),
            Some(inputs.codebook),
            Some(inputs.spread),
            inputs.log_var,
        ];
        let sources: Vec<Var> = sources.into_iter().flatten().collect();
        rec.mark_derived(z_q, &sources);
        rec.on_backward_root(&sources, move |rec| self.backward(rec, &inputs, &drawn));
        Ok(drawn)
    }
}
