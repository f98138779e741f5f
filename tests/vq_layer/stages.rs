//! The stages of the reference before the search: the norm of z, scale and bias of the codebook, gamma.

use semivq::ops::reference::Real;
use semivq::quant::Norm;
use semivq::quant::codebook::GammaPolicy;

use super::numbers::{c, dot, elu, limited, moments, unit};
use super::{Layer, Named, Rows};

impl<T: Real> Layer<'_, T> {
    pub(super) fn value(&self, name: &str) -> &[T] {
        self.values
            .get(name)
            .unwrap_or_else(|| panic!("the layer has no {name}"))
    }

    pub(super) fn matrix(&self, name: &str, columns: usize) -> Rows<T> {
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

    pub(super) fn normalized(&self, mut z: Rows<T>, after: &mut Named<f64>) -> Rows<T> {
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
    pub(super) fn transform(
        &self,
        z: &Rows<T>,
        raw: &Rows<T>,
        after: &mut Named<f64>,
    ) -> (Rows<T>, Rows<T>) {
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
        if self.training {
            let name = "affine_transform.running_statistics_initialized";
            after.insert(name.into(), vec![1.0]);
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

    pub(super) fn apply(raw: &Rows<T>, scale: &Rows<T>, bias: &Rows<T>) -> Rows<T> {
        let size = raw.len() / scale.len();
        let row = |(k, row): (usize, &Vec<T>)| {
            let (s, b) = (&scale[k / size], &bias[k / size]);
            (0..row.len()).map(|f| b[f] + s[f] * row[f]).collect()
        };
        raw.iter().enumerate().map(row).collect()
    }

    /// Gamma of each code.
    pub(super) fn gamma(&self, book: &Rows<T>, after: &mut Named<f64>) -> Rows<T> {
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
}
