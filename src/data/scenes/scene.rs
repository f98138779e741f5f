//! A scene, from far to near.

use super::air::{Air, DESERT, Draws, MEADOW, SEA, TOWN, WINTER};
use super::canvas::{Canvas, Paint, Rgb, Shape, blend, lit, mix, noise, smooth};
use super::things;
use crate::data::{Dataset, Images};
use crate::rng::Stream;

/// Heights and widths that scenes are drawn in.
pub const SIZES: [usize; 2] = [32, 64];
/// What the ground of each class is.
pub const CLASSES: [&str; 5] = ["meadow", "sea", "desert", "winter", "town"];
/// Images of the train part.
pub const TRAIN: usize = 8192;
/// Images of the test part.
pub const TEST: usize = 1024;

/// The built-in scenes for `seed`: [`TRAIN`] and [`TEST`] images of `size` by `size` pixels in colour.
#[must_use]
pub fn scenes(seed: u64, size: usize) -> Dataset {
    let part = |name: &str, count: usize| {
        let mut pixels = Vec::with_capacity(count * 3 * size * size);
        let stream = Stream::named(seed, &format!("scenes {name}"));
        for i in 0..count {
            draw(
                &mut pixels,
                size,
                i % CLASSES.len(),
                &Draws::new(&stream, i),
            );
        }
        Images {
            shape: [3, size, size],
            pixels,
            labels: Some((0..count).map(|i| (i % CLASSES.len()) as u8).collect()),
        }
    };
    Dataset::new("built-in scenes", part("train", TRAIN), part("test", TEST))
}

fn draw(out: &mut Vec<u8>, size: usize, class: usize, draws: &Draws) {
    let mut canvas = Canvas::new(size, draws.key);
    let air = Air::new(draws);
    let horizon = draws.between(0.42, 0.66);
    let sun = (draws.between(0.1, 0.9), horizon * draws.between(0.15, 0.85));
    let away = ((sun.0 - 0.5), (sun.1 - 0.8));
    let length = (away.0 * away.0 + away.1 * away.1).sqrt().max(0.1);
    canvas.light = (away.0 / length, away.1 / length);
    sky(&mut canvas, &air, horizon, sun, draws);
    ridges(&mut canvas, &air, horizon, class, draws);
    ground(&mut canvas, &air, horizon, class, sun, draws);
    things::place(&mut canvas, &air, horizon, class, draws);
    canvas.write(out);
}

/// Gradient, stars, sun or moon with its glow, clouds.
fn sky(canvas: &mut Canvas, air: &Air, horizon: f32, sun: (f32, f32), draws: &Draws) {
    let glow = draws.between(0.15, 0.4);
    let reach = draws.between(0.2, 0.45);
    for j in 0..canvas.size {
        let y = canvas.at(j);
        let row = blend(air.sky[0], air.sky[1], smooth(0.0, 1.0, y / horizon));
        for i in 0..canvas.size {
            let (dx, dy) = (canvas.at(i) - sun.0, y - sun.1);
            let near = (1.0 - (dx * dx + dy * dy).sqrt() / reach).max(0.0);
            *canvas.pixel(i, j) = blend(row, air.sun, glow * near * near);
        }
    }
    if air.night {
        for _ in 0..draws.below(14) {
            let (i, j) = (draws.below(canvas.size), draws.below(canvas.size / 2));
            *canvas.pixel(i, j) = lit([1.0, 1.0, 0.92], draws.between(0.5, 1.0));
        }
    }
    if draws.chance(0.75) {
        let radius = draws.between(0.035, 0.085);
        let disc = Shape::Ellipse(sun, (radius, radius));
        canvas.fill(disc, Paint::plain(air.sun));
        if air.night && draws.chance(0.6) {
            // The moon's dark side.
            let side = (sun.0 + 0.55 * radius, sun.1 - 0.15 * radius);
            let dark = Shape::Ellipse(side, (0.9 * radius, 0.9 * radius));
            canvas.fill(
                dark,
                Paint::plain(blend(air.sky[0], air.sky[1], sun.1 / horizon)),
            );
        }
    }
    let white = blend(air.on([1.0, 1.0, 1.0], 0.0), air.sky[1], 0.3);
    for _ in 0..draws.below(4) {
        let (x, y) = (draws.unit(), horizon * draws.between(0.1, 0.75));
        let wide = draws.between(0.05, 0.11);
        let thick = draws.between(0.6, 0.95);
        for puff in 0..3 + draws.below(3) {
            let along = (puff as f32 - 1.5) * wide * 0.9;
            let lift = draws.between(-0.3, 0.3) * wide;
            let half = wide * draws.between(0.6, 1.1);
            let shape = Shape::Ellipse((x + along, y + lift), (half, 0.55 * half));
            let paint = Paint::fading(white, lit(white, 0.84));
            canvas.fill_soft(shape, paint, thick, 0.03 * canvas.size as f32);
        }
    }
}

/// Mountains and hills, each nearer than the one before.
fn ridges(canvas: &mut Canvas, air: &Air, horizon: f32, class: usize, draws: &Draws) {
    let count = if class == SEA {
        draws.below(2)
    } else {
        1 + draws.below(2)
    };
    for ridge in 0..count {
        let near = (ridge + 1) as f32 / 3.0;
        let high = horizon * mix(0.55, 0.22, near) * draws.between(0.5, 1.0);
        let rocky = ridge == 0 && draws.chance(0.6);
        let (wide, from) = (draws.between(1.5, 3.5), draws.between(0.0, 50.0));
        let line: Vec<f32> = (0..canvas.size)
            .map(|i| {
                let x = canvas.at(i) * wide + from;
                let level = noise(x, ridge as f32, draws.key);
                let rough = noise(4.0 * x, 7.0, draws.key);
                let share = if rocky {
                    0.72 * level + 0.28 * rough
                } else {
                    level
                };
                horizon + 0.02 - high * share
            })
            .collect();
        let color = match class {
            DESERT => [0.72, 0.46, 0.30],
            WINTER => [0.62, 0.68, 0.78],
            _ if rocky => draws.of(&[[0.42, 0.42, 0.50], [0.48, 0.40, 0.38], [0.36, 0.40, 0.52]]),
            _ => draws.of(&[[0.26, 0.46, 0.24], [0.36, 0.50, 0.26], [0.20, 0.38, 0.30]]),
        };
        let color = air.on(draws.near(color), 0.55 * (1.0 - near));
        let paint = Paint::fading(lit(color, 1.1), lit(color, 0.85)).grain(0.12, 9.0, 14.0);
        canvas.fill_below(&line, paint);
        if rocky && class != DESERT && draws.chance(0.7) {
            snow(
                canvas,
                &line,
                air.on([0.96, 0.97, 1.0], 0.15),
                horizon - 0.62 * high,
            );
        }
    }
}

/// White above `limit`, ragged below.
fn snow(canvas: &mut Canvas, line: &[f32], white: Rgb, limit: f32) {
    for (i, top) in line.iter().enumerate() {
        let ragged = 0.06 * noise(canvas.at(i) * 18.0, 3.0, canvas.key);
        for j in 0..canvas.size {
            let y = canvas.at(j);
            if y > *top && y < limit + ragged {
                *canvas.pixel(i, j) = white;
            }
        }
    }
}

fn ground(
    canvas: &mut Canvas,
    air: &Air,
    horizon: f32,
    class: usize,
    sun: (f32, f32),
    draws: &Draws,
) {
    let bumps = draws.between(0.0, 0.03);
    let from = draws.between(0.0, 90.0);
    let level = |x: f32| horizon + bumps * (noise(x * 3.0 + from, 1.0, draws.key) - 0.5);
    let line: Vec<f32> = (0..canvas.size)
        .map(|i| {
            if class == SEA {
                horizon
            } else {
                level(canvas.at(i))
            }
        })
        .collect();
    let (far, near, grain, across, down) = match class {
        MEADOW => draws.of(&[
            ([0.55, 0.72, 0.30], [0.16, 0.46, 0.14], 0.16, 16.0, 26.0),
            ([0.80, 0.74, 0.32], [0.52, 0.56, 0.16], 0.16, 18.0, 30.0),
            ([0.40, 0.62, 0.34], [0.10, 0.36, 0.18], 0.20, 12.0, 20.0),
        ]),
        SEA => draws.of(&[
            ([0.40, 0.66, 0.80], [0.04, 0.26, 0.50], 0.16, 7.0, 34.0),
            ([0.46, 0.76, 0.76], [0.04, 0.42, 0.46], 0.18, 6.0, 28.0),
        ]),
        DESERT => draws.of(&[
            ([0.94, 0.80, 0.54], [0.80, 0.56, 0.28], 0.09, 5.0, 20.0),
            ([0.90, 0.66, 0.44], [0.72, 0.38, 0.20], 0.10, 6.0, 24.0),
        ]),
        WINTER => ([0.93, 0.95, 0.99], [0.80, 0.86, 0.95], 0.05, 6.0, 10.0),
        _ => draws.of(&[
            ([0.56, 0.55, 0.54], [0.34, 0.34, 0.36], 0.07, 20.0, 20.0),
            ([0.62, 0.54, 0.46], [0.44, 0.36, 0.30], 0.10, 14.0, 26.0),
        ]),
    };
    let (far, near) = (air.on(draws.near(far), 0.2), air.on(draws.near(near), 0.0));
    canvas.fill_below(&line, Paint::fading(far, near).grain(grain, across, down));
    match class {
        SEA => glitter(canvas, air, horizon, sun.0),
        TOWN => road(canvas, air, horizon, [0.24, 0.24, 0.27], draws),
        MEADOW if draws.chance(0.45) => road(canvas, air, horizon, [0.72, 0.60, 0.42], draws),
        _ => {}
    }
}

/// The sun on the water.
fn glitter(canvas: &mut Canvas, air: &Air, horizon: f32, x: f32) {
    for j in 0..canvas.size {
        let y = canvas.at(j);
        let near = (y - horizon) / (1.0 - horizon);
        if near <= 0.0 {
            continue;
        }
        for i in 0..canvas.size {
            let column = canvas.at(i);
            let wave = noise(column * 9.0, y * 40.0, canvas.key ^ 1);
            let wide = mix(0.05, 0.16, near);
            let beam = (1.0 - (column - x).abs() / wide).max(0.0);
            let shine = 0.75 * beam * smooth(0.35, 0.75, wave);
            let pixel = canvas.pixel(i, j);
            *pixel = blend(*pixel, air.sun, shine);
        }
    }
}

/// A road to the horizon.
fn road(canvas: &mut Canvas, air: &Air, horizon: f32, color: Rgb, draws: &Draws) {
    let (end, start) = (draws.between(0.2, 0.8), draws.between(0.1, 0.9));
    let wide = draws.between(0.1, 0.24);
    let color = air.on(color, 0.05);
    let top = horizon + 0.015;
    let shape = [
        (end - 0.012, top),
        (end + 0.012, top),
        (start + wide, 1.05),
        (start - wide, 1.05),
    ];
    let paint = Paint::fading(lit(color, 1.1), color).grain(0.06, 30.0, 40.0);
    canvas.fill(Shape::Polygon(&shape), paint);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(seed: u64, size: usize, image: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let stream = Stream::named(seed, "test");
        draw(&mut out, size, image % 5, &Draws::new(&stream, image));
        out
    }

    /// The same bytes as in wasm, on every machine.
    #[test]
    fn a_scene_is_a_function_of_the_seed() {
        let sum = |size: usize| {
            let all = (0..25).flat_map(|i| one(3, size, i));
            all.fold(0_u32, |sum, b| sum.wrapping_mul(31).wrapping_add(b.into()))
        };
        assert_eq!(one(1, 32, 4), one(1, 32, 4));
        assert_ne!(one(1, 32, 4), one(2, 32, 4));
        assert_eq!(SIZES.map(sum), [1_895_222_064, 755_153_312]);
    }

    /// Every class has colours, contrast and scenes unlike each other.
    #[test]
    fn scenes_are_not_alike() {
        for (class, name) in CLASSES.iter().enumerate() {
            let all: Vec<Vec<u8>> = (0..40).map(|i| one(9, 32, class + 5 * i)).collect();
            let mean = |image: &[u8]| image.iter().map(|p| f32::from(*p)).sum::<f32>() / 3072.0;
            let means: Vec<f32> = all.iter().map(|image| mean(image)).collect();
            let (low, high) = means
                .iter()
                .fold((f32::MAX, 0.0_f32), |(l, h), m| (l.min(*m), h.max(*m)));
            assert!(low < 90.0 && high > 140.0, "{name}: {low} to {high}");
            for image in &all {
                let mut colors: Vec<[u8; 3]> = (0..1024)
                    .map(|i| [0, 1, 2].map(|c| image[c * 1024 + i] >> 4))
                    .collect();
                colors.sort_unstable();
                colors.dedup();
                assert!(colors.len() >= 12, "{} colours", colors.len());
            }
        }
    }
}
