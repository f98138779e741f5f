//! The runner of the tests that also run in a browser: natively libtest-mimic, in wasm the page that
//! tests a GPU, which calls them one by one (`suite`).

use std::fmt::Display;
use std::pin::Pin;
use std::sync::Arc;

use semivq::gpu::{Gpu, Traits};

/// Why a test failed; made from any error or message.
#[derive(Debug)]
pub struct Failed(pub String);

impl<E: Display> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

pub type Outcome = Result<(), Failed>;
type OnGpu = Box<dyn Fn(Arc<Gpu>) -> Pin<Box<dyn Future<Output = Outcome>>> + Send>;

type OnHost = Box<dyn Fn() -> Outcome + Send>;

pub(super) enum Run {
    Host(OnHost),
    /// Left out in a browser.
    Native(OnHost),
    Gpu(OnGpu),
}

pub struct Test {
    pub(super) name: String,
    pub(super) run: Run,
}

impl Test {
    /// A test that needs no adapter.
    pub fn host(name: impl Into<String>, run: impl Fn() -> Outcome + Send + 'static) -> Self {
        Self {
            name: name.into(),
            run: Run::Host(Box::new(run)),
        }
    }

    /// A test that needs files, and no adapter; its name tells that a browser leaves it out.
    pub fn native(name: &str, run: impl Fn() -> Outcome + Send + 'static) -> Self {
        Self {
            name: format!("{name} (native)"),
            run: Run::Native(Box::new(run)),
        }
    }

    /// A test on the adapter; a validation error fails it too.
    pub fn gpu<F: Future<Output = Outcome> + 'static>(
        name: impl Into<String>,
        run: impl Fn(Arc<Gpu>) -> F + Send + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            run: Run::Gpu(Box::new(move |gpu| {
                let outcome = run(Arc::clone(&gpu));
                Box::pin(async move {
                    outcome.await?;
                    Ok(gpu.check("the test")?)
                })
            })),
        }
    }

    /// A test on the adapter under each of [`super::candidate_sets`].
    pub fn gpu_by_candidates<F: Future<Output = Outcome> + 'static>(
        name: &str,
        part: &str,
        run: impl Fn(Arc<Gpu>) -> F + Clone + Send + 'static,
    ) -> Vec<Self> {
        let sets = super::candidate_sets(part).into_iter();
        let test = |set: Traits| {
            let run = run.clone();
            let forced = set.forced.join(" and ");
            Self::gpu(format!("{name}, {forced}"), move |gpu| {
                run(Arc::new(super::forcing(&gpu, &set)))
            })
        };
        sets.map(test).collect()
    }
}

#[cfg(not(target_arch = "wasm32"))]
pub fn run(tests: Vec<Test>) {
    use libtest_mimic::{Arguments, Trial};

    let mut args = Arguments::from_args();
    // One device for all; a second thread would only wait for it.
    args.test_threads = Some(1);
    let gpu = super::gpu().map(Arc::new);
    if let Err(why) = &gpu {
        println!("GPU tests are ignored: {why}");
    }
    let failed = |f: Failed| libtest_mimic::Failed::from(f.0);
    let trials = tests.into_iter().map(|test| match test.run {
        Run::Host(run) | Run::Native(run) => Trial::test(test.name, move || run().map_err(failed)),
        Run::Gpu(run) => {
            let device = gpu.clone();
            let ignored = device.is_err();
            let trial = move || pollster::block_on(run(device?)).map_err(failed);
            Trial::test(test.name, trial).with_ignored_flag(ignored)
        }
    });
    libtest_mimic::run(&args, trials.collect()).exit();
}

/// The page runs them: the library's own start has taken the place of `main`.
#[cfg(target_arch = "wasm32")]
pub fn run(_: Vec<Test>) {}
