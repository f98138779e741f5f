//! The progress of a run: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use semivq::train::StepMetrics;

pub struct Progress {
    bar: Option<ProgressBar>,
    started: Instant,
    first: u32,
    steps: u32,
    batch: usize,
    last_line: Instant,
}

impl Progress {
    /// From step `first` (done already) to `steps`.
    pub fn new(first: u32, steps: u32, batch: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(u64::from(steps)).with_position(u64::from(first));
            let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {msg}  {eta} left");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self {
            bar,
            started: Instant::now(),
            first,
            steps,
            batch,
            last_line: Instant::now(),
        }
    }

    /// `rec loss | cmt loss | perplexity | active % | images/s`
    pub fn show(&mut self, m: &StepMetrics) {
        let number =
            |v: Option<f32>, digits: usize| v.map_or("-".into(), |v| format!("{v:.digits$}"));
        let images = f64::from(m.step - self.first) * self.batch as f64;
        let text = format!(
            "rec loss {:.4} | cmt loss {} | perplexity {} | active {} % | {:.0} images/s",
            m.rec_loss,
            number(m.cmt_loss, 4),
            number(m.perplexity, 1),
            number(m.active_ratio, 1),
            images / self.started.elapsed().as_secs_f64(),
        );
        if let Some(bar) = &self.bar {
            bar.set_position(u64::from(m.step));
            bar.set_message(text);
            return;
        }
        let due = self.last_line.elapsed() > Duration::from_secs(3);
        if due || m.step == self.first + 1 || m.step == self.steps {
            out!("step {}/{} | {text}", m.step, self.steps);
            self.last_line = Instant::now();
        }
    }

    /// A line that stays, whatever the bar does.
    pub fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => out!("{text}"),
        }
    }

    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
            // The bar leaves the cursor behind itself.
            eprintln!();
        }
    }
}
