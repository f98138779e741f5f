//! `semivq train --resume`: from a folder in whatever state a kill left it, or from a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use semivq::data::Dataset;
use semivq::gpu::Gpu;
use semivq::run::{
    self, CHECKPOINT, MetricsLog, RunFolder, agreed, load_data, locate, no_run, open_session,
    options_of, read_state, stored, take_weights,
};
use semivq::train::TrainOptions;
use semivq::{Error, Result};

use super::args::TrainArgs;
use super::given::Given;
use super::saved::{notes, refuse_taken};
use super::suggest;
use super::train::{Run, with_advice};

/// [`Error::Config`] names the options given that would be ignored.
fn refuse_ignored(given: &Given, file: bool) -> Result<()> {
    let mut known = vec!["resume", "out", "adapter", "backend"];
    known.extend(TrainArgs::with_resume());
    if file {
        known.push("overwrite");
    }
    let ignored = given.except(&known);
    if ignored.is_empty() {
        return Ok(());
    }
    Err(Error::Config(format!(
        "{} cannot change in a run that goes on: leave it out, or start a new run",
        ignored.join(", ")
    )))
}

/// [`Error::Config`] names the options given that nothing would come of, as all `steps` are done; where the
/// run is `concluded`, its images are not needed either.
fn refuse_too_late(given: &Given, steps: u32, concluded: bool) -> Result<()> {
    let mut known = vec!["resume", "out", "adapter", "backend", "steps", "epochs"];
    known.extend((!concluded).then_some("data"));
    let late = given.except(&known);
    if late.is_empty() {
        return Ok(());
    }
    Err(Error::Config(format!(
        "{} has no effect: all {steps} steps of the run are done; give more --steps, or leave it out",
        late.join(", ")
    )))
}

/// The options with what was given over them; the data set's folder as it is found now.
fn changed(
    options: &TrainOptions,
    args: &TrainArgs,
    given: &Given,
    near: &Path,
) -> Result<TrainOptions> {
    let mut changed = args.change(given, options)?;
    let folder: Option<PathBuf> = match &args.data {
        Some(folder) => Some(folder.clone()),
        None => options.data.as_deref().map(|stored| locate(stored, near)),
    };
    if let Some(folder) = folder {
        changed.data = Some(stored(&folder, "data")?);
    }
    Ok(changed)
}

/// The options with the steps that epochs are, which takes the data set.
fn with_goal(options: TrainOptions, near: &Path) -> Result<(TrainOptions, Option<Dataset>)> {
    if options.steps.is_some() || options.epochs.is_none() {
        return Ok((options, None));
    }
    let data = load_data(&options, None, near)?;
    Ok((options.with_goal(data.train.len())?, Some(data)))
}

/// How far the run goes.
fn goal(options: &TrainOptions, name: &Path) -> Result<u32> {
    let unknown =
        "does not say how many steps were wanted, as it is of an older version or the page's";
    options
        .steps
        .ok_or_else(|| Error::Config(format!("{} {unknown}; give --steps", name.display())))
}

/// The run in the folder `dir`.
///
/// # Errors
/// [`Error::Config`] when an option is given that would be ignored; [`Error::File`] names the file
/// that is missing, damaged or contradicts another.
pub fn folder(gpu: &Arc<Gpu>, dir: &Path, args: &TrainArgs, given: &Given) -> Result<Run> {
    refuse_ignored(given, false)?;
    if args.run.out.is_some() {
        return Err(Error::Config(format!(
            "a run goes on in its own folder: leave --out out, or give its checkpoint, {}",
            suggest::path(&dir.join(CHECKPOINT))
        )));
    }
    if !run::holds_run(dir) {
        return Err(no_run(dir));
    }
    let held = RunFolder::hold(dir)?;
    let config = run::read_config(dir)?;
    let checkpoint = dir.join(CHECKPOINT);
    let state = match checkpoint.exists() {
        true => Some(read_state(&checkpoint, true)?),
        false => None,
    };
    let (options, stale) = match (&state, config) {
        (Some(state), config) => agreed(dir, config, state)?,
        (None, Some(config)) => (config, false),
        (None, None) => return Err(no_run(dir)),
    };
    let (next, early) = with_goal(changed(&options, args, given, dir)?, dir)?;
    let steps = goal(&next, dir)?;
    let done = state.as_ref().map_or(0, |s| s.step);
    if steps < done.max(1) {
        return Err(Error::Config(format!(
            "the run in {} has done {done} steps; --steps is their number in all, so give at least that",
            dir.display()
        )));
    }
    let data = early.map_or_else(|| load_data(&next, None, dir), Ok)?;
    let mut session = open_session(Arc::clone(gpu), &next, data)?;
    if let Some(state) = &state {
        let restored = session.restore_state(state);
        restored.map_err(|e| Error::file(&checkpoint, e.to_string()))?;
    }
    take_weights(&mut session, &next, dir)?;
    if done == steps {
        let concluded = held.is_concluded(&session, &options, MetricsLog::count(&held));
        refuse_too_late(given, steps, concluded)?;
    }
    out!("adapter: {}", gpu.adapter_line());
    out!(
        "{}: {}",
        dir.display(),
        what_comes(done, steps, state.is_none())
    );
    if let Some(folder) = &args.data {
        let before = options.data.as_deref().unwrap_or("the built-in images");
        out!("on the images in {}, before on {before}", folder.display());
    }
    for note in notes(session.data(), given) {
        out!("note: {note}");
    }
    let run = Run::open(held, session, next)?;
    let folder = &run.run.folder;
    if let Some(gap) = &run.run.log.gap {
        out!(
            "{}: {gap}; it goes on with what there is",
            dir.join(run::METRICS).display()
        );
    }
    if stale {
        folder.write_config(&options)?;
    }
    match &state {
        None => {
            folder.clear_leftovers(None)?;
            folder.clear_results()?;
            folder.write_config(&run.run.options)?;
            run.save_now().map_err(|e| with_advice(e, dir))?;
        }
        Some(_) => {
            folder.withdraw()?;
            if run.run.options != options {
                folder.announce(&run.run.options)?;
                run.save_now().map_err(|e| with_advice(e, dir))?;
                folder.adopt()?;
            }
            let keep = format!("training-{done}.safetensors");
            folder.clear_leftovers(Some(&keep))?;
        }
    }
    Ok(run)
}

fn what_comes(done: u32, steps: u32, fresh: bool) -> String {
    match done {
        _ if fresh => "no checkpoint yet, beginning at step 0".into(),
        done if done == steps => format!("all {steps} steps are done; more with --steps"),
        done => format!("going on from step {done} to {steps}"),
    }
}

/// A new run that begins where a checkpoint, of the page for one, left off.
///
/// # Errors
/// As [`folder`].
pub fn file(gpu: &Arc<Gpu>, file: &Path, args: &TrainArgs, given: &Given) -> Result<Run> {
    refuse_ignored(given, true)?;
    if let Some(out) = &args.run.out {
        refuse_taken(out, args.run.overwrite)?;
    }
    let refuse = |why: String| Error::file(file, why);
    let state = read_state(file, true)?;
    let options = options_of(&state, file)?;
    let (next, early) = with_goal(changed(&options, args, given, file)?, file)?;
    let steps = goal(&next, file)?;
    if steps <= state.step {
        return Err(Error::Config(format!(
            "{} is at step {}; --steps is their number in all, so give more than that",
            file.display(),
            state.step
        )));
    }
    let data = early.map_or_else(|| load_data(&next, None, file), Ok)?;
    let mut session = open_session(Arc::clone(gpu), &next, data)?;
    session
        .restore_state(&state)
        .map_err(|e| refuse(e.to_string()))?;
    take_weights(&mut session, &next, file)?;
    let held = RunFolder::create(args.run.out.as_deref(), args.run.overwrite, next.method)?;
    let run = Run::open(held, session, next)?;
    let folder = &run.run.folder;
    out!("adapter: {}", gpu.adapter_line());
    out!(
        "{}: going on from step {} to {steps} in {}",
        file.display(),
        state.step,
        folder.dir().display()
    );
    run.save_now()?;
    folder.write_config(&run.run.options)?;
    Ok(run)
}
