//! The batch of a step: images of the resident data set (bytes), normalised to floats.
//!
//! images `[n, P]` bytes, in one or more pages, order `[n]` (a permutation), out `[B, C, H, W]`, `P = C H W`:
//!
//! ```text
//! out[b, p] = scale * images[order[batch_start + b], q] + shift
//! ```
//!
//! `q` is `p`; where images are flipped ([`gather_flipped`]) and a random bit of (seed, step, `epoch_start + b`) is
//! set, it is the pixel opposite to `p` in its row.
//!
//! Each page has a dispatch, which writes the images that are its own.
//! `batch_start` (the batch's place in `order`) and `epoch_start` (its place in the epoch, which is the same
//! however the images come to the device) are part of the step's uniform. There is no gradient.

use crate::error::{Result, ShapeError};
use crate::gpu::{GRID, RANDOM, Recorder, Var, kernels, uniform_struct};
use crate::rng::{self, Stream};

uniform_struct! {
    /// Uniform of the kernel.
    struct Params {
        batch: u32,
        words: u32,
        first: u32,
        count: u32,
        scale: f32,
        shift: f32,
        width: u32,
        flip: u32,
        stream: u32,
    }
}

kernels! {
    "gather", [GRID, RANDOM],
    step [batch_start: u32, epoch_start: u32, step: u32, seed_low: u32, seed_high: u32];
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
    record(rec, pages, order, shape, range, false)
}

/// As [`gather`], every image flipped left to right with a chance of one half, anew in each step.
///
/// # Errors
/// As [`gather`].
pub fn gather_flipped(
    rec: &mut Recorder<'_>,
    pages: &[Page],
    order: Var,
    shape: &[usize],
    range: (f32, f32),
) -> Result<Var> {
    record(rec, pages, order, shape, range, true)
}

/// Whether the image at `place` of its epoch is flipped in `step` (from 1): what [`gather_flipped`] does.
#[must_use]
pub fn is_flipped(seed: u64, step: u32, place: u32) -> bool {
    let stream = Stream::at_step(seed, stream(), step);
    stream.words(place)[0] >> 31 == 1
}

/// The random numbers that say what is flipped.
fn stream() -> u32 {
    rng::number_of("flips")
}

fn record(
    rec: &mut Recorder<'_>,
    pages: &[Page],
    order: Var,
    shape: &[usize],
    range: (f32, f32),
    flip: bool,
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
            width: shape[3] as u32,
            flip: flip.into(),
            stream: stream(),
        };
        let tensors = [page.images, order, out];
        rec.dispatch(&GATHER, &params, &tensors, shape[0] * pixels / 4);
    }
    Ok(out)
}
