//! The flags of `train`: those of a run of its own, and one for each option of the table.

use std::path::PathBuf;

use clap::builder::{BoolValueParser, PossibleValuesParser, TypedValueParser as _, ValueParser};
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use semivq::options::{Entry, Flag, Kind, TABLE};
use semivq::train::{CheckpointEvery, Method, TrainOptions};
use semivq::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::given::Given;
use super::idle;

/// What a run is made of but for its options.
#[derive(Args, Default)]
pub struct RunArgs {
    /// Folder for the results [default: runs/METHOD-1, -2, ..]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Replace the run that --out holds
    #[arg(long, requires = "out")]
    pub overwrite: bool,
    /// Go on with a run: the one in a folder, or from a checkpoint FILE.safetensors (the page's too),
    /// which makes a new run (--out). Its options are the run's; --steps or --epochs,
    /// --lr, --schedule, --warmup, --min-lr, --decay-every, --decay-factor (over all steps, from the
    /// first), --log-every, --checkpoint-every, --eval-every, --keep-best, --keep-last, --patience,
    /// --min-delta, --commitment-weight, --penalty-weight, --weight-decay and, where its images were
    /// moved, --data can be given anew
    #[arg(long, value_name = "DIR|FILE")]
    pub resume: Option<PathBuf>,
    /// The seed's README to the letter: output clamped in training too, batch 256, 1000 steps. It
    /// ends at the constant background, because a clamped pixel has no gradient
    #[arg(long, conflicts_with = "output_clamp")]
    pub readme: bool,
}

/// The options that are paths, which need not be UTF-8 as they are typed.
pub const PATHS: [&str; 2] = ["data", "init"];

/// The flags of `train`.
pub struct TrainArgs {
    /// The options given, JSON of [`TrainOptions`] but for the paths.
    options: Value,
    /// The data set's folder.
    pub data: Option<PathBuf>,
    /// The file of the first weights.
    pub init: Option<PathBuf>,
    /// The rest.
    pub run: RunArgs,
}

/// A word that the library knows, such as `approach1`; the error lists all of them.
fn word<T: DeserializeOwned + Serialize>(text: &str) -> Result<Value> {
    let word: Result<T, _> = serde_json::from_value(text.into());
    word.map(|word| json!(word))
        .map_err(|e| Error::Config(e.to_string()))
}

/// How the value of an option is read, as JSON.
fn parser(entry: &'static Entry) -> ValueParser {
    match (entry.kind, entry.id()) {
        (_, id) if PATHS.contains(&id) => clap::value_parser!(PathBuf),
        // The error of the options says which there are.
        (_, "model") => ValueParser::new(|text: &str| Ok::<_, Error>(Value::from(text))),
        (_, "checkpoint_every") => ValueParser::new(word::<CheckpointEvery>),
        (Kind::Method, _) => ValueParser::new(word::<Method>),
        (Kind::Word(words), "optimizer") => PossibleValuesParser::new(words.iter().copied())
            .map(Value::from)
            .into(),
        (Kind::Switch, _) => BoolValueParser::new().map(Value::from).into(),
        _ => ValueParser::new(|text: &str| entry.parse(text)),
    }
}

/// The flag of an option.
pub fn argument(entry: &'static Entry) -> Arg {
    let id = entry.id();
    let value_name = match (entry.kind, id) {
        (_, "init") => "FILE".into(),
        (_, "data") => "DIR|glyphs|scenes".into(),
        (_, "checkpoint_every") => "N|SECONDSs".into(),
        (_, "ema_decay") => "DECAY".into(),
        (Kind::Pair, _) => "LR,MOMENTUM".into(),
        (Kind::Levels, _) => "L,L,..".into(),
        _ => id.to_uppercase(),
    };
    let argument = Arg::new(id)
        .long(id.replace('_', "-"))
        .help(entry.long_help())
        .help_heading(entry.heading())
        .hide(entry.flag == Flag::Hidden)
        .value_name(value_name)
        .value_parser(parser(entry));
    match entry.kind {
        Kind::Number(_) => argument.allow_negative_numbers(true),
        Kind::Pair | Kind::Levels => argument.allow_hyphen_values(true),
        Kind::Switch => argument
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
        _ => argument,
    }
}

/// The switch that `--codebook-init kmeans` took the place of.
fn kmeans_init() -> Arg {
    Arg::new("kmeans_init")
        .long("kmeans-init")
        .help("Earlier name of --codebook-init kmeans")
        .hide(true)
        .conflicts_with("codebook_init")
        .value_name("KMEANS_INIT")
        .value_parser(BoolValueParser::new())
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
}

/// The options that have a flag.
pub fn flags() -> impl Iterator<Item = &'static Entry> {
    TABLE.iter().filter(|entry| entry.flag != Flag::Missing)
}

impl Args for TrainArgs {
    fn augment_args(mut command: Command) -> Command {
        for entry in flags() {
            // Between the options that say what is trained and those that say what is written.
            if entry.name == "log_every" {
                command = RunArgs::augment_args(command);
            }
            command = command.arg(argument(entry));
        }
        command.arg(kmeans_init())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for TrainArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut options = json!({});
        for entry in flags().filter(|entry| !PATHS.contains(&entry.id())) {
            if let Some(value) = matches.get_one::<Value>(entry.id()) {
                put(&mut options, entry, value.clone());
            }
        }
        if let Some(on) = matches.get_one::<bool>("kmeans_init") {
            let init = if *on { "kmeans" } else { "normal" };
            options["vq"]["codebook_init"] = init.into();
        }
        Ok(Self {
            options,
            data: matches.get_one("data").cloned(),
            init: matches.get_one("init").cloned(),
            run: RunArgs::from_arg_matches(matches)?,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Puts the value of an option into `options`.
pub fn put(options: &mut Value, entry: &Entry, value: Value) {
    match entry.group {
        "" => options[entry.name] = value,
        group => options[group][entry.name] = value,
    }
}

/// Default steps and batch on a GPU, and on a software adapter, where the run should end within
/// two minutes.
const GPU_SIZE: (u32, usize) = (1000, 256);
const SOFTWARE_SIZE: (u32, usize) = (600, 64);

impl TrainArgs {
    /// Those of `options` alone, JSON of a part of [`TrainOptions`].
    pub fn of(options: Value) -> Self {
        Self {
            options,
            data: None,
            init: None,
            run: RunArgs::default(),
        }
    }

    /// The value given for an option, by its name on the command line.
    pub fn given(&self, id: &str) -> Option<&Value> {
        Entry::named(id)?.of_json(&self.options)
    }

    /// The method where none is given: the best one, unless options of the quantiser are, which are the
    /// README's but for what is said.
    fn default_method(&self) -> Method {
        let sizes = ["feature_size", "num_codes"];
        let vq = self.options.get("vq").and_then(Value::as_object);
        let mut names = vq.into_iter().flat_map(|vq| vq.keys());
        match self.run.readme || names.any(|name| !sizes.contains(&name.as_str())) {
            true => Method::Vq,
            false => Method::Best,
        }
    }

    /// What is given with the command line's own defaults below it.
    pub fn partial(&self, software: bool) -> Value {
        let mut options = self.options.clone();
        let small = software && !self.run.readme;
        let (steps, batch) = if small { SOFTWARE_SIZE } else { GPU_SIZE };
        for (name, default) in [("steps", json!(steps)), ("batch", json!(batch))] {
            let given = name == "steps" && !options["epochs"].is_null();
            if options[name].is_null() && !given {
                options[name] = default;
            }
        }
        if self.given("method").is_none() {
            options["method"] = self.default_method().name().into();
        }
        if self.run.readme {
            options["output_clamp"] = "train".into();
        }
        // What the optimiser does not have is refused with all that has no effect.
        let optimizer = self.given("optimizer").cloned();
        let optimizer = optimizer.unwrap_or_else(|| "adamw".into());
        let foreign = |name: &str| {
            let own = |e: &Entry| e.of.is_empty() || e.of.iter().any(|of| optimizer == *of);
            Entry::named(name).is_some_and(|e| !own(e))
        };
        if let Some(given) = options.get_mut("optimizer").and_then(Value::as_object_mut) {
            given.retain(|name, _| !foreign(name));
        }
        options
    }

    /// The options; `software` says what adapter they are for.
    ///
    /// # Errors
    /// [`Error::Option`] and [`Error::Config`] as [`TrainOptions::from_partial`].
    pub fn options(&self, software: bool) -> Result<TrainOptions> {
        TrainOptions::from_partial(self.partial(software))
    }

    /// What can be said of the options before there is a device.
    ///
    /// # Errors
    /// [`Error::Option`], [`Error::Conflict`] as [`TrainOptions::validate`], and for what is `given`
    /// without effect.
    pub fn check(&self, given: &Given) -> Result<()> {
        if let (true, Some(model)) = (self.run.readme, self.given("model"))
            && model != "simple"
        {
            return Err(Error::Conflict(format!(
                "--readme is of the model simple, not of {}: leave one out",
                model.as_str().unwrap_or_default()
            )));
        }
        let idle = TrainOptions::idle(self.partial(false))?;
        idle::refuse(given, &idle)?;
        let options = self.options(false)?;
        if options.epochs.is_none() {
            options.schedule.validate_goal(options.steps)?;
        }
        idle::refuse_method(given, self)?;
        idle::say(given, self, &options);
        Ok(())
    }

    /// Options that go with `--resume`; any other one that is given would be ignored.
    pub fn with_resume() -> impl Iterator<Item = &'static str> {
        flags().filter(|entry| entry.resumable).map(Entry::id)
    }

    /// What is given, but for the data, over the options of a run.
    ///
    /// # Errors
    /// [`Error::Conflict`] names what would have no effect.
    pub fn change(&self, given: &Given, options: &TrainOptions) -> Result<TrainOptions> {
        idle::refuse(given, &options.idle_with(self.options.clone())?)?;
        options.with(self.options.clone())
    }

    /// What to say when the defaults were shrunk, if they were.
    pub fn shrunk(&self, software: bool) -> Option<String> {
        let (steps, batch) = SOFTWARE_SIZE;
        let mut parts = Vec::new();
        if self.given("steps").is_none() && self.given("epochs").is_none() {
            parts.push(format!("{steps} steps"));
        }
        if self.given("batch").is_none() {
            parts.push(format!("batch {batch}"));
        }
        (software && !self.run.readme && !parts.is_empty()).then(|| {
            let usual = match self.given("epochs") {
                Some(_) => format!("batch {}", GPU_SIZE.1),
                None => format!("{} steps of batch {}", GPU_SIZE.0, GPU_SIZE.1),
            };
            format!(
                "software adapter: {} instead of {usual}",
                parts.join(" of ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_says_the_default_sizes() {
        for (id, default, software) in [
            ("steps", GPU_SIZE.0.to_string(), SOFTWARE_SIZE.0.to_string()),
            ("batch", GPU_SIZE.1.to_string(), SOFTWARE_SIZE.1.to_string()),
        ] {
            let help = Entry::named(id).unwrap().long_help();
            let want = format!("[default: {default}; on a software adapter {software}");
            assert!(help.contains(&want), "{help}");
        }
    }
}
