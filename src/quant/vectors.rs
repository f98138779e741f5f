//! How vectors lie in a tensor.

use crate::error::ShapeError;

/// The fragment with `element`, the twin of [`Vectors::index`].
pub(crate) const VECTORS: (&str, &str) = (
    "lib/vectors.wgsl",
    include_str!("../../shaders/lib/vectors.wgsl"),
);

/// How the vectors lie in z: `[outer, F, positions]`, the features on their axis. Vector n is
/// `z[n / positions, :, n % positions]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vectors {
    /// Product of the axes before the features.
    pub outer: usize,
    /// F
    pub features: usize,
    /// Product of the axes behind the features.
    pub positions: usize,
}

impl Vectors {
    /// The vectors of a tensor of `shape` whose features lie on axis `dim`.
    ///
    /// # Errors
    /// [`ShapeError`] when that axis does not exist or has another length, or there is no vector.
    pub fn new(shape: &[usize], dim: usize, features: usize) -> Result<Self, ShapeError> {
        if shape.get(dim) != Some(&features) || shape.contains(&0) {
            let message = format!("z {shape:?} must have {features} features on axis {dim}");
            return Err(ShapeError::new("vector_quant", message));
        }
        Ok(Self {
            outer: shape[..dim].iter().product(),
            features,
            positions: shape[dim + 1..].iter().product(),
        })
    }

    /// The rows of a matrix `[N, F]`.
    ///
    /// # Panics
    /// When `shape` is no matrix's.
    #[must_use]
    pub fn rows(shape: &[usize]) -> Self {
        let &[outer, features] = shape else {
            panic!("{shape:?} is no matrix");
        };
        Self {
            outer,
            features,
            positions: 1,
        }
    }

    /// N
    #[must_use]
    pub fn count(&self) -> usize {
        self.outer * self.positions
    }

    /// The vectors of `values`, which lie so, as rows `[N, F]`.
    #[must_use]
    pub fn rows_of(&self, values: &[f32]) -> Vec<f32> {
        let places = (0..self.count()).flat_map(|n| (0..self.features).map(move |f| (n, f)));
        places.map(|(n, f)| values[self.index(n, f)]).collect()
    }

    /// Index in z of feature `f` of vector `n`.
    #[must_use]
    pub fn index(&self, n: usize, f: usize) -> usize {
        (n / self.positions * self.features + f) * self.positions + n % self.positions
    }
}
