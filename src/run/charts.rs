//! `curves.png` and `codes.png`.

use std::error::Error as StdError;
use std::io::Cursor;
use std::path::Path;

use image::{ExtendedColorType, ImageEncoder as _, codecs::png::PngEncoder};
use plotters::coord::combinators::IntoLogRange as _;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;
use plotters::style::FontStyle;

use super::{CODES_PICTURE, Evaluated, write_file};
use crate::error::{Error, Result};
use crate::train::{CodeUsage, StepMetrics, TrainOptions};

type Curve = (&'static str, fn(&StepMetrics) -> Option<f32>);

const CURVES: [Curve; 11] = [
    ("reconstruction loss", |m| Some(m.rec_loss)),
    ("commitment loss", |m| m.cmt_loss),
    ("perplexity", |m| m.perplexity),
    ("active codes, %", |m| m.active_ratio),
    ("active codes over the last epoch, %", |m| {
        m.epoch_active_ratio
    }),
    ("mean age of the codes (steps since used)", |m| m.age_mean),
    ("mean of alpha", |m| m.alpha_mean),
    ("mean entropy of the posteriors, nats", |m| {
        m.posterior_entropy
    }),
    ("mean variance (vmf: 1 / concentration)", |m| {
        m.variance_mean
    }),
    ("norm of the gradients", |m| m.grad_norm),
    ("learning rate", |m| m.lr),
];

/// Of the test images, by evaluation.
type TestCurve = (&'static str, fn(&Evaluated) -> Option<f64>);

const TEST_CURVES: [TestCurve; 5] = [
    ("test l1", |e| Some(e.test.l1)),
    ("test mse", |e| Some(e.test.mse)),
    ("test psnr, dB", |e| e.test.psnr),
    ("test ssim", |e| e.test.ssim),
    ("test perplexity", |e| e.test.perplexity),
];

/// Points of a curve at most; more of them would only blacken the picture.
const POINTS: usize = 400;

const BLUE_INK: RGBColor = RGBColor(31, 90, 160);

/// What a panel shows, over x from the first to the last.
enum Drawing {
    /// Points by step.
    Curve,
    /// A bar a code, x from 1, on a logarithmic axis, so that the codes that a collapsed run still
    /// uses and those of a codebook of thousands can both be told apart.
    Bars {
        /// Whether y is logarithmic too; then what is 0 has no bar.
        log: bool,
    },
}

/// One chart of a picture.
struct Panel {
    title: String,
    x: String,
    points: Vec<(u32, f64)>,
    drawing: Drawing,
}

/// Draws the curves of all metrics that the run has, as `curves.png` in `dir`; none of fewer than two
/// lines.
///
/// # Errors
/// As [`write_file`].
pub fn curves(dir: &Path, lines: &[StepMetrics]) -> Result<()> {
    curves_with(dir, lines, &[])
}

/// The same with those of the evaluations under way, where there are two or more.
///
/// # Errors
/// As [`write_file`].
pub fn curves_with(dir: &Path, lines: &[StepMetrics], evaluations: &[Evaluated]) -> Result<()> {
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
        title: (*title).to_owned(),
        x: unit.clone(),
        points: lines
            .chunks(every)
            .filter_map(|chunk| mean(chunk, *get))
            .collect(),
        drawing: Drawing::Curve,
    };
    let present = CURVES.iter().filter(|(_, get)| get(&lines[0]).is_some());
    let mut panels: Vec<Panel> = present.map(panel).collect();
    panels.extend(TEST_CURVES.iter().filter_map(|(title, get)| {
        let points = evaluations.iter().filter_map(|e| Some((e.step, get(e)?)));
        let points: Vec<(u32, f64)> = points.collect();
        (points.len() > 1).then(|| Panel {
            title: (*title).to_owned(),
            x: "step".into(),
            points,
            drawing: Drawing::Curve,
        })
    }));
    picture(&dir.join(super::CURVES), &panels)
}

/// Draws the learning rate over the steps of `options`, as `schedule.png` in `dir`; nothing where it does not change.
///
/// # Errors
/// As [`write_file`].
pub fn schedule(dir: &Path, options: &TrainOptions) -> Result<()> {
    let steps = options.steps.unwrap_or(0);
    if options.schedule.is_constant() || steps == 0 {
        return Ok(());
    }
    let every = (steps as usize).div_ceil(POINTS);
    let rate = |step| f64::from(options.schedule.lr(step, options.lr, options.steps));
    let mut shown: Vec<u32> = (1..=steps).step_by(every).collect();
    shown.extend((shown.last() != Some(&steps)).then_some(steps));
    let panel = Panel {
        title: "learning rate".into(),
        x: "step".into(),
        points: shown.into_iter().map(|step| (step, rate(step))).collect(),
        drawing: Drawing::Curve,
    };
    picture(&dir.join(super::SCHEDULE), &[panel])
}

/// Middle step and mean value of neighbouring lines.
fn mean(chunk: &[StepMetrics], get: fn(&StepMetrics) -> Option<f32>) -> Option<(u32, f64)> {
    let values: Vec<f64> = chunk.iter().filter_map(get).map(f64::from).collect();
    let middle = chunk.get(chunk.len() / 2)?;
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    mean.is_finite().then_some((middle.step, mean))
}

/// Draws the usage histogram over the last epoch's worth of vectors and the ages, most used codes
/// first, as `codes.png` in `dir`: a row of both for each code map.
///
/// # Errors
/// As [`write_file`].
pub fn codes(dir: &Path, maps: &[CodeUsage]) -> Result<()> {
    let row = |(map, usage): (usize, &CodeUsage)| {
        let of = match maps.len() {
            1 => String::new(),
            count => format!("{} of {count}: ", map + 1),
        };
        code_panels(usage, &of)
    };
    let used = maps.iter().filter(|usage| !usage.counts.is_empty());
    let panels: Vec<Panel> = used.enumerate().flat_map(row).collect();
    if panels.is_empty() {
        return Ok(());
    }
    picture(&dir.join(CODES_PICTURE), &panels)
}

/// Shares and ages of the codes, with `of` before their titles.
fn code_panels(usage: &CodeUsage, of: &str) -> [Panel; 2] {
    let (counts, ages) = (&usage.counts, &usage.ages);
    let total: f64 = counts.iter().copied().map(f64::from).sum();
    let mut order: Vec<usize> = (0..counts.len()).collect();
    order.sort_by(|a, b| {
        let by_use = counts[*b].total_cmp(&counts[*a]);
        by_use.then(ages[*a].total_cmp(&ages[*b]))
    });
    let used = counts.iter().filter(|n| **n > 0.0).count();
    let panel = |title: String, log, value: &dyn Fn(usize) -> f64| Panel {
        title: format!("{of}{title}"),
        x: "code, the most used first (logarithmic)".into(),
        points: (1..).zip(order.iter().map(|k| value(*k))).collect(),
        drawing: Drawing::Bars { log },
    };
    let share = format!(
        "share of the last epoch's vectors, % ({used} of {} codes used)",
        counts.len()
    );
    [
        panel(share, true, &|k| {
            100.0 * f64::from(counts[k]) / total.max(1.0)
        }),
        panel("age, steps since used".into(), false, &|k| {
            f64::from(ages[k])
        }),
    ]
}

fn picture(path: &Path, panels: &[Panel]) -> Result<()> {
    let (rows, columns) = (panels.len().div_ceil(2), panels.len().min(2));
    let size = (500 * columns as u32, 300 * rows as u32);
    canvas(path, size, |root| {
        let areas = root.split_evenly((rows, columns));
        let mut all = areas.iter().zip(panels);
        all.try_for_each(|(area, panel)| panel.draw(area))
    })
}

/// Writes the PNG of `size` that `draw` fills, white to begin with.
pub(crate) fn canvas(
    path: &Path,
    size: (u32, u32),
    draw: impl FnOnce(&Area<'_>) -> std::result::Result<(), String>,
) -> Result<()> {
    // The crate's fonts, so that the picture does not depend on those of the system.
    let font = epaint_default_fonts::UBUNTU_LIGHT;
    if plotters::style::register_font("sans-serif", FontStyle::Normal, font).is_err() {
        return Err(Error::file(path, "the built-in font cannot be read"));
    }
    let (width, height) = size;
    let mut pixels = vec![0; (width * height * 3) as usize];
    let drawn = {
        // Text, since the error itself borrows the pixels.
        let text = |e: &dyn std::fmt::Display| e.to_string();
        let root = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
        let drawn = root.fill(&WHITE).map_err(|e| text(&e));
        let drawn = drawn.and_then(|()| draw(&root));
        drawn.and_then(|()| root.present().map_err(|e| text(&e)))
    };
    drawn.map_err(|e| Error::file(path, format!("cannot be drawn: {e}")))?;
    let mut file = Cursor::new(Vec::new());
    PngEncoder::new(&mut file)
        .write_image(&pixels, width, height, ExtendedColorType::Rgb8)
        .map_err(|e| Error::file(path, e.to_string()))?;
    write_file(path, &file.into_inner())
}

type Drawn = std::result::Result<(), Box<dyn StdError>>;

/// A part of a picture.
pub(crate) type Area<'a> = DrawingArea<BitMapBackend<'a>, plotters::coord::Shift>;

impl Panel {
    fn draw(&self, area: &Area<'_>) -> std::result::Result<(), String> {
        let Some((first, last)) = self.points.first().zip(self.points.last()) else {
            return Ok(());
        };
        let (low, high) = self.range();
        match self.drawing {
            Drawing::Curve => {
                // One step alone has no extent.
                let x = first.0..last.0.max(first.0 + 1);
                // A level line stands in the middle of a range of its own size.
                let margin = (0.05 * (high - low)).max(0.01 * high.abs()).max(1e-9);
                self.chart(area, x, low - margin..high + margin, |chart| {
                    let style = BLUE_INK.stroke_width(2);
                    chart.draw_series(LineSeries::new(self.points.iter().copied(), style))?;
                    Ok(())
                })
            }
            Drawing::Bars { log } => {
                let x = (1..last.0 + 1).log_scale();
                if log {
                    // Whole decades, so that at least two of them are labelled.
                    let floor = 10_f64.powf((0.9 * low).log10().floor());
                    let top = 10_f64.powf(high.log10().ceil()).max(10.0 * floor);
                    let y = (floor..1.001 * top).log_scale();
                    self.chart(area, x, y, |chart| {
                        chart.draw_series(self.bars(floor))?;
                        Ok(())
                    })
                } else {
                    self.chart(area, x, 0.0..1.05 * high.max(1.0), |chart| {
                        chart.draw_series(self.bars(0.0))?;
                        Ok(())
                    })
                }
            }
        }
    }

    /// Least and greatest value; of those above 0 where the axis is logarithmic.
    fn range(&self) -> (f64, f64) {
        let log = matches!(self.drawing, Drawing::Bars { log: true });
        let values = self.points.iter().map(|p| p.1);
        let shown = values.filter(|v| v.is_finite() && (!log || *v > 0.0));
        let range = shown.fold(None, |range: Option<(f64, f64)>, v| {
            let (low, high) = range.unwrap_or((v, v));
            Some((low.min(v), high.max(v)))
        });
        range.unwrap_or((1.0, 100.0))
    }

    fn bars(&self, floor: f64) -> impl Iterator<Item = Rectangle<(u32, f64)>> {
        let shown = self.points.iter().filter(move |p| p.1 > floor);
        shown.map(move |(k, value)| {
            Rectangle::new([(*k, floor), (*k + 1, *value)], BLUE_INK.filled())
        })
    }

    /// Axes, labels and title, then what `series` draws.
    fn chart<'a, 'b, X, Y>(
        &self,
        area: &'a Area<'b>,
        x: X,
        y: Y,
        series: impl FnOnce(
            &mut ChartContext<
                'a,
                BitMapBackend<'b>,
                Cartesian2d<X::CoordDescType, Y::CoordDescType>,
            >,
        ) -> Drawn,
    ) -> std::result::Result<(), String>
    where
        X: AsRangedCoord<Value = u32>,
        Y: AsRangedCoord<Value = f64>,
        X::CoordDescType: Ranged<ValueType = u32> + ValueFormatter<u32>,
        Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let text = |e: &dyn std::fmt::Display| e.to_string();
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, ("sans-serif", 18))
            .margin(10)
            .margin_right(24)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(x, y)
            .map_err(|e| text(&e))?;
        chart
            .configure_mesh()
            .x_labels(6)
            .y_labels(6)
            .x_desc(&self.x)
            .x_label_formatter(&|step| step.to_string())
            .y_label_formatter(&|value| label(*value))
            .light_line_style(WHITE)
            .label_style(("sans-serif", 13))
            .draw()
            .map_err(|e| text(&e))?;
        series(&mut chart).map_err(|e| text(&e))
    }
}

/// A tick's number, without digits that say nothing.
pub(crate) fn label(value: f64) -> String {
    if value != 0.0 && !(1e-4..1e6).contains(&value.abs()) {
        return format!("{value:.1e}");
    }
    let text = format!("{value:.5}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0" } else { text }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_have_the_digits_that_they_need() {
        let labels = [0.0, -1e-9, 600.0, 20_000.0, 0.025, 99.5, 2e7, 1e-5].map(label);
        assert_eq!(
            labels,
            [
                "0", "-1.0e-9", "600", "20000", "0.025", "99.5", "2.0e7", "1.0e-5"
            ]
        );
    }

    /// One code, none used, all used, far more than there are pixels, figures that are none.
    #[test]
    fn the_edges_are_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let drawn = |name: &str| {
            let path = folder.path().join(name);
            let image = image::open(&path).unwrap().into_rgb8();
            std::fs::remove_file(path).unwrap();
            image.pixels().filter(|p| p.0 == [31, 90, 160]).count()
        };
        for (count, value, used) in [(1, 5.0, true), (3, 0.0, false), (70_000, 1.0, true)] {
            let usage = CodeUsage {
                counts: vec![value; count],
                ages: vec![0.0; count],
            };
            codes(folder.path(), &[usage]).unwrap();
            assert_eq!(drawn("codes.png") > 1000, used, "{count} codes");
        }
        let line = |step, rec_loss| StepMetrics {
            step,
            rec_loss,
            cmt_loss: Some(f32::NAN),
            ..StepMetrics::default()
        };
        let lines = [line(1, 0.5), line(2, 3e38), line(3, f32::INFINITY)];
        curves(folder.path(), &lines).unwrap();
        assert!(drawn("curves.png") > 100);
        curves(folder.path(), &lines[..1]).unwrap();
        assert!(!folder.path().join("curves.png").exists());
    }
}
