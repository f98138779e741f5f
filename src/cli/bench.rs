//! `semivq bench`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use semivq::bench::{self, Ceilings, StepBench};
use semivq::data::synthetic;
use semivq::gpu::{Clock, Gpu};
use semivq::quant::codebook::{Distance, ReplacePolicy};
use semivq::quant::{Norm, VectorQuantConfig};
use semivq::run::{load_data, stored};
use semivq::train::{Method, TrainOptions};
use semivq::{Error, Result, options};

use super::DeviceArgs;

#[derive(Args)]
pub struct BenchArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Only this method, see `semivq methods`
    #[arg(long)]
    method: Option<String>,
    /// Only the codebook search: 65,536 vectors of 64 features against 1024 and 8192 codes
    #[arg(long, conflicts_with_all = ["method", "batch", "remedies"])]
    search: bool,
    /// Only the cost of the remedies: the step with each against that of vq, in turns, batch 256
    #[arg(long, conflicts_with_all = ["method", "batch"])]
    remedies: bool,
    /// Only what it costs to stream images instead of keeping them on the GPU, in turns, batch 64: of a folder, or of
    /// glyphs or scenes
    #[arg(long, value_name = "DIR|glyphs|scenes", conflicts_with_all = ["method", "search", "remedies"])]
    streaming: Option<PathBuf>,
    /// Only this batch size [default: 32 and 256]
    #[arg(long, allow_negative_numbers = true, value_parser = |t: &str| options::BATCH.parse::<usize>(t))]
    batch: Option<usize>,
}

/// What `--json` prints.
#[derive(serde::Serialize)]
struct Report {
    adapter: Adapter,
    #[serde(flatten)]
    measured: bench::Report,
}

#[derive(serde::Serialize)]
struct Adapter {
    description: String,
    backend: String,
    driver: String,
    software: bool,
}

impl Report {
    /// Of an adapter on which nothing but the ceilings was measured yet.
    async fn new(gpu: &Gpu) -> Result<Self> {
        let (info, clock) = (gpu.info(), Clock::of(gpu));
        Ok(Self {
            adapter: Adapter {
                description: info.name.clone(),
                backend: format!("{:?}", info.backend),
                driver: format!("{} {}", info.driver, info.driver_info),
                software: gpu.is_software(),
            },
            measured: bench::Report {
                clock,
                ceilings: bench::ceilings(gpu, clock).await?,
                steps: Vec::new(),
                searches: Vec::new(),
            },
        })
    }
}

pub async fn run(device: &DeviceArgs, args: &BenchArgs) -> Result<ExitCode> {
    let methods: Vec<Method> = match &args.method {
        None => Method::ALL.to_vec(),
        Some(name) => {
            let found = Method::ALL.into_iter().find(|m| m.name() == name);
            vec![found.ok_or_else(|| Error::Config(format!("unknown method `{name}`")))?]
        }
    };
    if args.search {
        return search(device, args.json).await;
    }
    if args.remedies {
        return remedies(device, args.json).await;
    }
    if let Some(data) = &args.streaming {
        return streaming(device, args, data).await;
    }
    let batches = args.batch.map_or(vec![32, 256], |batch| vec![batch]);
    let gpu = device.open().await?;
    let data = synthetic::glyphs(0);
    let mut report = Report::new(&gpu).await?;
    let bench::Report {
        clock, ceilings, ..
    } = report.measured;
    if !args.json {
        out!("adapter: {}", gpu.adapter_line());
        out!(
            "ceilings: {:.1} GFLOP/s (fused multiply-adds in registers), {:.1} GB/s (copy of 64 MiB)\n",
            ceilings.gflops,
            ceilings.gb_per_second
        );
        out!(
            "simple     batch  dispatches  first step   step: median      min      max  GFLOP/s  of ceiling"
        );
    }
    for batch in &batches {
        for method in &methods {
            let options = TrainOptions {
                batch: *batch,
                ..TrainOptions::default().with_method(*method)?
            };
            let (mut row, session) = bench::step(&gpu, &options, data.clone()).await?;
            if !args.json {
                print_step(&row, &ceilings);
            }
            let last_batch = Some(batch) == batches.last();
            if last_batch && Some(method) == methods.first() {
                row.kernels = bench::kernels(&session, clock, &ceilings).await?;
            }
            report.measured.steps.push(row);
        }
    }
    if args.json {
        out!(
            "{}",
            serde_json::to_string_pretty(&report).unwrap_or_default()
        );
    } else {
        print_kernels(&report.measured);
    }
    Ok(ExitCode::SUCCESS)
}

/// The search, its share of the ceiling measured right before and after it.
async fn search(device: &DeviceArgs, json: bool) -> Result<ExitCode> {
    let gpu = device.open().await?;
    let mut report = Report::new(&gpu).await?;
    let bench::Report {
        clock,
        ceilings: before,
        ..
    } = report.measured;
    for codes in [1024, 8192] {
        let row = bench::search(&gpu, clock, &before, [65_536, 64, codes]).await?;
        report.measured.searches.push(row);
    }
    let after = bench::ceilings(&gpu, clock).await?;
    let ceilings = Ceilings {
        gflops: before.gflops.max(after.gflops),
        gb_per_second: before.gb_per_second.max(after.gb_per_second),
    };
    report.measured.ceilings = ceilings;
    for row in &mut report.measured.searches {
        for kernel in &mut row.kernels {
            kernel.set_beside(&ceilings);
        }
    }
    if json {
        let text = serde_json::to_string_pretty(&report).unwrap_or_default();
        out!("{text}");
        return Ok(ExitCode::SUCCESS);
    }
    out!("adapter: {}", gpu.adapter_line());
    out!(
        "ceiling: {:.1} GFLOP/s (fused multiply-adds in registers; before {:.1}, after {:.1})\n",
        ceilings.gflops,
        before.gflops,
        after.gflops
    );
    out!(
        "vectors  features  codes     median      min      max  GFLOP/s  of ceiling  extra memory"
    );
    for row in &report.measured.searches {
        let rate = row.gflop / row.time.median;
        out!(
            "{:>7}  {:>8}  {:>5}  {:>6.1} ms  {:>7.1}  {:>7.1}  {rate:>7.1}  {:>8.1} %  {:>8.1} KiB",
            row.vectors,
            row.features,
            row.codes,
            1e3 * row.time.median,
            1e3 * row.time.min,
            1e3 * row.time.max,
            100.0 * rate / ceilings.gflops,
            row.extra_bytes as f64 / 1024.0,
        );
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(serde::Serialize)]
struct RemedyRow<'a> {
    remedy: &'a str,
    step: bench::Spread,
    of_vq: bench::Spread,
}

/// The step with each remedy against that of vq, the two in turns.
async fn remedies(device: &DeviceArgs, json: bool) -> Result<ExitCode> {
    let gpu = device.open().await?;
    let data = synthetic::glyphs(0);
    let vq = TrainOptions::default();
    let mut remedies: Vec<(&str, TrainOptions)> = Vec::new();
    for method in Method::ALL {
        remedies.push((method.name(), vq.clone().with_method(method)?));
    }
    // What no method has, each on top of vq; replacement at its dearest, with codes due at each step.
    let mut on_vq = |name: &'static str, change: fn(&mut VectorQuantConfig)| -> Result<()> {
        remedies.push((name, vq.clone().with_quantizer(change)?));
        Ok(())
    };
    on_vq("replace, input_random", |c| c.replace_freq = 1)?;
    on_vq("replace, input_kmeans", |c| {
        c.replace_freq = 1;
        c.replace_policy = ReplacePolicy::InputKmeans;
    })?;
    on_vq("replace, self", |c| {
        c.replace_freq = 1;
        c.replace_policy = ReplacePolicy::Own;
    })?;
    on_vq("affine, statistics", |c| {
        c.affine_lr = 2.0;
        c.using_statistics = true;
    })?;
    on_vq("norm bn", |c| c.norm = Norm::Bn)?;
    on_vq("norm gn", |c| c.norm = Norm::Gn)?;
    on_vq("cosine", |c| c.dist = Distance::Cosine)?;
    if !json {
        out!("adapter: {}", gpu.adapter_line());
        out!("step of simple, batch 256; ratio to vq in turns with it\n");
        out!("remedy                 step: median      min      max   of vq: median    min    max");
    }
    let mut rows = Vec::new();
    for (remedy, options) in &remedies {
        let (step, of_vq) = bench::against(&gpu, options, &vq, &data).await?;
        if !json {
            out!(
                "{remedy:<22} {:>9.2} ms  {:>7.2}  {:>7.2}  {:>13.3}  {:>5.3}  {:>5.3}",
                1e3 * step.median,
                1e3 * step.min,
                1e3 * step.max,
                of_vq.median,
                of_vq.min,
                of_vq.max,
            );
        }
        rows.push(RemedyRow {
            remedy,
            step,
            of_vq,
        });
    }
    if json {
        let text = serde_json::to_string_pretty(&rows).unwrap_or_default();
        out!("{text}");
    }
    Ok(ExitCode::SUCCESS)
}

/// The step with images that are streamed against that with images on the device.
async fn streaming(device: &DeviceArgs, args: &BenchArgs, data: &Path) -> Result<ExitCode> {
    let options = TrainOptions {
        data: Some(stored(data, "data")?),
        batch: args.batch.unwrap_or(64),
        ..TrainOptions::default()
    };
    let data = load_data(&options, None, data)?;
    let gpu = device.open().await?;
    let (step, of_resident) = bench::streaming(&gpu, &options, &data).await?;
    if args.json {
        let row = serde_json::json!({"streamed": step, "of_resident": of_resident});
        out!("{row:#}");
        return Ok(ExitCode::SUCCESS);
    }
    out!("adapter: {}", gpu.adapter_line());
    out!(
        "{} on {}, batch {}: streamed {:.2} ms a step ({:.2} to {:.2}), {:.3} of the time with images on the GPU \
         ({:.3} to {:.3})",
        options.model.name(),
        data.name,
        options.batch,
        1e3 * step.median,
        1e3 * step.min,
        1e3 * step.max,
        of_resident.median,
        of_resident.min,
        of_resident.max,
    );
    Ok(ExitCode::SUCCESS)
}

fn print_step(row: &StepBench, ceilings: &Ceilings) {
    let rate = row.gflop / row.step.median;
    out!(
        "{:<10} {:>5}  {:>10}  {:>8.2} s   {:>9.2} ms  {:>7.2}  {:>7.2}  {rate:>7.1}  {:>8.1} %",
        row.method,
        row.batch,
        row.dispatches,
        row.first_step,
        1e3 * row.step.median,
        1e3 * row.step.min,
        1e3 * row.step.max,
        100.0 * rate / ceilings.gflops,
    );
}

/// The kernels of the step of which they were timed.
fn print_kernels(report: &bench::Report) {
    let Some(step) = report.steps.iter().find(|s| !s.kernels.is_empty()) else {
        return;
    };
    let total: f64 = step.kernels.iter().map(|k| k.seconds).sum();
    let clock = match report.clock {
        Clock::Timestamps => "by the adapter's timestamps",
        Clock::Host => {
            "each over and over by the host's clock, since this adapter has no timestamps"
        }
    };
    out!(
        "\nkernels of a step of {}, batch {}: {:.2} ms in all, {clock}",
        step.method,
        step.batch,
        1e3 * total
    );
    out!("       ms  share  GFLOP/s  of ceiling     GB/s  of ceiling  kernel");
    for k in &step.kernels {
        out!(
            "{:>9.3} {:>4.0} %  {:>7.1}  {:>8.1} %  {:>7.2}  {:>8.1} %  {}",
            1e3 * k.seconds,
            100.0 * k.share,
            k.of_gflops * report.ceilings.gflops,
            100.0 * k.of_gflops,
            k.of_gb_per_second * report.ceilings.gb_per_second,
            100.0 * k.of_gb_per_second,
            k.label,
        );
    }
}
