//! What a recorder makes: tensors and dispatches, plain data.

use super::buffer::Buffer;
use super::kernel::{Field, Kernel};
use super::layout::Arena;

/// A tensor of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Var(pub(super) usize);

/// Where a tensor lives.
#[derive(Debug, Clone)]
pub enum Storage {
    /// Parameter of this index.
    Parameter(usize),
    /// Gradient of the parameter of this index.
    Gradient(usize),
    /// Model buffer of this index.
    Buffer(usize),
    /// A whole arena.
    Arena(Arena),
    /// A buffer from outside, e.g. the data set.
    External(Buffer),
    /// Placed by lifetime; `kept` ones have memory of their own and can be written and read.
    Activation {
        /// Exempt from reuse.
        kept: bool,
    },
    /// The scalar of this index: all of a plan lie in one buffer.
    Scalar(usize),
    /// The memory of another tensor, in another shape.
    View(Var),
}

/// What the words of a tensor are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// 32-bit floats.
    F32,
    /// 32-bit unsigned integers.
    U32,
}

/// The parts of a step, in the order in which they are recorded and run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// From the images to the losses; also what a quantiser changes for this very step.
    #[default]
    Forward,
    /// From the losses to the gradients of all parameters.
    Backward,
    /// What moves by itself once all gradients are there: see [`super::Recorder::after_backward`].
    Updates,
    /// The optimiser.
    Optimiser,
}

#[derive(Debug, Clone)]
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) storage: Storage,
}

impl Tensor {
    pub(super) fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

/// One recorded dispatch.
#[derive(Debug, Clone)]
pub struct Dispatch {
    pub(super) kernel: &'static Kernel,
    pub(super) constants: Vec<(&'static str, f64)>,
    pub(super) params: Vec<u8>,
    pub(super) fields: &'static [Field],
    pub(super) tensors: Vec<Var>,
    pub(super) groups: [u32; 3],
    pub(super) label: String,
    pub(super) flops: u64,
    pub(super) phase: Phase,
}

impl Dispatch {
    /// What is dispatched.
    #[must_use]
    pub fn kernel(&self) -> &'static Kernel {
        self.kernel
    }

    /// Its pipeline-overridable constants, as far as they were set.
    #[must_use]
    pub fn overrides(&self) -> &[(&'static str, f64)] {
        &self.constants
    }

    /// The bytes of its uniform `params`; [`Kernel::params`] says what lies where.
    #[must_use]
    pub fn params(&self) -> &[u8] {
        &self.params
    }

    /// Its workgroups along x, y and z.
    #[must_use]
    pub fn groups(&self) -> [u32; 3] {
        self.groups
    }

    /// The part of the step that it belongs to.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Its kernel, with the scope of the layer in front.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Sets pipeline-overridable constants.
    pub fn constants(&mut self, constants: &[(&'static str, f64)]) -> &mut Self {
        self.constants = constants.to_vec();
        self
    }

    /// Notes the floating-point operations, a multiply-add as two, for the bench.
    pub fn flops(&mut self, flops: usize) -> &mut Self {
        self.flops = flops as u64;
        self
    }
}

/// A finished recording: plain data.
#[derive(Debug)]
pub struct Recording {
    pub(super) tensors: Vec<Tensor>,
    pub(super) dispatches: Vec<Dispatch>,
    /// See [`super::Recorder::statistic`].
    pub(super) statistics: Vec<(Var, Element)>,
}

/// What the launch of a dispatch costs, in operations: about half a millisecond at the 3 GFLOP/s of a software adapter,
/// and it hides some microseconds of a GPU.
const LAUNCH: u64 = 1_500_000;

impl Recording {
    /// Dispatches of it.
    #[must_use]
    pub fn dispatches(&self) -> usize {
        self.dispatches.len()
    }

    /// What `dispatch` takes, in operations: one that counts none is bound by its memory, of which the images that a
    /// batch is gathered from are no part; the rest is what a launch costs.
    pub(super) fn work_of(&self, dispatch: &Dispatch) -> u64 {
        let bytes = |var: &Var| match &self.tensors[var.0] {
            Tensor {
                storage: Storage::External(_),
                ..
            } => 0,
            tensor => 4 * tensor.len() as u64,
        };
        let bytes: u64 = dispatch.tensors.iter().map(bytes).sum();
        dispatch.flops.max(4 * bytes) + LAUNCH
    }

    /// See [`super::Plan::work`].
    #[must_use]
    pub fn work(&self) -> u64 {
        self.dispatches.iter().map(|d| self.work_of(d)).sum()
    }
}
