//! A number that remembers how it was made: reverse-mode differentiation of the plain loops.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

use semivq::ops::reference::Real;

const CONSTANT: u32 = u32::MAX;

/// What a number was made of, and its slope along each of that.
type Node = [(u32, f64); 2];

thread_local! {
    static TAPE: RefCell<Vec<Node>> = const { RefCell::new(Vec::new()) };
}

/// A value on the tape, or a constant.
#[derive(Clone, Copy, Debug)]
pub struct Ad {
    value: f64,
    at: u32,
}

impl Ad {
    /// A number to differentiate by.
    pub fn variable(value: f64) -> Self {
        Self::made(value, [(CONSTANT, 0.0); 2])
    }

    fn made(value: f64, node: Node) -> Self {
        TAPE.with_borrow_mut(|tape| {
            tape.push(node);
            Self {
                value,
                at: tape.len() as u32 - 1,
            }
        })
    }

    fn one(self, value: f64, slope: f64) -> Self {
        if self.at == CONSTANT {
            return Self {
                value,
                at: CONSTANT,
            };
        }
        Self::made(value, [(self.at, slope), (CONSTANT, 0.0)])
    }

    fn two(self, other: Self, value: f64, slopes: [f64; 2]) -> Self {
        if self.at == CONSTANT && other.at == CONSTANT {
            return Self {
                value,
                at: CONSTANT,
            };
        }
        Self::made(value, [(self.at, slopes[0]), (other.at, slopes[1])])
    }

    /// The slopes of `self` by everything on the tape, which ends with this.
    pub fn gradients(self) -> Gradients {
        let nodes = TAPE.take();
        let mut slopes = vec![0.0; nodes.len()];
        if self.at != CONSTANT {
            slopes[self.at as usize] = 1.0;
        }
        for (i, node) in nodes.iter().enumerate().rev() {
            for (at, slope) in node {
                if *at != CONSTANT {
                    slopes[*at as usize] += slope * slopes[i];
                }
            }
        }
        Gradients(slopes)
    }
}

/// Slopes by the variables of a tape.
pub struct Gradients(Vec<f64>);

impl Gradients {
    pub fn of(&self, values: &[Ad]) -> Vec<f64> {
        let slope = |v: &Ad| self.0.get(v.at as usize).copied().unwrap_or(0.0);
        values.iter().map(slope).collect()
    }
}

impl PartialEq for Ad {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl PartialOrd for Ad {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

impl Add for Ad {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        self.two(o, self.value + o.value, [1.0, 1.0])
    }
}

impl Sub for Ad {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        self.two(o, self.value - o.value, [1.0, -1.0])
    }
}

impl Mul for Ad {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        self.two(o, self.value * o.value, [o.value, self.value])
    }
}

impl Div for Ad {
    type Output = Self;
    fn div(self, o: Self) -> Self {
        let quotient = self.value / o.value;
        self.two(o, quotient, [1.0 / o.value, -quotient / o.value])
    }
}

impl Neg for Ad {
    type Output = Self;
    fn neg(self) -> Self {
        self.one(-self.value, -1.0)
    }
}

impl AddAssign for Ad {
    fn add_assign(&mut self, o: Self) {
        *self = *self + o;
    }
}

impl Sum for Ad {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::of(0.0), |a, b| a + b)
    }
}

impl Real for Ad {
    fn of(value: f64) -> Self {
        Self {
            value,
            at: CONSTANT,
        }
    }
    fn to_f64(self) -> f64 {
        self.value
    }
    fn exp(self) -> Self {
        let e = self.value.exp();
        self.one(e, e)
    }
    fn ln(self) -> Self {
        self.one(self.value.ln(), 1.0 / self.value)
    }
    fn sqrt(self) -> Self {
        let root = self.value.sqrt();
        // PyTorch's norm has slope 0 at 0.
        let slope = if root > 0.0 { 0.5 / root } else { 0.0 };
        self.one(root, slope)
    }
    fn abs(self) -> Self {
        self.one(self.value.abs(), self.value.signum())
    }
    fn erf(self) -> Self {
        let slope = 2.0 / std::f64::consts::PI.sqrt() * (-self.value * self.value).exp();
        self.one(libm::erf(self.value), slope)
    }
}
