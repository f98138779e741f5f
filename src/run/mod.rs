//! A run in a folder: configuration, checkpoint, metrics, figures and pictures, as the command line
//! writes them and `--resume`, `eval` and the page read them.
//!
//! ```no_run
//! use std::path::Path;
//! use std::sync::Arc;
//!
//! use semivq::gpu::{AdapterChoice, Gpu};
//! use semivq::run::{MetricsLog, RunFolder, load_data};
//! use semivq::train::{Session, TrainOptions};
//!
//! # async fn grid() -> semivq::Result<()> {
//! let gpu = Arc::new(Gpu::new(&AdapterChoice::default()).await?);
//! for lr in [1e-3, 3e-4] {
//!     let options = TrainOptions { lr, steps: Some(500), ..TrainOptions::default() };
//!     let data = load_data(&options, None, Path::new(""))?;
//!     let model = options.build_model(data.shape()[0])?;
//!     let mut session = Session::new(Arc::clone(&gpu), model, data, options.session())?;
//!     let folder = RunFolder::create(Some(Path::new(&format!("grid/lr-{lr}"))), false, options.method)?;
//!     folder.write_config(&options)?;
//!     let mut log = MetricsLog::open(&folder, 0, options.log_every)?;
//!     for _ in 0..500 {
//!         if let Some(metrics) = session.step().await? {
//!             log.add(metrics)?;
//!         }
//!     }
//!     while let Some(metrics) = session.next_metrics().await? {
//!         log.add(metrics)?;
//!     }
//!     log.flush()?;
//!     folder.save(&session, &options).await?;
//!     let test = folder.conclude(&session, &options, &log.lines, None).await?;
//!     println!("lr {lr}: l1 {}", test.l1);
//! }
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "pictures")]
pub mod charts;
mod conclude;
mod evaluations;
mod files;
mod folder;
mod images;
mod metrics_log;
#[cfg(feature = "pictures")]
pub mod pictures;
mod saved;
#[cfg(feature = "pictures")]
pub mod sheet;
mod under_way;

pub use evaluations::{Evaluated, EvaluationsLog, Watch};
pub use files::{io_error, write_file, write_json};
pub use folder::{
    BEST, CHECKPOINT, CODES, CODES_PICTURE, CONFIG, CURVES, DECODED, EVALUATIONS, INTERPOLATION,
    METRICS, PRIOR, PRIOR_SUMMARY, RECONSTRUCTED, RECONSTRUCTIONS, RunFolder, SAMPLES, SCHEDULE,
    SUMMARY, TEST_IMAGE, holds_run, read_config, read_next,
};
pub use images::{load_data, locate, stored};
pub use metrics_log::MetricsLog;
pub use saved::{Saved, agreed, no_run, open_session, options_of, read_state, take_weights};
pub use under_way::{Observer, UnderWay};
