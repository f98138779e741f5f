//! The sizes of a posterior, and how its rows are cut.

use std::ops::Range;

use super::variance::Variance;
use crate::gpu::uniform_struct;
use crate::quant::vectors::Vectors;

uniform_struct! {
    /// Uniform of all entry points.
    pub(super) struct Params {
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

/// Numbers of each vector and code that a chunk has, at most: three tensors of 7 MiB on the way back.
pub(crate) const CHUNK: usize = 7 << 18;
/// Invocations that a device is busy with.
const BUSY: usize = 1 << 14;
/// Codes that an invocation scans, at least and at most.
const SCANNED: (usize, usize) = (32, 8192);
pub(super) fn flag(on: bool) -> f64 {
    f64::from(u8::from(on))
}

/// The sizes, and how the rows are cut.
#[derive(Debug, Clone, Copy)]
pub struct Posterior {
    pub(super) variance: Variance,
    pub(super) vectors: Vectors,
    pub(super) codes: usize,
    /// Weight of the loss.
    weight: f32,
    pub(super) training: bool,
    pub(super) stream: u32,
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

    pub(super) fn columns(&self) -> usize {
        let features = self.vectors.features;
        match self.variance {
            Variance::All | Variance::Image | Variance::Vector => features + 1,
            Variance::Value => 2 * features,
            Variance::Directions => features,
        }
    }

    /// Vectors that have one variance.
    pub(super) fn shared_by(&self) -> usize {
        match self.variance {
            Variance::All | Variance::Directions => self.vectors.count(),
            Variance::Image => self.vectors.positions,
            Variance::Vector | Variance::Value => 1,
        }
    }

    pub(super) fn chunks(&self) -> Vec<Range<usize>> {
        let count = self.vectors.count();
        let each = (self.chunk / self.codes).clamp(1, count);
        let starts = (0..count).step_by(each);
        starts
            .map(|first| first..(first + each).min(count))
            .collect()
    }

    pub(super) fn params(&self, rows: &Range<usize>) -> Params {
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
            scale: self.weight / self.vectors.outer as f32,
            above: 0.0,
            stream: self.stream,
            length: 0,
        }
    }

    pub(super) fn constants(&self) -> [(&'static str, f64); 3] {
        [
            ("CHANNELS", flag(self.variance == Variance::Value)),
            ("DIRECTIONS", flag(self.variance == Variance::Directions)),
            ("DRAWN", flag(self.training)),
        ]
    }

    /// The variances that there are: v of each.
    pub(super) fn bases(&self) -> usize {
        match self.variance {
            Variance::Value => self.vectors.count() * self.vectors.features,
            _ => self.vectors.count().div_ceil(self.shared_by()),
        }
    }
}
