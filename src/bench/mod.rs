//! Measuring: the adapter's own ceilings, step times, and a table of kernels.

use std::sync::Arc;

use web_time::Instant;

use crate::data::Dataset;
use crate::error::Result;
use crate::gpu::{
    BuildOptions, GRID, Gpu, KernelTime, ParameterLayout, Plan, Recorder, StepValues, Store,
    kernels,
};
use crate::quant::Vectors;
use crate::rng::Stream;
use crate::train::{Feeding, Session, TrainOptions};

kernels! {
    "bench", [GRID];
    MULTIPLY_ADD = "multiply_add", 64, &[], [Write 2];
    COPY = "copy", 64, &[], [Read 1, Write 2];
}

/// Rounds of a thread of the first micro-kernel.
pub(crate) const ROUNDS: u64 = 256;
/// Its multiply-adds: rounds, statements, lanes.
const MULTIPLY_ADDS: u64 = ROUNDS * 8 * 4;
/// Its threads on a GPU and on a CPU: some tenths of a millisecond, some tens.
const THREADS: [usize; 2] = [1 << 22, 1 << 16];
/// Floats of the copy: 64 MiB.
const COPIED: usize = 1 << 24;

/// What the adapter can do at most.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Ceilings {
    /// Fused multiply-adds in registers, GFLOP/s (a multiply-add is two).
    pub gflops: f64,
    /// A large copy, GB/s read and written.
    pub gb_per_second: f64,
}

/// Median, least and greatest of repeated measurements, in seconds.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Spread {
    /// Median.
    pub median: f64,
    /// Least.
    pub min: f64,
    /// Greatest.
    pub max: f64,
}

impl Spread {
    fn of(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        Self {
            median: seconds[seconds.len() / 2],
            min: seconds[0],
            max: seconds[seconds.len() - 1],
        }
    }
}

/// The best of several runs of `plan`, in seconds.
async fn best(gpu: &Gpu, plan: &Plan) -> Result<f64> {
    let mut least = f64::MAX;
    for _ in 0..6 {
        let started = Instant::now();
        plan.run(gpu, &StepValues::default())?;
        gpu.wait_idle().await;
        least = least.min(started.elapsed().as_secs_f64());
    }
    Ok(least)
}

/// Runs the two micro-kernels.
///
/// # Errors
/// [`crate::Error::Gpu`] when the device fails.
pub async fn ceilings(gpu: &Gpu) -> Result<Ceilings> {
    let threads = THREADS[usize::from(gpu.is_software())];
    let mut layout = ParameterLayout::default();
    let mut rec = Recorder::new(&mut layout, false).tuned_for(gpu);
    let sums = rec.input("sums", &[threads, 4]);
    rec.dispatch(&MULTIPLY_ADD, &(), &[sums], threads);
    let arithmetic = rec.finish();
    let store = Store::new(gpu, layout.clone(), 0)?;
    let plan = arithmetic.build(gpu, &store, BuildOptions::default())?;
    let seconds = best(gpu, &plan).await?;
    let gflops = 2e-9 * (MULTIPLY_ADDS * threads as u64) as f64 / seconds;
    let mut rec = Recorder::new(&mut layout, false).tuned_for(gpu);
    let from = rec.input("from", &[COPIED]);
    let to = rec.input("to", &[COPIED]);
    rec.dispatch(&COPY, &(), &[from, to], COPIED / 4);
    let plan = rec.finish().build(gpu, &store, BuildOptions::default())?;
    let seconds = best(gpu, &plan).await?;
    gpu.check("the ceilings")?;
    Ok(Ceilings {
        gflops,
        gb_per_second: 8e-9 * COPIED as f64 / seconds,
    })
}

/// Times of training steps.
#[derive(Debug, Clone, serde::Serialize)]
pub struct StepBench {
    /// The method.
    pub method: &'static str,
    /// Images a step.
    pub batch: usize,
    /// Dispatches a step.
    pub dispatches: usize,
    /// Floating-point operations a step: convolutions, linear layers and search.
    pub gflop: f64,
    /// From opening the session to the end of its first step, pipelines compiled, in seconds.
    pub first_step: f64,
    /// A step, over blocks of steps.
    pub step: Spread,
    /// Steps of a block.
    pub steps_of_block: u32,
}

/// Blocks that a median is taken over.
const BLOCKS: usize = 7;

/// Times the training step of `options` on `data`, synchronised only at the ends of blocks of
/// about half a second.
///
/// # Errors
/// As [`Session::new`] and [`Session::step`].
pub async fn step(
    gpu: &Arc<Gpu>,
    options: &TrainOptions,
    data: Dataset,
) -> Result<(StepBench, Session)> {
    let started = Instant::now();
    let mut session = Session::new(
        Arc::clone(gpu),
        options.build_model(data.shape()[0])?,
        data,
        options.session(),
    )?;
    block(&mut session, 1).await?;
    let first_step = started.elapsed().as_secs_f64();
    let once = block(&mut session, 2).await?;
    let steps = (0.5 / once).clamp(1.0, 200.0) as u32;
    let mut times = Vec::new();
    for _ in 0..BLOCKS {
        times.push(block(&mut session, steps).await?);
    }
    let bench = StepBench {
        method: options.method.name(),
        batch: options.batch,
        dispatches: session.plan().dispatches(),
        gflop: 1e-9 * session.plan().flops() as f64,
        first_step,
        step: Spread::of(times),
        steps_of_block: steps,
    };
    Ok((bench, session))
}

/// Times the steps of `options` and `baseline` in turns. Returns the time of a step of the former,
/// and its ratio to the latter's, over pairs of neighbouring blocks.
///
/// # Errors
/// As [`step`].
pub async fn against(
    gpu: &Arc<Gpu>,
    options: &TrainOptions,
    baseline: &TrainOptions,
    data: &Dataset,
) -> Result<(Spread, Spread)> {
    let open = |options: &TrainOptions| {
        let model = options.build_model(data.shape()[0])?;
        Session::new(Arc::clone(gpu), model, data.clone(), options.session())
    };
    in_turns(open(options)?, open(baseline)?, 1).await
}

/// Times the steps of `options` with images that are streamed against those with images on the device, as
/// [`against`] does; a block has many more steps than are read ahead.
///
/// # Errors
/// As [`step`].
pub async fn streaming(
    gpu: &Arc<Gpu>,
    options: &TrainOptions,
    data: &Dataset,
) -> Result<(Spread, Spread)> {
    let open = |feeding: Feeding| {
        let model = options.build_model(data.shape()[0])?;
        let gpu = Arc::clone(gpu);
        Session::with_feeding(gpu, model, data.clone(), options.session(), feeding)
    };
    const STEPS: u32 = 100;
    in_turns(open(Feeding::Streamed)?, open(Feeding::Resident)?, STEPS).await
}

/// The time of a step of `a`, and its ratio to one of `b`, over pairs of blocks of at least `least` steps.
async fn in_turns(mut a: Session, mut b: Session, least: u32) -> Result<(Spread, Spread)> {
    block(&mut a, 2).await?;
    let once = block(&mut b, 2).await?;
    let steps = ((0.5 / once).clamp(1.0, 200.0) as u32).max(least);
    let (mut times, mut ratios) = (Vec::new(), Vec::new());
    for _ in 0..BLOCKS {
        let time = block(&mut a, steps).await?;
        times.push(time);
        ratios.push(time / block(&mut b, steps).await?);
    }
    Ok((Spread::of(times), Spread::of(ratios)))
}

/// Seconds a step over `steps` steps.
async fn block(session: &mut Session, steps: u32) -> Result<f64> {
    let started = Instant::now();
    for _ in 0..steps {
        session.step().await?;
    }
    while session.next_metrics().await?.is_some() {}
    Ok(started.elapsed().as_secs_f64() / f64::from(steps))
}

/// Time of a codebook search.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct SearchBench {
    /// N
    pub vectors: usize,
    /// F
    pub features: usize,
    /// K
    pub codes: usize,
    /// A search.
    pub time: Spread,
    /// `2 N K F` operations.
    pub gflop: f64,
    /// Bytes besides vectors, codebook and codes.
    pub extra_bytes: u64,
}

/// Times the search of `codes` codes by `vectors` vectors, which lie in images of 8 by 8.
///
/// # Errors
/// [`crate::Error::Limit`] when they are too many for the device.
pub async fn search(
    gpu: &Gpu,
    vectors: usize,
    features: usize,
    codes: usize,
) -> Result<SearchBench> {
    const PIXELS: usize = 64;
    let layout = Vectors {
        outer: vectors / PIXELS,
        features,
        positions: PIXELS,
    };
    let mut parameters = ParameterLayout::default();
    let mut rec = Recorder::new(&mut parameters, false).tuned_for(gpu);
    let z = rec.input("z", &[layout.outer, features, PIXELS]);
    let codebook = rec.input("codebook", &[codes, features]);
    let q = crate::quant::codebook::search::search(&mut rec, z, &layout, codebook);
    rec.keep(q);
    let recording = rec.finish();
    let store = Store::new(gpu, parameters, 0)?;
    let plan = recording.build(gpu, &store, BuildOptions::default())?;
    let normals = |name: &str, count: usize| -> Vec<f32> {
        let stream = Stream::named(0, name);
        (0..count as u32).map(|i| stream.normal(i)).collect()
    };
    plan.write(gpu, z, &normals("z", vectors * features))?;
    plan.write(gpu, codebook, &normals("codebook", codes * features))?;
    let mut times = Vec::new();
    for _ in 0..BLOCKS {
        let started = Instant::now();
        plan.run(gpu, &StepValues::default())?;
        gpu.wait_idle().await;
        times.push(started.elapsed().as_secs_f64());
    }
    gpu.check("the search")?;
    let visible = 4 * (vectors * features + codes * features + vectors) as u64;
    Ok(SearchBench {
        vectors,
        features,
        codes,
        time: Spread::of(times),
        gflop: 2e-9 * vectors as f64 * features as f64 * codes as f64,
        extra_bytes: plan.activation_bytes() - visible,
    })
}

/// The kernels of a training step, each timed on the device.
///
/// # Errors
/// As [`Plan::profile`].
pub async fn kernels(session: &Session) -> Result<Vec<KernelTime>> {
    // A learning rate of 0: the parameters stay.
    let values = session.step_values(1).with("lr", 0.0_f32);
    session.plan().profile(session.gpu(), &values, 5).await
}
