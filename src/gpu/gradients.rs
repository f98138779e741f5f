//! The way back: operations leave behind how to run backward through them, and what gets gradients.

use std::collections::HashMap;
use std::rc::Rc;

use super::accumulate::add_assign;
use super::recorder::{Backward, Recorder};
use super::recording::{Phase, Storage, Var};
use crate::error::Result;

/// A place on the tape, see [`Recorder::early_backward`].
#[derive(Debug, Clone, Copy)]
pub struct TapeMark(usize);

impl Recorder<'_> {
    /// Marks an input as one whose gradient is wanted.
    pub fn require_gradient(&mut self, var: Var) {
        self.tape.differentiable.insert(var);
    }

    /// Whether a gradient of `var` is wanted.
    #[must_use]
    pub fn differentiable(&self, var: Var) -> bool {
        self.tape.differentiable.contains(&self.owner(var))
    }

    /// Says that the gradient of `stand_in` is that of `var`: whatever one of them gets, goes to
    /// the same sum.
    pub fn share_gradient(&mut self, stand_in: Var, var: Var) {
        let owner = self.owner(var);
        self.tape.stand_ins.insert(stand_in, owner);
    }

    /// The tensor that the gradient of `var` is stored under.
    fn owner(&self, var: Var) -> Var {
        self.tape.stand_ins.get(&var).copied().unwrap_or(var)
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
        self.tape.differentiable.insert(output);
        let scope = self.scope.clone();
        let step = Backward::From(output, Rc::new(backward));
        self.tape.steps.push((scope, step));
    }

    /// Says how to run backward from something that is a root itself, such as a loss.
    pub fn on_backward_root(
        &mut self,
        inputs: &[Var],
        backward: impl Fn(&mut Recorder<'_>) -> Result<()> + 'static,
    ) {
        if inputs.iter().any(|v| self.differentiable(*v)) {
            let scope = self.scope.clone();
            let step = Backward::Root(Rc::new(backward));
            self.tape.steps.push((scope, step));
        }
    }

    /// Says what a step changes by itself once all gradients are there, before the optimiser: the
    /// in-place step of a codebook, say. Part of [`Self::backward`].
    pub fn after_backward(
        &mut self,
        update: impl FnOnce(&mut Recorder<'_>) -> Result<()> + 'static,
    ) {
        let scope = self.scope.clone();
        self.tape
            .updates
            .push(Box::new(move |rec| rec.within(&scope, update)));
    }

    /// Says that `output` depends on `inputs`; for operations whose way back is a root.
    pub fn mark_derived(&mut self, output: Var, inputs: &[Var]) {
        if inputs.iter().any(|v| self.differentiable(*v)) {
            self.tape.differentiable.insert(output);
        }
    }

    fn go_back(&mut self, (scope, step): &(Vec<String>, Backward)) -> Result<()> {
        self.within(scope, |rec| match step {
            Backward::Root(backward) => backward(rec),
            Backward::From(output, backward) => match rec.gradient(*output) {
                Some(gradient) => backward(rec, gradient),
                None => Ok(()),
            },
        })
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
        self.tape.gradients.get(&self.owner(var)).copied()
    }

    /// Takes `gradient` as the (so far only) gradient of `var`.
    pub fn seed_gradient(&mut self, var: Var, gradient: Var) {
        self.tape.gradients.insert(self.owner(var), gradient);
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
        let Some((gradient, sum)) = self.place_of_gradient(var) else {
            return Ok(());
        };
        write(self, gradient)?;
        if let Some(sum) = sum {
            add_assign(self, sum, gradient);
        }
        Ok(())
    }

    /// Where a contribution to the gradient of `var` goes, and the sum that it is to be added to, if it is not the first.
    fn place_of_gradient(&mut self, var: Var) -> Option<(Var, Option<Var>)> {
        if !self.differentiable(var) {
            return None;
        }
        let var = self.owner(var);
        let shape = self.shape(var).to_vec();
        let name = format!("grad {}", self.tensors[var.0].name);
        if let Some(sum) = self.gradient(var) {
            let part = self.add(name, &shape, Storage::Activation { kept: false });
            return Some((part, Some(sum)));
        }
        let storage = match self.tensors[var.0].storage {
            Storage::Parameter(index) if !self.tape.private.contains(&var) => {
                Storage::Gradient(index)
            }
            _ => Storage::Activation { kept: false },
        };
        let gradient = self.add(name, &shape, storage);
        self.tape.gradients.insert(var, gradient);
        Some((gradient, None))
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
        self.enter(Phase::Backward);
        while let Some(step) = self.tape.steps.pop() {
            self.go_back(&step)?;
        }
        self.add_up_parts();
        self.enter(Phase::Updates);
        for update in std::mem::take(&mut self.tape.updates) {
            update(self)?;
        }
        Ok(())
    }

    /// The end of the tape as it is now.
    #[must_use]
    pub fn tape_mark(&self) -> TapeMark {
        TapeMark(self.tape.steps.len())
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
        let outer = std::mem::replace(&mut self.tape.gradients, start);
        self.tape.private.insert(of);
        let steps: Vec<(Vec<String>, Backward)> = self.tape.steps[from.0..].to_vec();
        let mut result = Ok(());
        for step in steps.iter().rev() {
            result = result.and_then(|()| self.go_back(step));
        }
        self.tape.private.remove(&of);
        let found = std::mem::replace(&mut self.tape.gradients, outer);
        result?;
        for (var, gradient) in &found {
            if let Storage::Gradient(_) = self.tensors[gradient.0].storage {
                self.tape.gradients.insert(*var, *gradient);
            }
        }
        Ok(found.get(&of).copied())
    }
}
