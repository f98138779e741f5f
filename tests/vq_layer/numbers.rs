//! Small formulas of the reference, over any number type.

use semivq::ops::reference::Real;

pub fn c<T: Real>(v: f64) -> T {
    T::of(v)
}

pub fn sg<T: Real>(v: T) -> T {
    c(v.to_f64())
}

pub fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    a.iter().zip(b).map(|(a, b)| *a * *b).sum()
}

pub fn length<T: Real>(a: &[T]) -> T {
    dot(a, a).sqrt()
}

pub fn times<T: Real>(a: &[T], factor: T) -> Vec<T> {
    a.iter().map(|v| *v * factor).collect()
}

pub fn unit<T: Real>(row: &[T], eps: f64) -> Vec<T> {
    let l = length(row);
    times(row, c::<T>(1.0) / if l.to_f64() > eps { l } else { c(eps) })
}

pub fn limited<T: Real>(row: &[T]) -> Vec<T> {
    let l = length(row);
    times(row, c::<T>(l.to_f64().min(10.0)) / (l + c(1e-8)))
}

pub fn elu<T: Real>(v: T) -> T {
    if v.to_f64() > 0.0 {
        v
    } else {
        v.exp() - c(1.0)
    }
}

pub fn tanh<T: Real>(v: T) -> T {
    let e = (v + v).exp();
    (e - c(1.0)) / (e + c(1.0))
}

/// Mean and biased variance.
pub fn moments<T: Real>(values: &[T]) -> (T, T) {
    let n = c(values.len() as f64);
    let mean = values.iter().copied().sum::<T>() / n;
    let squares: T = values.iter().map(|v| (*v - mean) * (*v - mean)).sum();
    (mean, squares / n)
}
