//! Buffers that give their memory back with their last handle.

use std::ops::Deref;
use std::sync::Arc;

/// A buffer on the device. With the last handle it is destroyed, once what was submitted is done: a browser would
/// otherwise keep its memory until it next collects garbage, which a tab that holds little besides seldom gives it reason to.
#[derive(Debug, Clone)]
pub struct Buffer(Arc<Owned>);

#[derive(Debug)]
struct Owned(wgpu::Buffer);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.destroy();
    }
}

impl Deref for Buffer {
    type Target = wgpu::Buffer;

    fn deref(&self) -> &wgpu::Buffer {
        &self.0.0
    }
}

/// What storage is used for: kernels read and write it, the host too.
pub(super) const STORAGE: wgpu::BufferUsages = wgpu::BufferUsages::STORAGE
    .union(wgpu::BufferUsages::COPY_SRC)
    .union(wgpu::BufferUsages::COPY_DST);
/// What uniforms are used for.
pub(super) const UNIFORM: wgpu::BufferUsages =
    wgpu::BufferUsages::UNIFORM.union(wgpu::BufferUsages::COPY_DST);

impl Buffer {
    #[allow(
        clippy::arc_with_non_send_sync,
        reason = "a buffer is not sent in a browser, which has one thread for it"
    )]
    pub(super) fn new(buffer: wgpu::Buffer) -> Self {
        Self(Arc::new(Owned(buffer)))
    }
}
