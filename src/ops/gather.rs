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

/// What a step of a byte is.
fn scale((low, high): (f32, f32)) -> f32 {
    (high - low) / 255.0
}

/// Bytes as values between those of a black and a white pixel, as the kernel makes them.
#[must_use]
pub fn to_values(pixels: &[u8], range: (f32, f32)) -> Vec<f32> {
    let value = |p: &u8| scale(range) * f32::from(*p) + range.0;
    pixels.iter().map(value).collect()
}

/// The way back, to the nearest byte.
#[must_use]
pub fn to_bytes(values: &[f32], (low, high): (f32, f32)) -> Vec<u8> {
    let byte = |v: &f32| (255.0 * (v - low) / (high - low)).round().clamp(0.0, 255.0) as u8;
    values.iter().map(byte).collect()
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
            scale: scale(range),
            shift: range.0,
        };
        let tensors = [page.images, order, out];
        rec.dispatch(&GATHER, &params, &tensors, shape[0] * pixels / 4);
    }
    Ok(out)
}
