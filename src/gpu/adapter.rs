//! Choosing the adapter: by index, by name, or the best there is.

use super::quiet::quiet_the_driver;
use crate::error::{Error, Result};

/// What the user asked for.
#[derive(Debug, Clone, Default)]
pub struct AdapterChoice {
    /// Index in the list of [`list_adapters`], or part of an adapter's name (case-insensitive).
    pub adapter: Option<String>,
    /// Only this backend.
    pub backend: Option<wgpu::Backends>,
}

/// One line of the list of adapters.
#[derive(Debug, Clone)]
pub struct AdapterSummary {
    /// Name, e.g. `llvmpipe (LLVM 15.0.6, 256 bits)`.
    pub name: String,
    /// Vulkan, Metal, Dx12, Gl or BrowserWebGpu.
    pub backend: wgpu::Backend,
    /// Discrete, integrated, software (`Cpu`) or unknown.
    pub device_type: wgpu::DeviceType,
    /// Driver name and version.
    pub driver: String,
    /// Whether it can run compute shaders within WebGPU's default limits.
    pub usable: bool,
}

/// The backends that can be asked for: what each is called, other names of it, and what it is.
const BACKENDS: [(&str, &[&str], wgpu::Backends); 4] = [
    ("vulkan", &["vk"], wgpu::Backends::VULKAN),
    ("metal", &[], wgpu::Backends::METAL),
    ("dx12", &["d3d12"], wgpu::Backends::DX12),
    ("gl", &["gles", "opengl"], wgpu::Backends::GL),
];

/// The backends by name.
///
/// # Errors
/// [`Error::Config`] names the accepted ones.
pub fn parse_backend(name: &str) -> Result<wgpu::Backends> {
    let wanted = name.to_ascii_lowercase();
    let mut all = BACKENDS.iter();
    let found = all.find(|(own, others, _)| wanted == *own || others.contains(&wanted.as_str()));
    found.map(|(.., backends)| *backends).ok_or_else(|| {
        let names = BACKENDS.map(|(name, ..)| name).join(", ");
        Error::Config(format!("unknown backend `{name}`; use one of {names}"))
    })
}

/// The way back.
fn backend_names(backends: wgpu::Backends) -> String {
    let all = BACKENDS.iter().filter(|(.., b)| backends.contains(*b));
    all.map(|(name, ..)| *name).collect::<Vec<_>>().join(", ")
}

/// How to get a driver on this system.
#[must_use]
pub fn install_hint() -> &'static str {
    if cfg!(target_os = "linux") {
        "install a Vulkan driver: on Debian or Ubuntu `sudo apt-get install mesa-vulkan-drivers` \
         (Intel, AMD, and a software adapter), for NVIDIA the vendor's driver; \
         then `semivq doctor` shows what was found"
    } else if cfg!(target_os = "macos") {
        "Metal is part of macOS 10.13 and later; a virtual machine without a GPU has none"
    } else if cfg!(target_os = "windows") {
        "update the graphics driver; DX12 or Vulkan is needed"
    } else {
        "use a browser with WebGPU: a current Chrome, Edge, Safari or Firefox"
    }
}

fn instance(backends: wgpu::Backends) -> wgpu::Instance {
    quiet_the_driver();
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = backends;
    wgpu::Instance::new(descriptor)
}

fn usable(adapter: &wgpu::Adapter) -> bool {
    let compute = adapter
        .get_downlevel_capabilities()
        .flags
        .contains(wgpu::DownlevelFlags::COMPUTE_SHADERS);
    compute && wgpu::Limits::defaults().check_limits(&adapter.limits())
}

/// Lower is better: real GPUs first, native APIs before OpenGL, software last.
fn rank(info: &wgpu::AdapterInfo) -> (u8, u8) {
    let device = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    };
    (device, u8::from(info.backend == wgpu::Backend::Gl))
}

async fn ranked(backends: Option<wgpu::Backends>) -> Vec<wgpu::Adapter> {
    let backends = backends.unwrap_or(wgpu::Backends::PRIMARY);
    let mut adapters = instance(backends).enumerate_adapters(backends).await;
    adapters.sort_by_key(|a| (!usable(a), rank(&a.get_info())));
    adapters
}

/// All adapters, the one that would be chosen first.
pub async fn list_adapters(backends: Option<wgpu::Backends>) -> Vec<AdapterSummary> {
    let adapters = ranked(backends).await;
    adapters
        .iter()
        .map(|adapter| {
            let info = adapter.get_info();
            AdapterSummary {
                name: info.name,
                backend: info.backend,
                device_type: info.device_type,
                driver: format!("{} {}", info.driver, info.driver_info),
                usable: usable(adapter),
            }
        })
        .collect()
}

/// The adapter that `choice` names, or the best one.
pub(super) async fn select(choice: &AdapterChoice) -> Result<wgpu::Adapter> {
    if cfg!(target_arch = "wasm32") {
        let options = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            ..Default::default()
        };
        return instance(wgpu::Backends::BROWSER_WEBGPU)
            .request_adapter(&options)
            .await
            .map_err(|_| Error::Adapter(format!("the browser offers no GPU; {}", install_hint())));
    }
    let adapters = ranked(choice.backend).await;
    if adapters.is_empty() {
        let backend = choice.backend.map_or(String::new(), |b| {
            format!(" for the backend {}", backend_names(b))
        });
        return Err(Error::Adapter(format!(
            "no GPU adapter found{backend}; {}",
            install_hint()
        )));
    }
    let names = || {
        let list: Vec<String> = adapters
            .iter()
            .enumerate()
            .map(|(i, a)| format!("{i}: {} ({:?})", a.get_info().name, a.get_info().backend))
            .collect();
        list.join(", ")
    };
    let index = match &choice.adapter {
        None => 0,
        Some(text) => match text.parse::<usize>() {
            Ok(index) if index < adapters.len() => index,
            Ok(index) => {
                return Err(Error::Adapter(format!(
                    "there is no adapter {index}; choose one of {}",
                    names()
                )));
            }
            Err(_) => {
                let wanted = text.to_ascii_lowercase();
                adapters
                    .iter()
                    .position(|a| {
                        let name = a.get_info().name.to_ascii_lowercase();
                        name.contains(&wanted)
                    })
                    .ok_or_else(|| {
                        Error::Adapter(format!(
                            "no adapter's name contains `{text}`; choose one of {}",
                            names()
                        ))
                    })?
            }
        },
    };
    let adapter = adapters[index].clone();
    if !usable(&adapter) {
        return Err(Error::Adapter(format!(
            "adapter `{}` cannot run compute shaders within WebGPU's default limits; {}",
            adapter.get_info().name,
            install_hint()
        )));
    }
    Ok(adapter)
}
