//! The bench: its report goes together, whichever clock; and what the page that tests a GPU has of it.

#[cfg(target_arch = "wasm32")]
#[path = "bench/stages.rs"]
mod stages;
mod support;

use std::sync::Arc;

use semivq::bench::{self, KernelBench};
use semivq::data::synthetic;
use semivq::gpu::{Clock, Gpu};
use semivq::train::{Method, TrainOptions};
use support::harness::{self, Outcome, Test};

/// Slowest first, in parts of the whole, each beside the ceilings.
fn goes_together(kernels: &[KernelBench], ceilings: &bench::Ceilings) -> Outcome {
    let falling = kernels.is_sorted_by(|a, b| a.seconds >= b.seconds);
    let whole: f64 = kernels.iter().map(|k| k.share).sum();
    if !falling || (whole - 1.0).abs() > 1e-6 {
        return Err(format!("the shares make {whole}: {kernels:?}").into());
    }
    for k in kernels {
        let bytes = k.of_gb_per_second * ceilings.gb_per_second * 1e9 * k.seconds;
        let operations = k.of_gflops * ceilings.gflops * 1e9 * k.seconds;
        let close = |got: f64, want: u64| (got - want as f64).abs() <= 1e-6 * want as f64;
        if k.least_bytes == 0
            || k.seconds <= 0.0
            || !close(bytes, k.least_bytes)
            || !close(operations, k.operations)
        {
            return Err(format!("{k:?} beside {ceilings:?}").into());
        }
        if k.of_gflops > 1.0 {
            return Err(format!("faster than the ceiling: {k:?}").into());
        }
    }
    Ok(())
}

async fn a_step_goes_together(gpu: Arc<Gpu>) -> Outcome {
    let clock = Clock::of(&gpu);
    let ceilings = bench::ceilings(&gpu, clock).await?;
    let options = TrainOptions {
        batch: 8,
        ..TrainOptions::default().with_method(Method::Approach1)?
    };
    let (row, session) = bench::step(&gpu, &options, synthetic::glyphs(0)).await?;
    let kernels = bench::kernels(&session, clock, &ceilings).await?;
    if kernels.len() != row.dispatches {
        return Err(format!("{} kernels of {}", kernels.len(), row.dispatches).into());
    }
    let counted: u64 = kernels.iter().map(|k| k.operations).sum();
    if (1e-9 * counted as f64 - row.gflop).abs() > 1e-6 * row.gflop {
        return Err(format!("{counted} operations of {} GFLOP", row.gflop).into());
    }
    goes_together(&kernels, &ceilings)
}

/// Both tell about the same of each kernel; a factor of 12 is for a machine that has other work. What is short is
/// repeated dozens of times by the host's clock.
async fn the_clocks_agree(gpu: Arc<Gpu>) -> Outcome {
    if !gpu.has_timestamps() {
        return Ok(());
    }
    let ceilings = bench::ceilings(&gpu, Clock::Timestamps).await?;
    let device = bench::search(&gpu, Clock::Timestamps, &ceilings, [4096, 64, 512]).await?;
    let host = bench::search(&gpu, Clock::Host, &ceilings, [4096, 64, 512]).await?;
    for row in [&device, &host] {
        goes_together(&row.kernels, &ceilings)?;
    }
    for k in &device.kernels {
        let twin = host.kernels.iter().find(|twin| twin.label == k.label);
        let ratio = twin.map_or(f64::NAN, |twin| twin.seconds / k.seconds);
        if !(1.0 / 12.0..12.0).contains(&ratio) {
            return Err(format!("{k:?} by the device's clock, {twin:?} by the host's").into());
        }
    }
    Ok(())
}

fn main() {
    harness::run(vec![
        Test::gpu("a step's kernels go together", a_step_goes_together),
        Test::gpu("the clocks agree", the_clocks_agree),
    ]);
}
