//! A plan: the recorded dispatches with everything resolved, replayed each step.

use std::ops::Range;

use super::Gpu;
use super::buffer::{Buffer, UNIFORM};
use super::kernel::{Access, Binding};
use super::memory::Placement;
use super::place::{Place, allocate, allocate_scalars, place_all};
use super::recording::{Dispatch, Element, Phase, Recording, Tensor, Var};
use super::slots::{StepBuffer, StepValues};
use super::store::Store;
use crate::error::{Error, Result};

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
    /// See [`Plan::work`].
    work: u64,
    phase: Phase,
    /// Whether it sees values of the step: its bind group has a dynamic offset then.
    has_step: bool,
}

/// A flat list of dispatches, ready to run.
#[derive(Debug)]
pub struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) places: Vec<Option<Place>>,
    pub(super) tensors: Vec<Tensor>,
    step_buffer: StepBuffer,
    pub(super) scalars: Buffer,
    /// The uniforms of all dispatches; bind groups hold no handle of ours.
    params: Option<Buffer>,
    pub(super) statistics: Vec<(Var, Element)>,
    pub(super) guard: u64,
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
        let (scalars, apart) = allocate_scalars(gpu, &recording, guard);
        let scalar_places = (&scalars, apart);
        let places = place_all(
            gpu,
            store,
            &recording,
            &placement,
            &slots,
            scalar_places,
            guard,
        )?;
        let kernels = recording.dispatches.iter().map(Dispatch::kernel);
        let mut plan = Self {
            steps: Vec::new(),
            places,
            tensors: Vec::new(),
            step_buffer: StepBuffer::new(gpu, kernels),
            scalars,
            params: None,
            statistics: Vec::new(),
            guard,
            activation_bytes: placement.bytes(),
        };
        plan.resolve(gpu, &recording)?;
        plan.tensors = recording.tensors;
        plan.statistics = recording.statistics;
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
        let params = gpu.buffer("params", uniforms.len().max(UNIFORM_ALIGN) as u64, UNIFORM);
        gpu.queue.write_buffer(&params, 0, &uniforms);
        for (dispatch, offset) in recording.dispatches.iter().zip(offsets) {
            check(dispatch)?;
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
                    if let Some((offset, size)) = self.step_buffer.stretch(dispatch.kernel) {
                        let size = wgpu::BufferSize::new(size);
                        entries.push(bind(*index, &self.step_buffer.buffer, offset, size));
                    }
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
                work: recording.work_of(dispatch),
                phase: dispatch.phase,
                has_step: dispatch.kernel.has_step(),
            });
        }
        self.params = Some(params);
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

    /// What a step takes, in operations: each dispatch those that it counts or those that its bytes take the time of, and
    /// what its launch costs. A measure to compare plans by.
    #[must_use]
    pub fn work(&self) -> u64 {
        self.steps.iter().map(|s| s.work).sum()
    }

    /// The dispatches of `phase`. Together the phases are the whole list, in their order.
    #[must_use]
    pub fn phase(&self, phase: Phase) -> Range<usize> {
        let start = self.steps.partition_point(|s| s.phase < phase);
        let end = self.steps.partition_point(|s| s.phase <= phase);
        start..end
    }

    /// Adds the whole list to `encoder`, in one compute pass, with the values of the first step that was set.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        self.encode_part(encoder, 0..self.steps.len(), 0);
    }

    /// Cuts the list into at most `parts` stretches of about equal work, in order.
    #[must_use]
    pub fn parts(&self, parts: usize) -> Vec<Range<usize>> {
        let total = self.work() as f64;
        let mut ranges = Vec::new();
        let (mut start, mut done) = (0, 0.0);
        for (i, step) in self.steps.iter().enumerate() {
            done += step.work as f64;
            let last = i + 1 == self.steps.len();
            if last || done >= total * (ranges.len() + 1) as f64 / parts.max(1) as f64 {
                ranges.push(start..i + 1);
                start = i + 1;
            }
        }
        ranges
    }

    /// Adds the dispatches of `range` to `encoder`, in one compute pass, with the values of step `row` of those
    /// that were set.
    pub fn encode_part(&self, encoder: &mut wgpu::CommandEncoder, range: Range<usize>, row: usize) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for step in &self.steps[range] {
            self.encode_dispatch(&mut pass, step, row);
        }
    }

    pub(super) fn encode_dispatch(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        step: &Step,
        row: usize,
    ) {
        let offset = [self.step_buffer.offset(row)];
        let offsets = if step.has_step { &offset[..] } else { &[] };
        pass.set_pipeline(&step.pipeline);
        pass.set_bind_group(0, &step.group, offsets);
        pass.dispatch_workgroups(step.groups[0], step.groups[1], step.groups[2]);
    }

    /// Sets the values of the coming steps, at most [`super::STEPS_AT_ONCE`]; the first one's are those of row 0.
    ///
    /// # Errors
    /// [`Error::Gpu`] names a slot without a value or with one of another type, and a kernel that has it.
    pub fn set_steps(&self, gpu: &Gpu, steps: &[StepValues]) -> Result<()> {
        self.step_buffer.write(gpu, steps)
    }

    /// Submits the list once, with these values.
    ///
    /// # Errors
    /// As [`Self::set_steps`].
    pub fn run(&self, gpu: &Gpu, values: &StepValues) -> Result<wgpu::SubmissionIndex> {
        self.set_steps(gpu, std::slice::from_ref(values))?;
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        self.encode(&mut encoder);
        Ok(gpu.queue.submit([encoder.finish()]))
    }

    /// The buffer that holds the scalars, see [`super::Recorder::scalar`].
    pub(crate) fn scalars(&self) -> &wgpu::Buffer {
        &self.scalars
    }
}

/// Whether a dispatch gives its kernel what that declares.
fn check(dispatch: &Dispatch) -> Result<()> {
    let kernel = dispatch.kernel;
    let refuse = |message: String| Error::Gpu {
        place: dispatch.label.clone(),
        message,
    };
    if dispatch.fields != kernel.params {
        return Err(refuse("its params are of another kernel's struct".into()));
    }
    let tensors = |b: &&Binding| b.1 != Access::Step;
    let bindings = kernel.bindings.iter().filter(tensors).count();
    if dispatch.tensors.len() != bindings {
        let given = dispatch.tensors.len();
        return Err(refuse(format!(
            "it was given {given} tensors and binds {bindings}"
        )));
    }
    Ok(())
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
