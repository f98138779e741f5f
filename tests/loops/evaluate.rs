//! The values of expressions.

use std::rc::Rc;

use naga::{
    AddressSpace, ArraySize, BinaryOperator, Expression, Function, Handle, Literal,
    RelationalFunction, ScalarKind, SwizzleComponent, TypeInner,
};

use super::count::{Counting, State};
use super::value::{Pointer, Target, Value, binary, cast, math, unary};

impl Counting<'_> {
    pub fn zero(&self, ty: Handle<naga::Type>) -> Value {
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

    /// The value of an expression, as of when it was emitted.
    pub fn get(&self, f: &Function, at: Handle<Expression>, state: &State) -> Value {
        let frame = state.frames.last().unwrap();
        match &frame.values[at.index()] {
            Some(value) => value.clone(),
            None => self.evaluate(f, at, state),
        }
    }

    pub fn evaluate(&self, f: &Function, at: Handle<Expression>, state: &State) -> Value {
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

    pub fn bounded(&self, value: Value, name: Option<&str>) -> Value {
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
