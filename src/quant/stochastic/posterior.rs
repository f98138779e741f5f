//! The posterior of each vector over the codes, what is drawn of it, and the way back.
//!
//! z holds N vectors of F features, C the codes `[K, F]`, s a scalar, B images, T the temperature, lambda the
//! weight of the loss in training:
//!
//! ```text
//! w[n,c] = 1 / (2 (v + e^s))      v: 1, or e^log_var of the mean over each image, each vector, or no mean
//! L[n,k] = -sum_c w[n,c] (z[n,c] - C[k,c])^2           vMF: (1 + e^s) z_n . C_k, both of length 1
//! p = softmax(L)      t = softmax((L + gumbel) / T), in evaluation 1 at the largest L      z_q = t C
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

use std::ops::Range;

use crate::error::{Result, ShapeError};
use crate::gpu::accumulate::add_assign;
use crate::gpu::{GRID, NUMBER, RANDOM, REDUCE, Recorder, Var, kernels, uniform_struct};
use crate::ops::linear::{Bias, Linear};
use crate::ops::sum;
use crate::quant::vectors::{VECTORS, Vectors};
use crate::rng;

/// What the learned variance is one of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Variance {
    /// All vectors have one variance.
    #[serde(rename = "gaussian_1")]
    All,
    /// Each image has its own.
    #[serde(rename = "gaussian_2")]
    Image,
    /// Each vector.
    #[serde(rename = "gaussian_3")]
    Vector,
    /// Each value of each vector.
    #[serde(rename = "gaussian_4")]
    Value,
    /// Directions, drawn from a von Mises-Fisher distribution, in place of points.
    #[serde(rename = "vmf")]
    Directions,
}

impl Variance {
    /// Whether the encoder gives a log-variance for it.
    #[must_use]
    pub fn of_encoder(self) -> bool {
        matches!(self, Self::Image | Self::Vector | Self::Value)
    }
}

uniform_struct! {
    /// Uniform of all entry points.
    struct Params {
        count: u32,
        features: u32,
        positions: u32,
        codes: u32,
        first: u32,
        rows: u32,
        columns: u32,
        parts: u32,
        shared_by: u32,
        scale: f32,
        above: f32,
        stream: u32,
        length: u32,
    }
}

kernels! {
    "stochastic", [GRID, NUMBER, REDUCE, VECTORS, RANDOM],
    step [step: u32, seed_low: u32, seed_high: u32, temperature: f32];
    BASE_OF_ALL = "base_of_all", 1, &[], [Write 3];
    BASE_OF_VECTORS = "base_of_vectors", 64, Params::FIELDS, [Read 2, Write 3];
    BASE_OF_IMAGES = "base_of_images", 256, Params::FIELDS, [Read 2, Write 3];
    PACK = "pack", 64, Params::FIELDS, [Read 1, Read 4, Read 5, Write 6];
    PACK_CODES = "pack_codes", 64, Params::FIELDS, [Read 7, Write 6];
    SCAN = "scan", 64, Params::FIELDS, [Read 8, Write 9];
    SCAN_DRAWN = "scan_drawn", 64, Params::FIELDS, [Read 8, Read 16, Write 9, Step 15];
    COMBINE = "combine", 64, Params::FIELDS, [Write 9, Write 10, Write 11, Write 25];
    DRAW = "draw", 64, Params::FIELDS, [Read 8, Read 16, Read 19, Write 12, Step 15];
    LOOK_UP = "look_up", 64, Params::FIELDS, [Read 7, Read 22, Write 6];
    CHOOSE = "choose", 64, Params::FIELDS, [Read 22, Write 12];
    SUM_ROWS = "sum_rows", 64, Params::FIELDS, [Read 8, Read 19, Write 6];
    SUM_BLOCKS = "sum_blocks", 64, Params::FIELDS, [Read 13, Write 14];
    PERPLEXITY = "perplexity", 256, Params::FIELDS, [Read 13, Write 14];
    UNPACK = "unpack", 64, Params::FIELDS, [Read 1, Read 4, Read 5, Read 13, Read 26, Write 14, Write 27];
    PACK_GRADIENT = "pack_gradient", 64, Params::FIELDS,
        [Read 1, Read 4, Read 5, Read 17, Read 18, Write 6, Write 10];
    DISTRIBUTE_DRAWN = "distribute_drawn", 64, Params::FIELDS, [Read 8, Read 13, Read 19, Read 26, Write 12, Step 15];
    DISTRIBUTE = "distribute", 64, Params::FIELDS, [Read 8, Read 19, Read 26, Write 12];
    UNPACK_GRADIENT = "unpack_gradient", 64, Params::FIELDS,
        [Read 1, Read 4, Read 5, Read 13, Read 17, Write 14, Write 20];
    UNPACK_CODES = "unpack_codes", 64, Params::FIELDS, [Read 7, Read 23, Read 24, Write 14];
    SUM_STRETCHES = "sum_stretches", 256, Params::FIELDS, [Read 21, Write 14];
    BACKWARD_SPREAD = "backward_spread", 256, Params::FIELDS, [Read 5, Read 21, Write 14];
    BACKWARD_LOG_VAR = "backward_log_var", 64, Params::FIELDS, [Read 4, Read 21, Write 14];
    MEAN_VARIANCE = "mean_variance", 256, Params::FIELDS, [Read 5, Read 21, Write 14];
}

/// Numbers of each vector and code that a chunk has, at most: three tensors of 12 MiB on the way back.
pub(crate) const CHUNK: usize = 3 << 20;
/// Invocations that a device is busy with.
const BUSY: usize = 1 << 14;
/// Codes that an invocation scans, at least and at most.
const SCANNED: (usize, usize) = (32, 8192);
/// What is summed by a workgroup where the sums are of no one.
const STRETCH: usize = 4096;

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
    /// The code of the largest probability of each vector `[N]`, integers.
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
    kept: Option<(Var, Var)>,
    entropies: Var,
    stats: Var,
    base: Var,
    packed_codes: Var,
    /// t where one chunk has all rows.
    weights: Option<Var>,
}

impl Drawn {
    /// The logits `[K, N]`, up to what is the same for all codes of a vector, where one chunk has all rows.
    #[must_use]
    pub fn logits(&self) -> Option<Var> {
        self.kept.map(|(_, logits)| logits)
    }
}

/// The sizes, and how the rows are cut.
#[derive(Debug, Clone, Copy)]
pub struct Posterior {
    variance: Variance,
    vectors: Vectors,
    codes: usize,
    /// Images that the loss is a mean over.
    images: usize,
    /// Weight of the loss.
    weight: f32,
    training: bool,
    stream: u32,
    /// Numbers of each vector and code that a chunk has.
    chunk: usize,
}

impl Posterior {
    /// That of `vectors` over `codes` codes, with a loss that is trained with `weight`.
    #[must_use]
    pub fn new(variance: Variance, vectors: Vectors, codes: usize, weight: f32) -> Self {
        Self {
            variance,
            vectors,
            codes,
            images: vectors.outer,
            weight,
            training: false,
            stream: 0,
            chunk: CHUNK,
        }
    }

    /// The same with so many rows at once, for tests.
    #[must_use]
    pub fn in_chunks_of(self, rows: usize) -> Self {
        let chunk = rows * self.codes;
        Self { chunk, ..self }
    }

    fn columns(&self) -> usize {
        let features = self.vectors.features;
        match self.variance {
            Variance::All | Variance::Image | Variance::Vector => features + 1,
            Variance::Value => 2 * features,
            Variance::Directions => features,
        }
    }

    /// Vectors that have one variance.
    fn shared_by(&self) -> usize {
        match self.variance {
            Variance::All | Variance::Directions => self.vectors.count(),
            Variance::Image => self.vectors.positions,
            Variance::Vector | Variance::Value => 1,
        }
    }

    fn chunks(&self) -> Vec<Range<usize>> {
        let count = self.vectors.count();
        let each = (self.chunk / self.codes).clamp(1, count);
        let starts = (0..count).step_by(each);
        starts
            .map(|first| first..(first + each).min(count))
            .collect()
    }

    fn params(&self, rows: &Range<usize>) -> Params {
        let parts = (BUSY / rows.len()).min(self.codes / SCANNED.0);
        Params {
            count: self.vectors.count() as u32,
            features: self.vectors.features as u32,
            positions: self.vectors.positions as u32,
            codes: self.codes as u32,
            first: rows.start as u32,
            rows: rows.len() as u32,
            columns: self.columns() as u32,
            parts: parts.max(self.codes.div_ceil(SCANNED.1)).max(1) as u32,
            shared_by: self.shared_by() as u32,
            scale: self.weight / self.images as f32,
            above: 0.0,
            stream: self.stream,
            length: 0,
        }
    }

    fn constants(&self, given: bool) -> [(&'static str, f64); 3] {
        let flag = |on: bool| f64::from(u8::from(on));
        [
            ("CHANNELS", flag(self.variance == Variance::Value)),
            ("DIRECTIONS", flag(self.variance == Variance::Directions)),
            ("GIVEN", flag(given)),
        ]
    }

    /// The variances that there are: v of each.
    fn bases(&self) -> usize {
        match self.variance {
            Variance::Value => self.vectors.count() * self.vectors.features,
            _ => self.vectors.count().div_ceil(self.shared_by()),
        }
    }

    /// The product of `a` `[K, C]` and the rows of `b` `[R, C]`: `[K, R]`.
    fn product(rec: &mut Recorder<'_>, name: &str, a: Var, b: Var) -> Result<Var> {
        let op = Linear::new(rec.shape(a), rec.shape(b), Bias::Absent)?;
        let shape = [rec.shape(a)[0], rec.shape(b)[0]];
        let out = rec.temporary(name, &shape);
        op.forward(rec, out, a, b, b);
        Ok(out)
    }

    /// The sums over the codes of `weights` `[K, R]` times the rows of `a` `[K, C]`: `[R, C]`.
    fn over_codes(rec: &mut Recorder<'_>, name: &str, weights: Var, a: Var) -> Result<Var> {
        let [rows, columns] = [rec.shape(weights)[1], rec.shape(a)[1]];
        let op = Linear::new(rec.shape(a), &[rows, columns], Bias::Absent)?;
        let out = rec.temporary(name, &[rows, columns]);
        let unused = rec.temporary("no bias", &[rows]);
        op.backward_weight(rec, out, unused, weights, a);
        Ok(out)
    }

    /// The sums over the rows of `weights` `[K, R]` times the rows of `b` `[R, C]`: `[K, C]`.
    fn over_rows(rec: &mut Recorder<'_>, name: &str, weights: Var, b: Var) -> Result<Var> {
        let [codes, columns] = [rec.shape(weights)[0], rec.shape(b)[1]];
        let op = Linear::new(&[codes, columns], rec.shape(b), Bias::Absent)?;
        let out = rec.temporary(name, &[codes, columns]);
        op.backward_input(rec, out, weights, b);
        Ok(out)
    }

    /// Records X and L of a chunk.
    fn logits(
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
            .constants(&self.constants(false));
        Ok((x, Self::product(rec, "logits", packed_codes, x)?))
    }

    /// Records what the softmaxes of a chunk's rows are divided by, the entropies, and the likeliest codes.
    fn scan(
        &self,
        rec: &mut Recorder<'_>,
        inputs: &Inputs,
        logits: Var,
        (stats, q, entropies): (Var, Var, Var),
        params: &Params,
    ) {
        let (rows, parts) = (params.rows as usize, params.parts as usize);
        let partial = rec.temporary("partial", &[6, parts, rows]);
        if self.training {
            let noise = inputs.noise.unwrap_or(inputs.z);
            rec.dispatch(&SCAN_DRAWN, params, &[logits, noise, partial], rows * parts)
                .constants(&self.constants(inputs.noise.is_some()));
        } else {
            rec.dispatch(&SCAN, params, &[logits, partial], rows * parts);
        }
        let tensors = [partial, stats, q, entropies];
        rec.dispatch(&COMBINE, params, &tensors, rows);
    }

    /// Records t of a chunk, drawn in training.
    fn weights(
        &self,
        rec: &mut Recorder<'_>,
        inputs: &Inputs,
        (logits, stats, q): (Var, Var, Var),
        params: &Params,
    ) -> Var {
        let items = params.rows as usize * self.codes;
        let weights = rec.temporary("t", &[self.codes, params.rows as usize]);
        if self.training {
            let noise = inputs.noise.unwrap_or(inputs.z);
            let tensors = [logits, noise, stats, weights];
            rec.dispatch(&DRAW, params, &tensors, items)
                .constants(&self.constants(inputs.noise.is_some()));
        } else {
            rec.dispatch(&CHOOSE, params, &[q, weights], items);
        }
        weights
    }

    fn base(&self, rec: &mut Recorder<'_>, log_var: Option<Var>, params: &Params) -> Result<Var> {
        let base = rec.temporary("v", &[self.bases()]);
        let constants = self.constants(false);
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
                .constants(&constants);
        }
        Ok(base)
    }

    /// Sums of stretches of so many of `values`.
    fn stretches(rec: &mut Recorder<'_>, values: Var, each: usize) -> Var {
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
            .constants(&self.constants(false));
        out
    }

    /// Records it, with its way back to z, the codebook, s and the log-variance.
    ///
    /// # Errors
    /// [`ShapeError`] where the log-variance is missing.
    pub fn record(mut self, rec: &mut Recorder<'_>, inputs: Inputs) -> Result<Drawn> {
        self.training = rec.training();
        self.stream = rng::number_of(&format!("gumbel {}", rec.name(inputs.codebook)));
        let (count, features) = (self.vectors.count(), self.vectors.features);
        let chunks = self.chunks();
        let all = self.params(&(0..count));
        let base = self.base(rec, inputs.log_var, &all)?;
        let packed_codes = match self.variance {
            Variance::Directions => inputs.codebook,
            _ => {
                let packed = rec.temporary("packed codes", &[self.codes, self.columns()]);
                rec.dispatch(&PACK_CODES, &all, &[inputs.codebook, packed], self.codes)
                    .constants(&self.constants(false));
                packed
            }
        };
        let stats = rec.temporary("stats", &[3, count]);
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
            self.scan(rec, &inputs, logits, (stats, q, entropies), &params);
            let drawn = if self.training {
                let weights = self.weights(rec, &inputs, (logits, stats, q), &params);
                kept_weights = Some(weights);
                Self::over_codes(rec, "drawn", weights, inputs.codebook)?
            } else {
                let drawn = rec.temporary("drawn", &[rows.len(), features]);
                let tensors = [inputs.codebook, q, drawn];
                rec.dispatch(&LOOK_UP, &params, &tensors, rows.len() * features);
                drawn
            };
            let tensors = [inputs.z, base, inputs.spread, drawn, entropies, z_q, losses];
            rec.dispatch(&UNPACK, &params, &tensors, rows.len())
                .constants(&self.constants(false));
            if let Some(usage) = usage {
                let blocks = rows.len().div_ceil(256);
                let sums = rec.temporary("sums", &[blocks, self.codes]);
                let tensors = [logits, stats, sums];
                rec.dispatch(&SUM_ROWS, &params, &tensors, blocks * self.codes);
                rec.dispatch(&SUM_BLOCKS, &params, &[sums, usage], self.codes);
            }
            kept = Some((x, logits));
        }
        let single = chunks.len() == 1;
        let perplexity = usage.map(|usage| {
            let out = rec.scalar("posterior_perplexity");
            rec.dispatch_per_group(&PERPLEXITY, &all, &[usage, out], 1);
            out
        });
        let images = self.images as f32;
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
            stats,
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

/// What a sum over chunks has so far.
fn add(rec: &mut Recorder<'_>, sum: &mut Option<Var>, part: Var) {
    match *sum {
        None => *sum = Some(part),
        Some(sum) => add_assign(rec, sum, part),
    }
}

impl Posterior {
    /// The gradients of a chunk: of z and of each variance into `grad_z` and `grad_var`; added to those of the codes,
    /// what each got as a logit's and as what was drawn.
    fn backward_chunk(
        &self,
        rec: &mut Recorder<'_>,
        (inputs, drawn): (&Inputs, &Drawn),
        (grad_z, grad_var): (Var, Var),
        params: &Params,
        [grad_packed, grad_drawn]: &mut [Option<Var>; 2],
    ) -> Result<()> {
        let (rows, features) = (params.rows as usize, self.vectors.features);
        let items = rows * self.codes;
        let constants = self.constants(false);
        let (base, spread, stats) = (drawn.base, inputs.spread, drawn.stats);
        let (x, logits) = match drawn.kept {
            Some(kept) => kept,
            None => self.logits(rec, inputs, (base, drawn.packed_codes), params)?,
        };
        let weights = match drawn.weights {
            Some(weights) => weights,
            None => self.weights(rec, inputs, (logits, stats, drawn.q), params),
        };
        let g = rec.temporary("g", &[rows, features]);
        let upstream = rec.gradient(drawn.z_q);
        let above = Params {
            above: f32::from(u8::from(upstream.is_some())),
            ..*params
        };
        let grad_out = upstream.unwrap_or(drawn.z_q);
        let tensors = [inputs.z, base, spread, drawn.z_q, grad_out, g, stats];
        rec.dispatch(&PACK_GRADIENT, &above, &tensors, rows)
            .constants(&constants);
        let got = Self::over_rows(rec, "grad drawn", weights, g)?;
        add(rec, grad_drawn, got);
        let grad_logits = if self.training {
            let along = Self::product(rec, "g . codes", inputs.codebook, g)?;
            let tensors = [logits, weights, stats, drawn.entropies, along];
            rec.dispatch(&DISTRIBUTE_DRAWN, params, &tensors, items);
            along
        } else {
            let grad = rec.temporary("grad logits", &[self.codes, rows]);
            let tensors = [logits, stats, drawn.entropies, grad];
            rec.dispatch(&DISTRIBUTE, params, &tensors, items);
            grad
        };
        let grad_x = Self::over_codes(rec, "grad x", grad_logits, drawn.packed_codes)?;
        let got = Self::over_rows(rec, "grad packed", grad_logits, x)?;
        add(rec, grad_packed, got);
        let tensors = [inputs.z, base, spread, grad_x, drawn.z_q, grad_z, grad_var];
        rec.dispatch(&UNPACK_GRADIENT, params, &tensors, rows)
            .constants(&constants);
        Ok(())
    }

    fn backward(&self, rec: &mut Recorder<'_>, inputs: &Inputs, drawn: &Drawn) -> Result<()> {
        let count = self.vectors.count();
        let each = match self.variance {
            Variance::Value => self.vectors.features,
            _ => 1,
        };
        let grad_var = rec.temporary("grad variance", &[count * each]);
        let mut of_codes = [None; 2];
        rec.contribute_always(inputs.z, |rec, grad_z| {
            for rows in self.chunks() {
                let params = self.params(&rows);
                let grads = (grad_z, grad_var);
                self.backward_chunk(rec, (inputs, drawn), grads, &params, &mut of_codes)?;
            }
            Ok(())
        })?;
        let all = self.params(&(0..count));
        let constants = self.constants(false);
        if let [Some(grad_packed), Some(grad_drawn)] = of_codes {
            rec.contribute(inputs.codebook, |rec, grad| {
                let tensors = [inputs.codebook, grad_packed, grad_drawn, grad];
                let items = self.codes * self.vectors.features;
                rec.dispatch(&UNPACK_CODES, &all, &tensors, items)
                    .constants(&constants);
                Ok(())
            })?;
        }
        let per_image = self.variance == Variance::Image;
        let stretch = if per_image { self.shared_by() } else { STRETCH };
        let sums = Self::stretches(rec, grad_var, stretch);
        rec.contribute(inputs.spread, |rec, grad| {
            let params = Params {
                length: rec.len(sums) as u32,
                ..Params::default()
            };
            let tensors = [inputs.spread, sums, grad];
            rec.dispatch_per_group(&BACKWARD_SPREAD, &params, &tensors, 1);
            Ok(())
        })?;
        let Some(log_var) = inputs.log_var.filter(|_| self.variance.of_encoder()) else {
            return Ok(());
        };
        rec.contribute(log_var, |rec, grad| {
            let of = if per_image { sums } else { grad_var };
            let tensors = [drawn.base, of, grad];
            rec.dispatch(
                &BACKWARD_LOG_VAR,
                &all,
                &tensors,
                count * self.vectors.features,
            )
            .constants(&constants);
            Ok(())
        })
    }
}
