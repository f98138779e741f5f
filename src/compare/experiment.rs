//! An experiment: what is compared, and whether each point of the grid can be trained.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

use super::point::{Point, spoken};
use crate::error::{Error, Result};
use crate::options::{Entry, Flag, Kind, TABLE, typed};
use crate::run::stored;
use crate::train::{Method, TrainOptions};

/// An option that is varied, and its values (JSON).
#[derive(Debug, Clone, PartialEq)]
pub struct Vary {
    /// The option.
    pub option: &'static Entry,
    /// Its values, each once.
    pub values: Vec<Value>,
}

/// Methods x values of options x seeds.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// The methods.
    pub methods: Vec<Method>,
    /// The seeds, ascending.
    pub seeds: Vec<u64>,
    /// What all runs have: JSON of a part of [`TrainOptions`], without method and seed.
    pub options: Value,
    /// What is varied.
    pub vary: Vec<Vary>,
}

/// `; did you mean `x`?` where something in `known` resembles `word`.
fn suggestion<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    let close = known.map(|k| (strsim::jaro_winkler(word, k), k));
    let close = close.filter(|(alike, _)| *alike > 0.8);
    let best = close.max_by(|a, b| a.0.total_cmp(&b.0));
    best.map_or(String::new(), |(_, k)| format!("; did you mean `{k}`?"))
}

/// [`Error::Config`] names what stands twice in `what`.
fn once<T: PartialEq>(what: &str, all: &[T], text: impl Fn(&T) -> String) -> Result<()> {
    match all.iter().enumerate().find(|(i, v)| all[..*i].contains(v)) {
        None if all.is_empty() => Err(Error::Config(format!("{what}: none is given"))),
        None => Ok(()),
        Some((_, twice)) => Err(Error::Config(format!(
            "{what}: {} stands twice",
            text(twice)
        ))),
    }
}

/// The methods of these names.
///
/// # Errors
/// [`Error::Config`] names one that there is not, and the one that it resembles.
pub fn parse_methods<'a>(names: impl Iterator<Item = &'a str>) -> Result<Vec<Method>> {
    let known = || Method::ALL.iter().map(|m| m.name());
    let method = |name: &str| {
        let found = Method::ALL.iter().find(|m| m.name() == name);
        found.copied().ok_or_else(|| {
            Error::Config(format!(
                "unknown method `{name}`{}; there are: {}",
                suggestion(name, known()),
                known().collect::<Vec<_>>().join(", ")
            ))
        })
    };
    let methods: Vec<Method> = names.map(str::trim).map(method).collect::<Result<_>>()?;
    once("methods", &methods, |m| m.name().to_owned())?;
    Ok(methods)
}

/// Seeds as they are typed: `0-2,5`.
///
/// # Errors
/// [`Error::Config`] says what cannot be read, or stands twice.
pub fn parse_seeds(text: &str) -> Result<Vec<u64>> {
    /// More would be a slip of the hand.
    const MOST: u64 = 10_000;
    let refuse = |part: &str| {
        Error::Config(format!(
            "seeds: `{part}` is none; want numbers and ranges, for example 0-2,5"
        ))
    };
    let mut seeds = Vec::new();
    for part in text.split(',').map(str::trim) {
        let number = |text: &str| text.trim().parse::<u64>().map_err(|_| refuse(part));
        match part.split_once('-') {
            None => seeds.push(number(part)?),
            Some((from, to)) => {
                let (from, to) = (number(from)?, number(to)?);
                if from > to {
                    return Err(refuse(part));
                }
                if to - from >= MOST {
                    return Err(Error::Config(format!(
                        "seeds: `{part}` are more than {MOST}"
                    )));
                }
                seeds.extend(from..=to);
            }
        }
    }
    once("seeds", &seeds, u64::to_string)?;
    seeds.sort_unstable();
    Ok(seeds)
}

/// The option called `name` (with dashes or underscores) that an experiment can have.
pub(super) fn option(name: &str) -> Result<&'static Entry> {
    let id = name.replace('-', "_");
    let instead = match id.as_str() {
        "method" => Some("methods"),
        "seed" => Some("seeds"),
        _ => None,
    };
    if let Some(instead) = instead {
        return Err(Error::Config(format!(
            "`{name}` is one of what is compared: give `{instead}`"
        )));
    }
    let known = || TABLE.iter().filter(|e| e.flag != Flag::Missing);
    known().find(|e| e.id() == id).ok_or_else(|| {
        let names: Vec<String> = known().map(spoken).collect();
        let close = suggestion(name, names.iter().map(String::as_str));
        let close = match close.as_str() {
            "" => "; `semivq train --help` lists them".to_owned(),
            close => close.to_owned(),
        };
        Error::Config(format!("unknown option `{name}`{close}"))
    })
}

/// A varied option with its values as they are typed.
///
/// # Errors
/// As [`Entry::parse`]; [`Error::Config`] when a value stands twice.
pub(super) fn vary_of<'a>(
    option: &'static Entry,
    values: impl Iterator<Item = &'a str>,
) -> Result<Vary> {
    let values: Vec<Value> = values
        .map(|text| option.parse(text.trim()))
        .collect::<Result<_>>()
        .map_err(|e| e.about(format!("vary {}", spoken(option))))?;
    once(&format!("vary {}", spoken(option)), &values, typed)?;
    Ok(Vary { option, values })
}

/// A varied option as it is typed: `num-codes=64,256`; of values that have commas themselves
/// `fsq-levels=8,5;8,6,5`.
///
/// # Errors
/// [`Error::Config`] and [`Error::Option`] name the option and what is wrong.
pub fn parse_vary(text: &str) -> Result<Vary> {
    let Some((name, values)) = text.split_once('=') else {
        return Err(Error::Config(format!(
            "vary: `{text}` says no values; want OPTION=VALUE,VALUE, for example num-codes=64,256"
        )));
    };
    let option = option(name.trim())?;
    let lists = matches!(option.kind, Kind::Pair | Kind::Levels);
    let by = if lists || values.contains(';') {
        ';'
    } else {
        ','
    };
    vary_of(option, values.split(by))
}

impl Experiment {
    /// All points, those of a method together and of a value of each option, as the table has them.
    #[must_use]
    pub fn points(&self) -> Vec<Point> {
        let mut combinations = vec![Vec::new()];
        for vary in &self.vary {
            let mut next = Vec::new();
            for before in &combinations {
                for value in &vary.values {
                    let mut one: Vec<(&'static Entry, Value)> = before.clone();
                    one.push((vary.option, value.clone()));
                    next.push(one);
                }
            }
            combinations = next;
        }
        let mut points = Vec::new();
        for method in &self.methods {
            for varied in &combinations {
                points.extend(self.seeds.iter().map(|seed| Point {
                    method: *method,
                    varied: varied.clone(),
                    seed: *seed,
                }));
            }
        }
        points
    }

    /// The options of `point`.
    ///
    /// # Errors
    /// [`Error::About`] names the point whose options are out of range or do not go together.
    pub fn options_of(&self, point: &Point) -> Result<TrainOptions> {
        let options = TrainOptions::from_partial(point.options(&self.options));
        let checked = options.and_then(|options| {
            options.build_model(1)?;
            Ok(options)
        });
        checked.map_err(|e| e.about(point.label()))
    }

    /// The names of the options that are given, of all runs or varied.
    fn given(&self) -> BTreeSet<&'static str> {
        let shared = TABLE
            .iter()
            .filter(|e| e.of_json(&self.options).is_some())
            .map(Entry::id);
        let varied = self.vary.iter().map(|v| v.option.id());
        let method = (self.methods.len() > 1).then_some("method");
        shared.chain(varied).chain(method).collect()
    }

    /// Whether every point can be trained, as far as that can be said without a device and images. Returns notes:
    /// what has no effect on some of the points.
    ///
    /// # Errors
    /// [`Error::About`] names the first point that cannot; [`Error::Conflict`] an option that has no effect on
    /// any; [`Error::Config`] when an option is both shared and varied, or two points have one folder.
    pub fn check(&self) -> Result<Vec<String>> {
        for (i, vary) in self.vary.iter().enumerate() {
            let name = spoken(vary.option);
            if self.vary[..i].iter().any(|v| v.option == vary.option) {
                return Err(Error::Config(format!("vary: {name} stands twice")));
            }
            if vary.option.of_json(&self.options).is_some() {
                return Err(Error::Config(format!(
                    "{name} is given for all runs and varied too: leave one of them out"
                )));
            }
        }
        let points = self.points();
        let mut names = BTreeSet::new();
        for point in &points {
            if !names.insert(point.name().to_lowercase()) {
                return Err(Error::Config(format!(
                    "two runs would have one folder, {}: their values differ in nothing that a file's name can hold",
                    point.name()
                )));
            }
        }
        let given = self.given();
        // The labels of the points on which each option has no effect, and why.
        let mut idle: BTreeMap<&str, (Vec<String>, &str)> = BTreeMap::new();
        let first = |p: &&Point| Some(&p.seed) == self.seeds.first();
        let kinds: Vec<&Point> = points.iter().filter(first).collect();
        for point in &kinds {
            self.options_of(point)?;
            let mut here = BTreeSet::new();
            for without in TrainOptions::idle(point.options(&self.options))? {
                for name in without.names {
                    if given.contains(name) && here.insert(*name) {
                        let entry = idle.entry(name).or_insert((Vec::new(), without.why));
                        entry.0.push(point.label());
                    }
                }
            }
        }
        if let Some((name, (_, why))) = idle.iter().find(|(_, (at, _))| at.len() == kinds.len()) {
            return Err(Error::Conflict(format!(
                "`{name}` has no effect: {why}; leave it out"
            )));
        }
        let note = |(name, (at, why)): (&str, (Vec<String>, &str))| {
            let shown = at.len().min(3);
            let more = match at.len() - shown {
                0 => String::new(),
                n => format!(" and {n} more"),
            };
            format!(
                "`{name}` has no effect on {}{more}: {why}",
                at[..shown].join("; ")
            )
        };
        Ok(idle.into_iter().map(note).collect())
    }

    /// The paths among its options as they are found from any working directory.
    ///
    /// # Errors
    /// As [`stored`].
    pub fn with_absolute_paths(mut self) -> Result<Self> {
        for id in ["data", "init"] {
            let absolute = |value: &mut Value| -> Result<()> {
                if let Some(path) = value.as_str().filter(|p| Path::new(p).exists()) {
                    *value = stored(path.as_ref(), id)?.into();
                }
                Ok(())
            };
            if let Some(value) = self.options.get_mut(id) {
                absolute(value)?;
            }
            for vary in self.vary.iter_mut().filter(|v| v.option.id() == id) {
                vary.values.iter_mut().try_for_each(absolute)?;
            }
        }
        Ok(self)
    }

    /// Whether this is `before` or more of the same: further methods, seeds or values.
    ///
    /// # Errors
    /// [`Error::Config`] says in what they differ.
    pub fn extends(&self, before: &Self) -> Result<()> {
        let differ = |what: String| Err(Error::Config(what));
        for entry in &TABLE {
            let [now, then] = [&self.options, &before.options].map(|o| entry.of_json(o));
            if now != then {
                let text = |v: Option<&Value>| v.map_or("its default".into(), typed);
                return differ(format!(
                    "{} was {}, not {}",
                    spoken(entry),
                    text(then),
                    text(now)
                ));
            }
        }
        let varied = |e: &Self| e.vary.iter().map(|v| spoken(v.option)).collect::<Vec<_>>();
        if varied(self) != varied(before) {
            let list = |e: &Self| match varied(e).join(", ") {
                none if none.is_empty() => "nothing".to_owned(),
                names => names,
            };
            return differ(format!("it varied {}, not {}", list(before), list(self)));
        }
        if let Some(gone) = before.methods.iter().find(|m| !self.methods.contains(m)) {
            return differ(format!("it has the method {} too", gone.name()));
        }
        if let Some(gone) = before.seeds.iter().find(|s| !self.seeds.contains(s)) {
            return differ(format!("it has the seed {gone} too"));
        }
        for (now, then) in self.vary.iter().zip(&before.vary) {
            if let Some(gone) = then.values.iter().find(|v| !now.values.contains(v)) {
                let name = spoken(now.option);
                return differ(format!("it has {name} {} too", typed(gone)));
            }
        }
        Ok(())
    }
}

impl Default for Experiment {
    fn default() -> Self {
        Self {
            methods: Vec::new(),
            seeds: vec![0],
            options: json!({}),
            vary: Vec::new(),
        }
    }
}
