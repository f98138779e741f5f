//! The options of a run, in one table: what each can be, its default, and what the command line and
//! the page say of it. Flags, checks, the page's controls and the package's types are made of it.

mod control;
mod entry;
mod number;
mod table;

pub use control::{Control, PAGE, Scope};
pub use entry::{Entry, Flag, Kind, Unset, typed};
pub use number::{
    ACCUMULATE, AFFINE_GROUPS, AFFINE_LR, BATCH, BETA, BETA1, BETA2, BLOCKS, CLIP_NORM, CLUSTERS,
    COMMITMENT_WEIGHT, DECAY_EVERY, DECAY_FACTOR, DIM, EMA_DECAY, EPOCHS, EPS, EVAL_EVERY,
    FEATURE_SIZE, IMAGE_SIZE, INPLACE_LR, INPLACE_MOMENTUM, KEEP_LAST, LOG_EVERY, LR,
    MAX_ITERATIONS, MIN_DELTA, MIN_LR, MOMENTUM, NUM_CODES, Number, Numeric, PATIENCE,
    PENALTY_WEIGHT, QUANTIZER_LR, REPLACE_BELOW, REPLACE_FREQ, RESIDUAL, Range, SEED, STEPS,
    SYNC_NU, TEMPERATURE, TEMPERATURE_DECAY, TEMPERATURE_MIN, WARMUP, WEIGHT_DECAY, WIDTH,
    not_in_place,
};
pub(crate) use table::MODELS;
pub use table::{TABLE, check_json};
