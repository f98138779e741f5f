//! Kernels: a WGSL entry point with its contract, and the pipelines made from it.

use std::fmt::Write as _;

/// Iterations of all loops of an invocation together, at most: Mesa's software adapter (llvmpipe) ends
/// an invocation's loops in silence after 65,535 (`LP_MAX_TGSI_LOOP_ITERATIONS`). Longer work is split over
/// invocations or dispatches; `tests/loops.rs` counts.
pub const MAX_ITERATIONS: usize = 65_535;

/// Where such work is split: the rest is for what an invocation loops over besides.
pub(crate) const LOOP_BUDGET: usize = 60_000;

/// A WGSL source file with the shared fragments that stand before it.
#[derive(Debug)]
pub struct Shader {
    /// Stem of the file under `shaders/`.
    pub name: &'static str,
    /// Text of the file.
    pub source: &'static str,
    /// Shared fragments, `(file, text)`, in front of the file.
    pub fragments: &'static [(&'static str, &'static str)],
    /// Members of its `struct Step`, four bytes each: what changes from step to step. Empty where nothing does.
    pub step: &'static [Slot],
}

/// A value that changes from step to step, see [`super::StepValues`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Name, the same in WGSL and in the values of a step.
    pub name: &'static str,
    /// `u32` or `f32`.
    pub ty: &'static str,
}

impl Shader {
    /// The whole text that the compiler sees.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (_, fragment) in self.fragments {
            text.push_str(fragment);
            text.push('\n');
        }
        text.push_str(self.source);
        text
    }

    /// File and line that line `line` (from 1) of [`Self::text`] came from.
    #[must_use]
    pub fn locate(&self, line: usize) -> (String, usize) {
        let mut first = 1;
        for (file, fragment) in self.fragments {
            let lines = fragment.lines().count() + usize::from(fragment.ends_with('\n'));
            if line < first + lines {
                return (format!("shaders/{file}"), line - first + 1);
            }
            first += lines;
        }
        (format!("shaders/{}.wgsl", self.name), line - first + 1)
    }

    /// A compiler's message with `wgsl:LINE:COLUMN` replaced by the file's own positions.
    #[must_use]
    pub fn locate_errors(&self, message: &str) -> String {
        let mut out = String::new();
        let mut rest = message;
        while let Some(at) = rest.find("wgsl:") {
            let (before, after) = rest.split_at(at);
            let digits: String = after[5..]
                .chars()
                .take_while(char::is_ascii_digit)
                .collect();
            out.push_str(before);
            if let Ok(line) = digits.parse() {
                let (file, line) = self.locate(line);
                let _ = write!(out, "{file}:{line}");
            } else {
                out.push_str("wgsl:");
            }
            rest = &after[5 + digits.len()..];
        }
        out + rest
    }

    pub(super) fn module(&self, device: &wgpu::Device) -> wgpu::ShaderModule {
        device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(self.name),
            source: wgpu::ShaderSource::Wgsl(self.text().into()),
        })
    }
}

/// How an entry point uses a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// `var<storage, read>`
    Read,
    /// `var<storage, read_write>`
    Write,
    /// `var<uniform>`: the slots of [`Shader::step`]
    Step,
}

/// A binding of group 0 that an entry point uses. Binding 0 is the dispatch's own `params`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding(pub u32, pub Access);

/// A member of a uniform struct: name, byte offset, `u32` or `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Name, the same in WGSL and Rust.
    pub name: &'static str,
    /// Offset in bytes.
    pub offset: usize,
    /// `u32` or `f32`.
    pub ty: &'static str,
}

/// A struct that a dispatch hands to its kernel as `params`; `()` for a kernel that has none.
pub trait Uniform: bytemuck::Pod {
    /// Name, offset and type of each field.
    const FIELDS: &'static [Field];
}

impl Uniform for () {
    const FIELDS: &'static [Field] = &[];
}

/// Declares a uniform struct once for Rust, with the table that the contract tests compare with
/// the WGSL struct of the same fields.
macro_rules! uniform_struct {
    ($(#[$doc:meta])* $vis:vis struct $name:ident { $($(#[$fdoc:meta])* $field:ident : $ty:ident),* $(,)? }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Debug, Clone, Copy, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        #[allow(missing_docs, reason = "the fields are named after those of the WGSL struct")]
        $vis struct $name { $($(#[$fdoc])* pub $field: $ty),* }
        impl $name {
            /// Name, offset and type of each field.
            pub const FIELDS: &'static [$crate::gpu::Field] = &[$($crate::gpu::Field {
                name: stringify!($field),
                offset: std::mem::offset_of!($name, $field),
                ty: stringify!($ty),
            }),*];
        }
        impl $crate::gpu::Uniform for $name {
            const FIELDS: &'static [$crate::gpu::Field] = Self::FIELDS;
        }
    };
}
pub(crate) use uniform_struct;

/// An entry point and its contract with the Rust side; `tests/contracts.rs` holds them together.
#[derive(Debug)]
pub struct Kernel {
    /// The file.
    pub shader: &'static Shader,
    /// The function.
    pub entry: &'static str,
    /// Its workgroup size.
    pub workgroup: [u32; 3],
    /// Fields of the uniform `params` at binding 0; empty where there is none.
    pub params: &'static [Field],
    /// Its buffers, in the order in which a dispatch names them.
    pub bindings: &'static [Binding],
}

impl Kernel {
    /// `file::entry`, as profiles and errors show it.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}::{}", self.shader.name, self.entry)
    }

    /// Whether it sees values of the step.
    pub(super) fn has_step(&self) -> bool {
        self.bindings.iter().any(|b| b.1 == Access::Step)
    }

    /// Invocations of one workgroup.
    #[must_use]
    pub const fn invocations(&self) -> u32 {
        self.workgroup[0] * self.workgroup[1] * self.workgroup[2]
    }
}

/// Declares the shader of a file, the slots of its `struct Step` where it has one, and its kernels.
macro_rules! kernels {
    (
        $file:literal, [$($fragment:expr),*] $(, step [$($slot:ident: $type:ident),*])?;
        $($(#[$doc:meta])* $name:ident = $entry:literal, $workgroup:literal, $params:expr, [$($access:ident $index:literal),*];)*
    ) => {
        static SHADER: $crate::gpu::Shader = $crate::gpu::Shader {
            name: $file,
            source: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $file, ".wgsl")),
            fragments: &[$($fragment),*],
            step: &[$($($crate::gpu::Slot {
                name: stringify!($slot),
                ty: stringify!($type),
            }),*)?],
        };
        $($(#[$doc])* pub(super) static $name: $crate::gpu::Kernel = $crate::gpu::Kernel {
            shader: &SHADER,
            entry: $entry,
            workgroup: [$workgroup, 1, 1],
            params: $params,
            bindings: &[$($crate::gpu::Binding($index, $crate::gpu::Access::$access)),*],
        };)*
        /// All kernels of this file, for the contract tests.
        pub(crate) static KERNELS: &[&$crate::gpu::Kernel] = &[$(&$name),*];
    };
}
pub(crate) use kernels;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct PipelineKey {
    shader: &'static str,
    entry: &'static str,
    constants: Vec<(&'static str, u64)>,
}

impl PipelineKey {
    pub(super) fn new(kernel: &Kernel, constants: &[(&'static str, f64)]) -> Self {
        Self {
            shader: kernel.shader.name,
            entry: kernel.entry,
            constants: constants.iter().map(|(n, v)| (*n, v.to_bits())).collect(),
        }
    }
}

/// A compiled entry point with the layout of its bindings.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) pipeline: wgpu::ComputePipeline,
    pub(crate) layout: wgpu::BindGroupLayout,
}

impl Pipeline {
    pub(super) fn new(
        device: &wgpu::Device,
        module: &wgpu::ShaderModule,
        kernel: &Kernel,
        constants: &[(&'static str, f64)],
    ) -> Self {
        let label = kernel.label();
        let entry = |binding, ty, has_dynamic_offset| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty,
                has_dynamic_offset,
                min_binding_size: None,
            },
            count: None,
        };
        let mut entries = Vec::new();
        if !kernel.params.is_empty() {
            entries.push(entry(0, wgpu::BufferBindingType::Uniform, false));
        }
        for Binding(index, access) in kernel.bindings {
            let ty = match access {
                Access::Read => wgpu::BufferBindingType::Storage { read_only: true },
                Access::Write => wgpu::BufferBindingType::Storage { read_only: false },
                Access::Step => wgpu::BufferBindingType::Uniform,
            };
            entries.push(entry(*index, ty, *access == Access::Step));
        }
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(&label),
            entries: &entries,
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(&label),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&label),
            layout: Some(&pipeline_layout),
            module,
            entry_point: Some(kernel.entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants,
                ..Default::default()
            },
            cache: None,
        });
        Self { pipeline, layout }
    }
}
