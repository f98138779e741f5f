//! What the tests of sessions share: a few images, steps with their metrics, a runner.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use semivq::data::{Dataset, Images, Source, synthetic};
use semivq::gpu::Gpu;
use semivq::train::{Session, StepMetrics};

/// A test on the adapter; a validation error fails it too.
pub type Test = fn(Arc<Gpu>) -> Result<(), Failed>;

/// The first `count` images of `source`.
pub fn first(source: &dyn Source, count: usize) -> Images {
    Images {
        shape: source.shape(),
        pixels: source.read_range(0..count).unwrap(),
        labels: None,
    }
}

/// The first images of the built-in set.
pub fn glyphs(train: usize, test: usize) -> Dataset {
    let all = synthetic::glyphs(5);
    Dataset::new(
        "a few glyphs",
        first(&all.train, train),
        first(&all.test, test),
    )
}

/// `steps` more steps, one a submission, and all their metrics.
pub fn run(session: &mut Session, steps: u32) -> semivq::Result<Vec<StepMetrics>> {
    pollster::block_on(async {
        let mut all = Vec::new();
        for _ in 0..steps {
            all.extend(session.step().await?);
        }
        while let Some(metrics) = session.next_metrics().await? {
            all.push(metrics);
        }
        Ok(all)
    })
}

pub fn checkpoint(session: &Session) -> semivq::Result<Vec<u8>> {
    pollster::block_on(session.checkpoint(serde_json::Value::Null))
}

/// Runs the tests one after the other on `gpu`; without one they are ignored.
pub fn run_all(gpu: Result<Gpu, String>, tests: &[(&str, Test)]) -> ! {
    let mut args = Arguments::from_args();
    args.test_threads = Some(1);
    if let Err(why) = &gpu {
        println!("GPU tests are ignored: {why}");
    }
    let gpu = gpu.map(Arc::new);
    let trials = tests.iter().map(|(name, test)| {
        let device = gpu.clone();
        let test = *test;
        Trial::test(*name, move || {
            let gpu = device?;
            test(Arc::clone(&gpu))?;
            gpu.check("the test")?;
            Ok(())
        })
        .with_ignored_flag(gpu.is_err())
    });
    libtest_mimic::run(&args, trials.collect()).exit()
}
