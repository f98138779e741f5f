//! Vector-quantised autoencoders trained with hand-written WGSL, natively (Vulkan, Metal, DX12)
//! and in the browser (WebGPU): the kernels do convolutions, the codebook search, the learnable
//! standard deviation of the codebook and every backward pass.
//!
//! Start with [`train::Session`] and [`models::Simple`]; a model of your own implements
//! [`models::Model`]; [`quant::codebook::VectorQuant`] is the layer itself; [`nn`] holds the layers, [`ops`] the
//! operations and [`gpu`] the engine underneath. `run` keeps a run in a folder, natively.
//!
//! # Features
//! `cli` (default) is the command line and what it alone needs; `compare` (part of it) trains grids of runs and draws
//! tables, plots and reports of them; `pictures` (part of both) reads PNG images and draws a run's pictures and
//! curves. Without them the trainer is left.

// The indices of a kernel are u32, and f32 is the precision of everything on the device.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "shapes are small enough for u32 and f32, and the limits of WebGPU keep them so"
)]

pub mod bench;
#[cfg(all(feature = "compare", not(target_arch = "wasm32")))]
pub mod compare;
pub mod data;
pub mod error;
pub mod gpu;
pub mod kernels;
pub mod models;
pub mod nn;
pub mod ops;
pub mod optim;
pub mod options;
pub mod prior;
pub mod quant;
pub mod rng;
#[cfg(not(target_arch = "wasm32"))]
pub mod run;
pub mod train;

#[cfg(target_arch = "wasm32")]
pub mod web;

pub use error::{Error, Result, ShapeError};
