//! A picture in floats, and the few shapes that scenes are painted of.
//!
//! Only additions, products, quotients and square roots, which are the same bits on every machine and in wasm.

/// Red, green, blue in [0, 1].
pub(super) type Rgb = [f32; 3];
/// In the unit square, x to the right, y down.
pub(super) type Point = (f32, f32);

/// `a` at 0, `b` at 1.
pub(super) fn mix(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}

pub(super) fn blend(a: Rgb, b: Rgb, t: f32) -> Rgb {
    [0, 1, 2].map(|c| mix(a[c], b[c], t))
}

/// `color` brighter (above 1) or darker.
pub(super) fn lit(color: Rgb, light: f32) -> Rgb {
    color.map(|v| v * light)
}

/// 0 up to `from`, 1 from `to` on, smooth between them.
pub(super) fn smooth(from: f32, to: f32, v: f32) -> f32 {
    let t = ((v - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

fn hash(x: i32, y: i32, key: u32) -> f32 {
    // Two rounds of multiplying and folding: a texture asks four times a pixel, and no more of it than to look rough.
    let mut word =
        (x as u32).wrapping_mul(0x9e37_79b1) ^ (y as u32).wrapping_mul(0x85eb_ca77) ^ key;
    word = (word ^ word >> 15).wrapping_mul(0x2c1b_3c6d);
    word = (word ^ word >> 12).wrapping_mul(0x297a_2d39);
    ((word ^ word >> 15) >> 8) as f32 / 16_777_216.0
}

/// Smooth noise in [0, 1), one value a unit square and interpolated between.
pub(super) fn noise(x: f32, y: f32, key: u32) -> f32 {
    let (left, top) = (x.floor(), y.floor());
    let (u, v) = (smooth(0.0, 1.0, x - left), smooth(0.0, 1.0, y - top));
    let (i, j) = (left as i32, top as i32);
    let row = |j: i32| mix(hash(i, j, key), hash(i + 1, j, key), u);
    mix(row(j), row(j + 1), v)
}

/// How a shape is filled.
#[derive(Clone, Copy)]
pub(super) struct Paint {
    /// At its upper end.
    pub top: Rgb,
    /// At its lower end.
    pub bottom: Rgb,
    /// How much lighter the side to the light is than the other.
    pub round: f32,
    /// Depth of the texture.
    pub grain: f32,
    /// Cells of the texture a unit, across and down.
    pub cells: (f32, f32),
}

impl Paint {
    pub fn plain(color: Rgb) -> Self {
        Self::fading(color, color)
    }

    pub fn fading(top: Rgb, bottom: Rgb) -> Self {
        Self {
            top,
            bottom,
            round: 0.0,
            grain: 0.0,
            cells: (1.0, 1.0),
        }
    }

    pub fn round(self, round: f32) -> Self {
        Self { round, ..self }
    }

    pub fn grain(self, grain: f32, across: f32, down: f32) -> Self {
        let cells = (across, down);
        Self {
            grain,
            cells,
            ..self
        }
    }
}

/// What is filled.
#[derive(Clone, Copy)]
pub(super) enum Shape<'a> {
    /// Centre and half axes.
    Ellipse(Point, Point),
    /// A convex polygon, clockwise on the screen.
    Polygon(&'a [Point]),
}

impl Shape<'_> {
    /// Left, top, right, bottom.
    fn bounds(&self) -> [f32; 4] {
        match *self {
            Self::Ellipse((x, y), (a, b)) => [x - a, y - b, x + a, y + b],
            Self::Polygon(points) => points.iter().fold([9.0, 9.0, -9.0, -9.0], |b, p| {
                [b[0].min(p.0), b[1].min(p.1), b[2].max(p.0), b[3].max(p.1)]
            }),
        }
    }

    /// How far inside a point lies, about; below 0 outside.
    fn depth(&self, p: Point) -> f32 {
        match *self {
            Self::Ellipse(c, (a, b)) => {
                let (x, y) = ((p.0 - c.0) / a, (p.1 - c.1) / b);
                (1.0 - (x * x + y * y).sqrt()) * a.min(b)
            }
            Self::Polygon(points) => {
                let mut least = f32::MAX;
                let mut from = points[points.len() - 1];
                for to in points {
                    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
                    let across = dx * (p.1 - from.1) - dy * (p.0 - from.0);
                    least = least.min(across / (dx * dx + dy * dy).sqrt());
                    from = *to;
                }
                least
            }
        }
    }
}

/// A square picture.
pub(super) struct Canvas {
    pub size: usize,
    pixels: Vec<Rgb>,
    /// Where the light comes from, of length 1.
    pub light: Point,
    /// Of the textures.
    pub key: u32,
}

impl Canvas {
    pub fn new(size: usize, key: u32) -> Self {
        Self {
            size,
            pixels: vec![[0.0; 3]; size * size],
            light: (0.0, -1.0),
            key,
        }
    }

    /// The centre of a row or column.
    pub fn at(&self, i: usize) -> f32 {
        (i as f32 + 0.5) / self.size as f32
    }

    pub fn pixel(&mut self, x: usize, y: usize) -> &mut Rgb {
        &mut self.pixels[y * self.size + x]
    }

    /// The rows or columns between two places, and one more to each side.
    fn span(&self, from: f32, to: f32) -> std::ops::Range<usize> {
        let size = self.size as f32;
        let bound = |v: f32| v.clamp(0.0, size) as usize;
        bound(from * size - 1.0)..bound(to * size + 2.0)
    }

    /// Fills `shape`, with soft edges of a pixel.
    pub fn fill(&mut self, shape: Shape<'_>, paint: Paint) {
        self.fill_soft(shape, paint, 1.0, 0.5);
    }

    /// Fills `shape` with `opacity`; its edge is as soft as `edge` is long, in pixels to the inside.
    pub fn fill_soft(&mut self, shape: Shape<'_>, paint: Paint, opacity: f32, edge: f32) {
        let [left, top, right, bottom] = shape.bounds();
        let (width, height) = ((right - left).max(1e-6), (bottom - top).max(1e-6));
        let sharp = self.size as f32 / (edge + 0.5);
        let half = 0.5 / self.size as f32;
        for j in self.span(top, bottom) {
            let y = self.at(j);
            let fade = ((y - top) / height).clamp(0.0, 1.0);
            let row = blend(paint.top, paint.bottom, fade);
            for i in self.span(left, right) {
                let x = self.at(i);
                let cover = ((shape.depth((x, y)) + half) * sharp).clamp(0.0, 1.0);
                if cover <= 0.0 {
                    continue;
                }
                let side = (2.0 * (x - left) / width - 1.0) * self.light.0
                    + (2.0 * fade - 1.0) * self.light.1;
                let mut light = 1.0 + paint.round * side;
                if paint.grain > 0.0 {
                    let (across, down) = paint.cells;
                    light += paint.grain * (2.0 * noise(x * across, y * down, self.key) - 1.0);
                }
                let color = lit(row, light);
                let pixel = self.pixel(i, j);
                *pixel = blend(*pixel, color, cover * opacity);
            }
        }
    }

    /// Fills what lies below a line of heights (y, one a column).
    pub fn fill_below(&mut self, line: &[f32], paint: Paint) {
        let top = line.iter().fold(1.0_f32, |a, b| a.min(*b));
        let size = self.size as f32;
        for j in self.span(top, 1.0) {
            let y = self.at(j);
            let row = blend(
                paint.top,
                paint.bottom,
                ((y - top) / (1.0 - top)).clamp(0.0, 1.0),
            );
            for (i, edge) in line.iter().enumerate() {
                let cover = ((y - edge) * size + 0.5).clamp(0.0, 1.0);
                if cover <= 0.0 {
                    continue;
                }
                let mut light = 1.0;
                if paint.grain > 0.0 {
                    let (across, down) = paint.cells;
                    let x = self.at(i);
                    light += paint.grain * (2.0 * noise(x * across, y * down, self.key) - 1.0);
                }
                let pixel = self.pixel(i, j);
                *pixel = blend(*pixel, lit(row, light), cover);
            }
        }
    }

    /// The picture as bytes, channels first.
    pub fn write(&self, out: &mut Vec<u8>) {
        for c in 0..3 {
            let bytes = self.pixels.iter();
            out.extend(bytes.map(|p| (255.0 * p[c].clamp(0.0, 1.0) + 0.5) as u8));
        }
    }
}
