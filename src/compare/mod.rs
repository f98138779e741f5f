//! Experiments: a grid of methods, seeds and values of options, each point of it a run in a folder of its own,
//! trained side by side on one device; the table, the plots and the report that come of it.
//!
//! A folder of an experiment holds `experiment.toml` ([`Experiment`]), `runs/METHOD-sSEED/` ([`crate::run`]),
//! `results.csv` and the CSV files of curves, alpha and codebooks ([`Results`]), and what is drawn of these
//! ([`draw`]): `results.md`, `plots/`, `report.html`.

mod curves;
mod draw;
mod experiment;
mod file;
mod images;
mod lines;
mod panel;
mod plots;
mod point;
mod pool;
mod report;
mod results;
mod seen;
mod table;
mod worker;

pub use curves::{Band, Curve, Trace};
pub use draw::{TABLE, draw};
pub use experiment::{Experiment, Vary, parse_methods, parse_seeds, parse_vary};
pub use file::EXPERIMENT;
pub use images::{check_data, set_goals};
pub use plots::PLOTS;
pub use point::Point;
pub use pool::{Event, Pool};
pub use report::REPORT;
pub use results::{RESULTS, Results};
pub use seen::{Map, SAMPLES, Seen};
pub use table::{Group, Row, Status, Summary, better};
pub use worker::{OUTCOME, Outcome, Task};
