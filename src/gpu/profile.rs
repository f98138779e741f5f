//! Timing the dispatches of a plan on the device itself.

use super::Gpu;
use super::plan::Plan;
use super::readback::read_buffer;
use super::slots::StepValues;
use crate::error::{Error, Result};

/// Time of one dispatch, as [`Plan::profile`] measures it.
#[derive(Debug, Clone)]
pub struct KernelTime {
    /// Layer and kernel.
    pub label: String,
    /// `shader::entry`.
    pub kernel: String,
    /// Median over the repeats.
    pub seconds: f64,
    /// Floating-point operations, where the operation counts them.
    pub flops: u64,
    /// Size of all its tensors: the bytes that must move at least once.
    pub bytes: u64,
}

impl Plan {
    /// Times every dispatch on the device, each in a pass of its own; medians over `repeats` steps.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the adapter has no timestamps, and as [`Plan::set_steps`].
    pub async fn profile(
        &self,
        gpu: &Gpu,
        values: &StepValues,
        repeats: usize,
    ) -> Result<Vec<KernelTime>> {
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
        self.set_steps(gpu, std::slice::from_ref(values))?;
        for _ in 0..repeats {
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
        }
        let times = self.steps.iter().zip(samples).map(|(step, mut sample)| {
            sample.sort_by(f64::total_cmp);
            KernelTime {
                label: step.label.clone(),
                kernel: step.kernel.clone(),
                seconds: sample[sample.len() / 2],
                flops: step.flops,
                bytes: step.bytes,
            }
        });
        Ok(times.collect())
    }
}
