//! The library's errors: each names what was wrong, where, and what to do about it.
//!
//! Options have the names of [`crate::train::TrainOptions`], in backticks where a sentence mentions
//! them in passing; the command line and the page put their own in place, see [`with_names`].

use std::path::{Path, PathBuf};

/// Result of the library's fallible calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation was given tensors that do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{op}: {message}")]
pub struct ShapeError {
    /// The operation, e.g. `conv2d`.
    pub op: &'static str,
    /// Both shapes and what was expected.
    pub message: String,
}

impl ShapeError {
    /// An error of operation `op`.
    pub fn new(op: &'static str, message: impl Into<String>) -> Self {
        Self {
            op,
            message: message.into(),
        }
    }
}

/// Everything that can go wrong in the library.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Tensors that do not fit together.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// No adapter, or none that matches the request.
    #[error("{0}")]
    Adapter(String),
    /// The driver refused something: validation, memory, a lost device.
    #[error("GPU error in {place}: {message}")]
    Gpu {
        /// What was being done.
        place: String,
        /// The driver's words.
        message: String,
    },
    /// The device is gone: a driver's reset, a GPU unplugged, a laptop gone to sleep.
    #[error("the GPU device was lost ({0}); go on from the last checkpoint")]
    DeviceLost(String),
    /// A tensor is larger than a limit of the device.
    #[error(
        "tensor `{tensor}` needs {bytes} bytes, more than the limit `{limit}` of {allowed} bytes; \
         reduce `batch`, `num_codes` or the size of the images"
    )]
    Limit {
        /// The tensor's name.
        tensor: String,
        /// Its size.
        bytes: u64,
        /// The limit's name in WebGPU.
        limit: &'static str,
        /// The limit's value.
        allowed: u64,
    },
    /// Wrong usage.
    #[error("{0}")]
    Config(String),
    /// An option outside its range.
    #[error("{name} must be {want}, not {value}")]
    Option {
        /// Its name; in JSON its path, such as `optimizer.beta1`.
        name: String,
        /// The value that was given.
        value: String,
        /// What it can be.
        want: String,
    },
    /// Options that do not go together, by the names they have in JSON.
    #[error("{0}")]
    Conflict(String),
    /// A data set that cannot be trained on.
    #[error("data set `{name}`: {message}")]
    Data {
        /// The set.
        name: String,
        /// What is wrong with it and what to do.
        message: String,
    },
    /// A file that is missing, damaged or not what it was taken for.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was wrong with it and what to do.
        message: String,
    },
    /// Training turned NaN or infinite.
    #[error(
        "{what} is {value} at step {step}{vectors}; {advice}. The last good checkpoint is kept"
    )]
    Diverged {
        /// The loss, or a tensor.
        what: String,
        /// The step that was the first to have it.
        step: u32,
        /// The value that is no finite number.
        value: f32,
        /// How many vectors before the quantiser were not finite; may be empty.
        vectors: String,
        /// What to try.
        advice: String,
    },
    /// A figure or a picture of a model came out as NaN or infinity.
    #[error(
        "{what}: the model's values went beyond the range of float32; take an earlier checkpoint"
    )]
    NotFinite {
        /// Its name, and what it is.
        what: String,
    },
    /// Another error, of one among several: a run of an experiment, a file of options.
    #[error("{what}: {source}")]
    About {
        /// Which one.
        what: String,
        /// What is wrong with it.
        source: Box<Error>,
    },
}

/// `text` with what `name` makes of each word in backticks; where that is none, it stays as it is.
pub fn with_names(text: &str, name: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('`') {
        out.push_str(before);
        match after
            .split_once('`')
            .and_then(|(word, more)| Some((name(word)?, more)))
        {
            Some((named, more)) => {
                out.push_str(&named);
                rest = more;
            }
            None => {
                out.push('`');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

impl Error {
    /// An option's error, the option being one of the JSON object `group` (where it is not empty).
    #[must_use]
    pub fn within(self, group: &str) -> Self {
        match self {
            Self::Option { name, value, want } if !group.is_empty() => Self::Option {
                name: format!("{group}.{name}"),
                value,
                want,
            },
            other => other,
        }
    }

    /// The same error, with what it is about before it.
    #[must_use]
    pub fn about(self, what: impl Into<String>) -> Self {
        Self::About {
            what: what.into(),
            source: Box::new(self),
        }
    }

    /// A [`Error::File`] about `path`.
    pub fn file(path: impl AsRef<Path>, message: impl Into<String>) -> Self {
        Self::File {
            path: path.as_ref().to_path_buf(),
            message: message.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_backticks_are_put_in_place() {
        let flag = |word: &str| ["lr", "data"].contains(&word).then(|| format!("--{word}"));
        for (text, want) in [
            ("lower `lr` (now 1)", "lower --lr (now 1)"),
            ("`lr``data` data", "--lr--data data"),
            ("tensor `x`, `data`", "tensor `x`, --data"),
            ("it`s `lr`", "it`s --lr"),
            ("`lr", "`lr"),
        ] {
            assert_eq!(with_names(text, flag), want);
        }
    }
}
