//! The wasm surface; thin. Options and metrics cross as JSON, images and codes as typed arrays.
//! `www/package/` makes the public, typed `Trainer` of it. Calls on one object must not overlap.

mod core;
mod data;
mod seen;

use std::sync::Arc;

use serde_json::{Value, json};
use wasm_bindgen::JsError;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::error::{Error, Result};
use crate::gpu::{AdapterChoice, Gpu};
use crate::quant::VectorQuantConfig;
use crate::train::checkpoint::State;
use crate::train::{Cost, Method, TrainOptions};

type JsResult<T> = std::result::Result<T, JsError>;

/// Runs once when the module is loaded: a panic reaches the console readable.
#[wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
}

/// The version of the core.
#[wasm_bindgen]
#[must_use]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// All methods as JSON: name, summary, paper, and the quantiser's options.
#[wasm_bindgen]
#[must_use]
pub fn methods() -> String {
    let one = |method: Method| {
        let mut vq = VectorQuantConfig::default();
        method.apply(&mut vq);
        json!({
            "name": method.name(), "summary": method.summary(), "paper": method.paper(), "vq": vq,
        })
    };
    json!(Method::ALL.map(one)).to_string()
}

fn parse_options(text: &str) -> Result<TrainOptions> {
    let value = serde_json::from_str(text).map_err(|e| Error::Config(format!("options: {e}")))?;
    TrainOptions::from_partial(value)
}

/// Says on the console what `given` (JSON, some options) sets without effect in `options`. It is no
/// error: both sides of a comparison may be given what one of them has a use for.
fn say_idle(given: &str, options: &TrainOptions) {
    let given: Value = serde_json::from_str(given).unwrap_or_default();
    let default = json!(TrainOptions::default());
    for idle in options.without_effect() {
        for name in idle.names {
            let set = |all: &Value| {
                let groups = [Some(all), all.get("vq"), all.get("optimizer")];
                groups
                    .into_iter()
                    .flatten()
                    .find_map(|g| g.get(name).cloned())
            };
            let (value, usual) = (set(&given).unwrap_or_default(), set(&default));
            let float = |v: &Value| v.as_f64().map(|v| v as f32);
            let same = match (float(&value), usual.as_ref().and_then(float)) {
                (Some(value), Some(usual)) => value == usual,
                _ => usual.as_ref() == Some(&value),
            };
            if !value.is_null() && !same {
                let line = format!("semivq: {name} has no effect: {}", idle.why);
                web_sys::console::warn_1(&line.into());
            }
        }
    }
}

/// Some options (JSON) completed, see [`TrainOptions::from_partial`].
///
/// # Errors
/// [`Error::Config`] as an exception, also where options exclude each other.
#[wasm_bindgen]
pub fn complete(options: &str) -> JsResult<String> {
    let options = parse_options(options)?;
    Ok(json!(options).to_string())
}

/// JSON: of the options in `options` (JSON, some of them) those that do nothing, each with the reason.
///
/// # Errors
/// [`Error::Config`] as an exception.
#[wasm_bindgen]
pub fn idle(options: &str) -> JsResult<String> {
    let idle = parse_options(options)?.without_effect();
    let reasons = idle
        .iter()
        .flat_map(|i| i.names.iter().map(|name| (*name, i.why)));
    Ok(json!(reasons.collect::<std::collections::BTreeMap<_, _>>()).to_string())
}

/// What divides the height and the width of the images of the model that `options` (JSON, some of them) describe.
///
/// # Errors
/// [`Error::Config`] as an exception.
#[wasm_bindgen]
pub fn granularity(options: &str) -> JsResult<usize> {
    Ok(parse_options(options)?.model.granularity())
}

/// Step and options (JSON) of a checkpoint's bytes.
///
/// # Errors
/// [`Error::Config`] as an exception, when it is no checkpoint.
#[wasm_bindgen]
pub fn describe(checkpoint: &[u8]) -> JsResult<String> {
    let state =
        State::from_bytes(checkpoint).map_err(|e| Error::Config(format!("the checkpoint {e}")))?;
    Ok(json!({"step": state.step, "options": state.options}).to_string())
}

/// The checkpoint in a run's folder and the file of its training state, in one as the page takes it.
///
/// # Errors
/// [`Error::Config`] as an exception, when they are none or do not belong together.
#[wasm_bindgen]
pub fn join(checkpoint: &[u8], training: &[u8]) -> JsResult<Vec<u8>> {
    let join = || {
        let mut state = State::from_bytes(checkpoint)?;
        state.add_training(training)?;
        state.to_bytes()
    };
    Ok(join()
        .map_err(|e: Error| Error::Config(format!("the checkpoint or its training state {e}")))?)
}

/// A GPU device, for any number of trainers.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Device {
    gpu: Arc<Gpu>,
}

#[wasm_bindgen]
impl Device {
    /// Opens the browser's adapter.
    ///
    /// # Errors
    /// [`Error::Adapter`] as an exception.
    #[allow(
        clippy::arc_with_non_send_sync,
        reason = "the session shares it so on every target; here there is one thread"
    )]
    pub async fn open() -> JsResult<Self> {
        let gpu = Gpu::new(&AdapterChoice::default()).await?;
        // The first thing that a report of an error should hold.
        let line = format!("semivq {}, adapter {}", version(), gpu.adapter_line());
        web_sys::console::info_1(&line.into());
        Ok(Self { gpu: Arc::new(gpu) })
    }

    /// The adapter's name, as far as the browser tells it.
    #[must_use]
    pub fn name(&self) -> String {
        self.gpu.info().name.clone()
    }

    /// Whether the arithmetic runs on the CPU.
    #[must_use]
    pub fn software(&self) -> bool {
        self.gpu.is_software()
    }

    /// What a run of `options` (JSON, some of them) on `images` training images of this shape would cost on it, as JSON of
    /// [`Cost`].
    ///
    /// # Errors
    /// Those of [`Cost::of`] as exceptions.
    pub fn cost(
        &self,
        options: &str,
        images: usize,
        channels: usize,
        height: usize,
        width: usize,
    ) -> JsResult<String> {
        let options = parse_options(options)?;
        let shape = [channels, height, width];
        let cost = Cost::of(&options, shape, images, self.gpu.traits())?;
        Ok(json!(cost).to_string())
    }

    /// Why the device is gone, if it is.
    #[must_use]
    pub fn lost(&self) -> Option<String> {
        self.gpu.lost()
    }

    /// Gives the device up.
    pub fn destroy(&self) {
        self.gpu.destroy();
    }
}
