//! The tests of a file as the page that tests a GPU sees them: their names, and running one of them.

use std::cell::RefCell;
use std::sync::Arc;

use semivq::gpu::{AdapterChoice, Gpu};
use wasm_bindgen::JsError;
use wasm_bindgen::prelude::wasm_bindgen;

pub use super::harness::Failed;
use super::harness::{Outcome, Run, Test};

/// A device that is opened when it is needed.
#[derive(Default)]
pub struct Opened(RefCell<Option<Arc<Gpu>>>);

impl Opened {
    /// The device.
    pub async fn get(&self) -> Result<Arc<Gpu>, Failed> {
        let open = self.0.borrow().clone();
        if let Some(gpu) = open {
            return Ok(gpu);
        }
        let gpu = Arc::new(Gpu::new(&AdapterChoice::default()).await?);
        *self.0.borrow_mut() = Some(Arc::clone(&gpu));
        Ok(gpu)
    }

    /// Why it is gone, if it is.
    pub fn lost(&self) -> Option<String> {
        self.0.borrow().as_ref().and_then(|gpu| gpu.lost())
    }
}

/// The tests of a file that a browser can run.
#[wasm_bindgen]
pub struct Suite {
    tests: Vec<Test>,
    gpu: Opened,
}

impl Suite {
    /// `on_purpose` adds two tests that fail, to see how that looks.
    pub fn new(mut tests: Vec<Test>, on_purpose: bool) -> Self {
        tests.retain(|test| !matches!(test.run, Run::Native(_)));
        if on_purpose {
            // The one that panics first: the other runs in what is loaded after it.
            tests.push(Test::host("on purpose: panics", || {
                panic!("a test that panics")
            }));
            tests.push(Test::host("on purpose: fails", || Err("1 is not 2".into())));
        }
        Self {
            tests,
            gpu: Opened::default(),
        }
    }

    async fn outcome(&self, index: usize) -> Outcome {
        let test = self.tests.get(index).ok_or("there is no such test")?;
        match &test.run {
            Run::Host(run) | Run::Native(run) => run(),
            Run::Gpu(run) => run(self.gpu.get().await?).await,
        }
    }
}

#[wasm_bindgen]
impl Suite {
    /// In the order of their numbers.
    pub fn names(&self) -> Vec<String> {
        self.tests.iter().map(|test| test.name.clone()).collect()
    }

    /// Runs one; what was wrong is an exception.
    pub async fn run(&self, index: usize) -> Result<(), JsError> {
        let outcome = self.outcome(index).await;
        outcome.map_err(|Failed(why)| JsError::new(&why))
    }

    /// Why the device is gone, if it is: whatever still runs on it fails.
    pub fn lost(&self) -> Option<String> {
        self.gpu.lost()
    }
}
