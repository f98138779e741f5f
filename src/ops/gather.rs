//! The batch of a step: images of the resident data set (bytes), normalised to floats.
//!
//! images `[n, P]` bytes, in one or more pages, order `[n]` (a permutation), out `[B, C, H, W]`, `P = C H W`:
//!
//! ```text
//! out[b, p] = scale * images[order[batch_start + b], p] + shift
//! ```
//!
//! Each page has a dispatch, which writes the images that are its own.
//! `batch_start` is part of the step's uniform. There is no gradient.

use crate::error::{Result, ShapeError};
use crate::gpu::{GRID, Recorder, Var, kernels, uniform_struct};

uniform_struct! {
    /// Uniform of the kernel.
    struct Params {
        batch: u32,
        words: u32,
        first: u32,
        count: u32,
        scale: f32,
        shift: f32,
    }
}

kernels! {
    "gather", [GRID], step [batch_start: u32];
    GATHER = "gather", 64, Params::FIELDS, [Read 1, Read 2, Write 3, Step 15];
}

/// Images that lie in one buffer.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Their bytes, four a word `[count P / 4]`.
    pub images: Var,
    /// Place in the data set of the first one.
    pub first: usize,
    /// How many they are.
    pub count: usize,
}

/// Records the batch `shape` `[B, C, H, W]` with pixels from `range.0` (byte 0) to `range.1`
/// (byte 255); together the `pages` hold all images that `order` names.
///
/// # Errors
/// [`ShapeError`] when an image is not a multiple of four bytes.
pub fn gather(
    rec: &mut Recorder<'_>,
    pages: &[Page],
    order: Var,
    shape: &[usize],
    range: (f32, f32),
) -> Result<Var> {
    let pixels: usize = shape[1..].iter().product();
    if !pixels.is_multiple_of(4) {
        let message =
            format!("an image must have a multiple of 4 values, not {pixels} ({shape:?})");
        return Err(ShapeError::new("gather", message).into());
    }
    let out = rec.temporary("images", shape);
    rec.keep(out);
    for page in pages {
        let params = Params {
            batch: shape[0] as u32,
            words: (pixels / 4) as u32,
            first: page.first as u32,
            count: page.count as u32,
            scale: (range.1 - range.0) / 255.0,
            shift: range.0,
        };
        let tensors = [page.images, order, out];
        rec.dispatch(&GATHER, &params, &tensors, shape[0] * pixels / 4);
    }
    Ok(out)
}
