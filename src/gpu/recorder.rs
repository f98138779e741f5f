//! Recording a computation: tensors, dispatches, and the way back through them.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::params::{Arena, Init, ParameterLayout, Role};
use super::plan::Plan;
use super::{Gpu, Kernel, Store};
use crate::error::Result;

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
    External(wgpu::Buffer),
    /// Placed by lifetime; `kept` ones have memory of their own and can be written and read.
    Activation {
        /// Exempt from reuse.
        kept: bool,
    },
    /// The memory of another tensor, in another shape.
    View(Var),
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
    pub(super) tensors: Vec<Var>,
    pub(super) groups: [u32; 3],
    pub(super) label: String,
    pub(super) flops: u64,
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

/// Options of [`Recording::build`].
#[derive(Debug, Clone, Copy, Default)]
pub struct BuildOptions {
    /// For tests: every activation gets memory of its own, filled with NaN, with a gap behind it
    /// that must stay untouched.
    pub guarded: bool,
}

type Backward = Rc<dyn Fn(&mut Recorder<'_>) -> Result<()>>;
type Update = Box<dyn FnOnce(&mut Recorder<'_>) -> Result<()>>;

/// A place on the tape, see [`Recorder::early_backward`].
#[derive(Debug, Clone, Copy)]
pub struct TapeMark(usize);

/// Records the dispatches of a computation.
///
/// Operations are functions in [`crate::ops`] and [`crate::vq`] that take a recorder and [`Var`]s.
/// After the forward part, [`Self::seed_gradient`] and [`Self::backward`] record the other half.
pub struct Recorder<'a> {
    pub(super) layout: &'a mut ParameterLayout,
    pub(super) tensors: Vec<Tensor>,
    pub(super) dispatches: Vec<Dispatch>,
    training: bool,
    on_cpu: bool,
    tape: Vec<Backward>,
    updates: Vec<Update>,
    gradients: HashMap<Var, Var>,
    differentiable: HashSet<Var>,
    /// Tensors whose gradient is that of another one.
    stand_ins: HashMap<Var, Var>,
    /// Parameters whose gradient is not the one that is trained with, during an early backward.
    private: HashSet<Var>,
    scope: Vec<String>,
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
            on_cpu: false,
            tape: Vec::new(),
            updates: Vec::new(),
            gradients: HashMap::new(),
            differentiable: HashSet::new(),
            stand_ins: HashMap::new(),
            private: HashSet::new(),
            scope: Vec::new(),
        }
    }

    /// Chooses kernels for the adapter of `gpu`: those that suit a CPU, where it runs on one. All
    /// kernels run on all adapters.
    #[must_use]
    pub fn tuned_for(self, gpu: &Gpu) -> Self {
        self.tuned_for_cpu(gpu.is_software())
    }

    /// The same without a device: `on_cpu` says whether the adapter runs on a CPU.
    #[must_use]
    pub fn tuned_for_cpu(mut self, on_cpu: bool) -> Self {
        self.on_cpu = on_cpu;
        self
    }

    /// Whether the adapter runs on a CPU, see [`Self::tuned_for`].
    #[must_use]
    pub fn on_cpu(&self) -> bool {
        self.on_cpu
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

    // ------------------------------------------------------------------------------- tensors

    fn add(&mut self, name: String, shape: &[usize], storage: Storage) -> Var {
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

    /// A tensor that the host writes before a step.
    pub fn input(&mut self, name: &str, shape: &[usize]) -> Var {
        self.add(name.to_owned(), shape, Storage::Activation { kept: true })
    }

    /// A tensor in a buffer that exists already.
    pub fn external(&mut self, name: &str, shape: &[usize], buffer: &wgpu::Buffer) -> Var {
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
        self.differentiable.insert(var);
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

    /// A whole arena as one tensor, for the optimisers.
    pub fn arena(&mut self, arena: Arena) -> Var {
        let len = self.layout.arena_len();
        self.add(format!("{arena:?}"), &[len], Storage::Arena(arena))
    }

    // ---------------------------------------------------------------------------- dispatches

    /// Records a dispatch of `threads` invocations. `tensors` stand in the order of the kernel's
    /// bindings, the step's uniform left out.
    pub fn dispatch<P: bytemuck::Pod>(
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
    pub fn dispatch_per_group<P: bytemuck::Pod>(
        &mut self,
        kernel: &'static Kernel,
        params: &P,
        tensors: &[Var],
        count: usize,
    ) -> &mut Dispatch {
        self.dispatch_groups(kernel, params, tensors, fold(count.max(1)))
    }

    /// Records a dispatch of exactly `groups` workgroups.
    pub fn dispatch_groups<P: bytemuck::Pod>(
        &mut self,
        kernel: &'static Kernel,
        params: &P,
        tensors: &[Var],
        groups: [u32; 3],
    ) -> &mut Dispatch {
        let label = self.scoped(&kernel.label());
        let at = self.dispatches.len();
        self.dispatches.push(Dispatch {
            kernel,
            constants: Vec::new(),
            params: bytemuck::bytes_of(params).to_vec(),
            tensors: tensors.iter().map(|v| self.base(*v)).collect(),
            groups,
            label,
            flops: 0,
        });
        &mut self.dispatches[at]
    }

    // ----------------------------------------------------------------------------- gradients

    /// Marks an input as one whose gradient is wanted.
    pub fn require_gradient(&mut self, var: Var) {
        self.differentiable.insert(var);
    }

    /// Whether a gradient of `var` is wanted.
    #[must_use]
    pub fn differentiable(&self, var: Var) -> bool {
        self.differentiable.contains(&self.owner(var))
    }

    /// Says that the gradient of `stand_in` is that of `var`: whatever one of them gets, goes to
    /// the same sum.
    pub fn share_gradient(&mut self, stand_in: Var, var: Var) {
        let owner = self.owner(var);
        self.stand_ins.insert(stand_in, owner);
    }

    /// The tensor that the gradient of `var` is stored under.
    fn owner(&self, var: Var) -> Var {
        self.stand_ins.get(&var).copied().unwrap_or(var)
    }

    /// Says how to run backward from `output` to `inputs`. `backward` gets the gradient of
    /// `output`; it is not called when there is none, or when no input wants one.
    pub fn on_backward(
        &mut self,
        output: Var,
        inputs: &[Var],
        backward: impl Fn(&mut Recorder<'_>, Var) -> Result<()> + 'static,
    ) {
        if !inputs.iter().any(|v| self.differentiable(*v)) {
            return;
        }
        self.differentiable.insert(output);
        let scope = self.scope.clone();
        self.tape
            .push(Rc::new(move |rec| match rec.gradient(output) {
                Some(gradient) => rec.within(&scope, |rec| backward(rec, gradient)),
                None => Ok(()),
            }));
    }

    /// Says how to run backward from something that is a root itself, such as a loss.
    pub fn on_backward_root(
        &mut self,
        inputs: &[Var],
        backward: impl Fn(&mut Recorder<'_>) -> Result<()> + 'static,
    ) {
        if inputs.iter().any(|v| self.differentiable(*v)) {
            let scope = self.scope.clone();
            self.tape
                .push(Rc::new(move |rec| rec.within(&scope, &backward)));
        }
    }

    /// Says what a step changes by itself once all gradients are there, before the optimiser: the
    /// in-place step of a codebook, say. Part of [`Self::backward`].
    pub fn after_backward(
        &mut self,
        update: impl FnOnce(&mut Recorder<'_>) -> Result<()> + 'static,
    ) {
        let scope = self.scope.clone();
        self.updates
            .push(Box::new(move |rec| rec.within(&scope, update)));
    }

    /// Says that `output` depends on `inputs`; for operations whose way back is a root.
    pub fn mark_derived(&mut self, output: Var, inputs: &[Var]) {
        if inputs.iter().any(|v| self.differentiable(*v)) {
            self.differentiable.insert(output);
        }
    }

    fn within<T>(&mut self, scope: &[String], f: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.scope, scope.to_vec());
        let result = f(self);
        self.scope = outer;
        result
    }

    /// The gradient of `var` recorded so far.
    #[must_use]
    pub fn gradient(&self, var: Var) -> Option<Var> {
        self.gradients.get(&self.owner(var)).copied()
    }

    /// Takes `gradient` as the (so far only) gradient of `var`.
    pub fn seed_gradient(&mut self, var: Var, gradient: Var) {
        self.gradients.insert(self.owner(var), gradient);
    }

    /// Records a contribution to the gradient of `var`: `write` records what *assigns* the tensor
    /// that it is given. The first contribution is the gradient; each further one is added to it.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn contribute(
        &mut self,
        var: Var,
        write: impl FnOnce(&mut Recorder<'_>, Var) -> Result<()>,
    ) -> Result<()> {
        if !self.differentiable(var) {
            return Ok(());
        }
        let var = self.owner(var);
        let shape = self.shape(var).to_vec();
        let name = format!("grad {}", self.tensors[var.0].name);
        if let Some(sum) = self.gradient(var) {
            let part = self.add(name, &shape, Storage::Activation { kept: false });
            write(self, part)?;
            crate::ops::add::add_assign(self, sum, part);
            return Ok(());
        }
        let storage = match self.tensors[var.0].storage {
            Storage::Parameter(index) if !self.private.contains(&var) => Storage::Gradient(index),
            _ => Storage::Activation { kept: false },
        };
        let gradient = self.add(name, &shape, storage);
        self.gradients.insert(var, gradient);
        write(self, gradient)
    }

    /// Like [`Self::contribute`], but where no gradient of `var` is wanted, `write` gets a scratch
    /// tensor: for kernels that compute the gradients of several inputs at once.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn contribute_always(
        &mut self,
        var: Var,
        write: impl FnOnce(&mut Recorder<'_>, Var) -> Result<()>,
    ) -> Result<()> {
        if self.differentiable(var) {
            return self.contribute(var, write);
        }
        let shape = self.shape(var).to_vec();
        let scratch = self.temporary("unwanted gradient", &shape);
        write(self, scratch)
    }

    /// Records the backward half, from the seeded gradients to those of all parameters.
    ///
    /// # Errors
    /// Those of the operations.
    pub fn backward(&mut self) -> Result<()> {
        while let Some(step) = self.tape.pop() {
            step(self)?;
        }
        for update in std::mem::take(&mut self.updates) {
            update(self)?;
        }
        Ok(())
    }

    /// The end of the tape as it is now.
    #[must_use]
    pub fn tape_mark(&self) -> TapeMark {
        TapeMark(self.tape.len())
    }

    /// Runs what was recorded since `from` backward once, now, from `gradient` of `output`; it
    /// stays on the tape for [`Self::backward`]. Returns the gradient of parameter `of`, which is
    /// not added to the one that is trained with; those of all other parameters are.
    ///
    /// # Errors
    /// Those of the operations.
    pub fn early_backward(
        &mut self,
        from: TapeMark,
        output: Var,
        gradient: Var,
        of: Var,
    ) -> Result<Option<Var>> {
        let start = HashMap::from([(self.owner(output), gradient)]);
        let outer = std::mem::replace(&mut self.gradients, start);
        self.private.insert(of);
        let steps: Vec<Backward> = self.tape[from.0..].to_vec();
        let mut result = Ok(());
        for step in steps.iter().rev() {
            result = result.and_then(|()| step(self));
        }
        self.private.remove(&of);
        let found = std::mem::replace(&mut self.gradients, outer);
        result?;
        for (var, gradient) in &found {
            if let Storage::Gradient(_) = self.tensors[gradient.0].storage {
                self.gradients.insert(*var, *gradient);
            }
        }
        Ok(found.get(&of).copied())
    }

    // --------------------------------------------------------------------------------- build

    /// What was recorded, free of the layout, so that the store can be made from it.
    #[must_use]
    pub fn finish(self) -> Recording {
        Recording {
            tensors: self.tensors,
            dispatches: self.dispatches,
        }
    }
}

/// A finished recording: plain data.
#[derive(Debug)]
pub struct Recording {
    pub(super) tensors: Vec<Tensor>,
    pub(super) dispatches: Vec<Dispatch>,
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
