//! The runner of the tests that also run in a browser: natively libtest-mimic, in wasm a loop that
//! leaves its tally where the page that loaded it can read it.

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

enum Run {
    Host(OnHost),
    /// Left out in a browser.
    Native(OnHost),
    Gpu(OnGpu),
}

pub struct Test {
    name: String,
    run: Run,
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

/// Every failure and, at the end, the tally go to `console.log`; no adapter is a failure.
#[cfg(target_arch = "wasm32")]
pub fn run(tests: Vec<Test>) {
    use semivq::gpu::AdapterChoice;

    let say = |line: String| web_sys::console::log_1(&line.into());
    wasm_bindgen_futures::spawn_local(async move {
        console_error_panic_hook::set_once();
        let gpu = match Gpu::new(&AdapterChoice::default()).await {
            Ok(gpu) => Arc::new(gpu),
            Err(error) => return say(format!("test result: FAILED. no adapter: {error}")),
        };
        let (mut passed, mut failed) = (0, 0);
        for test in tests {
            let outcome = match &test.run {
                Run::Host(run) => run(),
                Run::Native(_) => continue,
                Run::Gpu(run) => run(Arc::clone(&gpu)).await,
            };
            match outcome {
                Ok(()) => passed += 1,
                Err(Failed(why)) => {
                    failed += 1;
                    say(format!("test {} ... FAILED: {why}", test.name));
                }
            }
        }
        let word = if failed == 0 { "ok" } else { "FAILED" };
        say(format!(
            "test result: {word}. {passed} passed; {failed} failed"
        ));
    });
}
