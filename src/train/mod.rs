//! Training: the session, its options, metrics and checkpoints.

pub mod checkpoint;
mod inference;
mod options;
mod session;

pub use inference::{Evaluation, Inference};
pub use options::{Method, TrainOptions};
pub use session::{Session, SessionOptions, StepMetrics};
