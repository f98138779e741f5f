//! Structural similarity of images (Wang, Bovik, Sheikh and Simoncelli 2004), as scikit-image's
//! `structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)`.
//!
//! m, v, c are mean, variance and covariance under a Gaussian window of 11 x 11 pixels (sigma 1.5), at each place where
//! the window fits into the image; R is the range of the pixels:
//!
//! ```text
//! ssim = (2 m_x m_y + C1) (2 c_xy + C2) / ((m_x^2 + m_y^2 + C1) (v_x + v_y + C2))
//! C1 = (0.01 R)^2        C2 = (0.03 R)^2
//! ```
//!
//! The figure is its mean over places, channels and images. It is a figure, no loss: there is no gradient.

use crate::error::{Result, ShapeError};
use crate::gpu::{GRID, NUMBER, REDUCE, Recorder, Var, kernels, uniform_struct};

/// Side of the window.
pub const WINDOW: usize = 11;

/// Deviation of its Gaussian, in pixels.
const SIGMA: f64 = 1.5;

uniform_struct! {
    /// Uniform of the kernel.
    struct Params {
        count: u32,
        parts: u32,
        height: u32,
        width: u32,
        c1: f32,
        c2: f32,
    }
}

kernels! {
    "ssim", [GRID, NUMBER, REDUCE];
    FORWARD = "forward", 256, Params::FIELDS, [Read 1, Read 2, Write 3];
}

/// The constants C1 and C2 of pixels whose range is `range` wide.
fn constants(range: f64) -> [f64; 2] {
    [0.01, 0.03].map(|k| (k * range) * (k * range))
}

/// Whether the window fits into images of `shape` `[B, C, H, W]`.
#[must_use]
pub fn fits(shape: &[usize]) -> bool {
    matches!(shape, [_, _, h, w] if *h >= WINDOW && *w >= WINDOW)
}

/// Records the mean similarity of `x` and `y` `[B, C, H, W]`, pixels in a range `range` wide, as a scalar called `name`.
///
/// # Errors
/// [`ShapeError`] when the shapes differ or the window does not fit.
pub fn ssim(rec: &mut Recorder<'_>, name: &str, x: Var, y: Var, range: f32) -> Result<Var> {
    let shape = rec.shape(x).to_vec();
    if shape != rec.shape(y) || !fits(&shape) {
        let message = format!(
            "x {shape:?} and y {:?} must be images of one shape, at least {WINDOW} x {WINDOW}",
            rec.shape(y)
        );
        return Err(ShapeError::new("ssim", message).into());
    }
    let [images, channels, height, width] = [shape[0], shape[1], shape[2], shape[3]];
    let places = images * channels * (height - WINDOW + 1) * (width - WINDOW + 1);
    let groups = places.div_ceil(256);
    let [c1, c2] = constants(f64::from(range));
    let params = Params {
        count: places as u32,
        parts: groups as u32,
        height: height as u32,
        width: width as u32,
        c1: c1 as f32,
        c2: c2 as f32,
    };
    let parts = rec.temporary("ssim parts", &[groups]);
    rec.dispatch_per_group(&FORWARD, &params, &[x, y, parts], groups)
        .flops(places * WINDOW * WINDOW * 14);
    Ok(super::sum::sum(rec, name, parts, 1.0 / places as f32))
}

/// The same as plain loops, deliberately naive: what the kernel is tested against.
#[must_use]
pub fn reference(x: &[f64], y: &[f64], [height, width]: [usize; 2], range: f64) -> f64 {
    let line = |i: usize| (-0.5 * ((i as f64 - 5.0) / SIGMA).powi(2)).exp();
    let total: f64 = (0..WINDOW).map(line).sum();
    let weight = |i: usize, j: usize| line(i) * line(j) / (total * total);
    let [c1, c2] = constants(range);
    let (mut sum, mut places) = (0.0, 0);
    for (x, y) in x
        .chunks_exact(height * width)
        .zip(y.chunks_exact(height * width))
    {
        for top in 0..=height - WINDOW {
            for left in 0..=width - WINDOW {
                let window = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
                    let mut all = 0.0;
                    for i in 0..WINDOW {
                        for j in 0..WINDOW {
                            let at = (top + i) * width + left + j;
                            all += weight(i, j) * f(x[at], y[at]);
                        }
                    }
                    all
                };
                let (mx, my) = (window(&|x, _| x), window(&|_, y| y));
                let vx = window(&|x, _| (x - mx) * (x - mx));
                let vy = window(&|_, y| (y - my) * (y - my));
                let both = window(&|x, y| (x - mx) * (y - my));
                sum += (2.0 * mx * my + c1) * (2.0 * both + c2)
                    / ((mx * mx + my * my + c1) * (vx + vy + c2));
                places += 1;
            }
        }
    }
    sum / f64::from(places)
}
