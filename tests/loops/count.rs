//! Counts the loop iterations of an invocation, by walking its naga IR.
//!
//! Sizes, indices and what is computed from them are concrete; the contents of buffers are unknown. A
//! branch that depends on them is walked on both sides, one after the other as an adapter does whose
//! lanes disagree; a loop that only they could end goes on as long as what is known lets it.
//!
//! An iteration is one pass through a loop, the last one, which only finds that the loop is over,
//! included: so llvmpipe counts (K 8192, F 256: 208 blocks of codes of 314 passes each are 65,312, and no
//! code above 32 * 208 - 1 = 6655 is found).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use naga::{Block, BuiltIn, Expression, Function, Handle, Module, Statement};

use super::shape::Shape;
use super::value::{Target, Value};

/// What a dispatch sets.
pub struct Launch<'a> {
    pub module: &'a Module,
    pub entry: &'a str,
    pub overrides: &'a [(&'static str, f64)],
    /// Bytes of the uniform at binding 0.
    pub params: &'a [u8],
    pub groups: [u32; 3],
    /// The greatest values of variables that only memory tells, by name.
    pub bounds: HashMap<&'a str, u32>,
    /// Beyond this many iterations they are only estimated.
    pub limit: u64,
}

/// The iterations of an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count {
    pub iterations: u64,
    /// False where a loop beyond the limit was cut short, and the rest of it estimated or, where its
    /// end depends on memory alone, left out.
    pub whole: bool,
}

#[derive(Clone)]
pub struct State {
    pub count: u64,
    /// Shared between the sides of a branch until one of them writes.
    pub frames: Vec<Rc<Frame>>,
}

#[derive(Clone)]
pub struct Frame {
    pub arguments: Vec<Value>,
    pub locals: Vec<Value>,
    pub values: Vec<Option<Value>>,
    result: Value,
}

impl State {
    pub fn top(&mut self) -> &mut Frame {
        Rc::make_mut(self.frames.last_mut().unwrap())
    }

    fn merge(&mut self, other: &Self) {
        self.count = self.count.max(other.count);
        let join = |a: &mut Value, b: &Value| {
            if a != b {
                *a = a.merged(b);
            }
        };
        for (a, b) in self.frames.iter_mut().zip(&other.frames) {
            if Rc::ptr_eq(a, b) {
                continue;
            }
            let a = Rc::make_mut(a);
            join(&mut a.result, &b.result);
            a.locals
                .iter_mut()
                .zip(&b.locals)
                .for_each(|(a, b)| join(a, b));
            for (a, b) in a.values.iter_mut().zip(&b.values) {
                match (&mut *a, b) {
                    (Some(a), Some(b)) => join(a, b),
                    (None, Some(_)) => a.clone_from(b),
                    _ => {}
                }
            }
        }
    }
}

/// The states in which a block is left, by how.
#[derive(Default)]
pub struct Flow {
    pub next: Option<State>,
    pub broken: Option<State>,
    pub continued: Option<State>,
    pub returned: Option<State>,
}

pub fn join(into: &mut Option<State>, from: Option<State>) {
    match (into.as_mut(), from) {
        (Some(a), Some(b)) => a.merge(&b),
        (None, from) => *into = from,
        (Some(_), None) => {}
    }
}

impl Flow {
    pub fn next(state: State) -> Self {
        Self {
            next: Some(state),
            ..Self::default()
        }
    }

    fn join(&mut self, other: Self) {
        join(&mut self.next, other.next);
        join(&mut self.broken, other.broken);
        join(&mut self.continued, other.continued);
        join(&mut self.returned, other.returned);
    }

    pub fn worst(&self) -> u64 {
        let all = [&self.next, &self.broken, &self.continued, &self.returned];
        all.into_iter()
            .flatten()
            .map(|s| s.count)
            .max()
            .unwrap_or(0)
    }
}

pub struct Counting<'a> {
    pub launch: &'a Launch<'a>,
    group: [u32; 3],
    local: u32,
    workgroup: [u32; 3],
    pub cut: Cell<bool>,
    pub shapes: RefCell<HashMap<*const Block, Rc<Shape>>>,
}

/// The iterations of the invocation `local` of workgroup `group`.
pub fn count(launch: &Launch<'_>, group: [u32; 3], local: u32) -> Count {
    let mut entries = launch.module.entry_points.iter();
    let entry = entries.find(|e| e.name == launch.entry).unwrap();
    let counting = Counting {
        launch,
        group,
        local,
        workgroup: entry.workgroup_size,
        cut: Cell::new(false),
        shapes: RefCell::default(),
    };
    let arguments = entry.function.arguments.iter().map(|a| match a.binding {
        Some(naga::Binding::BuiltIn(builtin)) => counting.builtin(builtin),
        _ => Value::Unknown,
    });
    let mut state = State {
        count: 0,
        frames: Vec::new(),
    };
    counting.enter(&entry.function, arguments.collect(), &mut state);
    let flow = counting.block(&entry.function, &entry.function.body, state);
    Count {
        iterations: flow.worst(),
        whole: !counting.cut.get(),
    }
}

fn vector(values: [u32; 3]) -> Value {
    Value::many(values.map(Value::U32).to_vec())
}

impl Counting<'_> {
    fn builtin(&self, builtin: BuiltIn) -> Value {
        let [x, y, _] = self.workgroup;
        let local = [self.local % x, self.local / x % y, self.local / (x * y)];
        match builtin {
            BuiltIn::WorkGroupId => vector(self.group),
            BuiltIn::NumWorkGroups => vector(self.launch.groups),
            BuiltIn::WorkGroupSize => vector(self.workgroup),
            BuiltIn::LocalInvocationIndex => Value::U32(self.local),
            BuiltIn::LocalInvocationId => vector(local),
            BuiltIn::GlobalInvocationId => vector(std::array::from_fn(|i| {
                self.group[i] * self.workgroup[i] + local[i]
            })),
            _ => Value::Unknown,
        }
    }

    /// A new frame of `function`.
    fn enter(&self, function: &Function, arguments: Vec<Value>, state: &mut State) {
        state.frames.push(Rc::new(Frame {
            arguments,
            locals: Vec::new(),
            values: vec![None; function.expressions.len()],
            result: Value::Unknown,
        }));
        for (_, local) in function.local_variables.iter() {
            let value = match local.init {
                Some(init) => self.get(function, init, state),
                None => self.zero(local.ty),
            };
            state.top().locals.push(value);
        }
    }

    // --------------------------------------------------------------------------- statements

    pub fn block(&self, f: &Function, block: &Block, mut state: State) -> Flow {
        let mut flow = Flow::default();
        for statement in block {
            let mut out = self.statement(f, statement, state);
            let next = out.next.take();
            flow.join(out);
            match next {
                Some(next) => state = next,
                None => return flow,
            }
        }
        flow.next = Some(state);
        flow
    }

    pub fn emit(&self, f: &Function, range: &naga::Range<Expression>, state: &mut State) {
        for at in range.clone() {
            let value = self.evaluate(f, at, state);
            let name = f.named_expressions.get(&at);
            let value = self.bounded(value, name.map(String::as_str));
            state.top().values[at.index()] = Some(value);
        }
    }

    fn statement(&self, f: &Function, statement: &Statement, mut state: State) -> Flow {
        let mut unknown = |at: &Handle<Expression>| {
            state.top().values[at.index()] = Some(Value::Unknown);
        };
        match statement {
            Statement::Emit(range) => self.emit(f, range, &mut state),
            Statement::Block(block) => return self.block(f, block, state),
            Statement::If {
                condition,
                accept,
                reject,
            } => {
                return match self.get(f, *condition, &state).truth() {
                    Some(true) => self.block(f, accept, state),
                    Some(false) => self.block(f, reject, state),
                    None => self.both(f, &[accept, reject], state),
                };
            }
            Statement::Switch { selector, cases } => {
                return self.switch(f, *selector, cases, state);
            }
            Statement::Loop {
                body,
                continuing,
                break_if,
            } => return self.repeat(f, body, continuing, *break_if, state),
            Statement::Break => {
                return Flow {
                    broken: Some(state),
                    ..Flow::default()
                };
            }
            Statement::Continue => {
                return Flow {
                    continued: Some(state),
                    ..Flow::default()
                };
            }
            Statement::Return { value } => {
                let result = value.map_or(Value::Unknown, |at| self.get(f, at, &state));
                state.top().result = result;
                return Flow {
                    returned: Some(state),
                    ..Flow::default()
                };
            }
            Statement::Store { pointer, value } => {
                let value = self.get(f, *value, &state);
                if let Value::Pointer(p) = self.get(f, *pointer, &state)
                    && let Target::Local { frame, variable } = p.to
                {
                    Rc::make_mut(&mut state.frames[frame]).locals[variable].set(&p.path, value);
                }
            }
            Statement::Call {
                function,
                arguments,
                result,
            } => {
                let called = &self.launch.module.functions[*function];
                let arguments = arguments.iter().map(|a| self.get(f, *a, &state));
                self.enter(called, arguments.collect(), &mut state);
                let mut flow = self.block(called, &called.body, state);
                join(&mut flow.returned, flow.next);
                let Some(mut state) = flow.returned else {
                    return Flow::default();
                };
                let value = state.frames.pop().unwrap().result.clone();
                if let Some(at) = result {
                    state.top().values[at.index()] = Some(value);
                }
                return Flow::next(state);
            }
            Statement::Atomic {
                result: Some(at), ..
            }
            | Statement::WorkGroupUniformLoad { result: at, .. } => unknown(at),
            Statement::Atomic { .. }
            | Statement::ControlBarrier(_)
            | Statement::MemoryBarrier(_) => {}
            other => panic!("no kernel had a statement like {other:?} yet"),
        }
        Flow::next(state)
    }

    /// All of `blocks`, whose lanes disagree: one after the other.
    fn both(&self, f: &Function, blocks: &[&Block], state: State) -> Flow {
        let mut flow = Flow::default();
        let mut spent = state.count;
        for block in blocks {
            let mut from = state.clone();
            from.count = spent;
            let out = self.block(f, block, from);
            spent = spent.max(out.worst());
            flow.join(out);
        }
        flow
    }

    fn switch(
        &self,
        f: &Function,
        selector: Handle<Expression>,
        cases: &[naga::SwitchCase],
        state: State,
    ) -> Flow {
        let selector = self.get(f, selector, &state).integer();
        let is = |case: &naga::SwitchCase, wanted: i64| match case.value {
            naga::SwitchValue::U32(v) => i64::from(v) == wanted,
            naga::SwitchValue::I32(v) => i64::from(v) == wanted,
            naga::SwitchValue::Default => false,
        };
        let default = |c: &naga::SwitchCase| c.value == naga::SwitchValue::Default;
        // A case falls through to the next one that has a body.
        let from = |first: usize| {
            let end = (first..cases.len()).find(|i| !cases[*i].fall_through);
            &cases[first..=end.unwrap_or(cases.len() - 1)]
        };
        let mut flow = match selector {
            Some(wanted) => {
                let found = cases.iter().position(|c| is(c, wanted));
                let found = found.or_else(|| cases.iter().position(default));
                let mut flow = Flow::next(state);
                for case in found.map(from).unwrap_or_default() {
                    let Some(state) = flow.next.take() else { break };
                    flow.join(self.block(f, &case.body, state));
                }
                flow
            }
            None => {
                let bodies: Vec<&Block> = cases.iter().map(|c| &c.body).collect();
                self.both(f, &bodies, state)
            }
        };
        let broken = flow.broken.take();
        join(&mut flow.next, broken);
        flow
    }
}
