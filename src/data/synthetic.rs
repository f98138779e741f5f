//! The built-in data set: handwriting-like digits of strokes, a function of the seed.
//!
//! Each class is a few curves through control points. An image draws them with jittered points,
//! random size, slant, rotation, position, thickness and ink, then adds noise.

use super::{Dataset, Images};
use crate::rng::Stream;

/// Height and width.
pub const SIZE: usize = 28;
/// Images of the train part.
pub const TRAIN: usize = 8192;
/// Images of the test part.
pub const TEST: usize = 1024;

type Point = (f32, f32);

/// Control points in the unit square, x to the right, y down; one list a stroke.
const GLYPHS: [&[&[Point]]; 10] = [
    &[&[
        (0.5, 0.05),
        (0.2, 0.25),
        (0.15, 0.6),
        (0.4, 0.95),
        (0.75, 0.8),
        (0.85, 0.4),
        (0.65, 0.1),
        (0.5, 0.05),
    ]],
    &[&[(0.3, 0.25), (0.52, 0.05), (0.52, 0.5), (0.5, 0.95)]],
    &[&[
        (0.2, 0.25),
        (0.4, 0.05),
        (0.75, 0.15),
        (0.7, 0.45),
        (0.2, 0.92),
        (0.5, 0.88),
        (0.85, 0.92),
    ]],
    &[&[
        (0.2, 0.12),
        (0.6, 0.05),
        (0.75, 0.25),
        (0.45, 0.45),
        (0.8, 0.65),
        (0.65, 0.92),
        (0.2, 0.88),
    ]],
    &[
        &[(0.55, 0.05), (0.2, 0.6), (0.5, 0.62), (0.88, 0.6)],
        &[(0.65, 0.35), (0.63, 0.65), (0.6, 0.97)],
    ],
    &[
        &[
            (0.3, 0.08),
            (0.28, 0.45),
            (0.6, 0.4),
            (0.82, 0.65),
            (0.6, 0.93),
            (0.2, 0.88),
        ],
        &[(0.3, 0.08), (0.8, 0.07)],
    ],
    &[&[
        (0.7, 0.05),
        (0.3, 0.35),
        (0.2, 0.75),
        (0.5, 0.95),
        (0.78, 0.75),
        (0.55, 0.52),
        (0.24, 0.68),
    ]],
    &[
        &[
            (0.15, 0.1),
            (0.5, 0.1),
            (0.85, 0.1),
            (0.6, 0.5),
            (0.42, 0.95),
        ],
        &[(0.35, 0.52), (0.72, 0.5)],
    ],
    &[&[
        (0.7, 0.15),
        (0.35, 0.08),
        (0.3, 0.35),
        (0.65, 0.55),
        (0.75, 0.85),
        (0.4, 0.95),
        (0.28, 0.7),
        (0.6, 0.45),
        (0.7, 0.15),
    ]],
    &[&[
        (0.75, 0.3),
        (0.45, 0.08),
        (0.25, 0.3),
        (0.45, 0.5),
        (0.75, 0.32),
        (0.72, 0.65),
        (0.6, 0.95),
    ]],
];

/// The built-in set for `seed`: [`TRAIN`] and [`TEST`] images of 28 by 28 grey pixels.
#[must_use]
pub fn glyphs(seed: u64) -> Dataset {
    let part = |name: &str, count: usize| {
        let mut pixels = Vec::with_capacity(count * SIZE * SIZE);
        let mut labels = Vec::with_capacity(count);
        for i in 0..count as u32 {
            let class = (i % 10) as usize;
            draw(
                &mut pixels,
                class,
                &Stream::named(seed, &format!("glyphs {name} {i}")),
            );
            labels.push(class as u8);
        }
        Images {
            shape: [1, SIZE, SIZE],
            pixels,
            labels: Some(labels),
        }
    };
    Dataset::new("built-in glyphs", part("train", TRAIN), part("test", TEST))
}

fn draw(pixels: &mut Vec<u8>, class: usize, random: &Stream) {
    let between = |index: u32, low: f32, high: f32| low + (high - low) * random.uniform(index);
    let (width, height) = (between(0, 12.0, 18.0), between(1, 17.0, 21.0));
    let slant = between(2, -0.35, 0.2);
    let angle = f64::from(between(3, -0.15, 0.15));
    let (sin, cos) = (libm::sin(angle) as f32, libm::cos(angle) as f32);
    let center = (14.0 + between(4, -2.0, 2.0), 14.0 + between(5, -2.0, 2.0));
    let radius = between(6, 0.8, 1.7);
    let ink = between(7, 200.0, 255.0);
    let noise = between(8, 0.0, 10.0);

    let place = |p: &Point, jitter: u32| {
        let x = (p.0 - 0.5 + 0.04 * random.normal(jitter)) * width;
        let y = (p.1 - 0.5 + 0.04 * random.normal(jitter + 1)) * height;
        let x = x - slant * y;
        (center.0 + cos * x - sin * y, center.1 + sin * x + cos * y)
    };
    let mut nearest = [f32::MAX; SIZE * SIZE];
    for (s, stroke) in GLYPHS[class].iter().enumerate() {
        let points: Vec<Point> = stroke
            .iter()
            .enumerate()
            .map(|(i, p)| place(p, 16 + 64 * s as u32 + 2 * i as u32))
            .collect();
        for ends in smooth(&points).windows(2) {
            come_near(&mut nearest, (ends[0], ends[1]), radius + 0.5);
        }
    }
    for (i, nearest) in nearest.iter().enumerate() {
        let cover = (radius + 0.5 - nearest.sqrt()).clamp(0.0, 1.0);
        let grain = noise * random.normal(1000 + i as u32);
        pixels.push((ink * cover + grain).clamp(0.0, 255.0) as u8);
    }
}

fn centre(pixel: usize) -> f32 {
    pixel as f32 + 0.5
}

/// The pixels of a row or column that can lie within `reach` of what lies between `a` and `b`.
fn within(a: f32, b: f32, reach: f32) -> std::ops::Range<usize> {
    let bound = |v: f32| v.clamp(0.0, SIZE as f32) as usize;
    bound((a.min(b) - reach).floor())..bound((a.max(b) + reach).ceil())
}

/// Keeps the least square distance of each pixel to the segments so far. Pixels beyond `reach`, where no ink
/// comes, may be left out.
fn come_near(nearest: &mut [f32; SIZE * SIZE], segment: (Point, Point), reach: f32) {
    let (a, b) = segment;
    for y in within(a.1, b.1, reach) {
        for x in within(a.0, b.0, reach) {
            let distance = square_distance((centre(x), centre(y)), segment);
            let least = &mut nearest[y * SIZE + x];
            *least = least.min(distance);
        }
    }
}

/// A Catmull-Rom spline through `points`, five pieces between neighbours.
fn smooth(points: &[Point]) -> Vec<Point> {
    const PIECES: usize = 5;
    let at = |i: isize| points[i.clamp(0, points.len() as isize - 1) as usize];
    let mut line = Vec::new();
    for i in 0..points.len() as isize - 1 {
        let [a, b, c, d] = [at(i - 1), at(i), at(i + 1), at(i + 2)];
        for piece in 0..PIECES {
            let t = piece as f32 / PIECES as f32;
            let blend = |a: f32, b: f32, c: f32, d: f32| {
                let (linear, square, cube) = (
                    c - a,
                    2.0 * a - 5.0 * b + 4.0 * c - d,
                    3.0 * b - a - 3.0 * c + d,
                );
                b + 0.5 * t * (linear + t * (square + t * cube))
            };
            line.push((blend(a.0, b.0, c.0, d.0), blend(a.1, b.1, c.1, d.1)));
        }
    }
    line.extend(points.last());
    line
}

fn square_distance(p: Point, (a, b): (Point, Point)) -> f32 {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let length = (dx * dx + dy * dy).max(1e-9);
    let t = (((p.0 - a.0) * dx + (p.1 - a.1) * dy) / length).clamp(0.0, 1.0);
    let (ex, ey) = (p.0 - a.0 - t * dx, p.1 - a.1 - t * dy);
    ex * ex + ey * ey
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pixels that a segment leaves out are without ink, whatever their distance.
    #[test]
    fn what_is_left_out_is_out_of_reach() {
        let random = Stream::named(7, "segments");
        for i in 0..400 {
            let coordinate = |j: u32| 40.0 * random.uniform(8 * i + j) - 6.0;
            let segment = (
                (coordinate(0), coordinate(1)),
                (coordinate(2), coordinate(3)),
            );
            let reach = 1.3 + random.uniform(8 * i + 4);
            let mut nearest = [f32::MAX; SIZE * SIZE];
            come_near(&mut nearest, segment, reach);
            for (at, near) in nearest.iter().enumerate() {
                let (x, y) = (centre(at % SIZE), centre(at / SIZE));
                let distance = square_distance((x, y), segment);
                assert!(*near == distance || distance.sqrt() >= reach);
            }
        }
    }

    #[test]
    fn the_set_is_a_function_of_the_seed() {
        let mut first = Vec::new();
        let mut again = Vec::new();
        let mut other = Vec::new();
        draw(&mut first, 3, &Stream::named(1, "a"));
        draw(&mut again, 3, &Stream::named(1, "a"));
        draw(&mut other, 3, &Stream::named(2, "a"));
        assert_eq!(first, again);
        assert_ne!(first, other);
        let ink = first.iter().filter(|p| **p > 128).count();
        assert!((20..300).contains(&ink), "{ink} dark pixels");
    }
}
