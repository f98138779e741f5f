//! Timing the dispatches of a plan.

use web_time::Instant;

use super::Gpu;
use super::plan::Plan;
use super::readback::read_buffer;
use super::slots::StepValues;
use crate::error::{Error, Result};

/// Whose clock a dispatch is timed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// The device's, at both ends of a dispatch.
    Timestamps,
    /// The host's, around the same dispatch over and over.
    Host,
}

impl Clock {
    /// The device's where it has one.
    #[must_use]
    pub fn of(gpu: &Gpu) -> Self {
        if gpu.has_timestamps() {
            Self::Timestamps
        } else {
            Self::Host
        }
    }
}

/// Time of one dispatch, as [`Plan::profile`] measures it.
#[derive(Debug, Clone)]
pub struct KernelTime {
    /// Layer and kernel.
    pub label: String,
    /// `shader::entry`.
    pub kernel: String,
    /// Over all samples: the median, of a coarse clock the mean.
    pub seconds: f64,
    /// The least of the samples, of a coarse clock the mean.
    pub least: f64,
    /// Floating-point operations, where the operation counts them.
    pub flops: u64,
    /// Size of all its tensors: the bytes that must move at least once.
    pub bytes: u64,
}

/// Samples of a fine clock, and at least of a coarse one.
const SAMPLES: usize = 5;
/// How long a coarse clock is read, in seconds, and how often at most: the mean of 400 samples is within some
/// microseconds.
const COARSE: (f64, usize) = (2.0, 400);
/// How long the host times a dispatch over and over, in seconds, and how often it runs at most.
const REPEATED: (f64, u32) = (0.03, 4096);

impl Plan {
    /// Times every dispatch, each in a pass of its own.
    ///
    /// By timestamps that is once in each of several steps. A browser rounds them to a tenth of a millisecond, which
    /// kernels are shorter than: since the places of the ticks are random, the mean over many steps is right.
    /// By the host's clock each is repeated until that takes long enough, on what the dispatches before it have left;
    /// so the tensors hold no step's values afterwards.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the adapter has no timestamps and is asked for them, and as [`Plan::set_steps`].
    pub async fn profile(
        &self,
        gpu: &Gpu,
        values: &StepValues,
        clock: Clock,
    ) -> Result<Vec<KernelTime>> {
        self.set_steps(gpu, std::slice::from_ref(values))?;
        let coarse = gpu.info().backend == wgpu::Backend::BrowserWebGpu;
        let samples = match clock {
            Clock::Timestamps => self.timestamps(gpu, coarse).await?,
            Clock::Host => self.repeated(gpu).await?,
        };
        let mean = coarse && clock == Clock::Timestamps;
        let times = self.steps.iter().zip(samples).map(|(step, mut sample)| {
            sample.sort_by(f64::total_cmp);
            let (seconds, least) = if mean {
                let mean = sample.iter().sum::<f64>() / sample.len() as f64;
                (mean, mean)
            } else {
                (sample[sample.len() / 2], sample[0])
            };
            KernelTime {
                label: step.label.clone(),
                kernel: step.kernel.clone(),
                seconds,
                least,
                flops: step.flops,
                bytes: step.bytes,
            }
        });
        Ok(times.collect())
    }

    /// Samples of each dispatch by the device's clock.
    async fn timestamps(&self, gpu: &Gpu, coarse: bool) -> Result<Vec<Vec<f64>>> {
        if !gpu.has_timestamps() {
            return Err(Error::Gpu {
                place: "profile".into(),
                message: "this adapter has no timestamps".into(),
            });
        }
        let count = 2 * self.steps.len() as u32;
        let queries = gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("profile"),
            ty: wgpu::QueryType::Timestamp,
            count,
        });
        let resolved = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("profile"),
            size: 8 * u64::from(count),
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        let mut samples = vec![Vec::new(); self.steps.len()];
        let period = f64::from(gpu.queue.get_timestamp_period()) * 1e-9;
        let more = |taken: usize, started: Instant| {
            let (seconds, most) = COARSE;
            let coarse = coarse && taken < most && started.elapsed().as_secs_f64() < seconds;
            taken < SAMPLES || coarse
        };
        // The first time may include what the driver does at first use.
        self.run_part(gpu, 0..self.steps.len());
        let (mut taken, started) = (0, Instant::now());
        while more(taken, started) {
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            for (i, step) in self.steps.iter().enumerate() {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                    label: Some(&step.label),
                    timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                        query_set: &queries,
                        beginning_of_pass_write_index: Some(2 * i as u32),
                        end_of_pass_write_index: Some(2 * i as u32 + 1),
                    }),
                });
                self.encode_dispatch(&mut pass, step, 0);
            }
            encoder.resolve_query_set(&queries, 0..count, &resolved, 0);
            gpu.queue.submit([encoder.finish()]);
            let words = read_buffer(gpu, &resolved, 0, resolved.size()).await?;
            let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&words);
            for (sample, pair) in samples.iter_mut().zip(ticks.chunks_exact(2)) {
                sample.push(pair[1].saturating_sub(pair[0]) as f64 * period);
            }
            taken += 1;
        }
        Ok(samples)
    }

    /// Samples of each dispatch by the host's clock, less what waiting for nothing takes.
    async fn repeated(&self, gpu: &Gpu) -> Result<Vec<Vec<f64>>> {
        let (enough, most) = REPEATED;
        let mut waiting = f64::MAX;
        for _ in 0..SAMPLES {
            waiting = waiting.min(self.time(gpu, 0, 0).await);
        }
        let mut samples = Vec::new();
        for i in 0..self.steps.len() {
            // What adds to what is there starts anew.
            self.run_part(gpu, 0..i + 1);
            gpu.wait_idle().await;
            let (mut times, mut sample) = (1, Vec::new());
            while sample.len() < SAMPLES {
                let taken = (self.time(gpu, i, times).await - waiting).max(1e-9);
                if taken < enough && times < most {
                    let wanted = f64::from(times) * 1.5 * enough / taken;
                    times = wanted.max(2.0 * f64::from(times)).min(f64::from(most)) as u32;
                    continue;
                }
                sample.push(taken / f64::from(times));
            }
            samples.push(sample);
            gpu.check(&self.steps[i].label)?;
        }
        Ok(samples)
    }

    /// Seconds until `times` times dispatch `i` have been submitted and have ended.
    async fn time(&self, gpu: &Gpu, i: usize, times: u32) -> f64 {
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for _ in 0..times {
                self.encode_dispatch(&mut pass, &self.steps[i], 0);
            }
        }
        let commands = encoder.finish();
        let started = Instant::now();
        gpu.queue.submit([commands]);
        gpu.wait_idle().await;
        started.elapsed().as_secs_f64()
    }

    /// Submits the dispatches of `range`, with the values of the first step that was set.
    fn run_part(&self, gpu: &Gpu, range: std::ops::Range<usize>) {
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        self.encode_part(&mut encoder, range, 0);
        gpu.queue.submit([encoder.finish()]);
    }
}
