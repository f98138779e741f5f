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
    MOMENTUM, NUM_CODES, Number, Numeric, PENALTY_WEIGHT, REPLACE_BELOW, REPLACE_FREQ, Range, SEED,
    STEPS, SYNC_NU, WEIGHT_DECAY, not_in_place,
};
pub use table::{TABLE, check_json};
