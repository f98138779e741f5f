//! The progress of a run: a bar on a terminal, plain lines elsewhere.
//!
//! The bar is drawn here, because a crate's pads its line up to the terminal's edge: what the terminal
//! then echoes (`^C`), and a terminal made narrower, leave old copies of it behind.

use std::collections::VecDeque;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use console::Term;
use semivq::train::StepMetrics;

/// Columns of the bar itself, and of the narrowest terminal that has room for it.
const BAR: usize = 12;
const WIDE: usize = 96;
/// Between two drawings.
const REDRAW: Duration = Duration::from_millis(100);
/// How far back the rate looks.
const WINDOW: Duration = Duration::from_secs(5);

pub struct Progress {
    bar: Option<Bar>,
    rate: Rate,
    first: u32,
    steps: u32,
    last_line: Instant,
}

struct Bar {
    terminal: Term,
    /// Columns of the terminal when the line was drawn, and of the line.
    width: usize,
    line: usize,
    drawn: Option<Instant>,
    last: Option<StepMetrics>,
}

impl Progress {
    /// From step `first` (done already) to `steps`.
    pub fn new(first: u32, steps: u32, batch: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let terminal = Term::stderr();
            Bar {
                width: columns(&terminal),
                terminal,
                line: 0,
                drawn: None,
                last: None,
            }
        });
        Self {
            bar,
            rate: Rate::new(first, batch),
            first,
            steps,
            last_line: Instant::now(),
        }
    }

    /// `rec loss | cmt loss | perplexity | active % | images/s`
    pub fn show(&mut self, m: &StepMetrics) {
        self.rate.add(Instant::now(), m.step);
        if let Some(bar) = &mut self.bar {
            bar.last = Some(m.clone());
            if bar.drawn.is_none_or(|at| at.elapsed() >= REDRAW) {
                bar.draw(m, self.steps, Some(&self.rate));
            }
            return;
        }
        let due = self.last_line.elapsed() > Duration::from_secs(3);
        if due || m.step == self.first + 1 || m.step == self.steps {
            let text = format!(
                "rec loss {:.4} | cmt loss {} | perplexity {} | active {} % | {:.0} images/s",
                m.rec_loss,
                number(m.cmt_loss, 4),
                number(m.perplexity, 1),
                number(m.active_ratio, 1),
                self.rate.images(),
            );
            out!("step {}/{} | {text}", m.step, self.steps);
            self.last_line = Instant::now();
        }
    }

    /// A line that stays, whatever the bar does.
    pub fn say(&mut self, text: &str) {
        match &mut self.bar {
            Some(bar) => {
                bar.clear();
                let _ = bar.terminal.write_line(text);
                bar.drawn = None;
            }
            None => out!("{text}"),
        }
    }

    pub fn finish(&mut self) {
        if let Some(bar) = &mut self.bar
            && let Some(m) = bar.last.take()
        {
            // No time is left, whether the run is done or was stopped.
            bar.draw(&m, self.steps, None);
            let _ = bar.terminal.write_line("");
            bar.line = 0;
        }
    }
}

/// What cannot be drawn any more, since the terminal is gone, is no reason to end a run.
impl Bar {
    fn clear(&mut self) {
        let width = columns(&self.terminal);
        // A line that was as wide as the terminal takes several rows of a narrower one.
        let rows = if width < self.width {
            self.line.div_ceil(width.max(1))
        } else {
            1
        };
        let _ = self.terminal.clear_line();
        if rows > 1 {
            let _ = self.terminal.clear_last_lines(rows - 1);
        }
        self.width = width;
        self.line = 0;
    }

    /// With rate and remaining time where there is a `rate`.
    fn draw(&mut self, m: &StepMetrics, steps: u32, rate: Option<&Rate>) {
        self.clear();
        let mut text = format!("{}/{steps}  ", m.step);
        if self.width >= WIDE {
            let full = BAR * m.step as usize / (steps.max(1) as usize);
            let full = full.min(BAR);
            text = format!("{}{} {text}", "█".repeat(full), "░".repeat(BAR - full));
        }
        let rate = rate.map(|r| (r.images(), r.left(steps)));
        let room = self.width.saturating_sub(text.chars().count() + 1);
        text.push_str(&message(m, rate, room));
        self.line = text.chars().count();
        let _ = self.terminal.write_str(&text);
        let _ = self.terminal.flush();
        self.drawn = Some(Instant::now());
    }
}

fn columns(terminal: &Term) -> usize {
    terminal
        .size_checked()
        .map_or(80, |(_, columns)| usize::from(columns))
}

fn number(value: Option<f32>, digits: usize) -> String {
    value.map_or("-".into(), |v| format!("{v:.digits$}"))
}

/// What fits `room` columns: where all does not, the least important is left out.
fn message(m: &StepMetrics, rate: Option<(f64, Option<f64>)>, room: usize) -> String {
    let left = rate.and_then(|(_, left)| left).map(time);
    // In the order shown; the number is the order in which they are left out.
    let mut parts: Vec<(u8, String)> = vec![
        (9, format!("rec {:.4}", m.rec_loss)),
        (4, format!("cmt {}", number(m.cmt_loss, 4))),
        (7, format!("perp {}", number(m.perplexity, 1))),
        (6, format!("active {} %", number(m.active_ratio, 1))),
    ];
    parts.extend(rate.map(|(images, _)| (5, format!("{images:.0} img/s"))));
    parts.extend(left.map(|left| (8, format!("{left} left"))));
    loop {
        let words: Vec<&str> = parts.iter().map(|(_, text)| text.as_str()).collect();
        let text = words.join("  ");
        let least = parts.iter().map(|(rank, _)| *rank).min();
        if text.chars().count() <= room || least.is_none() {
            return text;
        }
        parts.retain(|(rank, _)| Some(*rank) != least);
    }
}

/// `5s`, `12m`, `3h`.
pub fn time(seconds: f64) -> String {
    match seconds {
        s if s < 100.0 => format!("{:.0}s", s.ceil()),
        s if s < 6000.0 => format!("{:.0}m", (s / 60.0).ceil()),
        s => format!("{:.0}h", (s / 3600.0).ceil()),
    }
}

/// Steps and images a second over the last seconds.
struct Rate {
    /// Steps done at some moments, the oldest at least [`WINDOW`] ago where the run is so old.
    seen: VecDeque<(Instant, u32)>,
    batch: f64,
}

impl Rate {
    fn new(first: u32, batch: usize) -> Self {
        Self {
            seen: VecDeque::from([(Instant::now(), first)]),
            batch: batch as f64,
        }
    }

    fn add(&mut self, now: Instant, step: u32) {
        self.seen.push_back((now, step));
        while let Some((second, _)) = self.seen.get(1) {
            if now.duration_since(*second) < WINDOW {
                break;
            }
            self.seen.pop_front();
        }
    }

    /// Steps a second.
    fn steps(&self) -> f64 {
        let ends = self.seen.front().zip(self.seen.back());
        ends.map_or(0.0, |((from, first), (to, last))| {
            f64::from(last - first) / to.duration_since(*from).as_secs_f64().max(1e-9)
        })
    }

    /// Images a second.
    fn images(&self) -> f64 {
        self.steps() * self.batch
    }

    /// Seconds until `steps` are done, where there is a rate and something to do.
    fn left(&self, steps: u32) -> Option<f64> {
        let rate = self.steps();
        let to_do = steps.saturating_sub(self.seen.back()?.1);
        (rate > 0.0 && to_do > 0).then(|| f64::from(to_do) / rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> StepMetrics {
        let text = r#"{"step": 19000, "rec_loss": 0.12345, "cmt_loss": 0.0234, "perplexity": 123.4, "active_ratio": 12.3}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_line_fits_and_drops_what_matters_least() {
        let rate = Some((1234.0, Some(720.0)));
        let all = "rec 0.1235  cmt 0.0234  perp 123.4  active 12.3 %  1234 img/s  12m left";
        assert_eq!(message(&metrics(), rate, 200), all);
        for room in 0..100 {
            assert!(message(&metrics(), rate, room).len() <= room);
        }
        // What 80 columns have left beside `19000/20000  `.
        assert_eq!(
            message(&metrics(), rate, 66),
            "rec 0.1235  perp 123.4  active 12.3 %  1234 img/s  12m left"
        );
        assert_eq!(message(&metrics(), rate, 24), "rec 0.1235  12m left");
        assert!(!message(&metrics(), None, 200).contains("left"));
        let times = [0.2, 99.0, 101.0, 5999.0, 6001.0].map(time);
        assert_eq!(times, ["1s", "99s", "2m", "100m", "2h"]);
    }

    /// Ten steps a second for twenty seconds, then one: five seconds later that is what is said.
    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let mut rate = Rate::new(0, 4);
        let start = rate.seen[0].0;
        for i in 1..=200_u32 {
            rate.add(start + Duration::from_millis(100) * i, i);
        }
        assert!((rate.images() - 40.0).abs() < 1e-9, "{}", rate.images());
        assert_eq!(rate.left(300), Some(10.0));
        for i in 1..=6_u32 {
            rate.add(start + Duration::from_secs(u64::from(20 + i)), 200 + i);
        }
        assert!((rate.images() - 4.0).abs() < 1e-9, "{}", rate.images());
        assert_eq!(rate.left(206), None);
        assert!(rate.seen.len() < 10);
    }
}
