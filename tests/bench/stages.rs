//! The bench in stages, as the page that tests a GPU runs it.

use std::cell::RefCell;

use semivq::bench::{self, Report};
use semivq::data::synthetic;
use semivq::gpu::{Clock, Gpu};
use semivq::train::{Method, TrainOptions};
use wasm_bindgen::JsError;
use wasm_bindgen::prelude::wasm_bindgen;

use super::support::suite::{self, Opened};

/// Images a step on a GPU and on a software adapter.
const BATCH: [usize; 2] = [64, 8];
/// N, F, K of the search on a GPU and on a software adapter.
const SEARCH: [[usize; 3]; 2] = [[65_536, 64, 1024], [4096, 64, 512]];

enum Stage {
    Ceilings,
    Step(Method),
    Search,
}

const STAGES: [Stage; 4] = [
    Stage::Ceilings,
    Stage::Step(Method::Vq),
    Stage::Step(Method::Approach1),
    Stage::Search,
];

impl Stage {
    fn name(&self) -> String {
        match self {
            Self::Ceilings => "ceilings: multiply-adds and a copy".into(),
            Self::Step(method) => format!("step of simple, {}", method.name()),
            Self::Search => "search".into(),
        }
    }
}

/// The bench as a suite: of each stage it returns all that was measured so far, as JSON.
#[wasm_bindgen]
pub struct Bench {
    gpu: Opened,
    report: RefCell<Option<Report>>,
}

/// Only what could be timed: some adapters' timestamps never move, and then the host's clock is left.
async fn ceilings(gpu: &Gpu) -> semivq::Result<Report> {
    let mut clock = Clock::of(gpu);
    let mut ceilings = bench::ceilings(gpu, clock).await?;
    if !(ceilings.gflops.is_finite() && ceilings.gb_per_second.is_finite()) {
        clock = Clock::Host;
        ceilings = bench::ceilings(gpu, clock).await?;
    }
    Ok(Report {
        clock,
        ceilings,
        steps: Vec::new(),
        searches: Vec::new(),
    })
}

impl Bench {
    async fn stage(&self, stage: &Stage) -> Result<String, suite::Failed> {
        let gpu = self.gpu.get().await?;
        let size = usize::from(gpu.is_software());
        let known = self.report.borrow().clone();
        let mut report = match known {
            Some(report) => report,
            None => ceilings(&gpu).await?,
        };
        match stage {
            Stage::Ceilings => {}
            Stage::Step(method) => {
                let options = TrainOptions {
                    batch: BATCH[size],
                    ..TrainOptions::default().with_method(*method)?
                };
                let (mut row, session) = bench::step(&gpu, &options, synthetic::glyphs(0)).await?;
                row.kernels = bench::kernels(&session, report.clock, &report.ceilings).await?;
                report.steps.push(row);
            }
            Stage::Search => {
                let row = bench::search(&gpu, report.clock, &report.ceilings, SEARCH[size]).await?;
                report.searches.push(row);
            }
        }
        gpu.check("the bench")?;
        let text = serde_json::to_string(&report)?;
        *self.report.borrow_mut() = Some(report);
        Ok(text)
    }
}

#[wasm_bindgen]
impl Bench {
    /// The stages, in the order of their numbers.
    pub fn names(&self) -> Vec<String> {
        STAGES.iter().map(Stage::name).collect()
    }

    /// Runs one; what was wrong is an exception.
    pub async fn run(&self, index: usize) -> Result<String, JsError> {
        let text = self.stage(&STAGES[index]).await;
        text.map_err(|suite::Failed(why)| JsError::new(&why))
    }

    /// Why the device is gone, if it is.
    pub fn lost(&self) -> Option<String> {
        self.gpu.lost()
    }
}

/// What the page opens.
#[wasm_bindgen]
pub fn open() -> Bench {
    Bench {
        gpu: Opened::default(),
        report: RefCell::default(),
    }
}
