//! Vectors on a plane: the first two principal components, followed from one call to the next.

/// Rounds of the power iteration. Few are enough, since each call starts where the last one ended.
const ROUNDS: usize = 30;

/// A plane in the space of the vectors that turns smoothly as they change.
///
/// The plane is that of the two largest eigenvalues of the covariance (Pearson 1901), by
/// orthogonal iteration from the last plane; the axes keep their direction as far as they can, so
/// that a picture does not flip between two updates.
#[derive(Debug, Clone, Default)]
pub struct Projection {
    axes: [Vec<f64>; 2],
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Scales `a` to length 1, unless it is zero.
fn normalize(a: &mut [f64]) -> bool {
    let length = dot(a, a).sqrt();
    let positive = length > 1e-12;
    if positive {
        a.iter_mut().for_each(|v| *v /= length);
    }
    positive
}

impl Projection {
    /// `rows` `[N, features]` on the plane of their own covariance, then `others` on the same:
    /// x and y of each, in one unit for both axes, around the mean of `rows`.
    #[must_use]
    pub fn project(&mut self, features: usize, rows: &[f32], others: &[f32]) -> [Vec<f32>; 2] {
        let count = (rows.len() / features.max(1)).max(1) as f64;
        let mut mean = vec![0.0; features];
        for row in rows.chunks_exact(features.max(1)) {
            mean.iter_mut()
                .zip(row)
                .for_each(|(m, v)| *m += f64::from(*v) / count);
        }
        let mut covariance = vec![0.0; features * features];
        for row in rows.chunks_exact(features.max(1)) {
            let x: Vec<f64> = row
                .iter()
                .zip(&mean)
                .map(|(v, m)| f64::from(*v) - m)
                .collect();
            for (i, xi) in x.iter().enumerate() {
                let line = &mut covariance[i * features..(i + 1) * features];
                line.iter_mut()
                    .zip(&x)
                    .for_each(|(c, xj)| *c += xi * xj / count);
            }
        }
        self.follow(&covariance, features);
        let place = |points: &[f32]| {
            let mut out = Vec::with_capacity(2 * points.len() / features.max(1));
            for row in points.chunks_exact(features.max(1)) {
                let x: Vec<f64> = row
                    .iter()
                    .zip(&mean)
                    .map(|(v, m)| f64::from(*v) - m)
                    .collect();
                out.extend(self.axes.iter().map(|axis| dot(axis, &x) as f32));
            }
            out
        };
        [place(rows), place(others)]
    }

    fn follow(&mut self, covariance: &[f64], features: usize) {
        if self.axes[0].len() != features {
            // Any start does that is not orthogonal to the plane.
            let wave = |turn: f64| {
                (0..features)
                    .map(|i| libm::sin(turn * (i + 1) as f64))
                    .collect()
            };
            self.axes = [wave(1.0), wave(2.3)];
        }
        let before = self.axes.clone();
        for _ in 0..ROUNDS {
            for axis in &mut self.axes {
                let lines = covariance.chunks_exact(features);
                let mut next: Vec<f64> = lines.map(|line| dot(line, axis)).collect();
                if normalize(&mut next) {
                    *axis = next;
                }
            }
            let [first, second] = &mut self.axes;
            let along = dot(first, second);
            second
                .iter_mut()
                .zip(first.iter())
                .for_each(|(s, f)| *s -= along * f);
            if !normalize(second) {
                // One dimension only: any second axis is as good.
                second.clone_from(&before[1]);
            }
        }
        for (axis, before) in self.axes.iter_mut().zip(&before) {
            if dot(axis, before) < 0.0 {
                axis.iter_mut().for_each(|v| *v = -*v);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    /// Points with deviations 5 and 2 along the axes 3 and 1 of five, 0.1 along the others.
    fn cloud(turn: f32) -> Vec<f32> {
        let stream = Stream::named(7, "cloud");
        let deviations = [0.1, 2.0, 0.1, 5.0, 0.1];
        let mut points = Vec::new();
        for n in 0..400 {
            let mut row: Vec<f32> = (0..5)
                .map(|f| deviations[f] * stream.normal((5 * n + f) as u32))
                .collect();
            (row[0], row[3]) = (
                row[0] * turn.cos() - row[3] * turn.sin(),
                row[0] * turn.sin() + row[3] * turn.cos(),
            );
            points.extend(row);
        }
        points
    }

    #[test]
    fn the_plane_is_that_of_the_largest_deviations() {
        let points = cloud(0.0);
        let [on_plane, same] = Projection::default().project(5, &points, &points[..10]);
        assert_eq!(same, on_plane[..4]);
        for n in 0..400 {
            let (x, y) = (points[5 * n + 3], points[5 * n + 1]);
            let (px, py) = (on_plane[2 * n].abs(), on_plane[2 * n + 1].abs());
            assert!(
                (px - x.abs()).abs() < 0.5 && (py - y.abs()).abs() < 0.5,
                "{n}: {px} {py}, {x} {y}"
            );
        }
    }

    #[test]
    fn a_small_change_moves_points_little_and_never_flips_them() {
        let mut projection = Projection::default();
        let [mut last, _] = projection.project(5, &cloud(0.0), &[]);
        for step in 1..60 {
            let [next, _] = projection.project(5, &cloud(0.02 * step as f32), &[]);
            let moved = last
                .iter()
                .zip(&next)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(moved < 1.0, "step {step}: {moved}");
            last = next;
        }
    }

    #[test]
    fn no_spread_is_no_error() {
        let [points, _] = Projection::default().project(3, &[1.0; 12], &[]);
        assert!(points.iter().all(|v| v.abs() < 1e-6));
    }
}
