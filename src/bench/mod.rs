//! Measuring: the adapter's own ceilings, step times, and a table of kernels.

mod report;

use std::sync::Arc;

use web_time::Instant;

use crate::data::Dataset;
use crate::error::Result;
use crate::gpu::{
    BuildOptions, Clock, GRID, Gpu, Kernel, ParameterLayout, Recorder, StepValues, Store, kernels,
};
use crate::quant::Vectors;
use crate::rng::Stream;
use crate::train::{Feeding, Session, TrainOptions};

pub use report::{Ceilings, KernelBench, Report, SearchBench, Spread, StepBench};

kernels! {
    "bench", [GRID];
    MULTIPLY_ADD = "multiply_add", 64, &[], [Write 2];
    COPY = "copy", 64, &[], [Read 1, Write 2];
}

/// Rounds of a thread of the first micro-kernel.
pub(crate) const ROUNDS: u64 = 256;
/// Its multiply-adds: rounds, statements, lanes.
const MULTIPLY_ADDS: u64 = ROUNDS * 8 * 4;
/// Its threads: as many as take some time, tried with the fewest. In a browser a submission stays well below a second.
const THREADS: [usize; 2] = [1 << 16, 1 << 22];
/// That time, in seconds.
const LONG_ENOUGH: f64 = 0.02;
/// Floats of the copy: 64 MiB.
const COPIED: usize = 1 << 24;

/// The least time of a micro-kernel with `threads` threads on tensors `[floats]`, in seconds.
async fn micro(
    gpu: &Gpu,
    clock: Clock,
    kernel: &'static Kernel,
    tensors: &[usize],
    threads: usize,
) -> Result<f64> {
    let mut layout = ParameterLayout::default();
    let mut rec = Recorder::new(&mut layout, false).tuned_for(gpu);
    let tensors = tensors.iter().map(|floats| rec.input("floats", &[*floats]));
    let tensors: Vec<_> = tensors.collect();
    rec.dispatch(kernel, &(), &tensors, threads);
    let recording = rec.finish();
    let store = Store::new(gpu, layout, 0)?;
    let plan = recording.build(gpu, &store, BuildOptions::default())?;
    let times = plan.profile(gpu, &StepValues::default(), clock).await?;
    Ok(times.iter().map(|t| t.least).sum())
}

/// Runs the two micro-kernels.
///
/// # Errors
/// [`crate::Error::Gpu`] when the device fails.
pub async fn ceilings(gpu: &Gpu, clock: Clock) -> Result<Ceilings> {
    let [fewest, most] = THREADS;
    let arithmetic =
        async |threads: usize| micro(gpu, clock, &MULTIPLY_ADD, &[4 * threads], threads).await;
    let mut threads = fewest;
    let mut seconds = arithmetic(threads).await?;
    if seconds < LONG_ENOUGH {
        let wanted = threads as f64 * LONG_ENOUGH / seconds.max(1e-9);
        threads = (wanted.min(most as f64) as usize).next_multiple_of(fewest);
        seconds = arithmetic(threads).await?;
    }
    let gflops = 2e-9 * (MULTIPLY_ADDS * threads as u64) as f64 / seconds;
    let seconds = micro(gpu, clock, &COPY, &[COPIED, COPIED], COPIED / 4).await?;
    gpu.check("the ceilings")?;
    Ok(Ceilings {
        gflops,
        gb_per_second: 8e-9 * COPIED as f64 / seconds,
    })
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
        kernels: Vec::new(),
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

/// Times the search of K codes by N vectors of F features (`[N, F, K]`), which lie in images of 8 by 8, and its kernels.
///
/// # Errors
/// [`crate::Error::Limit`] when they are too many for the device; as [`crate::gpu::Plan::profile`].
pub async fn search(
    gpu: &Gpu,
    clock: Clock,
    ceilings: &Ceilings,
    [vectors, features, codes]: [usize; 3],
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
    let values = StepValues::default();
    let block = async |searches: u32| -> Result<f64> {
        let started = Instant::now();
        for _ in 0..searches {
            plan.run(gpu, &values)?;
        }
        gpu.wait_idle().await;
        gpu.check("the search")?;
        Ok(started.elapsed().as_secs_f64() / f64::from(searches))
    };
    block(1).await?;
    // Many in a row: waiting takes a browser milliseconds.
    let searches = (0.2 / block(1).await?).clamp(1.0, 100.0) as u32;
    let mut times = Vec::new();
    for _ in 0..BLOCKS {
        times.push(block(searches).await?);
    }
    let kernels = plan.profile(gpu, &values, clock).await?;
    let visible = 4 * (vectors * features + codes * features + vectors) as u64;
    Ok(SearchBench {
        vectors,
        features,
        codes,
        time: Spread::of(times),
        gflop: 2e-9 * vectors as f64 * features as f64 * codes as f64,
        extra_bytes: plan.activation_bytes() - visible,
        kernels: KernelBench::all(kernels, ceilings),
    })
}

/// The kernels of a training step, the slowest first.
///
/// # Errors
/// As [`crate::gpu::Plan::profile`].
pub async fn kernels(
    session: &Session,
    clock: Clock,
    ceilings: &Ceilings,
) -> Result<Vec<KernelBench>> {
    // A learning rate of 0: the parameters stay.
    let values = session.step_values(1).with("lr", 0.0_f32);
    let times = session
        .plan()
        .profile(session.gpu(), &values, clock)
        .await?;
    Ok(KernelBench::all(times, ceilings))
}
