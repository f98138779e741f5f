//! The engine: a device, kernels, recorded plans and their memory.
//!
//! A computation is described once with a [`Recorder`]: every operation adds its dispatches, and
//! leaves behind how to run backward through it. [`Recording::build`] resolves all that can fail
//! (limits, pipelines, buffers) into a [`Plan`], which is then replayed step after step.

pub(crate) mod accumulate;
mod adapter;
mod buffer;
mod device;
mod exchange;
mod fragments;
mod gradients;
mod host;
mod kernel;
mod layout;
mod memory;
pub(crate) mod micro_batches;
#[cfg(any(test, target_arch = "wasm32"))]
mod nudge;
mod place;
mod plan;
mod profile;
mod quiet;
mod readback;
mod recorder;
mod recording;
mod slots;
mod store;
mod traits;

pub use adapter::{AdapterChoice, AdapterSummary, install_hint, list_adapters, parse_backend};
pub use buffer::Buffer;
pub use device::Gpu;
pub use exchange::{Exchange, Exchanged, Exchanging};
pub(crate) use fragments::{GRID, NUMBER, RANDOM, REDUCE};
pub use gradients::TapeMark;
pub(crate) use kernel::LOOP_BUDGET;
pub use kernel::{Access, Binding, Field, Kernel, MAX_ITERATIONS, Shader, Slot, Uniform};
pub(crate) use kernel::{kernels, uniform_struct};
pub use layout::{Arena, BufferSpec, Init, ParameterLayout, ParameterSpec, Role};
pub use plan::{BuildOptions, Plan};
pub use profile::{Clock, KernelTime};
pub use quiet::quiet_the_driver;
pub use readback::{Readback, Staging};
pub use recorder::Recorder;
pub use recording::{Dispatch, Element, Phase, Recording, Storage, Var};
pub use slots::{STEPS_AT_ONCE, SlotValue, StepValues};
pub use store::{NamedTensor, Store};
pub(crate) use traits::{Candidate, infos};
pub use traits::{CandidateInfo, Traits};
