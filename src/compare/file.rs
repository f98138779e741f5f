//! `experiment.toml`: an experiment in a file, with the names of the command line.

use serde_json::Value as Json;
use toml::{Table, Value};

use super::experiment::{Experiment, option, parse_methods, parse_seeds, vary_of};
use super::point::{put, spoken};
use crate::error::{Error, Result};
use crate::options::TABLE;

/// What an experiment's folder holds of its options.
pub const EXPERIMENT: &str = "experiment.toml";

/// A value as it is typed on the command line.
fn typed(value: &Value) -> Result<String> {
    Ok(match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(yes) => yes.to_string(),
        Value::Array(values) => {
            let all: Result<Vec<String>> = values.iter().map(typed).collect();
            all?.join(",")
        }
        Value::Datetime(_) | Value::Table(_) => {
            return Err(Error::Config(format!("`{value}` is no value of an option")));
        }
    })
}

/// A list, or one alone.
fn list(value: &Value) -> Result<Vec<String>> {
    match value {
        Value::Array(values) => values.iter().map(typed).collect(),
        Value::String(text) => Ok(text.split(',').map(str::to_owned).collect()),
        one => Ok(vec![typed(one)?]),
    }
}

fn to_toml(value: &Json) -> Value {
    match value {
        Json::Bool(yes) => Value::Boolean(*yes),
        Json::String(text) => Value::String(text.clone()),
        Json::Array(values) => Value::Array(values.iter().map(to_toml).collect()),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Integer(whole),
            // The shortest that float32 takes for the same.
            (None, Some(float)) if number.is_f64() => {
                let short = (float as f32).to_string().parse();
                Value::Float(short.unwrap_or(float))
            }
            _ => Value::String(number.to_string()),
        },
        Json::Null | Json::Object(_) => Value::String("none".into()),
    }
}

impl Experiment {
    /// The experiment in `text`, the contents of a file called `name`. Methods may be missing.
    ///
    /// # Errors
    /// [`Error::About`] names the file, and in it what is no TOML, no option or no value of one.
    pub fn from_toml(text: &str, name: &str) -> Result<Self> {
        Self::read_toml(text).map_err(|e| e.about(name.to_owned()))
    }

    fn read_toml(text: &str) -> Result<Self> {
        let table: Table = text.parse().map_err(|e: toml::de::Error| {
            let at = e.span().map_or(0, |s| s.start).min(text.len());
            let line = text.as_bytes()[..at]
                .iter()
                .filter(|b| **b == b'\n')
                .count()
                + 1;
            let what = e.message().replace('\n', ", ");
            Error::Config(format!("line {line}: {what}"))
        })?;
        let mut experiment = Self::default();
        for (key, value) in &table {
            match key.as_str() {
                "methods" => {
                    experiment.methods = parse_methods(list(value)?.iter().map(String::as_str))?;
                }
                "seeds" => experiment.seeds = parse_seeds(&list(value)?.join(","))?,
                "vary" => {
                    let Value::Table(varied) = value else {
                        let message = "vary is a table: [vary], then num-codes = [64, 256]";
                        return Err(Error::Config(message.into()));
                    };
                    for (name, values) in varied {
                        let option = option(name)?;
                        let Value::Array(values) = values else {
                            return Err(Error::Config(format!(
                                "vary {name}: want a list of values, [A, B]"
                            )));
                        };
                        let values: Vec<String> =
                            values.iter().map(typed).collect::<Result<_>>()?;
                        let vary = vary_of(option, values.iter().map(String::as_str))?;
                        experiment.vary.push(vary);
                    }
                }
                name => {
                    let option = option(name)?;
                    let value = option.parse(&typed(value)?);
                    put(
                        &mut experiment.options,
                        option,
                        value.map_err(|e| match e {
                            Error::Config(_) => e.about(name.to_owned()),
                            other => other,
                        })?,
                    );
                }
            }
        }
        Ok(experiment)
    }

    /// The same as a file.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut table = Table::new();
        let names = self.methods.iter().map(|m| m.name().to_owned().into());
        table.insert("methods".into(), Value::Array(names.collect()));
        let seeds = self.seeds.iter().map(|s| to_toml(&Json::from(*s)));
        table.insert("seeds".into(), Value::Array(seeds.collect()));
        for entry in &TABLE {
            if let Some(value) = entry.of_json(&self.options) {
                table.insert(spoken(entry), to_toml(value));
            }
        }
        if !self.vary.is_empty() {
            let mut varied = Table::new();
            for vary in &self.vary {
                let values = vary.values.iter().map(to_toml).collect();
                varied.insert(spoken(vary.option), Value::Array(values));
            }
            table.insert("vary".into(), Value::Table(varied));
        }
        table.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_experiment_there_and_back() {
        let text = "methods = [\"vq\", \"fsq\"]\nseeds = \"0-2,5\"\nlr = 1e-3\nsteps = 20\n\
                    ema_decay = \"none\"\n[vary]\nnum-codes = [64, 256]\nfsq-levels = [[8, 5], \"none\"]\n";
        let read = Experiment::from_toml(text, "x").unwrap();
        assert_eq!(read.seeds, [0, 1, 2, 5]);
        assert_eq!(read.options["lr"], serde_json::json!(1e-3_f32));
        assert!(
            read.to_toml().contains("lr = 0.001\n"),
            "{}",
            read.to_toml()
        );
        assert!(read.options["vq"]["ema_decay"].is_null());
        assert_eq!(read.vary[1].values[0], serde_json::json!([8, 5]));
        assert_eq!(read.points().len(), 2 * 4 * 4);
        let again = Experiment::from_toml(&read.to_toml(), "x").unwrap();
        assert_eq!(again, read);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, want) in [
            ("methods = [", "x: line 1: "),
            ("methods = [\"approch1\"]", "did you mean `approach1`?"),
            (
                "num-code = 3",
                "unknown option `num-code`; did you mean `num-codes`?",
            ),
            ("lr = \"fast\"", "lr must be a number above 0"),
            ("seed = 3", "give `seeds`"),
            ("seeds = \"3-1\"", "`3-1` is none"),
            ("seeds = [1, 1]", "1 stands twice"),
            ("lr = 1979-05-27", "is no value of an option"),
            ("norm = \"l3\"", "norm: unknown variant `l3`"),
            ("vary = 3", "vary is a table"),
            ("[vary]\nlr = 3", "vary lr: want a list"),
            ("[vary]\nlr = [1, 1.0]", "vary lr: 1 stands twice"),
            ("[vary]\nlr = []", "vary lr: none is given"),
            ("[vary]\nbatch = [0]", "vary batch: batch must be"),
        ] {
            let error = Experiment::from_toml(text, "x").unwrap_err().to_string();
            assert!(
                error.contains(want),
                "{text}: {error:?} does not say {want:?}"
            );
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
