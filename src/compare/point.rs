//! A point of the grid: a run.

use serde_json::{Value, json};

use crate::options::{Entry, TABLE, typed};
use crate::train::Method;

/// A run of an experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Its method.
    pub method: Method,
    /// The options that the experiment varies, with this run's values (JSON).
    pub varied: Vec<(&'static Entry, Value)>,
    /// Its seed.
    pub seed: u64,
}

/// Puts the value of an option into `options`, JSON of [`crate::train::TrainOptions`].
pub(super) fn put(options: &mut Value, entry: &Entry, value: Value) {
    match entry.group {
        "" => options[entry.name] = value,
        group => options[group][entry.name] = value,
    }
}

/// An option as it is typed, but for the dashes before it.
pub(super) fn spoken(entry: &Entry) -> String {
    entry.id().replace('_', "-")
}

/// `text` as a part of a file's name.
fn in_name(text: &str) -> String {
    let kept = |c: char| c.is_ascii_alphanumeric() || "+.,".contains(c);
    let text: String = text
        .chars()
        .map(|c| if kept(c) { c } else { '_' })
        .collect();
    text.trim_matches('_').to_owned()
}

impl Point {
    /// The varied values as they are typed.
    #[must_use]
    pub fn values(&self) -> Vec<String> {
        self.varied.iter().map(|(_, value)| typed(value)).collect()
    }

    /// The name of its folder: `vq-s0`, `vq-num-codes64-s0`.
    #[must_use]
    pub fn name(&self) -> String {
        let mut name = self.method.name().to_owned();
        for (entry, value) in &self.varied {
            name = format!("{name}-{}{}", spoken(entry), in_name(&typed(value)));
        }
        format!("{name}-s{}", self.seed)
    }

    /// What it is in words, but for the seed: `vq, num-codes 64`.
    #[must_use]
    pub fn label(&self) -> String {
        let mut label = self.method.name().to_owned();
        for (entry, value) in &self.varied {
            label = format!("{label}, {} {}", spoken(entry), typed(value));
        }
        label
    }

    /// Its options over `shared`, JSON of [`crate::train::TrainOptions`]; those of an optimiser that it does not
    /// have are left out.
    #[must_use]
    pub fn options(&self, shared: &Value) -> Value {
        let mut options = shared.clone();
        for (entry, value) in &self.varied {
            put(&mut options, entry, value.clone());
        }
        options["method"] = self.method.name().into();
        options["seed"] = json!(self.seed);
        let optimizer = Entry::named("optimizer").and_then(|e| e.of_json(&options));
        let optimizer = optimizer.and_then(Value::as_str).unwrap_or("adamw");
        let foreign =
            |e: &&Entry| e.group == "optimizer" && !e.of.is_empty() && !e.of.contains(&optimizer);
        let foreign: Vec<&str> = TABLE.iter().filter(foreign).map(|e| e.name).collect();
        if let Some(given) = options.get_mut("optimizer").and_then(Value::as_object_mut) {
            given.retain(|name, _| !foreign.contains(&name.as_str()));
        }
        options
    }
}
