//! What the GPU tests share: the adapter, comparing tensors, random values.
#![allow(
    dead_code,
    missing_docs,
    reason = "each test file uses its own part of this module; names say what the functions do"
)]

#[cfg(not(target_arch = "wasm32"))]
pub mod command;
pub mod harness;
pub mod layer;

#[cfg(not(target_arch = "wasm32"))]
pub mod session;
#[cfg(target_arch = "wasm32")]
pub mod suite;

#[cfg(not(target_arch = "wasm32"))]
use semivq::gpu::AdapterChoice;
use semivq::gpu::{Gpu, Traits};
use semivq::kernels;
use semivq::rng::Stream;

/// The adapter of the tests: `SEMIVQ_ADAPTER` (index or part of a name) or the best one. Without
/// one the answer is why; with `SEMIVQ_REQUIRE_GPU=1` that is a failure.
#[cfg(not(target_arch = "wasm32"))]
pub fn gpu() -> Result<Gpu, String> {
    let choice = AdapterChoice {
        adapter: std::env::var("SEMIVQ_ADAPTER").ok(),
        backend: None,
    };
    match pollster::block_on(Gpu::new(&choice)) {
        Ok(gpu) => {
            println!("adapter: {}", gpu.adapter_line());
            Ok(gpu)
        }
        Err(error) if required() => {
            println!("SEMIVQ_REQUIRE_GPU is set and there is no adapter: {error}");
            std::process::exit(1);
        }
        Err(error) => Err(error.to_string()),
    }
}

pub fn required() -> bool {
    std::env::var("SEMIVQ_REQUIRE_GPU").is_ok_and(|v| v == "1")
}

/// Traits under which, one after the other, each kernel that an operation chooses from is taken wherever it can
/// do the work; of the operations whose kernels' names contain `part`.
pub fn candidate_sets(part: &str) -> Vec<Traits> {
    let mut tables = kernels::candidates();
    tables.retain(|table| table.iter().any(|c| c.name.contains(part)));
    let most = tables.iter().map(Vec::len).max().unwrap_or(0);
    let set = |i: usize| Traits {
        forced: tables
            .iter()
            .map(|table| table[i % table.len()].name)
            .collect(),
        ..Traits::default()
    };
    (0..most).map(set).collect()
}

/// `gpu` with kernels chosen as `set` forces them, what it cannot run left out.
pub fn forcing(gpu: &Gpu, set: &Traits) -> Gpu {
    gpu.with_traits(Traits {
        forced: set.forced.clone(),
        ..gpu.traits().clone()
    })
}

/// `len` normal values of the stream `name`.
pub fn normals(name: &str, len: usize) -> Vec<f32> {
    let stream = Stream::named(20_240_601, name);
    (0..len as u32).map(|i| stream.normal(i)).collect()
}

/// Largest error over a tensor, as a share of `relative * max|want| + absolute`; NaN is infinite.
pub fn share_of_tolerance(got: &[f32], want: &[f32], relative: f64, absolute: f64) -> f64 {
    if got.len() != want.len() {
        return f64::INFINITY;
    }
    let largest = want.iter().map(|v| f64::from(v.abs())).fold(0.0, f64::max);
    let error = got.iter().zip(want).map(|(g, w)| {
        let e = (f64::from(*g) - f64::from(*w)).abs();
        if e.is_nan() { f64::INFINITY } else { e }
    });
    error.fold(0.0, f64::max) / (relative * largest + absolute)
}

/// The same with each of `rows` rows (images, channels, codes) relative to its own largest value: small ones
/// do not hide behind a large one.
pub fn share_by_rows(got: &[f32], want: &[f32], rows: usize, relative: f64, absolute: f64) -> f64 {
    if got.len() != want.len() || !want.len().is_multiple_of(rows) {
        return f64::INFINITY;
    }
    let len = (want.len() / rows).max(1);
    let pairs = got.chunks(len).zip(want.chunks(len));
    let shares = pairs.map(|(got, want)| share_of_tolerance(got, want, relative, absolute));
    shares.fold(0.0, f64::max)
}
