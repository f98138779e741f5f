//! What the kernels of the search share.

use crate::gpu::uniform_struct;

/// The fragment that the searches share.
pub(super) const SEARCHES: (&str, &str) = (
    "lib/search.wgsl",
    include_str!("../../../shaders/lib/search.wgsl"),
);

uniform_struct! {
    /// Uniform of all entry points.
    pub(super) struct Params {
        count: u32,
        features: u32,
        codes: u32,
        positions: u32,
        first: u32,
        end: u32,
    }
}
