//! Training: the session, its options, metrics and checkpoints.

mod advice;
mod ahead;
mod batches;
mod between;
pub mod checkpoint;
mod codes;
mod cost;
mod draw;
mod effect;
mod every;
mod feed;
mod given;
mod inference;
mod methods;
mod metrics;
mod options;
mod projection;
mod reports;
mod revive;
mod save;
mod session;
mod show;
mod start;
mod step;
mod stored;
#[cfg(not(target_arch = "wasm32"))]
mod weights;

pub use crate::data::Codes;
pub use codes::{Decoder, Encoder};
pub use cost::Cost;
pub use draw::Histogram;
pub use effect::Idle;
pub use every::CheckpointEvery;
pub use feed::{Feeding, RESIDENT};
pub use inference::{Evaluation, Inference, Inferred};
pub use methods::Method;
pub use metrics::StepMetrics;
pub use options::TrainOptions;
pub use projection::Projection;
pub use revive::revive;
pub use session::{Session, SessionOptions};
pub use show::{CodeUsage, Evaluating, Inspection};
#[cfg(not(target_arch = "wasm32"))]
pub use weights::{Taken, Weights, listed};
