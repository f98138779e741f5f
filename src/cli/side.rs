//! The progress of runs side by side: a line for what becomes of each, and one for all of them that is redrawn on
//! a terminal, or written every few seconds elsewhere.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use console::Term;
use semivq::compare::{Event, Outcome, Status, Task};

/// Between two drawings on a terminal, and two lines elsewhere.
const REDRAW: Duration = Duration::from_millis(200);
const LINE: Duration = Duration::from_secs(10);

/// The runs, how far each is, and since when.
pub struct Side<'a> {
    tasks: &'a [Task],
    /// Steps that each has done.
    done: Vec<u32>,
    under_way: Vec<usize>,
    ended: usize,
    /// Steps made by this process, and when it made the first.
    made: u64,
    began: Option<Instant>,
    terminal: Option<Term>,
    told: Option<Instant>,
}

/// The figures of a run in one line.
fn figures(outcome: &Outcome) -> String {
    let figure = |(name, word, digits): (&str, &str, usize)| {
        let value = outcome.figures.get(name)?;
        Some(format!("{word} {value:.digits$}"))
    };
    let all = [
        ("l1", "l1", 4),
        ("mse", "mse", 4),
        ("psnr", "psnr", 2),
        ("ssim", "ssim", 4),
        ("perplexity", "perplexity", 1),
        ("active_ratio", "active %", 1),
    ];
    let words: Vec<String> = all.into_iter().filter_map(figure).collect();
    words.join(" | ")
}

impl<'a> Side<'a> {
    /// Of `tasks`, of which each has an outcome, if it has ended before.
    pub fn new(tasks: &'a [Task], ended: &[bool]) -> Self {
        let done = tasks.iter().zip(ended);
        Self {
            done: done
                .map(|(t, ended)| if *ended { t.steps() } else { 0 })
                .collect(),
            tasks,
            under_way: Vec::new(),
            ended: ended.iter().filter(|e| **e).count(),
            made: 0,
            began: None,
            terminal: std::io::stderr().is_terminal().then(Term::stderr),
            told: None,
        }
    }

    /// Takes note of `event` of the run at `at` among all tasks.
    pub fn hear(&mut self, at: usize, event: &Event) {
        let name = &self.tasks[at].name;
        match event {
            Event::Began { step, .. } => {
                self.began.get_or_insert_with(Instant::now);
                self.done[at] = *step;
                self.under_way.push(at);
                match step {
                    0 => self.say(&format!("{name}: begins")),
                    step => self.say(&format!("{name}: goes on from step {step}")),
                }
            }
            Event::Step { step, .. } => {
                self.made += u64::from(step.saturating_sub(self.done[at]));
                self.done[at] = *step;
            }
            Event::Ended { outcome, .. } => {
                self.leave(at);
                self.ended += 1;
                self.done[at] = self.tasks[at].steps();
                match outcome.status {
                    Status::Done => self.say(&format!("{name}: {}", figures(outcome))),
                    _ => {
                        let why = outcome
                            .message
                            .as_deref()
                            .unwrap_or("a value is not finite");
                        self.say(&format!("{name}: diverged: {why}"));
                    }
                }
            }
            Event::Stopped { .. } => {
                self.leave(at);
                self.say(&format!("{name}: stopped at step {}", self.done[at]));
            }
            Event::Failed { error, .. } => {
                self.leave(at);
                self.say(&format!("{name}: failed: {error}"));
            }
        }
        self.draw();
    }

    fn leave(&mut self, at: usize) {
        self.under_way.retain(|other| *other != at);
    }

    /// A line that stays.
    pub fn say(&mut self, text: &str) {
        if let Some(terminal) = &self.terminal {
            let _ = terminal.clear_line();
        }
        out!("{text}");
        self.told = self.told.filter(|_| self.terminal.is_none());
    }

    /// The line of all, if it is due.
    fn draw(&mut self) {
        let every = if self.terminal.is_some() {
            REDRAW
        } else {
            LINE
        };
        if self.told.is_some_and(|at| at.elapsed() < every) {
            return;
        }
        // The first one elsewhere would say nothing yet.
        let first = self.told.replace(Instant::now()).is_none();
        let text = self.line();
        match &self.terminal {
            Some(terminal) => {
                let columns = terminal.size_checked().map_or(80, |(_, c)| usize::from(c));
                let text: String = text.chars().take(columns.saturating_sub(1)).collect();
                let _ = terminal.clear_line();
                let _ = terminal.write_str(&text);
                let _ = terminal.flush();
            }
            None if !first => out!("{text}"),
            None => {}
        }
    }

    /// `3 of 12 runs | 5m left | vq-s0 120/400, ema-s0 80/400`
    fn line(&self) -> String {
        let mut text = format!("{} of {} runs", self.ended, self.tasks.len());
        let total: u64 = self.tasks.iter().map(|t| u64::from(t.steps())).sum();
        let done: u64 = self.done.iter().map(|d| u64::from(*d)).sum();
        let seconds = self.began.map_or(0.0, |at| at.elapsed().as_secs_f64());
        if self.made > 0 && total > done {
            let left = (total - done) as f64 * seconds / self.made as f64;
            text.push_str(&format!(" | {} left", super::progress::time(left)));
        }
        let run = |at: &usize| {
            let task = &self.tasks[*at];
            format!("{} {}/{}", task.name, self.done[*at], task.steps())
        };
        let runs: Vec<String> = self.under_way.iter().map(run).collect();
        if !runs.is_empty() {
            text.push_str(&format!(" | {}", runs.join(", ")));
        }
        text
    }

    /// Nothing more comes.
    pub fn finish(&self) {
        if let Some(terminal) = &self.terminal {
            let _ = terminal.clear_line();
        }
    }
}
