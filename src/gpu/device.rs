//! The device with its pipelines, and waiting for it on every target.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::adapter::{self, AdapterChoice};
use super::buffer::{Buffer, STORAGE};
use super::kernel::{Kernel, Pipeline, PipelineKey};
use super::traits::Traits;
use crate::error::{Error, Result};

/// What is enabled where the adapter has it.
const WANTED: wgpu::Features = wgpu::Features::TIMESTAMP_QUERY
    .union(wgpu::Features::SUBGROUP)
    .union(wgpu::Features::SHADER_F16);

/// A device, its queue, and the pipelines that were built on it so far.
#[derive(Debug, Clone)]
pub struct Gpu {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    limits: wgpu::Limits,
    traits: Traits,
    pipelines: Arc<Mutex<HashMap<PipelineKey, Arc<Pipeline>>>>,
    modules: Arc<Mutex<HashMap<&'static str, wgpu::ShaderModule>>>,
    errors: Arc<Mutex<Vec<String>>>,
    lost: Arc<Mutex<Option<String>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gpu {
    /// Opens the adapter of `choice` with WebGPU's default limits.
    ///
    /// Timestamps, subgroups and 16-bit floats are enabled where the adapter has them.
    ///
    /// # Errors
    /// [`Error::Adapter`] when there is none that fits, or when it refuses the default limits.
    pub async fn new(choice: &AdapterChoice) -> Result<Self> {
        let adapter = adapter::select(choice).await?;
        let limits = wgpu::Limits::defaults();
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("semivq"),
            required_features: adapter.features() & WANTED,
            required_limits: limits.clone(),
            ..Default::default()
        };
        let (device, queue) = adapter
            .request_device(&descriptor)
            .await
            .map_err(|e| Error::Adapter(format!("`{}`: {e}", adapter.get_info().name)))?;
        let errors = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&errors);
        device.on_uncaptured_error(Arc::new(move |error| locked(&sink).push(error.to_string())));
        let lost = Arc::new(Mutex::new(None));
        let sink = Arc::clone(&lost);
        device.set_device_lost_callback(move |reason, message| {
            *locked(&sink) = Some(format!("{reason:?}: {message}"));
        });
        let info = adapter.get_info();
        let features = device.features();
        let subgroups = [info.subgroup_min_size, info.subgroup_max_size];
        let traits = Traits {
            software: info.device_type == wgpu::DeviceType::Cpu,
            subgroups: features
                .contains(wgpu::Features::SUBGROUP)
                .then_some(subgroups),
            f16: features.contains(wgpu::Features::SHADER_F16),
            ..Traits::default()
        };
        Ok(Self {
            device,
            queue,
            info,
            limits,
            traits,
            pipelines: Arc::default(),
            modules: Arc::default(),
            errors,
            lost,
        })
    }

    /// The adapter's name, backend, type and driver.
    #[must_use]
    pub fn info(&self) -> &wgpu::AdapterInfo {
        &self.info
    }

    /// Name and backend in one line, as reports show it.
    #[must_use]
    pub fn adapter_line(&self) -> String {
        format!("{} ({:?})", self.info.name, self.info.backend)
    }

    /// Whether the arithmetic runs on the CPU.
    #[must_use]
    pub fn is_software(&self) -> bool {
        self.traits.software
    }

    /// What the choice of kernels depends on.
    #[must_use]
    pub fn traits(&self) -> &Traits {
        &self.traits
    }

    /// The same device, on which kernels are chosen as for `traits`.
    #[must_use]
    pub fn with_traits(&self, traits: Traits) -> Self {
        Self {
            traits,
            ..self.clone()
        }
    }

    /// The limits that the device was opened with.
    #[must_use]
    pub fn limits(&self) -> &wgpu::Limits {
        &self.limits
    }

    /// Whether kernels can be timed on the device itself.
    #[must_use]
    pub fn has_timestamps(&self) -> bool {
        self.device
            .features()
            .contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    /// Validation and memory errors since the last call; an empty list is the normal case.
    pub fn take_errors(&self) -> Vec<String> {
        std::mem::take(&mut *locked(&self.errors))
    }

    /// Why the device is gone, if it is: the driver's words. A browser may take a moment to tell.
    #[must_use]
    pub fn lost(&self) -> Option<String> {
        locked(&self.lost).clone()
    }

    /// Gives the device up. All that is asked of it afterwards fails as with one that was lost.
    pub fn destroy(&self) {
        self.device.destroy();
    }

    /// The first error since the last call, if any.
    ///
    /// # Errors
    /// [`Error::DeviceLost`]; [`Error::Gpu`] with the driver's words.
    pub fn check(&self, place: &str) -> Result<()> {
        if let Some(reason) = self.lost() {
            return Err(Error::DeviceLost(reason));
        }
        match self.take_errors().into_iter().next() {
            None => Ok(()),
            Some(message) => Err(Error::Gpu {
                place: place.to_owned(),
                message,
            }),
        }
    }

    /// Waits until all submitted work has ended.
    pub async fn wait_idle(&self) {
        let (sender, receiver) = futures_channel::oneshot::channel();
        self.queue.on_submitted_work_done(move || {
            // The receiver may be gone by now; nothing is lost then.
            let _ = sender.send(());
        });
        // A dropped sender means a lost device; `check` reports that.
        let _ = self.drive(receiver, None).await;
    }

    /// Awaits something that the device completes. A browser does so by itself, with some nudging; natively it
    /// needs a poll, up to `submission` or to the last one; this is the one place where native code blocks.
    pub(crate) async fn drive<F: Future>(
        &self,
        future: F,
        submission: Option<wgpu::SubmissionIndex>,
    ) -> F::Output {
        #[cfg(target_arch = "wasm32")]
        {
            let _ = submission;
            let nudge = || {
                self.queue.submit([]);
            };
            super::nudge::nudged(future, &super::nudge::Timer, nudge).await
        }
        #[cfg(not(target_arch = "wasm32"))]
        {
            if let Err(error) = self.device.poll(wgpu::PollType::Wait {
                submission_index: submission,
                timeout: None,
            }) {
                locked(&self.errors).push(error.to_string());
            }
            future.await
        }
    }

    /// A buffer of `size` bytes, all zero.
    pub(super) fn buffer(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> Buffer {
        Buffer::new(self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size,
            usage,
            mapped_at_creation: false,
        }))
    }

    /// A storage buffer with `bytes`, padded to whole words.
    ///
    /// # Errors
    /// [`Error::Limit`] names it `label` when it is larger than the device binds.
    pub(crate) fn storage(&self, label: &str, bytes: &[u8]) -> Result<Buffer> {
        let buffer = self.zeros(label, bytes.len().div_ceil(4))?;
        let (words, rest) = bytes.split_at(bytes.len() / 4 * 4);
        self.queue.write_buffer(&buffer, 0, words);
        if !rest.is_empty() {
            let mut last = [0; 4];
            last[..rest.len()].copy_from_slice(rest);
            self.queue.write_buffer(&buffer, words.len() as u64, &last);
        }
        Ok(buffer)
    }

    /// A storage buffer of `words` words, all zero.
    ///
    /// # Errors
    /// [`Error::Limit`] names it `label` when it is larger than the device binds.
    pub(crate) fn zeros(&self, label: &str, words: usize) -> Result<Buffer> {
        let allowed = self.limits.max_storage_buffer_binding_size;
        let size = 4 * words as u64;
        if size > allowed {
            return Err(Error::Limit {
                tensor: label.to_owned(),
                bytes: size,
                limit: "max_storage_buffer_binding_size",
                allowed,
            });
        }
        let buffer = self.buffer(label, size, STORAGE);
        self.check(label)?;
        Ok(buffer)
    }

    /// The pipeline of `kernel` under `constants`, built at the first request.
    pub(crate) fn pipeline(
        &self,
        kernel: &'static Kernel,
        constants: &[(&'static str, f64)],
    ) -> Result<Arc<Pipeline>> {
        let key = PipelineKey::new(kernel, constants);
        if let Some(found) = locked(&self.pipelines).get(&key) {
            return Ok(Arc::clone(found));
        }
        let module = locked(&self.modules)
            .entry(kernel.shader.name)
            .or_insert_with(|| kernel.shader.module(&self.device))
            .clone();
        let pipeline = Arc::new(Pipeline::new(&self.device, &module, kernel, constants));
        let errors = self.take_errors();
        if let Some(message) = errors.first() {
            return Err(Error::Gpu {
                place: kernel.label(),
                message: kernel.shader.locate_errors(message),
            });
        }
        locked(&self.pipelines).insert(key, Arc::clone(&pipeline));
        Ok(pipeline)
    }
}
