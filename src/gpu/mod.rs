//! The engine: a device, kernels, recorded plans and their memory.
//!
//! A computation is described once with a [`Recorder`]: every operation adds its dispatches, and
//! leaves behind how to run backward through it. [`Recording::build`] resolves all that can fail
//! (limits, pipelines, buffers) into a [`Plan`], which is then replayed step after step.

mod adapter;
mod device;
mod kernel;
mod memory;
mod params;
mod plan;
mod profile;
mod quiet;
mod readback;
mod recorder;

pub use adapter::{AdapterChoice, AdapterSummary, install_hint, list_adapters, parse_backend};
pub use device::Gpu;
pub(crate) use kernel::LOOP_BUDGET;
pub(crate) use kernel::uniform_struct;
pub use kernel::{Access, Binding, Field, Kernel, MAX_ITERATIONS, Shader};
pub use params::{Arena, BufferSpec, Init, ParameterLayout, ParameterSpec, Role, Store};
pub use plan::{Plan, StepUniform};
pub use profile::KernelTime;
pub use quiet::quiet_the_driver;
pub use readback::{Readback, Staging};
pub use recorder::{BuildOptions, Dispatch, Recorder, Recording, Storage, TapeMark, Var};
