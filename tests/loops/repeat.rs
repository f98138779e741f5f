//! Loops: those that only count are added up, long even ones are sampled, the others are walked.

use std::rc::Rc;

use naga::{Block, Expression, Function, Handle, Statement};

use super::count::{Counting, Flow, State, join};
use super::shape::{Counter, Scan, Shape, counter};
use super::value::{Target, Value};

impl Counting<'_> {
    pub fn repeat(
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
