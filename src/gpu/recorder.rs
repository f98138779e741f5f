//! Recording a computation: tensors and dispatches. `gradients.rs` is the way back through them.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::buffer::Buffer;
use super::layout::{Arena, Init, ParameterLayout, Role};
use super::recording::{Dispatch, Element, Phase, Recording, Storage, Tensor, Var};
use super::traits::Traits;
use super::{Field, Gpu, Kernel, Uniform};
use crate::error::Result;

/// Workgroups that cover `threads` invocations of `kernel`, folded into x and y; the kernels undo
/// it with `linear_id`.
fn cover(threads: usize, per_group: u32) -> [u32; 3] {
    let groups = threads.div_ceil(per_group as usize).max(1);
    fold(groups)
}

/// `groups` workgroups folded into x and y, at most 65,535 each.
fn fold(groups: usize) -> [u32; 3] {
    let y = groups.div_ceil(65_535);
    [groups.div_ceil(y) as u32, y as u32, 1]
}

type FromGradient = dyn Fn(&mut Recorder<'_>, Var) -> Result<()>;
type FromRoot = dyn Fn(&mut Recorder<'_>) -> Result<()>;

/// A way back.
#[derive(Clone)]
pub(super) enum Backward {
    /// From the gradient of a tensor.
    From(Var, Rc<FromGradient>),
    /// From something that is a root itself.
    Root(Rc<FromRoot>),
}

pub(super) type Update = Box<dyn FnOnce(&mut Recorder<'_>) -> Result<()>>;

/// What a recorder knows of gradients.
#[derive(Default)]
pub(super) struct Tape {
    /// Each in the scope that it was recorded in.
    pub(super) steps: Vec<(Vec<String>, Backward)>,
    pub(super) updates: Vec<Update>,
    pub(super) gradients: HashMap<Var, Var>,
    pub(super) differentiable: HashSet<Var>,
    /// Tensors whose gradient is that of another one.
    pub(super) stand_ins: HashMap<Var, Var>,
    /// Parameters whose gradient is not the one that is trained with, during an early backward.
    pub(super) private: HashSet<Var>,
}

/// Records the dispatches of a computation.
///
/// Operations are functions in [`crate::ops`] and [`crate::quant`] that take a recorder and [`Var`]s.
/// After the forward part, [`Self::seed_gradient`] and [`Self::backward`] record the other half.
pub struct Recorder<'a> {
    pub(super) layout: &'a mut ParameterLayout,
    pub(super) tensors: Vec<Tensor>,
    pub(super) dispatches: Vec<Dispatch>,
    training: bool,
    traits: Traits,
    pub(super) tape: Tape,
    pub(super) scope: Vec<String>,
    scalars: usize,
    pub(super) statistics: Vec<(Var, Element)>,
    phase: Phase,
    /// See [`Self::in_parts`].
    pub(super) parts: usize,
}

impl std::fmt::Debug for Recorder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder")
            .field("tensors", &self.tensors.len())
            .field("dispatches", &self.dispatches.len())
            .finish_non_exhaustive()
    }
}

impl<'a> Recorder<'a> {
    /// A new recording over `layout`; `training` says how batch norms and the quantiser behave.
    #[must_use]
    pub fn new(layout: &'a mut ParameterLayout, training: bool) -> Self {
        Self {
            layout,
            tensors: Vec::new(),
            dispatches: Vec::new(),
            training,
            traits: Traits::default(),
            tape: Tape::default(),
            scope: Vec::new(),
            scalars: 0,
            statistics: Vec::new(),
            phase: Phase::default(),
            parts: 1,
        }
    }

    /// Chooses the kernels that suit the adapter of `gpu`. All kernels that it may choose from run on it.
    #[must_use]
    pub fn tuned_for(self, gpu: &Gpu) -> Self {
        self.with_traits(gpu.traits().clone())
    }

    /// The same without a device.
    #[must_use]
    pub fn with_traits(mut self, traits: Traits) -> Self {
        self.traits = traits;
        self
    }

    /// What the choice of kernels depends on.
    #[must_use]
    pub fn traits(&self) -> &Traits {
        &self.traits
    }

    /// Whether this recording trains (true) or evaluates.
    #[must_use]
    pub fn training(&self) -> bool {
        self.training
    }

    /// What was recorded so far.
    #[must_use]
    pub fn dispatches(&self) -> &[Dispatch] {
        &self.dispatches
    }

    /// Says that what follows belongs to `phase`. The phases of a step follow each other, so that one that has
    /// gone by does not come back.
    pub(crate) fn enter(&mut self, phase: Phase) {
        self.phase = self.phase.max(phase);
    }

    // ------------------------------------------------------------------------------- tensors

    pub(super) fn add(&mut self, name: String, shape: &[usize], storage: Storage) -> Var {
        self.tensors.push(Tensor {
            name,
            shape: shape.to_vec(),
            storage,
        });
        Var(self.tensors.len() - 1)
    }

    /// The shape of `var`.
    #[must_use]
    pub fn shape(&self, var: Var) -> &[usize] {
        &self.tensors[var.0].shape
    }

    /// The number of elements of `var`.
    #[must_use]
    pub fn len(&self, var: Var) -> usize {
        self.tensors[var.0].len()
    }

    /// Elements of the largest tensor so far: what the limits of a device are asked about.
    #[must_use]
    pub fn largest(&self) -> usize {
        self.tensors.iter().map(Tensor::len).max().unwrap_or(0)
    }

    /// An intermediate result, overwritten once nobody needs it any more.
    pub fn temporary(&mut self, name: &str, shape: &[usize]) -> Var {
        let name = self.scoped(name);
        self.add(name, shape, Storage::Activation { kept: false })
    }

    /// A scalar that the host reads after a step. All scalars of a plan lie in one buffer, so that one copy
    /// takes them; a kernel that reads one cannot write another one.
    pub fn scalar(&mut self, name: &str) -> Var {
        let name = self.scoped(name);
        self.scalars += 1;
        self.add(name, &[1], Storage::Scalar(self.scalars - 1))
    }

    /// A tensor that the host writes before a step.
    pub fn input(&mut self, name: &str, shape: &[usize]) -> Var {
        self.add(name.to_owned(), shape, Storage::Activation { kept: true })
    }

    /// A tensor in a buffer that exists already.
    pub fn external(&mut self, name: &str, shape: &[usize], buffer: &Buffer) -> Var {
        self.add(name.to_owned(), shape, Storage::External(buffer.clone()))
    }

    /// Exempts `var` from reuse, so that the host can read it after a step.
    pub fn keep(&mut self, var: Var) -> Var {
        let base = self.base(var);
        if let Storage::Activation { kept } = &mut self.tensors[base.0].storage {
            *kept = true;
        }
        var
    }

    /// Says that `var` is a sum over the batch which an update of the codebook works on: kept, and exchanged
    /// between devices that train together, see [`super::Exchange`].
    pub fn statistic(&mut self, var: Var, element: Element) -> Var {
        let base = self.base(var);
        if self.statistics.iter().all(|(known, _)| *known != base) {
            self.statistics.push((base, element));
        }
        self.keep(var)
    }

    /// The same elements as `var` in another shape, gradient included.
    ///
    /// # Panics
    /// When the number of elements differs.
    pub fn view(&mut self, var: Var, shape: &[usize]) -> Var {
        assert_eq!(
            shape.iter().product::<usize>(),
            self.len(var),
            "a view has as many elements"
        );
        let base = self.base(var);
        let name = self.tensors[var.0].name.clone();
        let view = self.add(name, shape, Storage::View(base));
        self.share_gradient(view, var);
        view
    }

    /// The same tensor as `var`, but what is computed from it contributes nothing to a gradient.
    pub fn without_gradient(&mut self, var: Var) -> Var {
        let base = self.base(var);
        let shape = self.shape(var).to_vec();
        self.add(
            self.tensors[var.0].name.clone(),
            &shape,
            Storage::View(base),
        )
    }

    /// The tensor whose memory `var` is.
    fn base(&self, var: Var) -> Var {
        match self.tensors[var.0].storage {
            Storage::View(base) => base,
            _ => var,
        }
    }

    /// The full name of `var`, in a checkpoint if it is a parameter or a buffer.
    #[must_use]
    pub fn name(&self, var: Var) -> &str {
        &self.tensors[var.0].name
    }

    /// Runs `f` with `name.` in front of the names of its parameters.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn scope<T>(&mut self, name: &str, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.scope.push(name.to_owned());
        let result = f(self);
        self.scope.pop();
        result
    }

    fn scoped(&self, name: &str) -> String {
        let mut parts: Vec<&str> = self.scope.iter().map(String::as_str).collect();
        parts.push(name);
        parts.retain(|p| !p.is_empty());
        parts.join(".")
    }

    /// A trained tensor, declared at the first recording.
    ///
    /// # Errors
    /// [`crate::Error::Config`] when the name is taken with another shape.
    pub fn parameter(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Var> {
        let name = self.scoped(name);
        let index = self.layout.parameter(&name, shape, init)?;
        let var = self.add(name, shape, Storage::Parameter(index));
        self.require_gradient(var);
        Ok(var)
    }

    /// A tensor of the model that lasts from step to step but is not trained.
    ///
    /// # Errors
    /// [`crate::Error::Config`] when the name is taken with another shape.
    pub fn buffer(&mut self, name: &str, shape: &[usize], fill: f32) -> Result<Var> {
        self.lasting(name, shape, Init::Constant(fill), Role::Model)
    }

    /// Like [`Self::parameter`], but without a gradient: no optimiser moves it.
    ///
    /// # Errors
    /// [`crate::Error::Config`] when the name is taken with another shape.
    pub fn frozen(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Var> {
        self.lasting(name, shape, init, Role::Model)
    }

    /// A tensor that lasts from step to step and that only training needs, such as a velocity.
    ///
    /// # Errors
    /// [`crate::Error::Config`] when the name is taken with another shape.
    pub fn state(&mut self, name: &str, shape: &[usize], fill: f32) -> Result<Var> {
        self.lasting(name, shape, Init::Constant(fill), Role::Training)
    }

    fn lasting(&mut self, name: &str, shape: &[usize], init: Init, role: Role) -> Result<Var> {
        let name = self.scoped(name);
        let index = self.layout.buffer(&name, shape, init, role)?;
        Ok(self.add(name, shape, Storage::Buffer(index)))
    }

    /// The parameters so far.
    #[must_use]
    pub fn layout(&self) -> &ParameterLayout {
        self.layout
    }

    /// A whole arena as one tensor, for the optimisers.
    pub fn arena(&mut self, arena: Arena) -> Var {
        let len = self.layout.arena_len();
        self.add(format!("{arena:?}"), &[len], Storage::Arena(arena))
    }

    // ---------------------------------------------------------------------------- dispatches

    /// Records a dispatch of `threads` invocations. `tensors` stand in the order of the kernel's
    /// bindings, the step's uniform left out.
    pub fn dispatch<P: Uniform>(
        &mut self,
        kernel: &'static Kernel,
        params: &P,
        tensors: &[Var],
        threads: usize,
    ) -> &mut Dispatch {
        self.dispatch_groups(
            kernel,
            params,
            tensors,
            cover(threads, kernel.invocations()),
        )
    }

    /// Records a dispatch of one workgroup for each of `count` items.
    pub fn dispatch_per_group<P: Uniform>(
        &mut self,
        kernel: &'static Kernel,
        params: &P,
        tensors: &[Var],
        count: usize,
    ) -> &mut Dispatch {
        self.dispatch_groups(kernel, params, tensors, fold(count.max(1)))
    }

    /// Records a dispatch of exactly `groups` workgroups.
    pub fn dispatch_groups<P: Uniform>(
        &mut self,
        kernel: &'static Kernel,
        params: &P,
        tensors: &[Var],
        groups: [u32; 3],
    ) -> &mut Dispatch {
        self.push(
            kernel,
            (P::FIELDS, bytemuck::bytes_of(params)),
            tensors,
            groups,
        )
    }

    /// The same for any uniform, so that there is one of it in a module that is loaded.
    fn push(
        &mut self,
        kernel: &'static Kernel,
        (fields, params): (&'static [Field], &[u8]),
        tensors: &[Var],
        groups: [u32; 3],
    ) -> &mut Dispatch {
        let label = self.scoped(&kernel.label());
        let at = self.dispatches.len();
        self.dispatches.push(Dispatch {
            kernel,
            constants: Vec::new(),
            params: params.to_vec(),
            fields,
            tensors: tensors.iter().map(|v| self.base(*v)).collect(),
            groups,
            label,
            flops: 0,
            phase: self.phase,
        });
        &mut self.dispatches[at]
    }

    /// What was recorded, free of the layout, so that the store can be made from it.
    #[must_use]
    pub fn finish(self) -> Recording {
        Recording {
            tensors: self.tensors,
            dispatches: self.dispatches,
            statistics: self.statistics,
        }
    }
}
