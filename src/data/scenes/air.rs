//! The random numbers of a scene, its light and its air.

use super::canvas::{Rgb, blend, lit, mix};
use crate::rng::Stream;

pub(super) const MEADOW: usize = 0;
pub(super) const SEA: usize = 1;
pub(super) const DESERT: usize = 2;
pub(super) const WINTER: usize = 3;
pub(super) const TOWN: usize = 4;

/// The random numbers of a scene, each taken once.
pub(super) struct Draws {
    stream: Stream,
    next: std::cell::Cell<u32>,
    /// Of the textures.
    pub key: u32,
}

impl Draws {
    pub fn new(stream: &Stream, image: usize) -> Self {
        let [a, b, c, key] = stream.words(image as u32);
        Self {
            stream: Stream::new(u64::from(a) | u64::from(b) << 32, c),
            next: std::cell::Cell::new(0),
            key,
        }
    }

    /// In [0, 1).
    pub fn unit(&self) -> f32 {
        let index = self.next.get();
        self.next.set(index + 1);
        self.stream.uniform(index)
    }

    pub fn between(&self, low: f32, high: f32) -> f32 {
        mix(low, high, self.unit())
    }

    /// A whole number below `count`.
    pub fn below(&self, count: usize) -> usize {
        ((self.unit() * count as f32) as usize).min(count - 1)
    }

    pub fn chance(&self, share: f32) -> bool {
        self.unit() < share
    }

    pub fn of<T: Copy>(&self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// `color`, each channel a little off.
    pub fn near(&self, color: Rgb) -> Rgb {
        color.map(|v| (v + self.between(-0.06, 0.06)).clamp(0.0, 1.0))
    }
}

/// Light and air of a scene.
pub(super) struct Air {
    /// At the upper edge, and at the horizon.
    pub sky: [Rgb; 2],
    pub sun: Rgb,
    /// How bright things are, and how much of the horizon's colour they take.
    pub light: f32,
    pub tint: f32,
    pub night: bool,
}

impl Air {
    pub fn new(draws: &Draws) -> Self {
        // Day, day, morning, evening, overcast, night: upper sky, horizon, sun, light, tint.
        const KINDS: [(Rgb, Rgb, Rgb, f32, f32); 6] = [
            (
                [0.16, 0.42, 0.86],
                [0.70, 0.86, 0.97],
                [1.0, 0.97, 0.80],
                1.0,
                0.05,
            ),
            (
                [0.30, 0.62, 0.94],
                [0.88, 0.94, 0.97],
                [1.0, 0.98, 0.88],
                1.05,
                0.05,
            ),
            (
                [0.50, 0.60, 0.86],
                [0.99, 0.80, 0.72],
                [1.0, 0.90, 0.72],
                0.95,
                0.16,
            ),
            (
                [0.29, 0.20, 0.50],
                [0.99, 0.53, 0.25],
                [1.0, 0.76, 0.38],
                0.78,
                0.24,
            ),
            (
                [0.55, 0.60, 0.66],
                [0.80, 0.82, 0.83],
                [0.92, 0.92, 0.90],
                0.82,
                0.14,
            ),
            (
                [0.02, 0.03, 0.13],
                [0.13, 0.17, 0.36],
                [0.95, 0.95, 0.84],
                0.40,
                0.22,
            ),
        ];
        let kind = draws.below(KINDS.len());
        let (top, low, sun, light, tint) = KINDS[kind];
        Self {
            sky: [draws.near(top), draws.near(low)],
            sun,
            light,
            tint,
            night: kind == KINDS.len() - 1,
        }
    }

    /// `color` in this light, `far` (0 to 1) of it lost in the air.
    pub fn on(&self, color: Rgb, far: f32) -> Rgb {
        let color = blend(lit(color, self.light), self.sky[1], self.tint);
        blend(color, self.sky[1], far)
    }
}
