//! Values of an interpreted kernel: integers and what follows from them are known, memory is not.

use std::rc::Rc;

use naga::{BinaryOperator, Handle, MathFunction, ScalarKind, UnaryOperator};

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Unknown,
    Bool(bool),
    U32(u32),
    I32(i32),
    F32(f32),
    /// A vector, a matrix (of columns), an array or a struct.
    Many(Rc<Vec<Value>>),
    Pointer(Rc<Pointer>),
}

/// Where a pointer points to, and the way to an element of it; `None` where the index is unknown.
#[derive(Debug, Clone, PartialEq)]
pub struct Pointer {
    pub to: Target,
    pub path: Vec<Option<u32>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    Local { frame: usize, variable: usize },
    Global(Handle<naga::GlobalVariable>),
}

impl Value {
    pub fn many(values: Vec<Self>) -> Self {
        if values.iter().all(|v| *v == Self::Unknown) {
            return Self::Unknown;
        }
        Self::Many(Rc::new(values))
    }

    /// As an index or a count.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::U32(v) => Some(i64::from(*v)),
            Self::I32(v) => Some(i64::from(*v)),
            _ => None,
        }
    }

    pub fn truth(&self) -> Option<bool> {
        match self {
            Self::Bool(v) => Some(*v),
            _ => None,
        }
    }

    /// What is known when it is one of the two.
    pub fn merged(&self, other: &Self) -> Self {
        match (self, other) {
            _ if self == other => self.clone(),
            (Self::Many(a), Self::Many(b)) if a.len() == b.len() => {
                Self::many(a.iter().zip(b.iter()).map(|(a, b)| a.merged(b)).collect())
            }
            _ => Self::Unknown,
        }
    }

    pub fn element(&self, index: Option<u32>) -> Self {
        match (self, index) {
            (Self::Many(values), Some(i)) => {
                values.get(i as usize).cloned().unwrap_or(Self::Unknown)
            }
            (Self::Pointer(p), _) => {
                let mut path = p.path.clone();
                path.push(index);
                Self::Pointer(Rc::new(Pointer { to: p.to, path }))
            }
            _ => Self::Unknown,
        }
    }

    pub fn at(&self, path: &[Option<u32>]) -> Self {
        path.iter().fold(self.clone(), |v, i| v.element(*i))
    }

    /// Stores `value` at the end of `path`; an unknown way makes all of it unknown.
    pub fn set(&mut self, path: &[Option<u32>], value: Self) {
        let Some((first, rest)) = path.split_first() else {
            *self = value;
            return;
        };
        match (&mut *self, first) {
            (Self::Many(values), Some(i)) if (*i as usize) < values.len() => {
                Rc::make_mut(values)[*i as usize].set(rest, value);
            }
            _ => *self = Self::Unknown,
        }
    }
}

/// `f` over scalars, or over the elements of vectors, a scalar beside a vector standing for all.
fn each(a: &Value, b: &Value, f: &dyn Fn(&Value, &Value) -> Value) -> Value {
    match (a, b) {
        (Value::Many(x), Value::Many(y)) if x.len() == y.len() => {
            Value::many(x.iter().zip(y.iter()).map(|(x, y)| each(x, y, f)).collect())
        }
        (Value::Many(_), Value::Many(_)) => Value::Unknown,
        (Value::Unknown, Value::Many(_)) | (Value::Many(_), Value::Unknown) => Value::Unknown,
        (Value::Many(x), _) => Value::many(x.iter().map(|x| each(x, b, f)).collect()),
        (_, Value::Many(y)) => Value::many(y.iter().map(|y| each(a, y, f)).collect()),
        _ => f(a, b),
    }
}

pub fn map(a: &Value, f: &dyn Fn(&Value) -> Value) -> Value {
    match a {
        Value::Many(x) => Value::many(x.iter().map(|x| map(x, f)).collect()),
        _ => f(a),
    }
}

pub fn binary(op: BinaryOperator, a: &Value, b: &Value) -> Value {
    each(a, b, &|a, b| scalar(op, a, b))
}

fn scalar(op: BinaryOperator, a: &Value, b: &Value) -> Value {
    use BinaryOperator as Op;
    match (a, b) {
        (Value::U32(a), Value::U32(b)) => unsigned(op, *a, *b),
        (Value::I32(a), Value::I32(b)) => signed(op, *a, *b),
        (Value::I32(a), Value::U32(b)) if op == Op::ShiftLeft => Value::I32(a.wrapping_shl(*b)),
        (Value::I32(a), Value::U32(b)) if op == Op::ShiftRight => Value::I32(a.wrapping_shr(*b)),
        (Value::F32(a), Value::F32(b)) => float(op, *a, *b),
        (Value::Bool(a), Value::Bool(b)) => match op {
            Op::And | Op::LogicalAnd => Value::Bool(*a && *b),
            Op::InclusiveOr | Op::LogicalOr => Value::Bool(*a || *b),
            Op::Equal => Value::Bool(a == b),
            Op::NotEqual | Op::ExclusiveOr => Value::Bool(a != b),
            _ => Value::Unknown,
        },
        // One side can settle it.
        (Value::Bool(false), _) | (_, Value::Bool(false))
            if matches!(op, Op::And | Op::LogicalAnd) =>
        {
            Value::Bool(false)
        }
        (Value::Bool(true), _) | (_, Value::Bool(true))
            if matches!(op, Op::InclusiveOr | Op::LogicalOr) =>
        {
            Value::Bool(true)
        }
        _ => Value::Unknown,
    }
}

fn compared<T: PartialOrd>(op: BinaryOperator, a: &T, b: &T) -> Option<Value> {
    use BinaryOperator as Op;
    Some(Value::Bool(match op {
        Op::Equal => a == b,
        Op::NotEqual => a != b,
        Op::Less => a < b,
        Op::LessEqual => a <= b,
        Op::Greater => a > b,
        Op::GreaterEqual => a >= b,
        _ => return None,
    }))
}

/// Division by zero as WGSL has it: `x / 0` is x, `x % 0` is 0.
fn unsigned(op: BinaryOperator, a: u32, b: u32) -> Value {
    use BinaryOperator as Op;
    if let Some(value) = compared(op, &a, &b) {
        return value;
    }
    Value::U32(match op {
        Op::Add => a.wrapping_add(b),
        Op::Subtract => a.wrapping_sub(b),
        Op::Multiply => a.wrapping_mul(b),
        Op::Divide => a.checked_div(b).unwrap_or(a),
        Op::Modulo => a.checked_rem(b).unwrap_or(0),
        Op::And => a & b,
        Op::InclusiveOr => a | b,
        Op::ExclusiveOr => a ^ b,
        Op::ShiftLeft => a.wrapping_shl(b),
        Op::ShiftRight => a.wrapping_shr(b),
        _ => return Value::Unknown,
    })
}

fn signed(op: BinaryOperator, a: i32, b: i32) -> Value {
    use BinaryOperator as Op;
    if let Some(value) = compared(op, &a, &b) {
        return value;
    }
    Value::I32(match op {
        Op::Add => a.wrapping_add(b),
        Op::Subtract => a.wrapping_sub(b),
        Op::Multiply => a.wrapping_mul(b),
        Op::Divide => a.checked_div(b).unwrap_or(a),
        Op::Modulo => a.checked_rem(b).unwrap_or(0),
        Op::And => a & b,
        Op::InclusiveOr => a | b,
        Op::ExclusiveOr => a ^ b,
        _ => return Value::Unknown,
    })
}

fn float(op: BinaryOperator, a: f32, b: f32) -> Value {
    use BinaryOperator as Op;
    if let Some(value) = compared(op, &a, &b) {
        return value;
    }
    Value::F32(match op {
        Op::Add => a + b,
        Op::Subtract => a - b,
        Op::Multiply => a * b,
        Op::Divide => a / b,
        _ => return Value::Unknown,
    })
}

pub fn unary(op: UnaryOperator, a: &Value) -> Value {
    map(a, &|a| match (op, a) {
        (UnaryOperator::LogicalNot, Value::Bool(v)) => Value::Bool(!v),
        (UnaryOperator::BitwiseNot, Value::U32(v)) => Value::U32(!v),
        (UnaryOperator::BitwiseNot, Value::I32(v)) => Value::I32(!v),
        (UnaryOperator::Negate, Value::I32(v)) => Value::I32(v.wrapping_neg()),
        (UnaryOperator::Negate, Value::F32(v)) => Value::F32(-v),
        _ => Value::Unknown,
    })
}

/// A conversion, or with `bits` a cast of the bits.
pub fn cast(a: &Value, kind: ScalarKind, bits: bool) -> Value {
    map(a, &|a| {
        let word = match a {
            Value::U32(v) => *v,
            Value::I32(v) => *v as u32,
            Value::F32(v) if bits => v.to_bits(),
            Value::Bool(v) => u32::from(*v),
            Value::F32(v) => {
                return match kind {
                    ScalarKind::Uint => Value::U32(*v as u32),
                    ScalarKind::Sint => Value::I32(*v as i32),
                    ScalarKind::Bool => Value::Bool(*v != 0.0),
                    _ => a.clone(),
                };
            }
            _ => return Value::Unknown,
        };
        match kind {
            ScalarKind::Uint => Value::U32(word),
            ScalarKind::Sint => Value::I32(word as i32),
            ScalarKind::Bool => Value::Bool(word != 0),
            ScalarKind::Float if bits => Value::F32(f32::from_bits(word)),
            ScalarKind::Float => Value::F32(match a {
                Value::I32(v) => *v as f32,
                _ => word as f32,
            }),
            _ => Value::Unknown,
        }
    })
}

fn least(a: &Value, b: &Value, greatest: bool) -> Value {
    each(a, b, &|a, b| {
        let less = match (a, b) {
            (Value::U32(a), Value::U32(b)) => a < b,
            (Value::I32(a), Value::I32(b)) => a < b,
            (Value::F32(a), Value::F32(b)) => a < b,
            _ => return Value::Unknown,
        };
        if less == greatest { b } else { a }.clone()
    })
}

pub fn math(fun: MathFunction, a: &Value, rest: [Option<Value>; 2]) -> Value {
    match (fun, rest) {
        (MathFunction::Min, [Some(b), _]) => least(a, &b, false),
        (MathFunction::Max, [Some(b), _]) => least(a, &b, true),
        (MathFunction::Clamp, [Some(low), Some(high)]) => {
            least(&least(a, &low, true), &high, false)
        }
        (MathFunction::Abs, _) => map(a, &|a| match a {
            Value::U32(v) => Value::U32(*v),
            Value::I32(v) => Value::I32(v.wrapping_abs()),
            Value::F32(v) => Value::F32(v.abs()),
            _ => Value::Unknown,
        }),
        (MathFunction::Floor, _) => map(a, &|a| match a {
            Value::F32(v) => Value::F32(v.floor()),
            _ => Value::Unknown,
        }),
        (MathFunction::Ceil, _) => map(a, &|a| match a {
            Value::F32(v) => Value::F32(v.ceil()),
            _ => Value::Unknown,
        }),
        _ => Value::Unknown,
    }
}
