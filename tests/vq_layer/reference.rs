//! The whole layer as plain loops, deliberately naive, on rows `[N, F]`. Written from the mathematics
//! alone; its gradients come from the number type.

use std::collections::BTreeMap;

mod numbers;
mod stages;

use numbers::{c, dot, length, limited, sg, tanh, unit};
use semivq::ops::reference::Real;
use semivq::quant::codebook::{CodebookNorm, Distance, Estimator};
use semivq::quant::{VectorQuantConfig, Vectors};

pub type Named<T> = BTreeMap<String, Vec<T>>;
type Rows<T> = Vec<Vec<T>>;

/// What goes into the layer.
pub struct Layer<'a, T> {
    pub config: &'a VectorQuantConfig,
    pub training: bool,
    pub vectors: Vectors,
    /// Parameters and buffers by name.
    pub values: &'a Named<T>,
    /// Of the in-place step, after it; what is left of the layer sees the codebook that it has moved.
    pub velocity: Option<Vec<f64>>,
}

/// What comes out.
pub struct Outcome<T> {
    pub z: Rows<T>,
    pub z_q: Rows<T>,
    pub out: Rows<T>,
    pub d: Vec<f64>,
    pub q: Vec<usize>,
    /// How much nearer each vector's code is than the second nearest.
    pub margins: Vec<f64>,
    pub loss: T,
    /// Of the in-place optimiser, with the codes before its step.
    pub inplace_loss: T,
    /// `[F, G]`
    pub scale: Option<Vec<T>>,
    /// Buffers and codebook after the step, where it changes them; but for the rows of codes that are due.
    pub after: Named<f64>,
    /// Codes that the step replaces.
    pub due: Vec<bool>,
}

impl<T: Real> Layer<'_, T> {
    /// The layer on the rows of z.
    pub fn run(&self, z: Rows<T>) -> Outcome<T> {
        let config = self.config;
        let mut after = Named::new();
        let z = self.normalized(z, &mut after);
        if let Some(levels) = &config.fsq_levels {
            return self.round(z, levels, after);
        }
        let mut raw = self.matrix("codebook.weight", config.feature_size);
        // The norm of the codebook has no gradient: what is rewritten is what is differentiated by.
        raw = raw
            .iter()
            .map(|row| {
                let wide: Vec<f64> = row.iter().map(|v| v.to_f64()).collect();
                let normed = match config.cb_norm {
                    CodebookNorm::None => return row.clone(),
                    CodebookNorm::L2 => limited(&wide),
                    CodebookNorm::L2c => unit(&wide, 1e-8),
                };
                let pairs = row.iter().zip(normed);
                pairs.map(|(v, new)| *v + c(new - v.to_f64())).collect()
            })
            .collect();
        let stored: Vec<f64> = raw.iter().flatten().map(|v| v.to_f64()).collect();
        if config.simvq {
            let w = self.matrix("codebook_transform.weight", config.feature_size);
            let map = |row: &Vec<T>| w.iter().map(|w| dot(w, row)).collect();
            raw = raw.iter().map(map).collect();
        }
        let transform = config
            .affine()
            .then(|| self.transform(&z, &raw, &mut after));
        let effective_of = |raw: &Rows<T>| match &transform {
            Some((scale, bias)) => Self::apply(raw, scale, bias),
            None => raw.clone(),
        };
        let book = effective_of(&raw);
        let gamma = config
            .use_learnable_gamma
            .then(|| self.gamma(&book, &mut after));
        let offset = |book: &Rows<T>| -> Rows<T> {
            let Some(gamma) = &gamma else {
                return book.clone();
            };
            let rows = book.iter().zip(gamma);
            rows.map(|(c, g)| c.iter().zip(g).map(|(c, g)| *c + *g).collect())
                .collect()
        };
        let (q, d, margins) = self.search(&z, &book);
        let pick = |table: &Rows<T>| q.iter().map(|k| table[*k].clone()).collect::<Rows<T>>();
        let mean_square = |a: &Rows<T>, b: &Rows<T>| -> T {
            let pairs = a.iter().flatten().zip(b.iter().flatten());
            let sum: T = pairs.map(|(a, b)| (*a - *b) * (*a - *b)).sum();
            sum / c((a.len() * config.feature_size) as f64)
        };
        let still = |rows: &Rows<T>| -> Rows<T> {
            rows.iter()
                .map(|row| row.iter().map(|v| sg(*v)).collect())
                .collect()
        };
        let first = pick(&offset(&book));
        let inplace_loss = mean_square(&first, &still(&z));
        let mut z_q = first;
        let step = self.step();
        if let Some(step) = &step {
            let moved: Rows<T> = raw
                .iter()
                .zip(step.chunks(config.feature_size))
                .map(|(row, step)| row.iter().zip(step).map(|(v, s)| *v + c(*s)).collect())
                .collect();
            z_q = pick(&offset(&effective_of(&moved)));
        }
        let (a, b) = match config.dist {
            Distance::Euclidean => (z.clone(), z_q.clone()),
            Distance::Cosine => {
                let units = |rows: &Rows<T>| rows.iter().map(|row| unit(row, 1e-12)).collect();
                (units(&z), units(&z_q))
            }
        };
        let beta = f64::from(config.beta);
        let loss = c::<T>(1.0 - beta) * mean_square(&a, &still(&b))
            + c::<T>(beta) * mean_square(&still(&a), &b);
        let nu = c::<T>(f64::from(config.sync_nu));
        let out = z.iter().zip(&z_q).map(|(z, z_q)| {
            let through = match config.estimator {
                Estimator::StraightThrough => z.clone(),
                Estimator::Rotation => rotated(z, z_q),
            };
            let values = through.into_iter().zip(z_q);
            values
                .map(|(t, z_q)| t + (sg(*z_q) - sg(t)) + nu * *z_q - sg(nu * *z_q))
                .collect()
        });
        let out = out.collect();
        let due = if self.training {
            let mut codebook = stored;
            if let Some(step) = &step {
                codebook = codebook.iter().zip(step).map(|(v, s)| v + s).collect();
            }
            self.moved(codebook, &z, &q, &mut after)
        } else {
            Vec::new()
        };
        Outcome {
            z,
            z_q,
            out,
            d,
            q,
            margins,
            loss,
            inplace_loss,
            scale: transform.map(|(scale, _)| {
                let features = 0..config.feature_size;
                features
                    .flat_map(|f| scale.iter().map(move |row| row[f]))
                    .collect()
            }),
            after,
            due,
        }
    }

    /// What the in-place step adds to the codebook.
    fn step(&self) -> Option<Vec<f64>> {
        let lr = f64::from(self.config.inplace_optimizer?.0);
        let velocity = self.velocity.as_ref()?;
        Some(velocity.iter().map(|v| -lr * v).collect())
    }

    /// A state's values before this step; `fresh` in the first one.
    pub fn state(&self, name: &str, len: usize, fresh: f64) -> Vec<f64> {
        let found = self.values.get(name);
        found.map_or(vec![fresh; len], |v| v.iter().map(|v| v.to_f64()).collect())
    }

    /// What follows the backward pass: the moving average, the countdowns. Returns which codes are replaced.
    pub fn moved(
        &self,
        mut codebook: Vec<f64>,
        z: &Rows<T>,
        q: &[usize],
        after: &mut Named<f64>,
    ) -> Vec<bool> {
        let (codes, features) = (self.config.num_codes, self.config.feature_size);
        let count = |k: usize| q.iter().filter(|code| **code == k).count() as f64;
        let mut sizes = self.state("cluster_size", codes, 1.0);
        if let Some(decay) = self.config.ema_decay {
            let decay = f64::from(decay);
            let smooth = |sizes: &[f64]| -> Vec<f64> {
                let total: f64 = sizes.iter().sum();
                let one = |n: &f64| (n + 1e-5) / (total + codes as f64 * 1e-5) * total;
                sizes.iter().map(one).collect()
            };
            let before = smooth(&sizes);
            for (k, size) in sizes.iter_mut().enumerate() {
                *size = decay * *size + (1.0 - decay) * count(k);
            }
            let now = smooth(&sizes);
            for (at, value) in codebook.iter_mut().enumerate() {
                let (k, f) = (at / features, at % features);
                let mine = q.iter().zip(z).filter(|(code, _)| **code == k);
                let sum: f64 = mine.map(|(_, z)| z[f].to_f64()).sum();
                *value = (decay * *value * before[k] + (1.0 - decay) * sum) / now[k];
            }
        }
        let patience = self.config.replace_freq as f64;
        let mut due = vec![false; codes];
        if patience > 0.0 {
            let mut left = self.state("countdown", codes, patience);
            for (k, left) in left.iter_mut().enumerate() {
                *left = if count(k) > 0.0 {
                    patience
                } else {
                    *left - 1.0
                };
                if *left <= 0.0 {
                    (*left, due[k], sizes[k]) = (patience, true, 1.0);
                }
            }
            after.insert("countdown".into(), left);
        }
        let below = f64::from(self.config.replace_below);
        if below > 0.0 {
            for (k, size) in sizes.iter_mut().enumerate() {
                if self.config.ema_decay.is_none() {
                    *size = 0.8 * *size + 0.2 * count(k);
                }
                if *size < below {
                    (*size, due[k]) = (below, true);
                }
            }
        }
        if self.config.ema_decay.is_some() || below > 0.0 {
            after.insert("cluster_size".into(), sizes);
        }
        if let Some(velocity) = &self.velocity {
            after.insert("velocity".into(), velocity.clone());
        }
        after.insert("codebook.weight".into(), codebook);
        due
    }

    /// Codes, distances, and each one's lead over the second nearest code.
    fn search(&self, z: &Rows<T>, book: &Rows<T>) -> (Vec<usize>, Vec<f64>, Vec<f64>) {
        let cosine = self.config.dist == Distance::Cosine;
        let distance = |a: &[T], b: &[T]| -> f64 {
            let wide = |v: &[T]| v.iter().map(|v| v.to_f64()).collect::<Vec<f64>>();
            let (mut a, mut b) = (wide(a), wide(b));
            if cosine {
                (a, b) = (unit(&a, 1e-12), unit(&b, 1e-12));
            }
            let e: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
            if cosine {
                0.5 * dot(&e, &e)
            } else {
                length(&e)
            }
        };
        let (mut q, mut d, mut margins) = (Vec::new(), Vec::new(), Vec::new());
        for row in z {
            let all: Vec<f64> = book.iter().map(|code| distance(row, code)).collect();
            let mut best = 0;
            for k in 1..all.len() {
                if all[k] < all[best] {
                    best = k;
                }
            }
            let mut margin = f64::INFINITY;
            for (k, other) in all.iter().enumerate() {
                if k != best {
                    margin = margin.min(other - all[best]);
                }
            }
            q.push(best);
            d.push(all[best]);
            margins.push(margin);
        }
        (q, d, margins)
    }

    /// Finite scalar quantisation.
    fn round(&self, z: Rows<T>, levels: &[usize], after: Named<f64>) -> Outcome<T> {
        let project = |rows: &Rows<T>, name: &str, outputs: usize| -> Rows<T> {
            let inputs = rows[0].len();
            if inputs == outputs {
                return rows.clone();
            }
            let w = self.matrix(&format!("{name}.weight"), inputs);
            let b = self.value(&format!("{name}.bias"));
            let row = |row: &Vec<T>| (0..outputs).map(|o| dot(&w[o], row) + b[o]).collect();
            rows.iter().map(row).collect()
        };
        let (mut q, mut d, mut margins) = (Vec::new(), Vec::new(), Vec::new());
        let mut rounded = Vec::new();
        for row in project(&z, "project_in", levels.len()) {
            let (mut code, mut basis, mut squares) = (0, 1, 0.0);
            let mut margin = f64::INFINITY;
            let mut values = Vec::new();
            for (v, levels) in row.into_iter().zip(levels) {
                let half_width = (levels / 2) as f64;
                let height = (*levels - 1) as f64 * 1.001 / 2.0;
                let offset = if levels % 2 == 0 { 0.5 } else { 0.0 };
                let shift: f64 = (offset / height).atanh();
                let bounded = tanh(v + c(shift)) * c(height) - c(offset);
                let nearest = bounded.to_f64().round_ties_even();
                margin = margin.min(0.5 - (bounded.to_f64() - nearest).abs());
                squares += ((bounded.to_f64() - nearest) / half_width).powi(2);
                values.push((bounded + c(nearest - bounded.to_f64())) / c(half_width));
                code += (nearest + half_width) as usize * basis;
                basis *= levels;
            }
            q.push(code);
            d.push(squares.sqrt());
            margins.push(margin);
            rounded.push(values);
        }
        let out = project(&rounded, "project_out", self.config.feature_size);
        Outcome {
            z,
            z_q: out.clone(),
            out,
            d,
            q,
            margins,
            loss: c(0.0),
            inplace_loss: c(0.0),
            scale: None,
            after,
            due: Vec::new(),
        }
    }
}

/// z turned and scaled to z_q, both of which are held constant in how.
fn rotated<T: Real>(z: &[T], z_q: &[T]) -> Vec<T> {
    let constant = |row: &[T]| row.iter().map(|v| sg(*v)).collect::<Vec<T>>();
    let (still, target) = (constant(z), constant(z_q));
    let u = unit(&still, 1e-6);
    let v = unit(&target, 1e-6);
    let sum: Vec<T> = u.iter().zip(&v).map(|(a, b)| *a + *b).collect();
    let r = unit(&sum, 1e-12);
    let factor = length(&target) / length(&still);
    let (along_r, along_u) = (dot(z, &r), dot(z, &u));
    let two = c::<T>(2.0);
    (0..z.len())
        .map(|f| factor * (z[f] - two * r[f] * along_r + two * v[f] * along_u))
        .collect()
}
