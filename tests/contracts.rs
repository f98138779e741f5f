//! Every shader parses, validates with WebGPU's baseline capabilities, and agrees with its Rust
//! side. No GPU is needed.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "contracts/constants.rs"]
mod constants;

use std::collections::{BTreeMap, BTreeSet};

use naga::back::pipeline_constants::process_overrides;
use naga::back::{PipelineConstants, hlsl, msl, spv};
use naga::valid::{Capabilities, GlobalUse, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, Scalar, ScalarKind, ShaderStage, StorageAccess, TypeInner};
use semivq::gpu::{
    Access, Binding, Field, Init, Kernel, ParameterLayout, Recorder, Shader, Traits,
};
use semivq::kernels;
use semivq::ops::conv2d::{Conv2dOptions, conv2d, upsample_conv2d};
use semivq::ops::linear::linear_without_bias;
use semivq::quant::Vectors;
use semivq::quant::codebook::search::search;

struct Checked {
    shader: &'static Shader,
    module: Module,
    info: ModuleInfo,
}

/// Each shader once, parsed and validated.
fn shaders() -> Vec<Checked> {
    let mut by_name: BTreeMap<&str, &'static Shader> = BTreeMap::new();
    for kernel in kernels::all() {
        by_name.insert(kernel.shader.name, kernel.shader);
    }
    let check = |shader: &'static Shader| {
        let text = shader.text();
        let module = naga::front::wgsl::parse_str(&text).unwrap_or_else(|error| {
            let message = error.emit_to_string(&text);
            panic!("{}: {}", shader.name, shader.locate_errors(&message))
        });
        let mut validator = Validator::new(ValidationFlags::all(), Capabilities::empty());
        let info = validator
            .validate(&module)
            .unwrap_or_else(|error| panic!("{}: {}", shader.name, error.emit_to_string(&text)));
        Checked {
            shader,
            module,
            info,
        }
    };
    by_name.into_values().map(check).collect()
}

fn kernels_of(shader: &Shader) -> Vec<&'static Kernel> {
    kernels::all()
        .into_iter()
        .filter(|k| k.shader.name == shader.name)
        .collect()
}

/// Names of the files under `shaders/`.
fn files(folder: &str) -> BTreeSet<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(path).unwrap().map(|e| e.unwrap().path());
    let wgsl = entries.filter(|p| p.extension().is_some_and(|e| e == "wgsl"));
    wgsl.map(|p| p.file_stem().unwrap().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn every_file_is_a_shader_of_some_kernel_and_every_entry_point_has_one() {
    let checked = shaders();
    let names: BTreeSet<String> = checked.iter().map(|c| c.shader.name.to_owned()).collect();
    assert_eq!(names, files("shaders"));
    for c in &checked {
        let entries: BTreeSet<&str> = c
            .module
            .entry_points
            .iter()
            .map(|e| e.name.as_str())
            .collect();
        let kernels: BTreeSet<&str> = kernels_of(c.shader).iter().map(|k| k.entry).collect();
        assert_eq!(entries, kernels, "{}", c.shader.name);
    }
}

#[test]
fn every_fragment_is_used() {
    let used: BTreeSet<String> = shaders()
        .iter()
        .flat_map(|c| c.shader.fragments)
        .map(|(file, _)| {
            file.trim_start_matches("lib/")
                .trim_end_matches(".wgsl")
                .to_owned()
        })
        .collect();
    assert_eq!(used, files("shaders/lib"));
}

#[test]
fn workgroup_sizes_agree_and_stay_within_the_default_limits() {
    for c in shaders() {
        for kernel in kernels_of(c.shader) {
            let entry = c
                .module
                .entry_points
                .iter()
                .find(|e| e.name == kernel.entry)
                .unwrap();
            assert_eq!(entry.workgroup_size, kernel.workgroup, "{}", kernel.label());
            assert!(kernel.invocations() <= 256, "{}", kernel.label());
        }
    }
}

#[test]
fn bindings_agree_and_stay_within_the_default_limits() {
    for c in shaders() {
        for kernel in kernels_of(c.shader) {
            let at = c
                .module
                .entry_points
                .iter()
                .position(|e| e.name == kernel.entry)
                .unwrap();
            let info = c.info.get_entry_point(at);
            let mut used = BTreeMap::new();
            let mut shared_memory = 0;
            for (handle, variable) in c.module.global_variables.iter() {
                if info[handle] == GlobalUse::empty() {
                    continue;
                }
                if variable.space == AddressSpace::WorkGroup {
                    shared_memory += c.module.types[variable.ty].inner.size(c.module.to_ctx());
                }
                if let Some(binding) = &variable.binding {
                    assert_eq!(binding.group, 0);
                    used.insert(binding.binding, variable.space);
                }
            }
            assert!(
                shared_memory <= 16 * 1024,
                "{}: {shared_memory} bytes",
                kernel.label()
            );
            let mut wanted = BTreeMap::new();
            if !kernel.params.is_empty() {
                wanted.insert(0, AddressSpace::Uniform);
            }
            for Binding(index, access) in kernel.bindings {
                let space = match access {
                    Access::Read => AddressSpace::Storage {
                        access: StorageAccess::LOAD,
                    },
                    Access::Write => AddressSpace::Storage {
                        access: StorageAccess::LOAD | StorageAccess::STORE,
                    },
                    Access::Step => AddressSpace::Uniform,
                };
                wanted.insert(*index, space);
            }
            assert_eq!(used, wanted, "{}", kernel.label());
            let storage = kernel
                .bindings
                .iter()
                .filter(|b| b.1 != Access::Step)
                .count();
            assert!(
                storage <= 8,
                "{} binds {storage} storage buffers",
                kernel.label()
            );
        }
    }
}

/// Name, offset and type of each member of the struct behind the uniform at `binding`.
fn uniform(module: &Module, binding: u32) -> Option<Vec<(String, usize, &'static str)>> {
    let mut variables = module.global_variables.iter().map(|(_, v)| v);
    let variable = variables.find(|v| {
        v.space == AddressSpace::Uniform && v.binding.as_ref().is_some_and(|b| b.binding == binding)
    })?;
    let TypeInner::Struct { members, .. } = &module.types[variable.ty].inner else {
        panic!("uniform {binding} is no struct");
    };
    let describe = |m: &naga::StructMember| {
        let ty = match module.types[m.ty].inner {
            TypeInner::Scalar(Scalar {
                kind: ScalarKind::Uint,
                width: 4,
            }) => "u32",
            TypeInner::Scalar(Scalar {
                kind: ScalarKind::Float,
                width: 4,
            }) => "f32",
            ref other => panic!("{:?} has type {other:?}", m.name),
        };
        (m.name.clone().unwrap_or_default(), m.offset as usize, ty)
    };
    Some(members.iter().map(describe).collect())
}

fn table(fields: &[Field]) -> Vec<(String, usize, &'static str)> {
    fields
        .iter()
        .map(|f| (f.name.to_owned(), f.offset, f.ty))
        .collect()
}

#[test]
fn uniform_structs_agree_field_by_field() {
    for c in shaders() {
        for kernel in kernels_of(c.shader) {
            if !kernel.params.is_empty() {
                assert_eq!(
                    uniform(&c.module, 0),
                    Some(table(kernel.params)),
                    "{}",
                    kernel.label()
                );
            }
            if kernel.bindings.iter().any(|b| b.1 == Access::Step) {
                let slots = c.shader.step.iter().enumerate();
                let step = slots.map(|(i, s)| (s.name.to_owned(), 4 * i, s.ty));
                let step = step.collect();
                assert_eq!(uniform(&c.module, 15), Some(step), "{}", kernel.label());
            }
        }
    }
}

/// Metal, DX12 and Vulkan get what naga makes of a shader, with the options that wgpu gives it. What
/// their own compilers say of it is seen only where they are.
#[test]
fn every_entry_point_translates_to_msl_hlsl_and_spirv() {
    let metal = msl::Options {
        lang_version: (2, 0),
        ..msl::Options::default()
    };
    let dx12 = hlsl::Options::default();
    let vulkan = spv::Options::default();
    for c in shaders() {
        // Images of one pixel, the default, are none that every kernel is for.
        let mut sizes = PipelineConstants::default();
        let names = c
            .module
            .overrides
            .iter()
            .filter_map(|(_, o)| o.name.clone());
        for name in names.filter(|n| n.ends_with("HEIGHT") || n.ends_with("WIDTH")) {
            sizes.insert(name, 8.0);
        }
        for kernel in kernels_of(c.shader) {
            let label = kernel.label();
            let entry = Some((ShaderStage::Compute, kernel.entry));
            let (module, info) = process_overrides(&c.module, &c.info, entry, &sizes)
                .unwrap_or_else(|e| panic!("{label}: {e}"));
            let named = || Some((ShaderStage::Compute, kernel.entry.to_owned()));

            let options = msl::PipelineOptions {
                entry_point: named(),
                ..msl::PipelineOptions::default()
            };
            let (text, written) = msl::write_string(&module, &info, &metal, &options)
                .unwrap_or_else(|e| panic!("{label}, MSL: {e}"));
            let name = written.entry_point_names[0].as_ref();
            let name = name.unwrap_or_else(|e| panic!("{label}, MSL: {e}"));
            assert!(text.contains(&format!("kernel void {name}")), "{label}");

            let options = hlsl::PipelineOptions {
                entry_point: named(),
            };
            let mut text = String::new();
            let written = hlsl::Writer::new(&mut text, &dx12, &options)
                .write(&module, &info, None)
                .unwrap_or_else(|e| panic!("{label}, HLSL: {e}"));
            let name = written.entry_point_names[0].as_ref();
            let name = name.unwrap_or_else(|e| panic!("{label}, HLSL: {e}"));
            assert!(text.contains(&format!("void {name}(")), "{label}");

            let options = spv::PipelineOptions {
                shader_stage: ShaderStage::Compute,
                entry_point: kernel.entry.to_owned(),
            };
            let words = spv::write_vec(&module, &info, &vulkan, Some(&options))
                .unwrap_or_else(|e| panic!("{label}, SPIR-V: {e}"));
            assert_eq!(words[0], 0x0723_0203, "{label}");
        }
    }
}

#[test]
fn positions_in_errors_name_the_file_they_came_from() {
    let conv = kernels::all()
        .into_iter()
        .find(|k| k.shader.name == "conv2d")
        .unwrap()
        .shader;
    let line = 1 + conv
        .text()
        .lines()
        .position(|l| l.starts_with("fn forward_3x3"))
        .unwrap();
    let (file, at) = conv.locate(line);
    assert_eq!(file, "shaders/conv2d.wgsl");
    assert!(
        conv.source
            .lines()
            .nth(at - 1)
            .unwrap()
            .starts_with("fn forward_3x3")
    );
    assert_eq!(conv.locate(1), ("shaders/lib/grid.wgsl".to_owned(), 1));
    let message = format!("error at wgsl:{line}:4 here");
    assert_eq!(
        conv.locate_errors(&message),
        format!("error at shaders/conv2d.wgsl:{at}:4 here")
    );
}

/// Every candidate can be forced, and then records the kernel that it is named after.
#[test]
fn candidates_are_named_after_their_kernels_and_can_be_forced() {
    let labels: Vec<String> = kernels::all().iter().map(|k| k.label()).collect();
    for candidate in kernels::candidates().concat() {
        assert!(
            labels.iter().any(|l| l == candidate.name),
            "{} is no kernel",
            candidate.name
        );
        let mut layout = ParameterLayout::default();
        let mut rec = Recorder::new(&mut layout, true).with_traits(Traits {
            forced: vec![candidate.name],
            ..Traits::default()
        });
        let x = rec.input("x", &[2, 16, 8, 8]);
        let w = rec
            .parameter("w", &[16, 16, 3, 3], Init::Constant(0.0))
            .unwrap();
        let bias = rec.parameter("bias", &[16], Init::Constant(0.0)).unwrap();
        let y = conv2d(&mut rec, x, w, Some(bias), Conv2dOptions::SAME_3X3).unwrap();
        let y = upsample_conv2d(&mut rec, y, w, Some(bias)).unwrap();
        let gradient = rec.input("gradient", &[2, 16, 16, 16]);
        rec.seed_gradient(y, gradient);
        rec.backward().unwrap();
        let codebook = rec.input("codebook", &[8, 16]);
        let vectors = Vectors {
            outer: 2,
            features: 16,
            positions: 64,
        };
        search(&mut rec, x, &vectors, codebook);
        linear_without_bias(&mut rec, codebook, codebook).unwrap();
        let taken = rec
            .dispatches()
            .iter()
            .any(|d| d.kernel().label() == candidate.name);
        assert!(taken, "{} was not taken", candidate.name);
    }
}
