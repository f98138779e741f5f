//! What stands in a landscape: houses, trees, balls, boats, cacti, balloons.

use super::air::{Air, DESERT, Draws, MEADOW, SEA, TOWN, WINTER};
use super::canvas::{Canvas, Paint, Point, Rgb, Shape, lit, mix};

/// One thing on the ground: the middle of its foot, its height, how much of it is lost in the air.
struct Spot {
    x: f32,
    y: f32,
    high: f32,
    far: f32,
}

/// Things by their distance, the far ones first, so that near ones hide them.
pub(super) fn place(canvas: &mut Canvas, air: &Air, horizon: f32, class: usize, draws: &Draws) {
    if draws.chance(0.16) && class != TOWN {
        balloon(canvas, air, horizon, draws);
    }
    let count = match class {
        TOWN => 4 + draws.below(4),
        SEA => 1 + draws.below(3),
        DESERT => 1 + draws.below(4),
        _ => 2 + draws.below(5),
    };
    let mut depths: Vec<f32> = (0..count).map(|_| draws.unit()).collect();
    depths.sort_by(f32::total_cmp);
    for depth in depths {
        let near = 0.04 + 0.8 * depth * depth;
        let spot = Spot {
            x: draws.between(0.02, 0.98),
            y: mix(horizon, 0.98, near),
            high: mix(0.14, 0.62, near) * draws.between(0.75, 1.2),
            far: 0.35 * (1.0 - near),
        };
        thing(canvas, air, &spot, class, draws);
    }
}

fn thing(canvas: &mut Canvas, air: &Air, spot: &Spot, class: usize, draws: &Draws) {
    let kind = draws.unit();
    match class {
        SEA if kind < 0.75 => boat(canvas, air, spot, draws),
        SEA => ball(canvas, air, spot, draws),
        DESERT if kind < 0.6 => cactus(canvas, air, spot, draws),
        DESERT if kind < 0.8 => rock(canvas, air, spot, draws),
        WINTER if kind < 0.6 => fir(canvas, air, spot, true, draws),
        WINTER if kind < 0.75 => snowman(canvas, air, spot),
        TOWN if kind < 0.78 => house(canvas, air, spot, true, draws),
        MEADOW if kind < 0.3 => fir(canvas, air, spot, false, draws),
        MEADOW | TOWN if kind < 0.65 || class == TOWN => tree(canvas, air, spot, draws),
        _ if kind < 0.88 => house(canvas, air, spot, false, draws),
        _ => ball(canvas, air, spot, draws),
    }
}

fn quad(canvas: &mut Canvas, left: f32, top: f32, right: f32, bottom: f32, paint: Paint) {
    let points = [(left, top), (right, top), (right, bottom), (left, bottom)];
    canvas.fill(Shape::Polygon(&points), paint);
}

/// What keeps the light from the ground.
fn shadow(canvas: &mut Canvas, spot: &Spot, wide: f32) {
    let shift = -0.5 * wide * canvas.light.0;
    let shape = Shape::Ellipse((spot.x + shift, spot.y), (wide, 0.22 * wide));
    let soft = 0.02 * canvas.size as f32;
    canvas.fill_soft(shape, Paint::plain([0.05, 0.06, 0.12]), 0.4, soft);
}

const BRIGHT: [Rgb; 8] = [
    [0.86, 0.18, 0.16],
    [0.97, 0.78, 0.16],
    [0.16, 0.40, 0.84],
    [0.95, 0.48, 0.12],
    [0.60, 0.22, 0.66],
    [0.14, 0.64, 0.42],
    [0.94, 0.94, 0.94],
    [0.94, 0.42, 0.60],
];

fn house(canvas: &mut Canvas, air: &Air, spot: &Spot, town: bool, draws: &Draws) {
    const WALLS: [Rgb; 7] = [
        [0.92, 0.88, 0.78],
        [0.80, 0.40, 0.30],
        [0.90, 0.76, 0.44],
        [0.62, 0.72, 0.82],
        [0.80, 0.80, 0.80],
        [0.72, 0.54, 0.40],
        [0.86, 0.62, 0.60],
    ];
    const ROOFS: [Rgb; 4] = [
        [0.62, 0.20, 0.14],
        [0.36, 0.26, 0.24],
        [0.26, 0.30, 0.40],
        [0.50, 0.34, 0.20],
    ];
    let tower = town && draws.chance(0.55);
    let high = if tower {
        1.5 * spot.high
    } else {
        0.8 * spot.high
    };
    let half = high
        * if tower {
            draws.between(0.18, 0.3)
        } else {
            draws.between(0.45, 0.75)
        };
    let roof = if tower {
        0.0
    } else {
        high * draws.between(0.35, 0.5)
    };
    shadow(canvas, spot, 1.2 * half);
    let (left, right) = (spot.x - half, spot.x + half);
    let (top, foot) = (spot.y - high + roof, spot.y);
    let wall = air.on(draws.near(draws.of(&WALLS)), spot.far);
    quad(
        canvas,
        left,
        top,
        right,
        foot,
        Paint::fading(wall, lit(wall, 0.86)).round(0.16),
    );
    let glass: Rgb = match (air.night, draws.chance(0.7)) {
        (true, true) => [1.0, 0.86, 0.42],
        (true, false) => [0.10, 0.12, 0.20],
        (false, _) => air.on([0.24, 0.34, 0.46], spot.far),
    };
    let columns = if tower { 2 } else { 2 + draws.below(2) };
    let rows = if tower { 3 + draws.below(3) } else { 1 };
    let (wide, step) = (
        2.0 * half / columns as f32,
        (foot - top) / (rows as f32 + 0.7),
    );
    for row in 0..rows {
        for column in 0..columns {
            let (x, y) = (
                left + (column as f32 + 0.5) * wide,
                top + (row as f32 + 0.6) * step,
            );
            let size = (0.24 * wide, 0.24 * step.min(wide));
            quad(
                canvas,
                x - size.0,
                y - size.1,
                x + size.0,
                y + size.1,
                Paint::plain(glass),
            );
        }
    }
    let door = spot.x + half * draws.between(-0.5, 0.5);
    let color = air.on(
        draws.of(&[[0.36, 0.20, 0.12], [0.18, 0.30, 0.24], [0.50, 0.14, 0.14]]),
        spot.far,
    );
    let size = (0.14 * half.max(0.3 * high), 0.3 * (foot - top));
    quad(
        canvas,
        door - size.0,
        foot - size.1,
        door + size.0,
        foot,
        Paint::plain(color),
    );
    if roof > 0.0 {
        let color = air.on(draws.near(draws.of(&ROOFS)), spot.far);
        let over = 1.18 * half;
        let points = [
            (spot.x, top - roof),
            (spot.x + over, top + 0.01),
            (spot.x - over, top + 0.01),
        ];
        let paint = Paint::fading(lit(color, 1.1), lit(color, 0.85));
        canvas.fill(
            Shape::Polygon(&points),
            paint.round(0.12).grain(0.1, 40.0, 30.0),
        );
    }
}

fn trunk(canvas: &mut Canvas, air: &Air, spot: &Spot, half: f32, high: f32) {
    let bark = air.on([0.38, 0.26, 0.16], spot.far);
    let (left, right) = (spot.x - half, spot.x + half);
    quad(
        canvas,
        left,
        spot.y - high,
        right,
        spot.y,
        Paint::plain(bark).round(0.3),
    );
}

fn tree(canvas: &mut Canvas, air: &Air, spot: &Spot, draws: &Draws) {
    const LEAVES: [Rgb; 6] = [
        [0.20, 0.46, 0.16],
        [0.30, 0.56, 0.20],
        [0.14, 0.36, 0.18],
        [0.80, 0.46, 0.12],
        [0.70, 0.24, 0.14],
        [0.94, 0.66, 0.74],
    ];
    let high = spot.high;
    let half = high * draws.between(0.24, 0.36);
    shadow(canvas, spot, half);
    trunk(canvas, air, spot, 0.055 * high, 0.5 * high);
    let leaves = air.on(draws.near(draws.of(&LEAVES)), spot.far);
    let paint = Paint::fading(lit(leaves, 1.15), lit(leaves, 0.72))
        .round(0.25)
        .grain(0.3, 34.0, 34.0);
    let crown = spot.y - 0.68 * high;
    for (dx, dy, share) in [(-0.5, 0.2, 0.66), (0.5, 0.15, 0.66), (0.0, -0.15, 0.9)] {
        let center = (spot.x + dx * half, crown + dy * half);
        canvas.fill(Shape::Ellipse(center, (share * half, share * half)), paint);
    }
}

fn fir(canvas: &mut Canvas, air: &Air, spot: &Spot, snowy: bool, draws: &Draws) {
    let high = 1.05 * spot.high;
    let half = high * draws.between(0.2, 0.3);
    shadow(canvas, spot, half);
    trunk(canvas, air, spot, 0.05 * high, 0.2 * high);
    let green = air.on(draws.near([0.10, 0.32, 0.20]), spot.far);
    let white = air.on([0.94, 0.96, 1.0], spot.far);
    for (from, to, share) in [(0.12, 0.52, 1.0), (0.36, 0.78, 0.76), (0.62, 1.0, 0.5)] {
        let (foot, top, wide) = (spot.y - from * high, spot.y - to * high, share * half);
        let points = [(spot.x, top), (spot.x + wide, foot), (spot.x - wide, foot)];
        let upper = if snowy { white } else { lit(green, 1.25) };
        let paint = Paint::fading(upper, lit(green, 0.85)).round(0.15);
        canvas.fill(Shape::Polygon(&points), paint.grain(0.15, 30.0, 30.0));
    }
}

fn ball(canvas: &mut Canvas, air: &Air, spot: &Spot, draws: &Draws) {
    let radius = 0.26 * spot.high;
    shadow(canvas, spot, radius);
    let color = air.on(draws.near(draws.of(&BRIGHT)), 0.6 * spot.far);
    let center = (spot.x, spot.y - radius);
    let (dx, dy) = canvas.light;
    canvas.fill(
        Shape::Ellipse(center, (radius, radius)),
        Paint::plain(color).round(0.42),
    );
    if draws.chance(0.6) {
        // A stripe, and then what shines.
        let stripe = air.on(draws.of(&BRIGHT), 0.6 * spot.far);
        let narrow = (draws.between(0.25, 0.45) * radius, 0.98 * radius);
        canvas.fill(
            Shape::Ellipse(center, narrow),
            Paint::plain(stripe).round(0.35),
        );
    }
    let shine = (center.0 + 0.42 * radius * dx, center.1 + 0.42 * radius * dy);
    let spark = Shape::Ellipse(shine, (0.24 * radius, 0.24 * radius));
    canvas.fill_soft(
        spark,
        Paint::plain(lit([1.0, 1.0, 1.0], air.light)),
        0.7,
        0.5,
    );
}

fn boat(canvas: &mut Canvas, air: &Air, spot: &Spot, draws: &Draws) {
    let high = 0.9 * spot.high;
    let half = high * draws.between(0.32, 0.46);
    let hull = air.on(draws.near(draws.of(&BRIGHT)), spot.far);
    let deck = spot.y - 0.2 * high;
    // What the water gives back of it.
    let mirror = Shape::Ellipse((spot.x, spot.y + 0.02), (0.9 * half, 0.12 * high));
    canvas.fill_soft(mirror, Paint::plain(lit(hull, 0.5)), 0.45, 1.0);
    let points = [
        (spot.x - half, deck),
        (spot.x + half, deck),
        (spot.x + 0.7 * half, spot.y),
        (spot.x - 0.6 * half, spot.y),
    ];
    canvas.fill(
        Shape::Polygon(&points),
        Paint::fading(lit(hull, 1.1), lit(hull, 0.7)),
    );
    let mast = air.on([0.30, 0.20, 0.14], spot.far);
    quad(
        canvas,
        spot.x - 0.018 * high,
        spot.y - high,
        spot.x + 0.018 * high,
        deck,
        Paint::plain(mast),
    );
    let cloth = air.on(
        draws.of(&[[0.97, 0.96, 0.92], [0.90, 0.30, 0.22], [0.96, 0.80, 0.34]]),
        0.5 * spot.far,
    );
    let (top, low) = (spot.y - 0.98 * high, deck - 0.05 * high);
    let big: [Point; 3] = [
        (spot.x + 0.03 * high, top),
        (spot.x + 0.85 * half, low),
        (spot.x + 0.03 * high, low),
    ];
    let jib: [Point; 3] = [
        (spot.x - 0.03 * high, top + 0.15 * high),
        (spot.x - 0.03 * high, low),
        (spot.x - 0.7 * half, low),
    ];
    canvas.fill(Shape::Polygon(&big), Paint::fading(cloth, lit(cloth, 0.9)));
    canvas.fill(
        Shape::Polygon(&jib),
        Paint::fading(lit(cloth, 0.95), lit(cloth, 0.8)),
    );
}

/// A column with a round top.
fn column(canvas: &mut Canvas, (x, top): Point, foot: f32, half: f32, paint: Paint) {
    quad(canvas, x - half, top, x + half, foot, paint);
    canvas.fill(Shape::Ellipse((x, top), (half, half)), paint);
}

fn cactus(canvas: &mut Canvas, air: &Air, spot: &Spot, draws: &Draws) {
    let high = 0.9 * spot.high;
    let half = 0.09 * high;
    shadow(canvas, spot, 2.2 * half);
    let green = air.on(draws.near([0.20, 0.46, 0.24]), spot.far);
    let paint = Paint::plain(green).round(0.35);
    column(canvas, (spot.x, spot.y - 0.92 * high), spot.y, half, paint);
    for side in [-1.0, 1.0] {
        if !draws.chance(0.8) {
            continue;
        }
        let low = spot.y - high * draws.between(0.3, 0.5);
        let out = spot.x + side * 2.8 * half;
        column(canvas, (out, low - 0.28 * high), low, 0.75 * half, paint);
        quad(
            canvas,
            spot.x.min(out),
            low - half,
            spot.x.max(out),
            low,
            paint,
        );
    }
}

fn rock(canvas: &mut Canvas, air: &Air, spot: &Spot, draws: &Draws) {
    let half = 0.4 * spot.high;
    shadow(canvas, spot, half);
    let color = air.on(draws.near([0.58, 0.40, 0.30]), spot.far);
    let top = spot.y - half * draws.between(0.7, 1.2);
    let peak = spot.x + half * draws.between(-0.3, 0.3);
    let points = [
        (peak - 0.3 * half, top),
        (peak + 0.35 * half, top + 0.1 * half),
        (spot.x + half, spot.y),
        (spot.x - half, spot.y),
    ];
    canvas.fill(
        Shape::Polygon(&points),
        Paint::fading(lit(color, 1.15), lit(color, 0.75))
            .round(0.3)
            .grain(0.2, 22.0, 22.0),
    );
}

fn snowman(canvas: &mut Canvas, air: &Air, spot: &Spot) {
    let high = 0.75 * spot.high;
    shadow(canvas, spot, 0.3 * high);
    let white = air.on([0.97, 0.98, 1.0], 0.5 * spot.far);
    let mut part = |up: f32, radius: f32, color: Rgb| {
        let shape = Shape::Ellipse((spot.x, spot.y - up * high), (radius * high, radius * high));
        canvas.fill(shape, Paint::fading(color, lit(color, 0.82)).round(0.12));
    };
    part(0.28, 0.28, white);
    part(0.66, 0.2, white);
    part(0.92, 0.14, white);
    part(0.9, 0.045, air.on([0.95, 0.50, 0.10], 0.0));
    let hat = Paint::plain(air.on([0.10, 0.10, 0.13], 0.0));
    quad(
        canvas,
        spot.x - 0.1 * high,
        spot.y - 1.2 * high,
        spot.x + 0.1 * high,
        spot.y - 1.02 * high,
        hat,
    );
}

fn balloon(canvas: &mut Canvas, air: &Air, horizon: f32, draws: &Draws) {
    let radius = draws.between(0.05, 0.1);
    let (x, y) = (draws.between(0.1, 0.9), horizon * draws.between(0.25, 0.6));
    let [first, second] = [0, 1].map(|_| air.on(draws.of(&BRIGHT), 0.1));
    canvas.fill(
        Shape::Ellipse((x, y), (radius, 1.1 * radius)),
        Paint::plain(first).round(0.3),
    );
    canvas.fill(
        Shape::Ellipse((x, y), (0.45 * radius, 1.1 * radius)),
        Paint::plain(second).round(0.3),
    );
    let basket = Paint::plain(air.on([0.44, 0.28, 0.16], 0.0));
    let foot = y + 1.65 * radius;
    quad(
        canvas,
        x - 0.22 * radius,
        foot - 0.3 * radius,
        x + 0.22 * radius,
        foot,
        basket,
    );
}
