//! `curves.png` and `reconstructions.png`.

use std::io::Cursor;
use std::path::Path;

use image::{ExtendedColorType, ImageEncoder as _, codecs::png::PngEncoder};
use plotters::prelude::*;
use plotters::style::FontStyle;
use semivq::data::Images;
use semivq::train::{CodeUsage, Session, StepMetrics};
use semivq::{Error, Result};

use super::run_dir::{CODES_PICTURE, CURVES as CURVES_PICTURE, RECONSTRUCTIONS, write_file};

/// Writes one image as PNG, each pixel `1 << zoom` pixels wide.
pub fn write_image(path: &Path, image: &Images, zoom: usize) -> Result<()> {
    let [channels, height, width] = image.shape;
    let color = if channels == 1 {
        ExtendedColorType::L8
    } else {
        ExtendedColorType::Rgb8
    };
    let (rows, columns) = (height << zoom, width << zoom);
    let mut bytes = Vec::with_capacity(rows * columns * channels);
    for y in 0..rows {
        for x in 0..columns {
            let at = |c: usize| (c * height + (y >> zoom)) * width + (x >> zoom);
            bytes.extend((0..channels).map(|c| image.pixels[at(c)]));
        }
    }
    let mut file = Cursor::new(Vec::new());
    PngEncoder::new(&mut file)
        .write_image(&bytes, columns as u32, rows as u32, color)
        .map_err(|e| Error::file(path, e.to_string()))?;
    write_file(path, &file.into_inner())
}

/// The first `count` test images, each row of them above its reconstructions.
pub async fn reconstructions(dir: &Path, session: &Session, count: usize) -> Result<()> {
    const COLUMNS: usize = 16;
    const GAP: usize = 2;
    let test = &session.data().test;
    let count = count.min(test.len());
    let [channels, height, width] = test.shape;
    let originals = Images {
        shape: test.shape,
        pixels: test.range(0, count).to_vec(),
        labels: None,
    };
    let results = session.reconstruct(&originals).await?;
    let columns = COLUMNS.min(count);
    let rows = count.div_ceil(columns);
    let sheet_width = columns * (width + GAP) + GAP;
    let sheet_height = rows * (2 * height + 3 * GAP) + GAP;
    let mut pixels = vec![96; channels * sheet_height * sheet_width];
    for i in 0..count {
        let left = GAP + i % columns * (width + GAP);
        let top = GAP + i / columns * (2 * height + 3 * GAP);
        for (image, top) in [(&originals, top), (&results, top + height + GAP)] {
            for (p, value) in image.range(i, i + 1).iter().enumerate() {
                let (c, y, x) = (p / (height * width), p / width % height, p % width);
                pixels[(c * sheet_height + top + y) * sheet_width + left + x] = *value;
            }
        }
    }
    let sheet = Images {
        shape: [channels, sheet_height, sheet_width],
        pixels,
        labels: None,
    };
    write_image(&dir.join(RECONSTRUCTIONS), &sheet, 1)
}

type Curve = (&'static str, fn(&StepMetrics) -> Option<f32>);

const CURVES: [Curve; 7] = [
    ("reconstruction loss", |m| Some(m.rec_loss)),
    ("commitment loss", |m| m.cmt_loss),
    ("perplexity", |m| m.perplexity),
    ("active codes, %", |m| m.active_ratio),
    ("active codes over the last epoch, %", |m| {
        m.epoch_active_ratio
    }),
    ("mean age of the codes (steps since used)", |m| m.age_mean),
    ("mean of alpha", |m| m.alpha_mean),
];

/// One chart of a picture.
struct Panel {
    title: &'static str,
    x: String,
    points: Vec<(u32, f32)>,
}

/// The curves of all metrics that the run has.
pub fn curves(dir: &Path, lines: &[StepMetrics]) -> Result<()> {
    if lines.len() < 2 {
        return Ok(());
    }
    let every = lines.len().div_ceil(POINTS);
    let unit = if every == 1 {
        "step".to_owned()
    } else {
        format!("step (means over {every} lines)")
    };
    let panel = |(title, get): &Curve| Panel {
        title,
        x: unit.clone(),
        points: lines
            .chunks(every)
            .filter_map(|chunk| mean(chunk, *get))
            .collect(),
    };
    let present = CURVES.iter().filter(|(_, get)| get(&lines[0]).is_some());
    picture(
        &dir.join(CURVES_PICTURE),
        &present.map(panel).collect::<Vec<_>>(),
    )
}

/// The usage histogram over the last epoch's worth of vectors and the ages, most used codes first.
pub fn codes(dir: &Path, usage: &CodeUsage) -> Result<()> {
    let total: f32 = usage.counts.iter().sum();
    let mut order: Vec<usize> = (0..usage.counts.len()).collect();
    order.sort_by(|a, b| usage.counts[*b].total_cmp(&usage.counts[*a]));
    let panel = |title, value: &dyn Fn(usize) -> f32| Panel {
        title,
        x: "code, the most used first".into(),
        points: (1..).zip(order.iter().map(|k| value(*k))).collect(),
    };
    let panels = [
        panel("share of the last epoch's vectors, %", &|k| {
            100.0 * usage.counts[k] / total.max(1.0)
        }),
        panel("age, steps since used", &|k| usage.ages[k]),
    ];
    if order.len() < 2 {
        return Ok(());
    }
    picture(&dir.join(CODES_PICTURE), &panels)
}

fn picture(path: &Path, panels: &[Panel]) -> Result<()> {
    // The crate's fonts, so that the picture does not depend on those of the system.
    let font = epaint_default_fonts::UBUNTU_LIGHT;
    if plotters::style::register_font("sans-serif", FontStyle::Normal, font).is_err() {
        return Err(Error::file(path, "the built-in font cannot be read"));
    }
    let (width, height) = (1000_u32, 300 * (panels.len() as u32).div_ceil(2));
    let mut pixels = vec![0; (width * height * 3) as usize];
    draw(&mut pixels, (width, height), panels)
        .map_err(|e| Error::file(path, format!("cannot be drawn: {e}")))?;
    let mut file = Cursor::new(Vec::new());
    PngEncoder::new(&mut file)
        .write_image(&pixels, width, height, ExtendedColorType::Rgb8)
        .map_err(|e| Error::file(path, e.to_string()))?;
    write_file(path, &file.into_inner())
}

/// Points of a curve at most; more of them would only blacken the picture.
const POINTS: usize = 400;

/// Middle step and mean value of neighbouring lines.
fn mean(chunk: &[StepMetrics], get: fn(&StepMetrics) -> Option<f32>) -> Option<(u32, f32)> {
    let values: Vec<f32> = chunk.iter().filter_map(get).collect();
    let middle = chunk.get(chunk.len() / 2)?;
    (!values.is_empty()).then(|| {
        (
            middle.step,
            values.iter().sum::<f32>() / values.len() as f32,
        )
    })
}

fn draw(
    pixels: &mut [u8],
    size: (u32, u32),
    panels: &[Panel],
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let root = BitMapBackend::with_buffer(pixels, size).into_drawing_area();
    root.fill(&WHITE).map_err(|e| text(&e))?;
    let areas = root.split_evenly((panels.len().div_ceil(2), 2));
    for (area, Panel { title, x, points }) in areas.iter().zip(panels) {
        let Some((first, last)) = points.first().zip(points.last()) else {
            continue;
        };
        let range = first.0..last.0;
        let low = points.iter().map(|p| p.1).fold(f32::MAX, f32::min);
        let high = points.iter().map(|p| p.1).fold(f32::MIN, f32::max);
        let margin = 0.05 * (high - low).max(1e-6);
        let mut chart = ChartBuilder::on(area)
            .caption(*title, ("sans-serif", 18))
            .margin(10)
            .margin_right(24)
            .x_label_area_size(28)
            .y_label_area_size(52)
            .build_cartesian_2d(range, low - margin..high + margin)
            .map_err(|e| text(&e))?;
        chart
            .configure_mesh()
            .x_labels(6)
            .y_labels(6)
            .x_desc(x)
            .light_line_style(WHITE)
            .label_style(("sans-serif", 13))
            .draw()
            .map_err(|e| text(&e))?;
        let style = RGBColor(31, 90, 160).stroke_width(2);
        chart
            .draw_series(LineSeries::new(points.iter().copied(), style))
            .map_err(|e| text(&e))?;
    }
    root.present().map_err(|e| text(&e))?;
    Ok(())
}
