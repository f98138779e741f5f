//! The options of a run, in one table: what each can be, its default, and what the command line and
//! the page say of it. Flags, checks, the page's controls and the package's types are made of it.

mod control;
mod entry;
mod number;
mod table;

pub use control::{Control, PAGE, Scope};
pub use entry::{Entry, Flag, Kind, Unset, typed};
pub use number::{
    AFFINE_GROUPS, AFFINE_LR, BATCH, BETA, BETA1, BETA2, CLUSTERS, COMMITMENT_WEIGHT, DIM,
    EMA_DECAY, EPS, FEATURE_SIZE, INPLACE_LR, INPLACE_MOMENTUM, LOG_EVERY, LR, MAX_ITERATIONS,
    MOMENTUM, NUM_CODES, Number, Numeric, PENALTY_WEIGHT, REPLACE_FREQ, Range, SEED, STEPS,
    SYNC_NU, WEIGHT_DECAY,
};
pub use table::TABLE;

use serde_json::Value;

use crate::error::{Error, Result};

/// Whether the numbers in `options`, JSON of [`crate::train::TrainOptions`] or a part of it, are
/// numbers and in range.
///
/// # Errors
/// [`Error::Option`] names the first one that is not, by its path in the JSON.
pub fn check_json(options: &Value) -> Result<()> {
    TABLE.iter().try_for_each(|entry| entry.check_json(options))
}

/// What to say of an `inplace_optimizer` that is out of range.
#[must_use]
pub fn not_in_place(value: &str) -> Error {
    Error::Option {
        name: "inplace_optimizer".into(),
        value: value.into(),
        want: "a learning rate above 0 and a momentum in [0, 1)".into(),
    }
}
