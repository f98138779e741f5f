//! A plan: the recorded dispatches with everything resolved, replayed each step.

use std::ops::Range;

use super::Gpu;
use super::kernel::{Access, Binding, uniform_struct};
use super::memory::Placement;
use super::params::Store;
use super::place::{Place, allocate, place_all};
use super::readback::{Stretch, read_buffer, read_stretches};
use super::recording::{Recording, Storage, Tensor, Var};
use crate::error::{Error, Result};

uniform_struct! {
    /// What changes from step to step; `shaders/lib/step.wgsl` holds its twin.
    pub struct StepUniform {
        /// Counts from 1.
        step: u32,
        /// Index of the batch's first image in the order of the epoch.
        batch_start: u32,
        /// Learning rate.
        lr: f32,
        /// `1 - beta1^step` of AdamW.
        bias1: f32,
        /// `sqrt(1 - beta2^step)` of AdamW.
        bias2_sqrt: f32,
        /// Low and high half of the run's seed.
        seed_low: u32,
        seed_high: u32,
        /// Steps of an epoch.
        epoch_steps: u32,
    }
}

impl StepUniform {
    /// The same with the run's seed.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "the halves of a u64")]
    pub fn with_seed(self, seed: u64) -> Self {
        Self {
            seed_low: seed as u32,
            seed_high: (seed >> 32) as u32,
            ..self
        }
    }
}

/// Options of [`Recording::build`].
#[derive(Debug, Clone, Copy, Default)]
pub struct BuildOptions {
    /// For tests: every activation gets memory of its own, filled with NaN, with a gap behind it
    /// that must stay untouched.
    pub guarded: bool,
}

impl Recording {
    /// Resolves pipelines, memory and bind groups.
    ///
    /// # Errors
    /// [`crate::Error::Limit`] names the tensor that is too large; [`crate::Error::Gpu`] what the
    /// driver refused.
    pub fn build(self, gpu: &Gpu, store: &Store, options: BuildOptions) -> Result<Plan> {
        Plan::new(gpu, store, self, options)
    }
}

#[derive(Debug)]
pub(super) struct Step {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) group: wgpu::BindGroup,
    pub(super) groups: [u32; 3],
    pub(super) label: String,
    pub(super) kernel: String,
    pub(super) flops: u64,
    pub(super) bytes: u64,
}

/// A flat list of dispatches, ready to run.
#[derive(Debug)]
pub struct Plan {
    pub(super) steps: Vec<Step>,
    places: Vec<Option<Place>>,
    tensors: Vec<Tensor>,
    step_uniform: wgpu::Buffer,
    guard: u64,
    activation_bytes: u64,
}

const UNIFORM_ALIGN: usize = 256;

impl Plan {
    pub(super) fn new(
        gpu: &Gpu,
        store: &Store,
        recording: Recording,
        options: BuildOptions,
    ) -> Result<Self> {
        let guard = if options.guarded { 256 } else { 0 };
        let placement = Placement::new(&recording, !options.guarded);
        let slots = allocate(gpu, &placement, &recording, guard)?;
        let places = place_all(gpu, store, &recording, &placement, &slots, guard)?;
        let step_uniform = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("step"),
            size: size_of::<StepUniform>() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut plan = Self {
            steps: Vec::new(),
            places,
            tensors: Vec::new(),
            step_uniform,
            guard,
            activation_bytes: placement.slots.iter().map(|s| s.bytes).sum(),
        };
        plan.resolve(gpu, &recording)?;
        plan.tensors = recording.tensors;
        gpu.check("building the plan")?;
        Ok(plan)
    }

    fn resolve(&mut self, gpu: &Gpu, recording: &Recording) -> Result<()> {
        let mut uniforms = Vec::new();
        let mut offsets = Vec::new();
        for dispatch in &recording.dispatches {
            offsets.push(uniforms.len() as u64);
            uniforms.extend_from_slice(&dispatch.params);
            uniforms.resize(uniforms.len().next_multiple_of(UNIFORM_ALIGN), 0);
        }
        let params = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("params"),
            size: uniforms.len().max(UNIFORM_ALIGN) as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        gpu.queue.write_buffer(&params, 0, &uniforms);
        for (dispatch, offset) in recording.dispatches.iter().zip(offsets) {
            let pipeline = gpu.pipeline(dispatch.kernel, &dispatch.constants)?;
            let mut entries = Vec::new();
            if !dispatch.kernel.params.is_empty() {
                let size = wgpu::BufferSize::new(dispatch.params.len() as u64);
                entries.push(bind(0, &params, offset, size));
            }
            let mut tensors = dispatch.tensors.iter();
            let mut bytes = 0;
            for Binding(index, access) in dispatch.kernel.bindings {
                if *access == Access::Step {
                    entries.push(bind(*index, &self.step_uniform, 0, None));
                    continue;
                }
                let place = tensors.next().and_then(|v| self.places[v.0].as_ref());
                let place = place.ok_or_else(|| Error::Gpu {
                    place: dispatch.label.clone(),
                    message: format!("binding {index} was given no tensor"),
                })?;
                let size = wgpu::BufferSize::new(place.bytes + self.guard);
                entries.push(bind(*index, &place.buffer, place.offset, size));
                bytes += place.bytes;
            }
            let group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(&dispatch.label),
                layout: &pipeline.layout,
                entries: &entries,
            });
            gpu.check(&dispatch.label)?;
            self.steps.push(Step {
                pipeline: pipeline.pipeline.clone(),
                group,
                groups: dispatch.groups,
                label: dispatch.label.clone(),
                kernel: dispatch.kernel.label(),
                flops: dispatch.flops,
                bytes,
            });
        }
        Ok(())
    }

    /// Dispatches a step.
    #[must_use]
    pub fn dispatches(&self) -> usize {
        self.steps.len()
    }

    /// Bytes of all activations together, after sharing.
    #[must_use]
    pub fn activation_bytes(&self) -> u64 {
        self.activation_bytes
    }

    /// Floating-point operations of a step, as far as the operations count them.
    #[must_use]
    pub fn flops(&self) -> u64 {
        self.steps.iter().map(|s| s.flops).sum()
    }

    /// Adds the whole list to `encoder`, in one compute pass.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        self.encode_part(encoder, 0..self.steps.len());
    }

    /// Cuts the list into at most `parts` stretches of about equal work, in order.
    #[must_use]
    pub fn parts(&self, parts: usize) -> Vec<Range<usize>> {
        // An operation that counts no flops is bound by its memory; the rest is what a launch costs.
        let work = |step: &Step| (step.flops.max(4 * step.bytes) + 100_000) as f64;
        let total: f64 = self.steps.iter().map(work).sum();
        let mut ranges = Vec::new();
        let (mut start, mut done) = (0, 0.0);
        for (i, step) in self.steps.iter().enumerate() {
            done += work(step);
            let last = i + 1 == self.steps.len();
            if last || done >= total * (ranges.len() + 1) as f64 / parts.max(1) as f64 {
                ranges.push(start..i + 1);
                start = i + 1;
            }
        }
        ranges
    }

    /// Adds the dispatches of `range` to `encoder`, in one compute pass.
    pub fn encode_part(&self, encoder: &mut wgpu::CommandEncoder, range: Range<usize>) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for step in &self.steps[range] {
            pass.set_pipeline(&step.pipeline);
            pass.set_bind_group(0, &step.group, &[]);
            pass.dispatch_workgroups(step.groups[0], step.groups[1], step.groups[2]);
        }
    }

    /// Sets the values of the coming step.
    pub fn set_step(&self, gpu: &Gpu, step: &StepUniform) {
        gpu.queue
            .write_buffer(&self.step_uniform, 0, bytemuck::bytes_of(step));
    }

    /// Submits the list once.
    pub fn run(&self, gpu: &Gpu, step: &StepUniform) -> wgpu::SubmissionIndex {
        self.set_step(gpu, step);
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        self.encode(&mut encoder);
        gpu.queue.submit([encoder.finish()])
    }

    fn place(&self, var: Var) -> Result<&Place> {
        self.places[var.0].as_ref().ok_or_else(|| Error::Gpu {
            place: self.tensors[var.0].name.clone(),
            message: "the tensor is not part of the plan".into(),
        })
    }

    /// Buffer and byte offset of `var`.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the plan does not use it.
    pub fn location(&self, var: Var) -> Result<(&wgpu::Buffer, u64)> {
        let place = self.place(var)?;
        Ok((&place.buffer, place.offset))
    }

    /// Writes an input; values as f32, u32 or i32.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the length differs from the tensor's.
    pub fn write<T: bytemuck::NoUninit>(&self, gpu: &Gpu, var: Var, values: &[T]) -> Result<()> {
        let place = self.place(var)?;
        let bytes: &[u8] = bytemuck::cast_slice(values);
        if bytes.len() as u64 != place.bytes {
            let tensor = &self.tensors[var.0];
            return Err(Error::Gpu {
                place: tensor.name.clone(),
                message: format!("{} bytes written to shape {:?}", bytes.len(), tensor.shape),
            });
        }
        gpu.queue.write_buffer(&place.buffer, place.offset, bytes);
        Ok(())
    }

    /// Reads a kept tensor, or one of an arena, as f32.
    ///
    /// # Errors
    /// As [`Self::read_many`].
    pub async fn read(&self, gpu: &Gpu, var: Var) -> Result<Vec<f32>> {
        let words = self.read_u32(gpu, var).await?;
        Ok(words.into_iter().map(f32::from_bits).collect())
    }

    /// Reads a kept tensor of integers, such as codes.
    ///
    /// # Errors
    /// As [`Self::read_many`].
    pub async fn read_u32(&self, gpu: &Gpu, var: Var) -> Result<Vec<u32>> {
        let mut all = self.read_many(gpu, &[var]).await?;
        Ok(all.pop().unwrap_or_default())
    }

    /// Reads several kept tensors at once, as words: one wait for all of them.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the device fails, or when a tensor is not kept: its memory may hold another one's
    /// values.
    pub async fn read_many(&self, gpu: &Gpu, vars: &[Var]) -> Result<Vec<Vec<u32>>> {
        let stretch = |var: &Var| {
            let place = self.place(*var)?;
            let tensor = &self.tensors[var.0];
            let base = match tensor.storage {
                Storage::View(base) => &self.tensors[base.0],
                _ => tensor,
            };
            let reused = matches!(base.storage, Storage::Activation { kept: false });
            if reused && self.guard == 0 {
                return Err(Error::Gpu {
                    place: tensor.name.clone(),
                    message: "the tensor is read, but was not kept".into(),
                });
            }
            Ok(Stretch {
                buffer: &place.buffer,
                offset: place.offset,
                size: place.bytes,
            })
        };
        let stretches = vars.iter().map(stretch).collect::<Result<Vec<_>>>()?;
        read_stretches(gpu, &stretches).await
    }

    /// In a guarded plan: whether nothing was written behind any activation.
    ///
    /// # Errors
    /// [`Error::Gpu`] names the tensor behind which something was written.
    pub async fn check_guards(&self, gpu: &Gpu) -> Result<()> {
        for (tensor, place) in self.tensors.iter().zip(&self.places) {
            let (Storage::Activation { .. }, Some(place)) = (&tensor.storage, place) else {
                continue;
            };
            let words =
                read_buffer(gpu, &place.buffer, place.offset + place.bytes, self.guard).await?;
            if words.iter().any(|w| *w != place.poison) {
                return Err(Error::Gpu {
                    place: tensor.name.clone(),
                    message: "something was written behind its end".into(),
                });
            }
        }
        Ok(())
    }
}

fn bind(
    binding: u32,
    buffer: &wgpu::Buffer,
    offset: u64,
    size: Option<wgpu::BufferSize>,
) -> wgpu::BindGroupEntry<'_> {
    wgpu::BindGroupEntry {
        binding,
        resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer,
            offset,
            size,
        }),
    }
}
