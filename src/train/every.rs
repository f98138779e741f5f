//! When a checkpoint is written.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Steps or seconds between two checkpoints; as text `100` or `15s`, which is the default.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum CheckpointEvery {
    /// At each step that is a multiple of this.
    Steps(u32),
    /// At the first step after so many seconds.
    Seconds(f64),
}

impl Default for CheckpointEvery {
    fn default() -> Self {
        Self::Seconds(15.0)
    }
}

impl CheckpointEvery {
    /// Whether one is due after `step`, `seconds` after the last one.
    #[must_use]
    pub fn is_due(self, step: u32, seconds: f64) -> bool {
        match self {
            Self::Steps(every) => step.is_multiple_of(every),
            Self::Seconds(every) => seconds >= every,
        }
    }
}

impl fmt::Display for CheckpointEvery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps(steps) => write!(f, "{steps}"),
            Self::Seconds(seconds) => write!(f, "{seconds}s"),
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
fn seconds_of(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// JSON's numbers, whose parser is there anyway: the one of the standard library brings tables of 10 kB.
#[cfg(target_arch = "wasm32")]
fn seconds_of(text: &str) -> Option<f64> {
    serde_json::from_str(text).ok()
}

impl FromStr for CheckpointEvery {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let every = match text.strip_suffix('s') {
            Some(seconds) => seconds_of(seconds).map(Self::Seconds),
            None => text.parse().ok().map(Self::Steps),
        };
        every
            .filter(|every| match every {
                Self::Steps(steps) => *steps > 0,
                Self::Seconds(seconds) => seconds.is_finite() && *seconds > 0.0,
            })
            .ok_or_else(|| {
                format!("`{text}`: want steps, for example 100, or seconds, for example 15s")
            })
    }
}

impl From<CheckpointEvery> for String {
    fn from(every: CheckpointEvery) -> Self {
        every.to_string()
    }
}

impl TryFrom<String> for CheckpointEvery {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_there_and_back() {
        for (text, want) in [
            ("1", CheckpointEvery::Steps(1)),
            ("15s", CheckpointEvery::Seconds(15.0)),
            ("0.5s", CheckpointEvery::Seconds(0.5)),
        ] {
            assert_eq!(text.parse(), Ok(want));
            assert_eq!(want.to_string(), text);
        }
        for text in [
            "", "0", "-1", "s", "0s", "-1s", "infs", "NaNs", "1.5", "15 s", "1m",
        ] {
            assert!(text.parse::<CheckpointEvery>().is_err(), "{text}");
        }
    }

    #[test]
    fn steps_are_multiples_and_seconds_a_length_of_time() {
        let steps = CheckpointEvery::Steps(3);
        assert!(steps.is_due(6, 0.0) && !steps.is_due(7, 1e9));
        let seconds = CheckpointEvery::Seconds(2.0);
        assert!(seconds.is_due(1, 2.5) && !seconds.is_due(1000, 1.5));
    }
}
