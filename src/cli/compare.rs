//! `semivq compare`

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use semivq::compare::{
    Event, Experiment, Pool, Results, Task, check_data, draw, parse_methods, parse_seeds,
    parse_vary, set_goals,
};
use semivq::gpu::Gpu;
use semivq::options;
use semivq::run::{self, RunFolder, io_error, stored};
use semivq::{Error, Result};
use serde_json::{Value, json};

use super::args::{PATHS, TrainArgs, argument, flags, put};
use super::given::Given;
use super::output::note;
use super::side::Side;
use super::train::INTERRUPTED;
use super::{DeviceArgs, plot, suggest};

/// Runs side by side on a GPU, and on a software adapter.
const JOBS: (usize, usize) = (4, 2);
/// Between two writings of the CSV files while runs go on.
const WRITE: Duration = Duration::from_secs(30);

/// What is compared and where, but for the options of `train`.
#[derive(Args)]
struct Grid {
    /// The experiment in a file, with the names of these flags; flags go over it
    #[arg(value_name = "FILE.toml")]
    file: Option<PathBuf>,
    /// Methods to compare; `semivq methods` lists them
    #[arg(long, value_name = "METHOD,..")]
    methods: Option<String>,
    /// Seeds, each a run of every method [default: 0]
    #[arg(long, value_name = "0-2,5")]
    seeds: Option<String>,
    /// Vary an option: num-codes=64,256,1024; of values with commas fsq-levels=8,5;8,6,5. Several times: all
    /// combinations
    #[arg(long, value_name = "OPTION=VALUE,..")]
    vary: Vec<String>,
    /// Folder of the experiment. Where it holds this experiment already, that goes on; further methods, seeds and
    /// values are added
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on with the experiment in a folder
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
    /// Runs side by side, as far as they fit the device [default: 4; on a software adapter 2]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
}

/// The flags of `compare`.
pub struct CompareArgs {
    grid: Grid,
    /// Options of `train` given, JSON of a part of its options.
    options: Value,
    /// Those that are paths.
    paths: Vec<(&'static str, PathBuf)>,
}

/// The options of `train` that all runs can share.
fn shared() -> impl Iterator<Item = &'static options::Entry> {
    flags().filter(|e| !["method", "seed"].contains(&e.id()))
}

impl Args for CompareArgs {
    fn augment_args(command: Command) -> Command {
        let command = Grid::augment_args(command);
        let arguments = shared().map(|entry| -> Arg { argument(entry) });
        arguments.fold(command, Command::arg)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for CompareArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut options = json!({});
        for entry in shared().filter(|e| !PATHS.contains(&e.id())) {
            if let Some(value) = matches.get_one::<Value>(entry.id()) {
                put(&mut options, entry, value.clone());
            }
        }
        Ok(Self {
            grid: Grid::from_arg_matches(matches)?,
            options,
            paths: PATHS
                .into_iter()
                .filter_map(|id| Some((id, matches.get_one::<PathBuf>(id)?.clone())))
                .collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Takes the value of `entry` out of `options`.
fn remove(options: &mut Value, entry: &options::Entry) {
    let object = match entry.group {
        "" => Some(options),
        group => options.get_mut(group),
    };
    if let Some(object) = object.and_then(Value::as_object_mut) {
        object.remove(entry.name);
    }
}

impl CompareArgs {
    /// What is given: the file, and the flags over it.
    fn experiment(&self) -> Result<Experiment> {
        let mut experiment = match &self.grid.file {
            None => Experiment::default(),
            Some(file) => {
                let text = std::fs::read_to_string(file).map_err(|e| io_error(file, &e))?;
                Experiment::from_toml(&text, &file.display().to_string())?
            }
        };
        if let Some(names) = &self.grid.methods {
            experiment.methods = parse_methods(names.split(','))?;
        }
        if let Some(seeds) = &self.grid.seeds {
            experiment.seeds = parse_seeds(seeds)?;
        }
        let mut varied: Vec<&'static options::Entry> = Vec::new();
        for text in &self.grid.vary {
            let vary = parse_vary(text)?;
            if varied.contains(&vary.option) {
                let name = vary.option.id().replace('_', "-");
                return Err(Error::Config(format!("--vary {name} stands twice")));
            }
            varied.push(vary.option);
            remove(&mut experiment.options, vary.option);
            match experiment.vary.iter_mut().find(|v| v.option == vary.option) {
                Some(of_file) => *of_file = vary,
                None => experiment.vary.push(vary),
            }
        }
        let mut given = self.options.clone();
        for (id, path) in &self.paths {
            given[id] = json!(stored(path, id)?);
        }
        for entry in shared() {
            let value = entry.of_json(&given).cloned();
            if let Some(value) = value {
                put(&mut experiment.options, entry, value);
                // Over the file's; beside a flag it is refused.
                let of_flag = varied.contains(&entry);
                experiment.vary.retain(|v| of_flag || v.option != entry);
            }
        }
        if experiment.methods.is_empty() {
            return Err(Error::Config(
                "nothing to compare: give --methods, for example --methods vq,approach1".into(),
            ));
        }
        experiment.with_absolute_paths()
    }
}

/// `experiment` with the sizes that were not given: those of the experiment that is there `before`, else the command
/// line's for the adapter.
fn sized(mut experiment: Experiment, before: Option<&Experiment>, software: bool) -> Experiment {
    let all = TrainArgs::of(experiment.options.clone()).partial(software);
    for entry in shared().filter(|e| e.group.is_empty()) {
        let given = entry.of_json(&experiment.options).is_some();
        let varied = experiment.vary.iter().any(|v| v.option == entry);
        if given || varied {
            continue;
        }
        let stored = before.and_then(|b| entry.of_json(&b.options));
        if let (Some(default), false) = (entry.of_json(&all), entry.id() == "data") {
            let value = stored.unwrap_or(default).clone();
            put(&mut experiment.options, entry, value);
        }
    }
    experiment
}

/// The experiment that is to be trained, its folder held.
struct Held {
    dir: PathBuf,
    experiment: Experiment,
    tasks: Vec<Task>,
    _folder: RunFolder,
}

/// The experiment that the command names, as it is after what is in its folder already.
fn take(args: &CompareArgs, given: &Given, gpu: &Gpu, wanted: Option<Experiment>) -> Result<Held> {
    let dir = args.grid.resume.as_ref().or(args.grid.out.as_ref());
    let dir = dir.cloned().unwrap_or_default();
    let hold = |dir: &Path| {
        std::fs::create_dir_all(dir).map_err(|e| io_error(dir, &e))?;
        RunFolder::hold(dir)
    };
    let before = Experiment::read(&dir)?;
    let Some(wanted) = wanted else {
        let Some(experiment) = before else {
            let message = "is not there; want the folder of an experiment (semivq compare --out)";
            return Err(Error::file(dir.join("experiment.toml"), message));
        };
        let mut tasks = experiment.tasks(&dir)?;
        set_goals(&mut tasks)?;
        return Ok(Held {
            _folder: hold(&dir)?,
            dir,
            experiment,
            tasks,
        });
    };
    if before.is_none() && run::holds_run(&dir) {
        return Err(Error::Config(format!(
            "{} holds a run, no experiment; choose another --out",
            dir.display()
        )));
    }
    let experiment = sized(wanted, before.as_ref(), gpu.is_software());
    if let Some(before) = &before {
        experiment.extends(before).map_err(|e| {
            Error::Config(format!(
                "{} holds another experiment: {e}; choose another --out, or go on with that one ({})",
                dir.display(),
                suggest::resume_compare(&dir)
            ))
        })?;
    }
    for text in experiment.check()? {
        let text = given.in_flags(&Error::Config(text));
        note(format_args!("note: {text}"));
    }
    let mut tasks = experiment.tasks(&dir)?;
    set_goals(&mut tasks)?;
    let first = experiment.seeds.first().copied().unwrap_or_default();
    let mut open = Vec::new();
    for task in tasks.iter().filter(|t| t.options.seed == first) {
        if task.outcome()?.is_none() {
            open.push(task);
        }
    }
    check_data(&open)?;
    let folder = hold(&dir)?;
    experiment.write(&dir)?;
    Ok(Held {
        _folder: folder,
        dir,
        experiment,
        tasks,
    })
}

pub async fn run(device: &DeviceArgs, args: &CompareArgs, given: &Given) -> Result<ExitCode> {
    let wanted = match &args.grid.resume {
        None => Some(args.experiment()?),
        Some(_) => {
            let mut other = given.except(&["resume", "jobs", "file", "adapter", "backend"]);
            other.extend(args.grid.file.iter().map(|file| suggest::path(file)));
            if let Some(other) = other.first() {
                return Err(Error::Config(format!(
                    "--resume goes on with the experiment as it is, so leave {other} out; with --out DIR further \
                     methods, seeds and values can be added"
                )));
            }
            None
        }
    };
    if args.grid.jobs == Some(0) {
        return Err(Error::Config("--jobs must be at least 1, not 0".into()));
    }
    if let Some(wanted) = &wanted {
        // All that can be said before there is a device.
        wanted.check()?;
        if args.grid.out.is_none() {
            let message =
                "give --out DIR, the folder of the experiment; the same command goes on with it";
            return Err(Error::Config(message.into()));
        }
    }
    let gpu = device.open().await?;
    let held = take(args, given, &gpu, wanted)?;
    out!("adapter: {}", gpu.adapter_line());
    let stop = stop_flag();
    train(&held, &gpu, args.grid.jobs, &stop)
}

/// Set by Ctrl-C; a second one ends the program.
fn stop_flag() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let handler = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(INTERRUPTED.into());
        }
    });
    if let Err(error) = handler {
        note(format_args!("note: Ctrl-C will end it at once ({error})"));
    }
    stop
}

fn write(held: &Held) -> Result<Results> {
    let results = Results::of_runs(&held.experiment, &held.tasks)?;
    results.write(&held.dir)?;
    Ok(results)
}

fn train(held: &Held, gpu: &Arc<Gpu>, jobs: Option<usize>, stop: &AtomicBool) -> Result<ExitCode> {
    let tasks = &held.tasks;
    let outcomes = tasks.iter().map(|t| Ok(t.outcome()?.is_some()));
    let ended: Vec<bool> = outcomes.collect::<Result<_>>()?;
    let open: Vec<usize> = (0..tasks.len()).filter(|at| !ended[*at]).collect();
    let to_do: Vec<Task> = open.iter().map(|at| tasks[*at].clone()).collect();
    let jobs = jobs.unwrap_or(if gpu.is_software() { JOBS.1 } else { JOBS.0 });
    let begun = match tasks.len() - open.len() {
        0 => String::new(),
        n => format!(", {n} of them ended before"),
    };
    out!(
        "{}: {} runs{begun}; {} side by side",
        held.dir.display(),
        tasks.len(),
        jobs.min(to_do.len().max(1))
    );
    let mut side = Side::new(tasks, &ended);
    let mut written = Instant::now();
    let mut failed: Option<Error> = None;
    let mut failures = 0;
    let pool = Pool {
        gpu,
        tasks: &to_do,
        jobs,
        stop,
    };
    pool.run(|event| {
        let (Event::Began { at, .. }
        | Event::Step { at, .. }
        | Event::Ended { at, .. }
        | Event::Stopped { at }
        | Event::Failed { at, .. }) = &event;
        side.hear(open[*at], &event);
        let ended = matches!(event, Event::Ended { .. });
        if let Event::Failed { at, error } = event {
            failures += 1;
            failed.get_or_insert(error.about(tasks[open[at]].name.clone()));
        }
        if ended && written.elapsed() > WRITE {
            // What is wrong with it is said at the end.
            let _ = write(held);
            written = Instant::now();
        }
    });
    side.finish();
    let results = write(held)?;
    for left_out in draw(&held.dir, &results)? {
        note(format_args!("note: {left_out}"));
    }
    let command = suggest::resume_compare(&held.dir);
    if let Some(error) = failed {
        let others = match failures {
            1 => String::new(),
            n => format!(" ({n} runs failed)"),
        };
        note(format_args!(
            "note: when that is mended, go on with: {command}{others}"
        ));
        return Err(error);
    }
    plot::show(&held.dir, &results);
    if stop.load(Ordering::SeqCst) {
        out!("stopped; go on with: {command}");
        return Ok(ExitCode::from(INTERRUPTED));
    }
    Ok(ExitCode::SUCCESS)
}
