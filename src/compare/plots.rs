//! The plots as PNG: curves with bands, figures against varied options, alpha, codebooks, reconstructions.

use std::path::{Path, PathBuf};

use plotters::prelude::*;

use super::curves::{Band, Curve, curves};
use super::panel::{Panel, Point, Shape, picture, text};
use super::results::Results;
use super::seen::Map;
use super::table::{Group, Row, Status, better, figures, groups, heading, moments, of_quantizers};
use crate::error::{Error, Result};
use crate::run::charts::canvas;
use crate::run::io_error;

/// The folder of the plots.
pub const PLOTS: &str = "plots";
/// Colours that can be told apart, of methods in their order; the report has the same.
const COLORS: [RGBColor; 12] = [
    RGBColor(31, 90, 160),
    RGBColor(214, 96, 20),
    RGBColor(30, 132, 73),
    RGBColor(176, 42, 92),
    RGBColor(116, 80, 182),
    RGBColor(138, 98, 38),
    RGBColor(15, 140, 150),
    RGBColor(196, 150, 0),
    RGBColor(90, 100, 110),
    RGBColor(220, 90, 140),
    RGBColor(110, 150, 40),
    RGBColor(70, 130, 220),
];

/// The colour of each method, in the order in which they appear.
fn colors(groups: &[Group]) -> Vec<(String, RGBColor)> {
    let mut methods: Vec<&str> = Vec::new();
    for group in groups {
        if !methods.contains(&group.method.as_str()) {
            methods.push(&group.method);
        }
    }
    let colors = COLORS.iter().cycle();
    let all = methods.iter().zip(colors);
    all.map(|(name, color)| ((*name).to_owned(), *color))
        .collect()
}

fn color(colors: &[(String, RGBColor)], method: &str) -> RGBColor {
    let own = colors.iter().find(|(name, _)| name == method);
    own.map_or(BLACK, |(_, color)| *color)
}

/// A line with its band over the seeds.
fn with_band(curve: &Curve, color: RGBColor) -> [Shape; 2] {
    let bands = &curve.bands;
    let at = |value: fn(&Band) -> f64| bands.iter().map(move |b| (f64::from(b.step), value(b)));
    let there: Vec<Point> = at(|b| b.high).chain(at(|b| b.low).rev()).collect();
    [
        Shape::Area(there, color),
        Shape::Line(at(|b| b.mean).collect(), color),
    ]
}

/// Loss and perplexity over the steps, and what shows self-annealing, a row of panels for each combination of varied values.
fn curve_panels(results: &Results, all: &[Group], colors: &[(String, RGBColor)]) -> Vec<Panel> {
    let mut combinations: Vec<&Vec<String>> = all.iter().map(|g| &g.values).collect();
    combinations.sort_by_key(|values| all.iter().position(|g| g.values == **values));
    combinations.dedup();
    let mut panels = Vec::new();
    for values in combinations {
        let own: Vec<Group> = all
            .iter()
            .filter(|g| g.values == *values)
            .cloned()
            .collect();
        let which: Vec<String> = (results.varied.iter().zip(values))
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        for (metric, title, log) in [
            ("rec_loss", "reconstruction loss", true),
            ("perplexity", "perplexity of the batch", false),
            (
                "posterior_entropy",
                "mean entropy of the posteriors, nats",
                false,
            ),
            (
                "variance_mean",
                "mean variance (vmf: 1 / concentration)",
                true,
            ),
        ] {
            let curves = curves(&results.traces, &own, metric);
            if curves.is_empty() {
                continue;
            }
            let title = match which.is_empty() {
                true => title.to_owned(),
                false => format!("{title}, {}", which.join(", ")),
            };
            let of = |c: &Curve| with_band(c, color(colors, &c.group.method));
            panels.push(Panel {
                title,
                x: "step (band: least to greatest of the seeds)".into(),
                shapes: curves.iter().flat_map(of).collect(),
                log: (false, log),
                ticks: Vec::new(),
                names: Vec::new(),
            });
        }
    }
    panels
}

/// Each figure against the values of the varied option at `at`, over the seeds and the other options.
fn sweep_panels(results: &Results, at: usize, colors: &[(String, RGBColor)]) -> Vec<Panel> {
    let mut values: Vec<&String> = Vec::new();
    for row in &results.rows {
        if !values.contains(&&row.group.values[at]) {
            values.push(&row.group.values[at]);
        }
    }
    let numbers: Option<Vec<f64>> = values.iter().map(|v| v.parse().ok()).collect();
    let names = match &numbers {
        Some(_) => Vec::new(),
        None => values.iter().map(|v| (*v).clone()).collect(),
    };
    let place = |i: usize| numbers.as_ref().map_or(i as f64, |n| n[i]);
    let shown = |name: &String| better(name).is_some();
    let panel = |figure: String| {
        let mut shapes = Vec::new();
        for (method, color) in colors {
            let (mut line, mut bars) = (Vec::new(), Vec::new());
            for (i, value) in values.iter().enumerate() {
                let own = |r: &&Row| r.group.method == *method && r.group.values[at] == **value;
                let rows = results.rows.iter().filter(own);
                let all: Vec<f64> = rows
                    .filter_map(|r| r.figures.get(&figure).copied())
                    .collect();
                let Some((mean, deviation)) = moments(&all) else {
                    continue;
                };
                line.push((place(i), mean));
                let deviation = deviation.unwrap_or(0.0);
                bars.push(((place(i), mean - deviation), (place(i), mean + deviation)));
            }
            line.sort_by(|a: &Point, b| a.0.total_cmp(&b.0));
            shapes.push(Shape::Bars(bars, 1, *color));
            shapes.push(Shape::Dots(line.clone(), 4, color.to_rgba()));
            shapes.push(Shape::Line(line, *color));
        }
        Panel {
            title: format!("{} of the test images", heading(&figure)),
            x: format!("{} (bars: standard deviation)", results.varied[at]),
            shapes,
            log: (numbers.is_some(), true),
            ticks: (0..values.len()).map(place).collect(),
            names: names.clone(),
        }
    };
    of_quantizers(figures(&results.rows))
        .into_iter()
        .filter(shown)
        .map(panel)
        .collect()
}

/// The mean of alpha over the steps, and its value by feature at the end.
fn alpha_panels(results: &Results, all: &[Group]) -> (Vec<Panel>, Vec<(String, RGBColor)>) {
    let curves = curves(&results.traces, all, "alpha_mean");
    let mut names: Vec<(String, RGBColor)> = Vec::new();
    let mut of = |group: &Group| {
        let label = group.label();
        if let Some((_, color)) = names.iter().find(|(name, _)| *name == label) {
            return *color;
        }
        let color = COLORS[names.len() % COLORS.len()];
        names.push((label, color));
        color
    };
    let mut panels = Vec::new();
    if !curves.is_empty() {
        panels.push(Panel {
            title: "mean of alpha".into(),
            x: "step (band: least to greatest of the seeds)".into(),
            shapes: curves
                .iter()
                .flat_map(|c| with_band(c, of(&c.group)))
                .collect(),
            log: (false, false),
            ticks: Vec::new(),
            names: Vec::new(),
        });
    }
    for (group, seed, alpha) in &results.alpha {
        let bar = |(i, v): (usize, &f32)| ((i as f64, 0.0), (i as f64, f64::from(*v)));
        let width = (380 / alpha.len().max(1)).clamp(1, 10) as u32;
        panels.push(Panel {
            title: format!(
                "scale of the codebook at the end, {}, seed {seed}",
                group.label()
            ),
            x: "feature".into(),
            shapes: vec![Shape::Bars(
                alpha.iter().enumerate().map(bar).collect(),
                width,
                of(group),
            )],
            log: (false, false),
            ticks: Vec::new(),
            names: Vec::new(),
        });
    }
    (panels, names)
}

/// Vectors, used codes and unused ones on the plane of the vectors.
fn map_panel((group, seed, map): &(Group, u64, Map)) -> Panel {
    let place = |[x, y]: &[f32; 2]| (f64::from(*x), f64::from(*y));
    let codes = |wanted: bool| -> Vec<Point> {
        let own = map.codes.iter().filter(|c| c.1 == wanted);
        own.map(|c| place(&c.0)).collect()
    };
    let used = codes(true);
    Panel {
        title: format!("{}, seed {seed}", group.label()),
        x: format!("{} of {} codes shown are used", used.len(), map.codes.len()),
        shapes: vec![
            Shape::Dots(map.vectors.iter().map(place).collect(), 2, VECTOR.mix(0.5)),
            Shape::Rings(codes(false), UNUSED),
            Shape::Dots(used, 3, USED.to_rgba()),
        ],
        log: (false, false),
        ticks: Vec::new(),
        names: Vec::new(),
    }
}

const VECTOR: RGBColor = RGBColor(150, 160, 170);
const USED: RGBColor = RGBColor(31, 90, 160);
const UNUSED: RGBColor = RGBColor(214, 96, 20);

/// The reconstructions of the groups, one row each, under the test images.
fn reconstructions(dir: &Path, found: &[(Group, PathBuf)]) -> Result<()> {
    /// Of the names at the left, and around a row.
    const NAMES: u32 = 190;
    const GAP: u32 = 6;
    let mut rows: Vec<(String, image::RgbImage)> = Vec::new();
    for (group, path) in found {
        let image = image::open(path).map_err(|e| Error::file(path, e.to_string()))?;
        let image = image.into_rgb8();
        let (width, height) = (image.width(), image.height() / 2);
        let half = |top| image::imageops::crop_imm(&image, 0, top, width, height).to_image();
        if rows.is_empty() {
            rows.push(("test images".into(), half(0)));
        }
        rows.push((group.label(), half(height)));
    }
    let Some((_, first)) = rows.first() else {
        return Ok(());
    };
    // Small images are shown larger, pixel by pixel.
    let zoom = (64 / first.height().max(1)).clamp(1, 3);
    let (width, height) = (zoom * first.width(), zoom * first.height());
    let size = (
        NAMES + width + GAP,
        (height + GAP) * rows.len() as u32 + GAP,
    );
    canvas(&dir.join("reconstructions.png"), size, |root| {
        for (i, (name, image)) in rows.iter().enumerate() {
            let top = (GAP + (height + GAP) * i as u32) as i32;
            let font = ("sans-serif", 15).into_font();
            let at = (GAP as i32, top + height as i32 / 2 - 8);
            root.draw(&Text::new(name.clone(), at, font))
                .map_err(text)?;
            let image = image::imageops::resize(
                image,
                zoom * image.width(),
                zoom * image.height(),
                image::imageops::FilterType::Nearest,
            );
            let size = image.dimensions();
            let bitmap = BitMapElement::<(i32, i32)>::with_owned_buffer(
                (NAMES as i32, top),
                size,
                image.into_raw(),
            );
            let bitmap = bitmap.ok_or("a picture of another size")?;
            root.draw(&bitmap).map_err(text)?;
        }
        Ok(())
    })
}

/// Draws all plots of `results` into `dir`, with the pictures of reconstructions that were `found`.
///
/// # Errors
/// As [`crate::run::write_file`]; [`Error::File`] when a picture is damaged.
pub(super) fn draw(dir: &Path, results: &Results, found: &[(Group, PathBuf)]) -> Result<()> {
    let dir = &dir.join(PLOTS);
    std::fs::create_dir_all(dir).map_err(|e| io_error(dir, &e))?;
    let ended: Vec<Row> = (results.rows.iter())
        .filter(|r| r.status != Status::Unfinished)
        .cloned()
        .collect();
    let all = groups(&ended);
    let colors = colors(&all);
    picture(
        &dir.join("curves.png"),
        &curve_panels(results, &all, &colors),
        &colors,
    )?;
    for (at, name) in results.varied.iter().enumerate() {
        let panels = sweep_panels(results, at, &colors);
        picture(&dir.join(format!("sweep-{name}.png")), &panels, &colors)?;
    }
    let (panels, names) = alpha_panels(results, &all);
    picture(&dir.join("alpha.png"), &panels, &names)?;
    let panels: Vec<Panel> = results.maps.iter().map(map_panel).collect();
    let names = [
        ("vectors", VECTOR),
        ("used codes", USED),
        ("unused codes", UNUSED),
    ];
    let names = names.map(|(name, color)| (name.to_owned(), color));
    picture(&dir.join("codebooks.png"), &panels, &names)?;
    reconstructions(dir, found)
}
