//! The images of an experiment's runs, before there is a device.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;

use super::worker::Task;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::run::load_data;
use crate::train::TrainOptions;

/// Options that say what a data set holds.
const OF_DATA: [&str; 5] = ["data", "seed", "model", "image_size", "skip_bad"];

/// A text that is the same for options of the same images.
pub(super) fn data_key(options: &TrainOptions) -> String {
    let all = serde_json::to_value(options).unwrap_or_default();
    OF_DATA.map(|name| all[name].to_string()).join(" ")
}

/// Whether the images of `tasks` fit their models and batches.
///
/// # Errors
/// [`Error::About`] names the task and what is wrong with its images, or that they cannot be read.
pub fn check_data(tasks: &[&Task]) -> Result<()> {
    let mut known: HashMap<String, Dataset> = HashMap::new();
    for task in tasks {
        let options = &task.options;
        let data = match known.entry(data_key(options)) {
            Entry::Occupied(data) => data.into_mut(),
            Entry::Vacant(free) => free.insert(load_data(options, None, Path::new(""))?),
        };
        let fits = data.validate().and_then(|()| {
            data.check_size(options.model.granularity())?;
            if options.batch > data.train.len() {
                return Err(Error::Config(format!(
                    "`batch` must be between 1 and the {} training images of `{}`, not {}",
                    data.train.len(),
                    data.name,
                    options.batch
                )));
            }
            Ok(())
        });
        fits.map_err(|e| e.about(task.name.clone()))?;
    }
    Ok(())
}

/// Gives the runs that go on for epochs their steps, which take the images.
///
/// # Errors
/// As [`check_data`].
pub fn set_goals(tasks: &mut [Task]) -> Result<()> {
    let mut known: HashMap<String, usize> = HashMap::new();
    let epochs = |task: &&mut Task| task.options.epochs.is_some() && task.options.steps.is_none();
    for task in tasks.iter_mut().filter(epochs) {
        let images = match known.entry(data_key(&task.options)) {
            Entry::Occupied(count) => *count.get(),
            Entry::Vacant(free) => {
                let data = load_data(&task.options, None, Path::new(""))?;
                *free.insert(data.train.len())
            }
        };
        let options = task.options.clone().with_goal(images);
        task.options = options.map_err(|e| e.about(task.name.clone()))?;
    }
    Ok(())
}
