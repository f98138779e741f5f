//! The whole layer as plain loops, deliberately naive, on rows `[N, F]`. Written from the mathematics
//! alone; its gradients come from the number type.

use std::collections::BTreeMap;

use semivq::ops::reference::Real;
use semivq::quant::codebook::{CodebookNorm, Distance, Estimator, GammaPolicy};
use semivq::quant::{Norm, VectorQuantConfig, Vectors};

pub type Named<T> = BTreeMap<String, Vec<T>>;
type Rows<T> = Vec<Vec<T>>;

/// What goes into the layer.
pub struct Layer<'a, T> {
    pub config: &'a VectorQuantConfig,
    pub training: bool,
    pub vectors: Vectors,
    /// Parameters and buffers by name.
    pub values: &'a Named<T>,
    /// What the in-place step adds to the codebook for the second look.
    pub step: Option<Vec<f64>>,
}

/// What comes out.
pub struct Outcome<T> {
    pub z: Rows<T>,
    pub z_q: Rows<T>,
    pub out: Rows<T>,
    pub d: Vec<f64>,
    pub q: Vec<usize>,
    /// How much nearer the code is than the second nearest.
    pub margin: f64,
    pub loss: T,
    /// Of the in-place optimiser, with the codes before its step.
    pub inplace_loss: T,
    /// `[F, G]`
    pub scale: Option<Vec<T>>,
    /// Buffers and codebook after the step, where it changes them.
    pub after: Named<f64>,
}

fn c<T: Real>(v: f64) -> T {
    T::of(v)
}

fn sg<T: Real>(v: T) -> T {
    c(v.to_f64())
}

fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    a.iter().zip(b).map(|(a, b)| *a * *b).sum()
}

fn length<T: Real>(a: &[T]) -> T {
    dot(a, a).sqrt()
}

fn times<T: Real>(a: &[T], factor: T) -> Vec<T> {
    a.iter().map(|v| *v * factor).collect()
}

fn unit<T: Real>(row: &[T], eps: f64) -> Vec<T> {
    let l = length(row);
    times(row, c::<T>(1.0) / if l.to_f64() > eps { l } else { c(eps) })
}

fn limited<T: Real>(row: &[T]) -> Vec<T> {
    let l = length(row);
    times(row, c::<T>(l.to_f64().min(10.0)) / (l + c(1e-8)))
}

fn elu<T: Real>(v: T) -> T {
    if v.to_f64() > 0.0 {
        v
    } else {
        v.exp() - c(1.0)
    }
}

fn tanh<T: Real>(v: T) -> T {
    let e = (v + v).exp();
    (e - c(1.0)) / (e + c(1.0))
}

/// Mean and biased variance.
fn moments<T: Real>(values: &[T]) -> (T, T) {
    let n = c(values.len() as f64);
    let mean = values.iter().copied().sum::<T>() / n;
    let squares: T = values.iter().map(|v| (*v - mean) * (*v - mean)).sum();
    (mean, squares / n)
}

impl<T: Real> Layer<'_, T> {
    fn value(&self, name: &str) -> &[T] {
        self.values
            .get(name)
            .unwrap_or_else(|| panic!("the layer has no {name}"))
    }

    fn matrix(&self, name: &str, columns: usize) -> Rows<T> {
        self.value(name)
            .chunks(columns)
            .map(<[T]>::to_vec)
            .collect()
    }

    /// Batch norm of each column; running values into `after`.
    fn batch_norm(&self, x: &mut Rows<T>, name: &str, after: &mut Named<f64>) {
        let (weight, bias) = (
            self.value(&format!("{name}.weight")),
            self.value(&format!("{name}.bias")),
        );
        let (mean_name, var_name) = (
            format!("{name}.running_mean"),
            format!("{name}.running_var"),
        );
        let running = (self.value(&mean_name), self.value(&var_name));
        let (mut means, mut vars) = (Vec::new(), Vec::new());
        for f in 0..weight.len() {
            let column: Vec<T> = x.iter().map(|row| row[f]).collect();
            let n = column.len() as f64;
            let (mean, var) = if self.training {
                moments(&column)
            } else {
                (running.0[f], running.1[f])
            };
            for row in x.iter_mut() {
                row[f] = (row[f] - mean) / (var + c(1e-5)).sqrt() * weight[f] + bias[f];
            }
            means.push(0.9 * running.0[f].to_f64() + 0.1 * mean.to_f64());
            vars.push(0.9 * running.1[f].to_f64() + 0.1 * var.to_f64() * n / (n - 1.0));
        }
        if self.training {
            after.insert(mean_name, means);
            after.insert(var_name, vars);
        }
    }

    fn mlp(&self, mut x: Rows<T>, name: &str, after: &mut Named<f64>) -> Rows<T> {
        for i in 1..=3 {
            let w = self.matrix(&format!("{name}._liner{i}.weight"), x[0].len());
            let bias = self.value(&format!("{name}._liner{i}.bias"));
            let linear = |row: &Vec<T>| -> Vec<T> {
                let outputs = w.iter().zip(bias);
                outputs.map(|(w, b)| dot(row, w) + *b).collect()
            };
            x = x.iter().map(linear).collect();
            self.batch_norm(&mut x, &format!("{name}._norm{i}"), after);
            x = x
                .iter()
                .map(|row| row.iter().map(|v| elu(*v)).collect())
                .collect();
        }
        x
    }

    /// Norm over blocks of vectors and channels that belong together.
    fn group_norm(&self, z: &mut Rows<T>, groups: usize, eps: f64) {
        let (features, positions) = (self.config.feature_size, self.vectors.positions);
        let size = features / groups;
        for image in z.chunks_mut(positions) {
            for g in 0..groups {
                let channels = g * size..(g + 1) * size;
                let block = image.iter().flat_map(|row| row[channels.clone()].to_vec());
                let (mean, var) = moments(&block.collect::<Vec<T>>());
                for row in image.iter_mut() {
                    for v in &mut row[channels.clone()] {
                        *v = (*v - mean) / (var + c(eps)).sqrt();
                    }
                }
            }
        }
    }

    fn normalized(&self, mut z: Rows<T>, after: &mut Named<f64>) -> Rows<T> {
        match self.config.norm {
            Norm::None => {}
            Norm::L2 => z = z.iter().map(|row| unit(row, 1e-6)).collect(),
            Norm::L2c => z = z.iter().map(|row| limited(row)).collect(),
            Norm::Bn => self.batch_norm(&mut z, "norm_layer", after),
            Norm::In => self.group_norm(&mut z, self.config.feature_size, 1e-5),
            Norm::Gn => {
                self.group_norm(&mut z, 32, 1e-6);
                let (w, b) = (
                    self.value("norm_layer.weight"),
                    self.value("norm_layer.bias"),
                );
                for row in &mut z {
                    for (f, v) in row.iter_mut().enumerate() {
                        *v = *v * w[f] + b[f];
                    }
                }
            }
        }
        z
    }

    /// Scale and bias, each `[G][F]`, and C' from them.
    fn transform(&self, z: &Rows<T>, raw: &Rows<T>, after: &mut Named<f64>) -> (Rows<T>, Rows<T>) {
        let (features, groups) = (self.config.feature_size, self.config.affine_groups);
        let lr = f64::from(self.config.affine_lr);
        if !self.config.use_learnable_std && !self.config.using_statistics {
            let scaled = |name: &str, base: f64| -> Rows<T> {
                let rows = self.matrix(&format!("affine_transform.{name}"), features);
                let one = |v: &T| c::<T>(base) + c::<T>(lr) * *v;
                rows.iter().map(|r| r.iter().map(one).collect()).collect()
            };
            return (scaled("scale", 1.0), scaled("bias", 0.0));
        }
        let column = |rows: &[Vec<T>], f: usize| -> (f64, f64) {
            let values: Vec<f64> = rows.iter().map(|row| row[f].to_f64()).collect();
            moments(&values)
        };
        let first =
            self.value("affine_transform.running_statistics_initialized")[0].to_f64() == 0.0;
        let m = if first { 1.0 } else { 0.1 };
        let size = raw.len() / groups;
        let mut running: Vec<Vec<f64>> = Vec::new();
        for (i, name) in ["ze_mean", "ze_var", "c_mean", "c_var"]
            .into_iter()
            .enumerate()
        {
            let name = format!("affine_transform.running_{name}");
            let mut values: Vec<f64> = self.value(&name).iter().map(|v| v.to_f64()).collect();
            if self.training {
                for (at, value) in values.iter_mut().enumerate() {
                    let (g, f) = (at / features, at % features);
                    let of_z = column(z, f);
                    let of_c = column(&raw[g * size..(g + 1) * size], f);
                    let now = [of_z.0, of_z.1, of_c.0, of_c.1][i];
                    *value = m * now + (1.0 - m) * *value;
                }
                after.insert(name, values.clone());
            }
            running.push(values);
        }
        let (mut scale, mut bias) = (Vec::new(), Vec::new());
        for g in 0..groups {
            let at = |f: usize| g * features + f;
            let s: Vec<f64> = (0..features)
                .map(|f| (running[1][at(f)] / (running[3][at(f)] + 1e-8)).sqrt())
                .collect();
            let b = (0..features).map(|f| running[0][at(f)] - s[f] * running[2][at(f)]);
            bias.push(b.map(c).collect::<Vec<T>>());
            scale.push(s.into_iter().map(c).collect::<Vec<T>>());
        }
        if self.config.use_learnable_std {
            let all = [raw.as_slice(), scale.as_slice(), bias.as_slice()].concat();
            let rows = (0..features).map(|f| all.iter().map(|row| row[f]).collect());
            let alpha = self.mlp(rows.collect(), "affine_transform.mlp_std", after);
            scale = (0..groups)
                .map(|g| alpha.iter().map(|row| row[g]).collect())
                .collect();
        }
        (scale, bias)
    }

    fn apply(raw: &Rows<T>, scale: &Rows<T>, bias: &Rows<T>) -> Rows<T> {
        let size = raw.len() / scale.len();
        let row = |(k, row): (usize, &Vec<T>)| {
            let (s, b) = (&scale[k / size], &bias[k / size]);
            (0..row.len()).map(|f| b[f] + s[f] * row[f]).collect()
        };
        raw.iter().enumerate().map(row).collect()
    }

    /// Gamma of each code.
    fn gamma(&self, book: &Rows<T>, after: &mut Named<f64>) -> Rows<T> {
        let features = self.config.feature_size;
        let column = |f: usize| book.iter().map(|row| row[f]).collect::<Vec<T>>();
        if self.config.gamma_policy == GammaPolicy::Default {
            let rows = (0..features).map(column).collect();
            let gamma = self.mlp(rows, "gamma_learner._layer", after);
            let row: Vec<T> = gamma.iter().map(|g| g[0]).collect();
            return vec![row; book.len()];
        }
        let [w, b, v, e] = ["0.weight", "0.bias", "2.weight", "2.bias"]
            .map(|name| self.value(&format!("gamma_learner._layer.{name}")));
        let relu = |u: T| if u.to_f64() > 0.0 { u } else { c(0.0) };
        let stats: Vec<(T, T)> = (0..features).map(|f| moments(&column(f))).collect();
        let one = |row: &Vec<T>| -> Vec<T> {
            let of = |f: usize| {
                let column = [stats[f].0, row[f], stats[f].1];
                let hidden =
                    |i: usize| relu(w[2 * f] * column[i] + w[2 * f + 1] * column[i + 1] + b[f]);
                v[2 * f] * hidden(0) + v[2 * f + 1] * hidden(1) + e[f]
            };
            (0..features).map(of).collect()
        };
        book.iter().map(one).collect()
    }

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
        let (q, d, margin) = self.search(&z, &book);
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
        if let Some(step) = &self.step {
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
        if self.training {
            let counts = |k: usize| q.iter().filter(|code| **code == k).count() as f64;
            let mut codebook = stored.clone();
            if let Some(step) = &self.step {
                codebook = codebook.iter().zip(step).map(|(v, s)| v + s).collect();
            }
            if let Some(decay) = config.ema_decay {
                let (decay, codes) = (f64::from(decay), config.num_codes as f64);
                let new = |k: usize| decay + (1.0 - decay) * counts(k);
                let total: f64 = (0..config.num_codes).map(new).sum();
                for (at, value) in codebook.iter_mut().enumerate() {
                    let (k, f) = (at / config.feature_size, at % config.feature_size);
                    let mine = q.iter().zip(&z).filter(|(code, _)| **code == k);
                    let sum: f64 = mine.map(|(_, z)| z[f].to_f64()).sum();
                    let size = (new(k) + 1e-5) / (total + codes * 1e-5) * total;
                    *value = (decay * *value + (1.0 - decay) * sum) / size;
                }
            }
            after.insert("codebook.weight".into(), codebook);
        }
        Outcome {
            z,
            z_q,
            out,
            d,
            q,
            margin,
            loss,
            inplace_loss,
            scale: transform.map(|(scale, _)| {
                let features = 0..config.feature_size;
                features
                    .flat_map(|f| scale.iter().map(move |row| row[f]))
                    .collect()
            }),
            after,
        }
    }

    /// Codes, distances, and the least lead over the second nearest code.
    fn search(&self, z: &Rows<T>, book: &Rows<T>) -> (Vec<usize>, Vec<f64>, f64) {
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
        let (mut q, mut d, mut margin) = (Vec::new(), Vec::new(), f64::INFINITY);
        for row in z {
            let all: Vec<f64> = book.iter().map(|code| distance(row, code)).collect();
            let mut best = 0;
            for k in 1..all.len() {
                if all[k] < all[best] {
                    best = k;
                }
            }
            for (k, other) in all.iter().enumerate() {
                if k != best {
                    margin = margin.min(other - all[best]);
                }
            }
            q.push(best);
            d.push(all[best]);
        }
        (q, d, margin)
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
        let (mut q, mut d, mut margin) = (Vec::new(), Vec::new(), f64::INFINITY);
        let mut rounded = Vec::new();
        for row in project(&z, "project_in", levels.len()) {
            let (mut code, mut basis, mut squares) = (0, 1, 0.0);
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
            rounded.push(values);
        }
        let out = project(&rounded, "project_out", self.config.feature_size);
        Outcome {
            z,
            z_q: out.clone(),
            out,
            d,
            q,
            margin,
            loss: c(0.0),
            inplace_loss: c(0.0),
            scale: None,
            after,
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
