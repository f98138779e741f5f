//! probe
pub(crate) static KERNELS: &[&crate::gpu::Kernel] = &[];
