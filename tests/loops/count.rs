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
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use naga::{
    AddressSpace, ArraySize, BinaryOperator, Block, BuiltIn, Expression, Function, Handle, Literal,
    Module, RelationalFunction, ScalarKind, Statement, SwizzleComponent, TypeInner,
};

use super::value::{Pointer, Target, Value, binary, cast, math, unary};

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
struct State {
    count: u64,
    /// Shared between the sides of a branch until one of them writes.
    frames: Vec<Rc<Frame>>,
}

#[derive(Clone)]
struct Frame {
    arguments: Vec<Value>,
    locals: Vec<Value>,
    values: Vec<Option<Value>>,
    result: Value,
}

impl State {
    fn top(&mut self) -> &mut Frame {
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
struct Flow {
    next: Option<State>,
    broken: Option<State>,
    continued: Option<State>,
    returned: Option<State>,
}

fn join(into: &mut Option<State>, from: Option<State>) {
    match (into.as_mut(), from) {
        (Some(a), Some(b)) => a.merge(&b),
        (None, from) => *into = from,
        (Some(_), None) => {}
    }
}

impl Flow {
    fn next(state: State) -> Self {
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

    fn worst(&self) -> u64 {
        let all = [&self.next, &self.broken, &self.continued, &self.returned];
        all.into_iter()
            .flatten()
            .map(|s| s.count)
            .max()
            .unwrap_or(0)
    }
}

/// What a loop is, as far as its text says.
struct Shape {
    /// Locals that it writes.
    written: BTreeSet<usize>,
    /// It writes through a pointer that the function was given.
    writes_through: bool,
    /// It has no loop inside, and no other way out: then its body need not be walked.
    plain: bool,
    counter: Option<Counter>,
}

/// `for (var i = ..; i < limit; i += step)`, with `i <= limit` as `inclusive`.
struct Counter {
    local: usize,
    limit: Handle<Expression>,
    inclusive: bool,
    step: Handle<Expression>,
    /// The statements before the condition, and those of the step.
    head: usize,
}

pub struct Counting<'a> {
    launch: &'a Launch<'a>,
    group: [u32; 3],
    local: u32,
    workgroup: [u32; 3],
    cut: Cell<bool>,
    shapes: RefCell<HashMap<*const Block, Rc<Shape>>>,
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

    fn zero(&self, ty: Handle<naga::Type>) -> Value {
        let scalar = |kind| match kind {
            ScalarKind::Uint => Value::U32(0),
            ScalarKind::Sint => Value::I32(0),
            ScalarKind::Bool => Value::Bool(false),
            _ => Value::F32(0.0),
        };
        match &self.launch.module.types[ty].inner {
            TypeInner::Scalar(s) => scalar(s.kind),
            TypeInner::Vector { size, scalar: s } => {
                Value::many(vec![scalar(s.kind); *size as usize])
            }
            TypeInner::Matrix { columns, rows, .. } => {
                let column = Value::many(vec![Value::F32(0.0); *rows as usize]);
                Value::many(vec![column; *columns as usize])
            }
            TypeInner::Array {
                base,
                size: ArraySize::Constant(size),
                ..
            } => Value::many(vec![self.zero(*base); size.get() as usize]),
            TypeInner::Struct { members, .. } => {
                Value::many(members.iter().map(|m| self.zero(m.ty)).collect())
            }
            _ => Value::Unknown,
        }
    }

    // -------------------------------------------------------------------------- expressions

    /// The value of an expression, as of when it was emitted.
    fn get(&self, f: &Function, at: Handle<Expression>, state: &State) -> Value {
        let frame = state.frames.last().unwrap();
        match &frame.values[at.index()] {
            Some(value) => value.clone(),
            None => self.evaluate(f, at, state),
        }
    }

    fn evaluate(&self, f: &Function, at: Handle<Expression>, state: &State) -> Value {
        let depth = state.frames.len() - 1;
        let frame = &state.frames[depth];
        let get = |at: Handle<Expression>| self.get(f, at, state);
        let local = |variable| {
            let to = Target::Local {
                frame: depth,
                variable,
            };
            Value::Pointer(Rc::new(Pointer { to, path: vec![] }))
        };
        match &f.expressions[at] {
            Expression::FunctionArgument(i) => frame.arguments[*i as usize].clone(),
            Expression::LocalVariable(v) => local(v.index()),
            Expression::GlobalVariable(v) => Value::Pointer(Rc::new(Pointer {
                to: Target::Global(*v),
                path: vec![],
            })),
            Expression::Load { pointer } => self.load(f, &get(*pointer), state),
            Expression::AccessIndex { base, index } => get(*base).element(Some(*index)),
            Expression::Access { base, index } => {
                let index = get(*index).integer().and_then(|i| i.try_into().ok());
                get(*base).element(index)
            }
            other => self.pure(other, &get),
        }
    }

    /// What needs no state but its operands.
    fn pure(&self, expression: &Expression, get: &dyn Fn(Handle<Expression>) -> Value) -> Value {
        let module = self.launch.module;
        match expression {
            Expression::Literal(literal) => match literal {
                Literal::U32(v) => Value::U32(*v),
                Literal::I32(v) => Value::I32(*v),
                Literal::F32(v) => Value::F32(*v),
                Literal::Bool(v) => Value::Bool(*v),
                _ => Value::Unknown,
            },
            Expression::Constant(at) => self.global(module.constants[*at].init),
            Expression::Override(at) => self.override_value(*at),
            Expression::ZeroValue(ty) => self.zero(*ty),
            Expression::Compose { ty, components } => {
                let values = components.iter().map(|c| get(*c));
                if !matches!(module.types[*ty].inner, TypeInner::Vector { .. }) {
                    return Value::many(values.collect());
                }
                let flat = values.map(|v| match v {
                    Value::Many(values) => values.to_vec(),
                    scalar => vec![scalar],
                });
                Value::many(flat.flatten().collect())
            }
            Expression::Splat { size, value } => Value::many(vec![get(*value); *size as usize]),
            Expression::Swizzle {
                size,
                vector,
                pattern,
            } => {
                let vector = get(*vector);
                let element = |c: &SwizzleComponent| vector.element(Some(c.index()));
                Value::many(pattern[..*size as usize].iter().map(element).collect())
            }
            Expression::Unary { op, expr } => unary(*op, &get(*expr)),
            Expression::Binary { op, left, right } => binary(*op, &get(*left), &get(*right)),
            Expression::Select {
                condition,
                accept,
                reject,
            } => select(&get(*condition), &get(*accept), &get(*reject)),
            Expression::Relational { fun, argument } => match (fun, get(*argument)) {
                (RelationalFunction::All, Value::Many(v)) => all(&v, BinaryOperator::LogicalAnd),
                (RelationalFunction::Any, Value::Many(v)) => all(&v, BinaryOperator::LogicalOr),
                _ => Value::Unknown,
            },
            Expression::Math {
                fun,
                arg,
                arg1,
                arg2,
                ..
            } => math(*fun, &get(*arg), [arg1.map(get), arg2.map(get)]),
            Expression::As {
                expr,
                kind,
                convert,
            } => cast(&get(*expr), *kind, convert.is_none()),
            _ => Value::Unknown,
        }
    }

    /// A constant expression of the module.
    fn global(&self, at: Handle<Expression>) -> Value {
        let expression = &self.launch.module.global_expressions[at];
        self.pure(expression, &|at| self.global(at))
    }

    fn override_value(&self, at: Handle<naga::Override>) -> Value {
        let constant = &self.launch.module.overrides[at];
        let name = constant.name.as_deref();
        let set = self.launch.overrides.iter().find(|(n, _)| Some(*n) == name);
        let Some((_, value)) = set else {
            return constant.init.map_or(Value::Unknown, |at| self.global(at));
        };
        let TypeInner::Scalar(scalar) = self.launch.module.types[constant.ty].inner else {
            return Value::Unknown;
        };
        match scalar.kind {
            ScalarKind::Uint => Value::U32(*value as u32),
            ScalarKind::Sint => Value::I32(*value as i32),
            ScalarKind::Bool => Value::Bool(*value != 0.0),
            _ => Value::F32(*value as f32),
        }
    }

    fn bounded(&self, value: Value, name: Option<&str>) -> Value {
        let bound = || name.and_then(|n| self.launch.bounds.get(n));
        match value {
            Value::Unknown => bound().map_or(Value::Unknown, |b| Value::U32(*b)),
            known => known,
        }
    }

    fn load(&self, f: &Function, pointer: &Value, state: &State) -> Value {
        let Value::Pointer(pointer) = pointer else {
            return Value::Unknown;
        };
        match pointer.to {
            Target::Local { frame, variable } => {
                let value = state.frames[frame].locals[variable].at(&pointer.path);
                if frame + 1 != state.frames.len() {
                    return value;
                }
                let named = f.local_variables.iter().nth(variable).unwrap().1;
                self.bounded(value, named.name.as_deref())
            }
            Target::Global(at) => self.uniform(at, &pointer.path),
        }
    }

    /// A member of the dispatch's own uniform; the rest of the memory is unknown.
    fn uniform(&self, at: Handle<naga::GlobalVariable>, path: &[Option<u32>]) -> Value {
        let module = self.launch.module;
        let variable = &module.global_variables[at];
        let own = variable.binding.as_ref().is_some_and(|b| b.binding == 0);
        let TypeInner::Struct { members, .. } = &module.types[variable.ty].inner else {
            return Value::Unknown;
        };
        let ([Some(index)], AddressSpace::Uniform, true) = (path, variable.space, own) else {
            return Value::Unknown;
        };
        let member = &members[*index as usize];
        let bytes = self.launch.params.get(member.offset as usize..).unwrap();
        let word = u32::from_le_bytes(bytes[..4].try_into().unwrap());
        match module.types[member.ty].inner {
            TypeInner::Scalar(s) if s.kind == ScalarKind::Uint => Value::U32(word),
            TypeInner::Scalar(s) if s.kind == ScalarKind::Sint => Value::I32(word as i32),
            TypeInner::Scalar(s) if s.kind == ScalarKind::Float => Value::F32(f32::from_bits(word)),
            _ => Value::Unknown,
        }
    }

    // --------------------------------------------------------------------------- statements

    fn block(&self, f: &Function, block: &Block, mut state: State) -> Flow {
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

    fn emit(&self, f: &Function, range: &naga::Range<Expression>, state: &mut State) {
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

    // -------------------------------------------------------------------------------- loops

    fn repeat(
        &self,
        f: &Function,
        body: &Block,
        continuing: &Block,
        break_if: Option<Handle<Expression>>,
        mut state: State,
    ) -> Flow {
        let shape = self.shape(f, body, continuing, break_if);
        let left = |state: &mut State| {
            let counter = shape.counter.as_ref()?;
            self.left(f, body, continuing, counter, state)
        };
        if shape.plain
            && let Some((passes, end)) = left(&mut state)
        {
            state.count += passes + 1;
            self.forget(&shape, &mut state, end);
            return Flow::next(state);
        }
        if let Some((passes, end)) = left(&mut state)
            && let Some(pass) = self.every_pass(f, body, &shape, &state, passes, &end)
        {
            state.count += passes * pass + 1;
            self.forget(&shape, &mut state, end);
            return Flow::next(state);
        }
        let entered = state.count;
        let mut flow = Flow::default();
        let mut exit = None;
        let mut current = Some(state);
        while let Some(mut state) = current.take() {
            let before = state.count;
            state.count += 1;
            let mut out = self.block(f, body, state);
            join(&mut exit, out.broken.take());
            join(&mut flow.returned, out.returned.take());
            join(&mut out.next, out.continued);
            let Some(next) = out.next else { break };
            let Some(mut state) = self.block(f, continuing, next).next else {
                break;
            };
            if let Some(at) = break_if {
                let ended = self.get(f, at, &state).truth();
                if ended != Some(false) {
                    join(&mut exit, Some(state.clone()));
                }
                if ended == Some(true) {
                    break;
                }
            }
            if state.count - entered > self.launch.limit {
                // Too long already; how much so is told from its last pass.
                let pass = state.count - before;
                self.cut.set(true);
                if let Some((passes, end)) = left(&mut state) {
                    state.count += passes * pass + 1;
                    self.forget(&shape, &mut state, end);
                } else {
                    self.forget(&shape, &mut state, Value::Unknown);
                }
                join(&mut exit, Some(state));
                break;
            }
            current = Some(state);
        }
        flow.next = exit;
        flow
    }

    /// Passes that a counter has left from here, and its value after them.
    fn left(
        &self,
        f: &Function,
        body: &Block,
        continuing: &Block,
        counter: &Counter,
        state: &mut State,
    ) -> Option<(u64, Value)> {
        for statement in body[..counter.head].iter().chain(continuing.iter()) {
            if let Statement::Emit(range) = statement {
                self.emit(f, range, state);
            }
        }
        let now = state.top().locals[counter.local].clone();
        let limit = self.get(f, counter.limit, state).integer()?;
        let step = self.get(f, counter.step, state).integer()?;
        let first = now.integer()?;
        let distance = limit + i64::from(counter.inclusive) - first;
        if step <= 0 {
            return None;
        }
        let passes = distance.max(0).unsigned_abs().div_ceil(step.unsigned_abs());
        let last = first + passes as i64 * step;
        let end = match now {
            Value::U32(_) => Value::U32(last as u32),
            _ => Value::I32(last as i32),
        };
        Some((passes, end))
    }

    /// What a pass of a long loop costs, where the first two, the middle and the last one cost the
    /// same, whatever the loop wrote before: then the others are not walked.
    fn every_pass(
        &self,
        f: &Function,
        body: &Block,
        shape: &Shape,
        state: &State,
        passes: u64,
        end: &Value,
    ) -> Option<u64> {
        let counter = shape.counter.as_ref()?;
        let step = self.get(f, counter.step, state).integer()?;
        if passes < 8 {
            return None;
        }
        let cost = |pass: u64| {
            let at = end.integer()? - (passes - pass) as i64 * step;
            let at = match end {
                Value::U32(_) => Value::U32(at as u32),
                _ => Value::I32(at as i32),
            };
            let mut state = state.clone();
            state.count = 1;
            self.forget(shape, &mut state, at);
            let cut = self.cut.replace(false);
            let out = self.block(f, body, state);
            let whole = !self.cut.replace(cut);
            let on = out.broken.is_none() && out.returned.is_none();
            (whole && on).then(|| out.worst())
        };
        let first = cost(0)?;
        let same = |pass| cost(pass) == Some(first);
        (same(1) && same(passes / 2) && same(passes - 1)).then_some(first)
    }

    /// What a loop wrote is unknown behind it, but for its counter.
    fn forget(&self, shape: &Shape, state: &mut State, counter: Value) {
        if shape.writes_through {
            let arguments = state.top().arguments.clone();
            for argument in arguments {
                if let Value::Pointer(p) = argument
                    && let Target::Local { frame, variable } = p.to
                {
                    Rc::make_mut(&mut state.frames[frame]).locals[variable] = Value::Unknown;
                }
            }
        }
        for local in &shape.written {
            state.top().locals[*local] = Value::Unknown;
        }
        if let Some(c) = &shape.counter {
            state.top().locals[c.local] = counter;
        }
    }

    fn shape(
        &self,
        f: &Function,
        body: &Block,
        continuing: &Block,
        break_if: Option<Handle<Expression>>,
    ) -> Rc<Shape> {
        let key: *const Block = body;
        if let Some(shape) = self.shapes.borrow().get(&key) {
            return Rc::clone(shape);
        }
        let mut scan = Scan::default();
        scan.block(self.launch.module, f, body);
        let counter = break_if
            .is_none()
            .then(|| counter(f, body, continuing, &scan))
            .flatten();
        // The one way out that is expected is that of the condition.
        let plain = scan.loops == 0 && scan.exits == 1 && counter.is_some();
        scan.block(self.launch.module, f, continuing);
        let shape = Rc::new(Shape {
            written: scan.written,
            writes_through: scan.writes_through,
            plain,
            counter,
        });
        self.shapes.borrow_mut().insert(key, Rc::clone(&shape));
        shape
    }
}

fn select(condition: &Value, accept: &Value, reject: &Value) -> Value {
    match condition {
        Value::Bool(true) => accept.clone(),
        Value::Bool(false) => reject.clone(),
        Value::Many(conditions) => {
            let one = |(i, c): (usize, &Value)| {
                let at = Some(i as u32);
                select(c, &accept.element(at), &reject.element(at))
            };
            Value::many(conditions.iter().enumerate().map(one).collect())
        }
        _ => accept.merged(reject),
    }
}

fn all(values: &[Value], op: BinaryOperator) -> Value {
    let start = Value::Bool(op == BinaryOperator::LogicalAnd);
    values.iter().fold(start, |a, b| binary(op, &a, b))
}

/// The local variable that `at` points into.
fn root(f: &Function, at: Handle<Expression>) -> Option<usize> {
    match &f.expressions[at] {
        Expression::LocalVariable(v) => Some(v.index()),
        Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => root(f, *base),
        _ => None,
    }
}

/// What a block does, statements inside included.
#[derive(Default)]
struct Scan {
    written: BTreeSet<usize>,
    writes_through: bool,
    loops: usize,
    exits: usize,
}

impl Scan {
    fn block(&mut self, module: &Module, f: &Function, block: &Block) {
        for statement in block {
            self.statement(module, f, statement);
        }
    }

    fn write(&mut self, f: &Function, at: Handle<Expression>) {
        match root(f, at) {
            Some(local) => {
                self.written.insert(local);
            }
            None => self.writes_through |= !is_global(f, at),
        }
    }

    fn statement(&mut self, module: &Module, f: &Function, statement: &Statement) {
        match statement {
            Statement::Block(b) => self.block(module, f, b),
            Statement::If { accept, reject, .. } => {
                self.block(module, f, accept);
                self.block(module, f, reject);
            }
            Statement::Switch { cases, .. } => {
                for case in cases {
                    self.block(module, f, &case.body);
                }
            }
            Statement::Loop {
                body, continuing, ..
            } => {
                self.loops += 1;
                self.block(module, f, body);
                self.block(module, f, continuing);
            }
            Statement::Break | Statement::Return { .. } => self.exits += 1,
            Statement::Store { pointer, .. } => self.write(f, *pointer),
            Statement::Call {
                function,
                arguments,
                ..
            } => {
                for argument in arguments {
                    if root(f, *argument).is_some() {
                        self.write(f, *argument);
                    }
                }
                let called = &module.functions[*function];
                let mut inner = Self::default();
                inner.block(module, called, &called.body);
                self.loops += inner.loops;
                // What it writes through a pointer of ours is ours, and counted above.
                let given = |a: &Handle<Expression>| {
                    matches!(f.expressions[*a], Expression::FunctionArgument(_))
                };
                self.writes_through |= inner.writes_through && arguments.iter().any(given);
            }
            _ => {}
        }
    }
}

fn is_global(f: &Function, at: Handle<Expression>) -> bool {
    match &f.expressions[at] {
        Expression::GlobalVariable(_) => true,
        Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => {
            is_global(f, *base)
        }
        _ => false,
    }
}

fn loaded(f: &Function, at: Handle<Expression>) -> Option<usize> {
    match &f.expressions[at] {
        Expression::Load { pointer } => match &f.expressions[*pointer] {
            Expression::LocalVariable(v) => Some(v.index()),
            _ => None,
        },
        _ => None,
    }
}

/// The counter of a loop of the usual form whose body leaves it and its limit alone.
fn counter(f: &Function, body: &Block, continuing: &Block, scan: &Scan) -> Option<Counter> {
    let emits = |s: &&Statement| matches!(s, Statement::Emit(_));
    let head = body.iter().take_while(emits).count();
    let Some(Statement::If {
        condition,
        accept,
        reject,
    }) = body.get(head)
    else {
        return None;
    };
    if !(accept.is_empty() && matches!(reject[..], [Statement::Break])) {
        return None;
    }
    let Expression::Binary { op, left, right } = f.expressions[*condition] else {
        return None;
    };
    let inclusive = match op {
        BinaryOperator::Less => false,
        BinaryOperator::LessEqual => true,
        _ => return None,
    };
    let local = loaded(f, left)?;
    let mut stores = continuing.iter().filter(|s| !emits(s));
    let (Some(Statement::Store { pointer, value }), None) = (stores.next(), stores.next()) else {
        return None;
    };
    let Expression::Binary {
        op: BinaryOperator::Add,
        left,
        right: step,
    } = f.expressions[*value]
    else {
        return None;
    };
    let counts = root(f, *pointer) == Some(local) && loaded(f, left) == Some(local);
    let mut moving = scan.written.clone();
    let untouched = !moving.contains(&local) && !scan.writes_through;
    moving.insert(local);
    let fixed = |at| !depends(f, at, &moving);
    (counts && untouched && fixed(right) && fixed(step)).then_some(Counter {
        local,
        limit: right,
        inclusive,
        step,
        head,
    })
}

/// Whether an expression reads one of `moving`, or something that is not told from its text.
fn depends(f: &Function, at: Handle<Expression>, moving: &BTreeSet<usize>) -> bool {
    let on = |at: &Handle<Expression>| depends(f, *at, moving);
    match &f.expressions[at] {
        Expression::Literal(_)
        | Expression::Constant(_)
        | Expression::Override(_)
        | Expression::ZeroValue(_)
        | Expression::FunctionArgument(_)
        | Expression::GlobalVariable(_)
        | Expression::CallResult(_)
        | Expression::AtomicResult { .. }
        | Expression::WorkGroupUniformLoadResult { .. } => false,
        Expression::LocalVariable(v) => moving.contains(&v.index()),
        Expression::Load { pointer } => on(pointer),
        Expression::AccessIndex { base, .. } => on(base),
        Expression::Access { base, index } => on(base) || on(index),
        Expression::Unary { expr, .. } | Expression::As { expr, .. } => on(expr),
        Expression::Binary { left, right, .. } => on(left) || on(right),
        Expression::Compose { components, .. } => components.iter().any(on),
        Expression::Splat { value, .. } => on(value),
        Expression::Select {
            condition,
            accept,
            reject,
        } => on(condition) || on(accept) || on(reject),
        Expression::Math {
            arg, arg1, arg2, ..
        } => on(arg) || [arg1, arg2].into_iter().flatten().any(on),
        _ => true,
    }
}
