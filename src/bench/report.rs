//! What is measured, in words that the command line's JSON and the page's share.

use serde::Serialize;

use crate::gpu::{Clock, KernelTime};

/// All that was measured on an adapter.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// How kernels and ceilings were timed.
    pub clock: Clock,
    /// What the adapter can do at most.
    pub ceilings: Ceilings,
    /// Training steps.
    pub steps: Vec<StepBench>,
    /// Searches alone.
    pub searches: Vec<SearchBench>,
}

/// What the adapter can do at most.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Ceilings {
    /// Fused multiply-adds in registers, GFLOP/s (a multiply-add is two).
    pub gflops: f64,
    /// A large copy, GB/s read and written.
    pub gb_per_second: f64,
}

/// Median, least and greatest of repeated measurements, in seconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Spread {
    /// Median.
    pub median: f64,
    /// Least.
    pub min: f64,
    /// Greatest.
    pub max: f64,
}

impl Spread {
    pub(super) fn of(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        Self {
            median: seconds[seconds.len() / 2],
            min: seconds[0],
            max: seconds[seconds.len() - 1],
        }
    }
}

/// Times of training steps.
#[derive(Debug, Clone, Serialize)]
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
    /// Its kernels, if they were timed, the slowest first.
    pub kernels: Vec<KernelBench>,
}

/// Time of a codebook search.
#[derive(Debug, Clone, Serialize)]
pub struct SearchBench {
    /// N
    pub vectors: usize,
    /// F
    pub features: usize,
    /// K
    pub codes: usize,
    /// A search, over blocks of searches.
    pub time: Spread,
    /// `2 N K F` operations.
    pub gflop: f64,
    /// Bytes besides vectors, codebook and codes.
    pub extra_bytes: u64,
    /// Its kernels, the slowest first.
    pub kernels: Vec<KernelBench>,
}

/// A dispatch of a step or a search, beside what the adapter can do.
#[derive(Debug, Clone, Serialize)]
pub struct KernelBench {
    /// Layer and kernel.
    pub label: String,
    /// `shader::entry`.
    pub kernel: String,
    /// Floating-point operations; 0 where the operation does not count them.
    pub operations: u64,
    /// Size of all its tensors: what must move at least once.
    pub least_bytes: u64,
    /// Its time.
    pub seconds: f64,
    /// Its part of the time of all kernels together.
    pub share: f64,
    /// Operations a second, of [`Ceilings::gflops`].
    pub of_gflops: f64,
    /// Least bytes a second, of [`Ceilings::gb_per_second`]; above 1 where caches serve it.
    pub of_gb_per_second: f64,
}

impl KernelBench {
    /// Slowest first.
    pub(super) fn all(mut times: Vec<KernelTime>, ceilings: &Ceilings) -> Vec<Self> {
        times.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        let total: f64 = times.iter().map(|t| t.seconds).sum();
        let row = |t: KernelTime| {
            let mut row = Self {
                operations: t.flops,
                least_bytes: t.bytes,
                seconds: t.seconds,
                share: t.seconds / total.max(1e-9),
                of_gflops: 0.0,
                of_gb_per_second: 0.0,
                label: t.label,
                kernel: t.kernel,
            };
            row.set_beside(ceilings);
            row
        };
        times.into_iter().map(row).collect()
    }

    /// Its rates as parts of `ceilings`.
    pub fn set_beside(&mut self, ceilings: &Ceilings) {
        // A coarse clock may not have seen it at all.
        let rate = |amount: u64| 1e-9 * amount as f64 / self.seconds.max(1e-9);
        self.of_gflops = rate(self.operations) / ceilings.gflops;
        self.of_gb_per_second = rate(self.least_bytes) / ceilings.gb_per_second;
    }
}
