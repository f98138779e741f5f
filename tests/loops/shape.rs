//! What the text of a loop says: what it writes, how it ends, whether it counts.

use std::collections::BTreeSet;

use naga::{BinaryOperator, Block, Expression, Function, Handle, Module, Statement};

/// What a loop is, as far as its text says.
pub struct Shape {
    /// Locals that it writes.
    pub written: BTreeSet<usize>,
    /// It writes through a pointer that the function was given.
    pub writes_through: bool,
    /// It has no loop inside, and no other way out: then its body need not be walked.
    pub plain: bool,
    pub counter: Option<Counter>,
}

/// `for (var i = ..; i < limit; i += step)`, with `i <= limit` as `inclusive`.
pub struct Counter {
    pub local: usize,
    pub limit: Handle<Expression>,
    pub inclusive: bool,
    pub step: Handle<Expression>,
    /// The statements before the condition, and those of the step.
    pub head: usize,
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
pub struct Scan {
    pub written: BTreeSet<usize>,
    pub writes_through: bool,
    pub loops: usize,
    pub exits: usize,
}

impl Scan {
    pub fn block(&mut self, module: &Module, f: &Function, block: &Block) {
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
pub fn counter(f: &Function, body: &Block, continuing: &Block, scan: &Scan) -> Option<Counter> {
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
