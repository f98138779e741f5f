//! `semivq doctor`

use std::process::ExitCode;

use semivq::Result;
use semivq::gpu::{Gpu, install_hint, list_adapters};

use super::DeviceArgs;

pub async fn run(device: &DeviceArgs) -> Result<ExitCode> {
    let choice = device.choice()?;
    out!(
        "semivq {} on {} {}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    let adapters = list_adapters(choice.backend).await;
    out!("\nadapters (--adapter takes the number or part of the name):");
    if adapters.is_empty() {
        out!("  none");
    }
    for (i, adapter) in adapters.iter().enumerate() {
        let kind = match adapter.device_type {
            wgpu::DeviceType::Cpu => "software, slow",
            wgpu::DeviceType::DiscreteGpu => "discrete GPU",
            wgpu::DeviceType::IntegratedGpu => "integrated GPU",
            wgpu::DeviceType::VirtualGpu => "virtual GPU",
            wgpu::DeviceType::Other => "unknown kind",
        };
        let usable = if adapter.usable {
            ""
        } else {
            "  NOT USABLE: below WebGPU's default limits"
        };
        out!(
            "  {i}: {} ({:?}, {kind}) {}{usable}",
            adapter.name,
            adapter.backend,
            adapter.driver.trim()
        );
    }
    let gpu = match Gpu::new(&choice).await {
        Ok(gpu) => gpu,
        Err(error) => {
            out!("\ntraining cannot run: {error}");
            return Ok(ExitCode::FAILURE);
        }
    };
    let limits = gpu.limits();
    out!("\nused: {}", gpu.adapter_line());
    out!("  limits (WebGPU's defaults, on every adapter):");
    out!(
        "    largest tensor           {} MiB",
        limits.max_storage_buffer_binding_size >> 20
    );
    out!(
        "    workgroup memory         {} KiB",
        limits.max_compute_workgroup_storage_size >> 10
    );
    out!(
        "    threads of a workgroup   {}",
        limits.max_compute_invocations_per_workgroup
    );
    out!("  features:");
    out!(
        "    timestamps (bench table) {}",
        if gpu.has_timestamps() { "yes" } else { "no" }
    );
    if gpu.is_software() {
        out!(
            "\nnote: this adapter computes on the CPU; for a real GPU, {}",
            install_hint()
        );
    }
    match self_test(&gpu).await {
        Ok(()) => {
            out!("\na convolution ran and was right: training can run");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            out!("\ntraining cannot run: {error}");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// One tiny convolution, checked by hand: the driver compiles and runs a kernel.
async fn self_test(gpu: &Gpu) -> Result<()> {
    use semivq::gpu::{BuildOptions, ParameterLayout, Recorder, StepValues, Store};
    use semivq::ops::conv2d::{Conv2dOptions, conv2d};
    let mut layout = ParameterLayout::default();
    let mut rec = Recorder::new(&mut layout, false);
    let x = rec.input("x", &[1, 1, 4, 4]);
    let w = rec.input("w", &[1, 1, 3, 3]);
    let y = conv2d(&mut rec, x, w, None, Conv2dOptions::SAME_3X3)?;
    rec.keep(y);
    let recording = rec.finish();
    let store = Store::new(gpu, layout, 0)?;
    let plan = recording.build(gpu, &store, BuildOptions::default())?;
    plan.write(gpu, x, &[1.0_f32; 16])?;
    plan.write(gpu, w, &[1.0_f32; 9])?;
    plan.run(gpu, &StepValues::default())?;
    let values = plan.read(gpu, y).await?;
    if values.first() == Some(&4.0) && values.get(5) == Some(&9.0) {
        return Ok(());
    }
    Err(semivq::Error::Gpu {
        place: "the self test".into(),
        message: format!(
            "a convolution of ones gave {values:?}; the driver computes wrongly, update it"
        ),
    })
}
