//! An entry of the table.

use std::fmt::Write as _;

use serde_json::Value;

use super::control::{Control, Scope};
use super::number::{INPLACE_LR, INPLACE_MOMENTUM, Number, Range, not_in_place};
use crate::error::{Error, Result};

/// The texts are the command line's and the generated file's; the page's core has none of them.
const TEXTS: bool = cfg!(not(target_arch = "wasm32"));

/// What an option can be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// A number.
    Number(Range),
    /// One of these words.
    Word(&'static [&'static str]),
    /// The name of a [`crate::train::Method`].
    Method,
    /// Yes or no.
    Switch,
    /// The learning rate and momentum of the in-place step, see [`INPLACE_LR`] and
    /// [`INPLACE_MOMENTUM`].
    Pair,
    /// Whole numbers, one a channel.
    Levels,
    /// Free text, read where it is used.
    Text,
}

/// Whether an option can be unset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unset {
    /// It always has a value.
    Never,
    /// Null in JSON.
    Null,
    /// Null in JSON, and `none` on the command line, where this is an example of a value.
    OrNone(&'static str),
    /// Left out of JSON, where null is taken too.
    LeftOut,
}

/// Whether `train` has a flag for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// Yes.
    Shown,
    /// Yes, but `--help` does not list it.
    Hidden,
    /// It is in JSON only.
    Missing,
}

/// An option.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry {
    /// The object of [`crate::train::TrainOptions`] that holds it, `vq` or `optimizer`; empty for the
    /// options themselves.
    pub group: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// What it can be.
    pub kind: Kind,
    /// Whether it can be unset.
    pub unset: Unset,
    /// The models or optimisers that have it; empty where it is of none of them.
    pub of: &'static [&'static str],
    /// Whether it may change in a run that goes on (`train --resume`).
    pub resumable: bool,
    /// Its default, as typed; empty for none.
    pub default: &'static str,
    /// Its flag.
    pub flag: Flag,
    /// What it is, in a sentence: the command line's help.
    pub help: &'static str,
    /// What the help says after the default; `None` where it says no default.
    pub remark: Option<&'static str>,
    /// The page's control, if it has one.
    pub control: Option<Control>,
}

/// An option of `group` with its help; `default` as typed, empty for none.
pub(super) const fn entry(
    group: &'static str,
    name: &'static str,
    kind: Kind,
    default: &'static str,
    help: &'static str,
) -> Entry {
    Entry {
        group,
        name,
        kind,
        unset: Unset::Never,
        of: &[],
        resumable: false,
        default: if TEXTS { default } else { "" },
        flag: Flag::Shown,
        help: if TEXTS { help } else { "" },
        remark: None,
        control: None,
    }
}

/// A numeric option.
pub(super) const fn number(number: Number, default: &'static str, help: &'static str) -> Entry {
    let Number { group, name, range } = number;
    entry(group, name, Kind::Number(range), default, help)
}

impl Entry {
    pub(super) const fn unset(self, unset: Unset) -> Self {
        Self { unset, ..self }
    }

    pub(super) const fn of(self, of: &'static [&'static str]) -> Self {
        Self { of, ..self }
    }

    pub(super) const fn resumable(self) -> Self {
        Self {
            resumable: true,
            ..self
        }
    }

    pub(super) const fn flag(self, flag: Flag) -> Self {
        Self { flag, ..self }
    }

    /// The help says the default, and `remark` after it.
    pub(super) const fn shown(self, remark: &'static str) -> Self {
        if !TEXTS {
            return self;
        }
        Self {
            remark: Some(remark),
            ..self
        }
    }

    /// With a control that is each side's own and left to the method.
    pub(super) const fn side(self, label: &'static str, help: &'static str) -> Self {
        let control = Control {
            key: self.name,
            label,
            help,
            scope: Scope::Side,
            initial: "",
            live: false,
            more: false,
            bounds: (0.0, 1.0),
        };
        self.with(control)
    }

    /// With a control that both sides share.
    pub(super) const fn shared(self, label: &'static str, help: &'static str) -> Self {
        let side = self.side(label, help);
        match side.control {
            None => side,
            Some(control) => side.with(Control {
                scope: Scope::Shared,
                ..control
            }),
        }
    }

    const fn with(self, control: Control) -> Self {
        let control = if TEXTS { Some(control) } else { None };
        Self { control, ..self }
    }

    /// The control's key, where it stands for a part of the option.
    pub(super) const fn key(self, key: &'static str) -> Self {
        match self.control {
            None => self,
            Some(control) => self.with(Control { key, ..control }),
        }
    }

    /// What a fresh page has.
    pub(super) const fn initial(self, initial: &'static str) -> Self {
        match self.control {
            None => self,
            Some(control) => self.with(Control { initial, ..control }),
        }
    }

    /// The control changes a run under way.
    pub(super) const fn live(self) -> Self {
        match self.control {
            None => self,
            Some(control) => self.with(Control {
                live: true,
                ..control
            }),
        }
    }

    /// The control stands among the further options.
    pub(super) const fn more(self) -> Self {
        match self.control {
            None => self,
            Some(control) => self.with(Control {
                more: true,
                ..control
            }),
        }
    }

    /// The control's least and greatest number.
    pub(super) const fn bounds(self, least: f64, greatest: f64) -> Self {
        match self.control {
            None => self,
            Some(control) => self.with(Control {
                bounds: (least, greatest),
                ..control
            }),
        }
    }

    /// Whether it is a whole number.
    #[must_use]
    pub fn whole(&self) -> bool {
        matches!(self.kind, Kind::Number(Range::Whole(..)))
    }

    /// Its name on the command line, with underscores.
    #[must_use]
    pub fn id(&self) -> &'static str {
        match self.name {
            "name" => self.group,
            name => name,
        }
    }

    /// The heading that it stands under in the help of `train`, if it has one.
    #[must_use]
    pub fn heading(&self) -> Option<&'static str> {
        match (self.group, self.of) {
            ("vq", _) => Some("Quantiser (names of the PyTorch package's README)"),
            ("", _) if self.name == "width" || self.name == "blocks" => None,
            ("", []) => match self.name {
                "schedule" | "warmup" | "min_lr" | "decay_every" | "decay_factor" => {
                    Some("Learning rate")
                }
                "eval_every" | "keep_best" | "keep_last" | "patience" | "min_delta" => {
                    Some("Evaluation and checkpoints")
                }
                "loss" | "quantizer_lr" | "clip_norm" | "accumulate" => {
                    Some("Losses and optimiser")
                }
                _ => None,
            },
            _ => Some("Losses and optimiser"),
        }
    }

    /// The help of the command line, with the default where it says that.
    #[must_use]
    pub fn long_help(&self) -> String {
        let mut help = self.help.to_owned();
        if let Some(remark) = self.remark {
            // Writing to a string does not fail.
            let _ = write!(help, " [default: {}{remark}]", self.default);
        }
        help
    }

    /// The value in `text`, as typed on the command line, as JSON. Of [`Kind::Method`] and
    /// [`Kind::Text`] any text is one.
    ///
    /// # Errors
    /// [`Error::Option`] names the option and what it can be; [`Error::Config`] says how it is
    /// written.
    pub fn parse(&self, text: &str) -> Result<Value> {
        let Unset::OrNone(example) = self.unset else {
            return self.parse_set(text, "");
        };
        match text {
            "none" => Ok(Value::Null),
            text => self.parse_set(text, &format!(", for example {example}, or none")),
        }
    }

    fn parse_set(&self, text: &str, more: &str) -> Result<Value> {
        match self.kind {
            Kind::Number(range) => {
                let Self { group, name, .. } = *self;
                let number = Number { group, name, range };
                number.parse_json(text).map_err(|e| match e {
                    Error::Option { name, value, want } => Error::Option {
                        name,
                        value,
                        want: format!("{want}{more}"),
                    },
                    other => other,
                })
            }
            Kind::Word(words) if words.contains(&text) => Ok(text.into()),
            Kind::Word(words) => Err(unknown(text, words)),
            Kind::Switch => match text {
                "true" => Ok(true.into()),
                "false" => Ok(false.into()),
                _ => Err(unknown(text, &["true", "false"])),
            },
            Kind::Pair => pair(text, more),
            Kind::Levels => {
                let levels = text.split(',').map(|t| t.trim().parse::<usize>());
                let levels: Result<Vec<usize>, _> = levels.collect();
                levels
                    .map(Value::from)
                    .map_err(|_| Error::Config(format!("want numbers{more}")))
            }
            Kind::Method | Kind::Text => Ok(text.into()),
        }
    }

    /// Its value in `options`, JSON of [`crate::train::TrainOptions`] or a part of it.
    #[must_use]
    pub fn of_json<'a>(&self, options: &'a Value) -> Option<&'a Value> {
        let object = match self.group {
            "" => Some(options),
            group => options.get(group),
        };
        object?.get(self.name)
    }

    /// Whether its value in `options`, if it is a number and there is one, is in range.
    pub(super) fn check_json(&self, options: &Value) -> Result<()> {
        let (Kind::Number(range), Some(value)) = (self.kind, self.of_json(options)) else {
            return Ok(());
        };
        if value.is_null() && self.unset != Unset::Never {
            return Ok(());
        }
        let Self { group, name, .. } = *self;
        Number { group, name, range }.check_json(value)
    }
}

/// In the words of serde, which reads the JSON.
fn unknown(text: &str, words: &[&str]) -> Error {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    let expected = match &quoted[..] {
        [one, other] => format!("{one} or {other}"),
        all => format!("one of {}", all.join(", ")),
    };
    Error::Config(format!("unknown variant `{text}`, expected {expected}"))
}

fn pair(text: &str, more: &str) -> Result<Value> {
    let parts: Vec<&str> = text.split(',').collect();
    let numbers = parts.iter().all(|t| t.trim().parse::<f32>().is_ok());
    let ([lr, momentum], true) = (&parts[..], numbers) else {
        return Err(Error::Config(format!("want LR,MOMENTUM{more}")));
    };
    let lr = INPLACE_LR.parse_json(lr);
    let momentum = INPLACE_MOMENTUM.parse_json(momentum);
    // What was typed, not what float32 makes of it.
    lr.and_then(|lr| Ok(Value::from([lr, momentum?])))
        .map_err(|_| not_in_place(text))
}

/// A value as it is typed, so that [`Entry::parse`] makes the same of it; `none` for null.
#[must_use]
pub fn typed(value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(typed).collect::<Vec<_>>().join(","),
        // The shortest that float32 takes for the same.
        Value::Number(number) if number.is_f64() => {
            let float = number.as_f64().unwrap_or_default() as f32;
            float.to_string()
        }
        other => other.to_string(),
    }
}
