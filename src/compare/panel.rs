//! Charts side by side in a picture, as the plots have them.

use std::fmt::Display;
use std::path::Path;

use plotters::coord::combinators::{BindKeyPoints as _, IntoLogRange as _};
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

use crate::error::Result;
use crate::run::charts::{Area, canvas, label};

/// Panels of a picture at most.
const PANELS: usize = 12;
/// Width and height of a panel.
const PANEL: (u32, u32) = (500, 320);
/// Height of the legend.
const LEGEND: u32 = 34;

pub(super) type Point = (f64, f64);

/// What a panel shows.
pub(super) enum Shape {
    /// A line.
    Line(Vec<Point>, RGBColor),
    /// An area between the points, which go there and back.
    Area(Vec<Point>, RGBColor),
    /// Discs.
    Dots(Vec<Point>, u32, RGBAColor),
    /// Circles.
    Rings(Vec<Point>, RGBColor),
    /// Vertical lines from the first to the second.
    Bars(Vec<(Point, Point)>, u32, RGBColor),
}

impl Shape {
    fn points(&self) -> Vec<Point> {
        match self {
            Self::Line(p, _) | Self::Area(p, _) | Self::Dots(p, ..) | Self::Rings(p, _) => {
                p.clone()
            }
            Self::Bars(bars, ..) => bars.iter().flat_map(|(a, b)| [*a, *b]).collect(),
        }
    }
}

/// An axis.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Axis {
    low: f64,
    high: f64,
    log: bool,
}

impl Axis {
    /// One that holds all `values`; logarithmic where that is `wanted` and the greatest is `span` times the least.
    fn of(values: impl Iterator<Item = f64> + Clone, wanted: bool, span: f64) -> Self {
        let finite = values.filter(|v| v.is_finite());
        let low = finite.clone().fold(f64::INFINITY, f64::min);
        let high = finite.fold(f64::NEG_INFINITY, f64::max);
        if low > high {
            return Self {
                low: 0.0,
                high: 1.0,
                log: false,
            };
        }
        if wanted && low > 0.0 && high / low >= span {
            return Self {
                low: low / 1.15,
                high: high * 1.15,
                log: true,
            };
        }
        let margin = (0.05 * (high - low)).max(0.01 * high.abs()).max(1e-9);
        Self {
            low: low - margin,
            high: high + margin,
            log: false,
        }
    }
}

/// One chart.
pub(super) struct Panel {
    pub title: String,
    pub x: String,
    pub shapes: Vec<Shape>,
    /// Whether an axis may be logarithmic.
    pub log: (bool, bool),
    /// Where x has its labels, if it is logarithmic; empty for wherever it suits.
    pub ticks: Vec<f64>,
    /// Names of the places 0, 1, .. of x, where it has no numbers.
    pub names: Vec<String>,
}

type Drawn = std::result::Result<(), String>;

pub(super) fn text(e: impl Display) -> String {
    e.to_string()
}

impl Panel {
    fn draw(&self, area: &Area<'_>) -> Drawn {
        let points: Vec<Point> = self.shapes.iter().flat_map(Shape::points).collect();
        let x = Axis::of(points.iter().map(|p| p.0), self.log.0, 10.0);
        // Fewer than two decades would have one label at most.
        let y = Axis::of(points.iter().map(|p| p.1), self.log.1, 100.0);
        match (x.log, self.ticks.is_empty()) {
            (true, true) => self.with_x(area, (x.low..x.high).log_scale(), y),
            (true, false) => {
                let ticks = self.ticks.clone();
                let x = (x.low..x.high).log_scale().with_key_points(ticks);
                self.with_x(area, x, y)
            }
            (false, _) => self.with_x(area, x.low..x.high, y),
        }
    }

    fn with_x<X>(&self, area: &Area<'_>, x: X, y: Axis) -> Drawn
    where
        X: AsRangedCoord<Value = f64>,
        X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        match y.log {
            true => self.chart(area, x, (y.low..y.high).log_scale()),
            false => self.chart(area, x, y.low..y.high),
        }
    }

    fn chart<X, Y>(&self, area: &Area<'_>, x: X, y: Y) -> Drawn
    where
        X: AsRangedCoord<Value = f64>,
        Y: AsRangedCoord<Value = f64>,
        X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
        Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, ("sans-serif", 18))
            .margin(10)
            .margin_right(24)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(x, y)
            .map_err(text)?;
        let named = |x: f64| {
            let at = x.round();
            let name = self.names.get(at as usize);
            let own = at >= 0.0 && (x - at).abs() < 1e-6;
            name.filter(|_| own).cloned().unwrap_or_default()
        };
        let ticks = |x: &f64| match self.names.is_empty() {
            true => label(*x),
            false => named(*x),
        };
        chart
            .configure_mesh()
            .x_labels(6.max(2 * self.names.len()))
            .y_labels(6)
            .x_desc(&self.x)
            .x_label_formatter(&ticks)
            .y_label_formatter(&|value| label(*value))
            .light_line_style(WHITE)
            .label_style(("sans-serif", 13))
            .draw()
            .map_err(text)?;
        for shape in &self.shapes {
            match shape {
                Shape::Line(points, color) => {
                    let line = LineSeries::new(points.iter().copied(), color.stroke_width(2));
                    chart.draw_series(line).map_err(text)?;
                }
                Shape::Area(points, color) => {
                    let area = Polygon::new(points.clone(), color.mix(0.18));
                    chart.draw_series([area]).map_err(text)?;
                }
                Shape::Dots(points, size, color) => {
                    let dots = points
                        .iter()
                        .map(|p| Circle::new(*p, *size, color.filled()));
                    chart.draw_series(dots).map_err(text)?;
                }
                Shape::Rings(points, color) => {
                    let rings = points
                        .iter()
                        .map(|p| Circle::new(*p, 3, color.stroke_width(1)));
                    chart.draw_series(rings).map_err(text)?;
                }
                Shape::Bars(bars, width, color) => {
                    let style = color.stroke_width(*width);
                    let bars = bars.iter().map(|(a, b)| PathElement::new([*a, *b], style));
                    chart.draw_series(bars).map_err(text)?;
                }
            }
        }
        Ok(())
    }
}

/// A picture of panels, two in a row, under a legend of names and their colours.
pub(super) fn picture(path: &Path, panels: &[Panel], names: &[(String, RGBColor)]) -> Result<()> {
    if panels.is_empty() {
        return Ok(());
    }
    let panels = &panels[..panels.len().min(PANELS)];
    let columns = panels.len().min(2);
    let rows = panels.len().div_ceil(columns);
    let size = (PANEL.0 * columns as u32, PANEL.1 * rows as u32);
    let advance = |name: &str| 34 + 8 * name.chars().count() as u32;
    // Names that do not fit a line go on in the next one.
    let mut places = Vec::new();
    let (mut left, mut line) = (12, 0);
    for (name, _) in names {
        if left > 12 && left + advance(name) > size.0 {
            (left, line) = (12, line + 1);
        }
        places.push((left, line));
        left += advance(name);
    }
    let legend = if names.is_empty() {
        0
    } else {
        LEGEND + 22 * line
    };
    canvas(path, (size.0, size.1 + legend), |root| {
        let (top, rest) = root.split_vertically(legend);
        for ((name, color), (left, line)) in names.iter().zip(&places) {
            let (x, y) = (*left as i32, 10 + 22 * *line as i32);
            let swatch = Rectangle::new([(x, y), (x + 14, y + 14)], color.filled());
            top.draw(&swatch).map_err(text)?;
            let font = ("sans-serif", 15).into_font();
            top.draw(&Text::new(name.clone(), (x + 20, y), font))
                .map_err(text)?;
        }
        let areas = rest.split_evenly((rows, columns));
        let mut all = areas.iter().zip(panels);
        all.try_for_each(|(area, panel)| panel.draw(area))
    })
}
