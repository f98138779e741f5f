//! 2-D convolution (cross-correlation, as in PyTorch), any square kernel, stride and padding.
//!
//! x `[B, C, H, L]`, w `[O, C, K, K]`, bias `[O]`, y `[B, O, I, J]`, `I = (H + 2P - K) / S + 1`:
//!
//! ```text
//! y[b,o,i,j]      = bias[o] + sum_{c,u,v} w[o,c,u,v] x[b,c, iS+u-P, jS+v-P]
//! grad_x[b,c,h,l] = sum_{o,u,v} w[o,c,u,v] grad_y[b,o,i,j]   where iS+u-P = h, jS+v-P = l
//! grad_w[o,c,u,v] = sum_{b,i,j} grad_y[b,o,i,j] x[b,c, iS+u-P, jS+v-P]
//! grad_bias[o]    = sum_{b,i,j} grad_y[b,o,i,j]
//! ```
//!
//! With upsampling by U in front, x is `[B, C, H/U, L/U]` and the formulas see
//! `x[b,c, h/U, l/U]`; grad_x is the sum over the U by U pixels that were one.
//!
//! All gradients are assigned. Those of w and bias are in [`super::conv2d_weight`]; adapters that run on a
//! CPU get wider tiles.

use super::reference::{Real, Reference};
use crate::error::{Result, ShapeError};
use crate::gpu::{
    Candidate, CandidateInfo, GRID, Kernel, Recorder, Var, infos, kernels, uniform_struct,
};

/// Kernel size, stride and padding of a square kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2dOptions {
    /// K
    pub kernel: usize,
    /// S
    pub stride: usize,
    /// P, zeros on every side
    pub padding: usize,
}

impl Conv2dOptions {
    /// Kernel 3, stride 1, padding 1: the size stays.
    pub const SAME_3X3: Self = Self {
        kernel: 3,
        stride: 1,
        padding: 1,
    };
}

/// The shape contract.
#[derive(Debug, Clone, Copy)]
pub struct Conv2d {
    pub(super) options: Conv2dOptions,
    pub(super) batch: usize,
    pub(super) in_channels: usize,
    in_size: [usize; 2],
    pub(super) out_channels: usize,
    pub(super) out_size: [usize; 2],
    pub(super) upsample: usize,
}

impl Conv2d {
    /// Checks `x` `[B, C, H, L]` against `w` `[O, C, K, K]`.
    ///
    /// # Errors
    /// [`ShapeError`] when they do not fit or the output would be empty.
    pub fn new(x: &[usize], w: &[usize], options: Conv2dOptions) -> Result<Self, ShapeError> {
        let fail = |message: String| Err(ShapeError::new("conv2d", message));
        let Conv2dOptions {
            kernel,
            stride,
            padding,
        } = options;
        let (&[batch, in_channels, height, width], &[out_channels, c, ku, kv]) = (x, w) else {
            return fail(format!(
                "x must be [B, C, H, W] and w [O, C, K, K], not {x:?} and {w:?}"
            ));
        };
        if c != in_channels || ku != kernel || kv != kernel {
            return fail(format!("w {w:?} does not fit x {x:?} and kernel {kernel}"));
        }
        if stride == 0 || kernel == 0 || padding >= kernel {
            return fail(format!(
                "needs stride > 0 and kernel > padding, not {options:?}"
            ));
        }
        if height + 2 * padding < kernel || width + 2 * padding < kernel {
            return fail(format!("x {x:?} is smaller than the kernel {kernel}"));
        }
        let out = |n: usize| (n + 2 * padding - kernel) / stride + 1;
        Ok(Self {
            options,
            batch,
            in_channels,
            in_size: [height, width],
            out_channels,
            out_size: [out(height), out(width)],
            upsample: 1,
        })
    }

    /// The convolution (3 by 3, stride 1, padding 1) of `x` `[B, C, H, L]` after nearest
    /// upsampling by two.
    ///
    /// # Errors
    /// [`ShapeError`] when they do not fit.
    pub fn after_upsampling(x: &[usize], w: &[usize]) -> Result<Self, ShapeError> {
        let &[batch, channels, height, width] = x else {
            let message = format!("x must be [B, C, H, W], not {x:?}");
            return Err(ShapeError::new("upsample_conv2d", message));
        };
        let large = [batch, channels, 2 * height, 2 * width];
        Ok(Self {
            upsample: 2,
            ..Self::new(&large, w, Conv2dOptions::SAME_3X3)?
        })
    }

    /// `[B, O, I, J]`
    #[must_use]
    pub fn output_shape(&self) -> [usize; 4] {
        [
            self.batch,
            self.out_channels,
            self.out_size[0],
            self.out_size[1],
        ]
    }

    pub(super) fn macs(&self) -> usize {
        let [b, o, i, j] = self.output_shape();
        b * o * i * j * self.in_channels * self.options.kernel.pow(2)
    }
}

uniform_struct! {
    /// Uniform of all entry points.
    pub(super) struct Params {
        batch: u32,
        in_channels: u32,
        in_height: u32,
        in_width: u32,
        out_channels: u32,
        out_height: u32,
        out_width: u32,
        stride: u32,
        padding: u32,
        w_out: u32,
        w_in: u32,
        flip: u32,
        has_bias: u32,
        chunks: u32,
        lanes: u32,
    }
}

kernels! {
    "conv2d", [GRID, CONV2D];
    FORWARD = "forward", 64, Params::FIELDS, [Read 1, Read 2, Read 3, Write 4];
    FORWARD_3X3 = "forward_3x3", 64, Params::FIELDS, [Read 1, Read 2, Read 3, Write 4];
    FORWARD_3X3_WIDE = "forward_3x3_wide", 64, Params::FIELDS, [Read 1, Read 2, Read 3, Write 4];
    BACKWARD_INPUT = "backward_input", 64, Params::FIELDS, [Read 2, Read 5, Write 6];
}

/// The fragment that both files of the convolution share.
pub(super) const CONV2D: (&str, &str) = (
    "lib/conv2d.wgsl",
    include_str!("../../shaders/lib/conv2d.wgsl"),
);

/// Threads of every workgroup of the convolution.
pub(crate) const THREADS: usize = 64;
/// Output channels of a thread.
pub(crate) const OCTET: usize = 8;

/// What the choice of a forward kernel depends on.
struct Form {
    is_3x3: bool,
    /// Two by two pixels are added up before they are stored.
    adds_up: bool,
    width: usize,
    /// The fewer of both sides.
    channels: usize,
}

/// A kernel, and the rows and columns of output pixels of a thread.
#[derive(Debug, Clone, Copy)]
struct Tiling {
    kernel: &'static Kernel,
    tile: [usize; 2],
}

static FORWARDS: [Candidate<Form, Tiling>; 3] = [
    Candidate {
        info: CandidateInfo::plain("conv2d::forward_3x3_wide"),
        can: |form| form.is_3x3,
        // A large kernel to compile, so only where there is much to compute.
        suits: |traits, form| traits.software && form.width > 4 && form.channels >= 8,
        way: Tiling {
            kernel: &FORWARD_3X3_WIDE,
            tile: [4, 8],
        },
    },
    Candidate {
        info: CandidateInfo::plain("conv2d::forward_3x3"),
        can: |form| form.is_3x3,
        suits: |_, _| true,
        way: Tiling {
            kernel: &FORWARD_3X3,
            tile: [4, 4],
        },
    },
    Candidate {
        info: CandidateInfo::plain("conv2d::forward"),
        can: |form| !form.adds_up,
        suits: |_, _| true,
        way: Tiling {
            kernel: &FORWARD,
            tile: [1, 4],
        },
    },
];
infos!(FORWARDS);

impl Conv2d {
    pub(super) fn params(&self) -> Params {
        let taps = self.options.kernel.pow(2);
        Params {
            batch: self.batch as u32,
            in_channels: self.in_channels as u32,
            in_height: self.in_size[0] as u32,
            in_width: self.in_size[1] as u32,
            out_channels: self.out_channels as u32,
            out_height: self.out_size[0] as u32,
            out_width: self.out_size[1] as u32,
            stride: self.options.stride as u32,
            padding: self.options.padding as u32,
            w_out: (self.in_channels * taps) as u32,
            w_in: taps as u32,
            ..Params::default()
        }
    }

    /// The convolution that runs backward to the input at stride 1: channels and sizes exchanged,
    /// the kernel flipped.
    fn mirrored(&self) -> Params {
        let p = self.params();
        Params {
            in_channels: p.out_channels,
            in_height: p.out_height,
            in_width: p.out_width,
            out_channels: p.in_channels,
            out_height: p.in_height,
            out_width: p.in_width,
            padding: (self.options.kernel - 1 - self.options.padding) as u32,
            w_out: p.w_in,
            w_in: p.w_out,
            flip: 1,
            ..p
        }
    }

    pub(super) fn constants(&self, p: &Params) -> [(&'static str, f64); 4] {
        [
            ("K", self.options.kernel as f64),
            ("TILE", f64::from(p.out_channels.min(OCTET as u32))),
            ("HEIGHT", f64::from(p.out_height)),
            ("WIDTH", f64::from(p.out_width)),
        ]
    }

    pub(super) fn is_3x3(&self) -> bool {
        self.options.kernel == 3 && self.options.stride == 1
    }

    pub(super) fn is_upsampled(&self) -> bool {
        self.upsample == 2
    }

    /// Records `y = conv(x, w) + bias`.
    pub fn forward(&self, rec: &mut Recorder<'_>, y: Var, x: Var, w: Var, bias: Option<Var>) {
        let up = (self.upsample == 2).then_some(("UP", 2.0));
        self.convolve(rec, self.params(), up, [x, w, y], bias);
    }

    fn convolve(
        &self,
        rec: &mut Recorder<'_>,
        mut p: Params,
        scaling: Option<(&'static str, f64)>,
        [from, w, to]: [Var; 3],
        bias: Option<Var>,
    ) {
        p.has_bias = u32::from(bias.is_some());
        let (height, width) = (p.out_height as usize, p.out_width as usize);
        let form = Form {
            is_3x3: self.is_3x3(),
            adds_up: scaling.is_some_and(|(name, _)| name == "DOWN"),
            width,
            channels: p.in_channels.min(p.out_channels) as usize,
        };
        let Tiling { kernel, tile } = rec.traits().choose(&FORWARDS, &form).way;
        let items = self.batch * height.div_ceil(tile[0]) * width.div_ceil(tile[1]);
        let groups = items.div_ceil(THREADS);
        let fold = groups.div_ceil(65_535);
        let channels = p.out_channels as usize;
        let grid = [groups.div_ceil(fold), channels.div_ceil(OCTET), fold].map(|n| n as u32);
        rec.dispatch_groups(kernel, &p, &[from, w, bias.unwrap_or(w), to], grid)
            .constants(&[&self.constants(&p)[..], scaling.as_slice()].concat())
            .flops(2 * self.macs());
    }

    /// Records `grad_x` from `grad_y`.
    pub fn backward_input(&self, rec: &mut Recorder<'_>, grad_x: Var, grad_y: Var, w: Var) {
        if self.options.stride == 1 {
            let down = (self.upsample == 2).then_some(("DOWN", 1.0));
            return self.convolve(rec, self.mirrored(), down, [grad_y, w, grad_x], None);
        }
        let items = self.batch * self.in_channels * self.in_size[0] * self.in_size[1];
        rec.dispatch(&BACKWARD_INPUT, &self.params(), &[w, grad_y, grad_x], items)
            .constants(&self.constants(&self.params()))
            .flops(2 * self.macs());
    }
}

/// Convolves `x` `[B, C, H, L]` with `w` `[O, C, K, K]`.
///
/// # Errors
/// [`ShapeError`], see [`Conv2d::new`].
pub fn conv2d(
    rec: &mut Recorder<'_>,
    x: Var,
    w: Var,
    bias: Option<Var>,
    options: Conv2dOptions,
) -> Result<Var> {
    let op = Conv2d::new(rec.shape(x), rec.shape(w), options)?;
    Ok(op.apply(rec, x, w, bias))
}

/// Upsamples `x` `[B, C, H, L]` by two (nearest), then convolves it with `w` `[O, C, 3, 3]`,
/// padding 1, to `[B, O, 2H, 2L]`; the large image in between is never stored.
///
/// # Errors
/// [`ShapeError`], see [`Conv2d::after_upsampling`].
pub fn upsample_conv2d(rec: &mut Recorder<'_>, x: Var, w: Var, bias: Option<Var>) -> Result<Var> {
    let op = Conv2d::after_upsampling(rec.shape(x), rec.shape(w))?;
    Ok(op.apply(rec, x, w, bias))
}

impl Conv2d {
    fn apply(self, rec: &mut Recorder<'_>, x: Var, w: Var, bias: Option<Var>) -> Var {
        let y = rec.temporary("conv2d", &self.output_shape());
        self.forward(rec, y, x, w, bias);
        let mut inputs = vec![x, w];
        inputs.extend(bias);
        rec.on_backward(y, &inputs, move |rec, grad_y| {
            rec.contribute_always(w, |rec, grad_w| {
                let Some(bias) = bias else {
                    self.backward_weight(rec, grad_w, None, grad_y, x);
                    return Ok(());
                };
                rec.contribute_always(bias, |rec, grad_bias| {
                    self.backward_weight(rec, grad_w, Some(grad_bias), grad_y, x);
                    Ok(())
                })
            })?;
            rec.contribute(x, |rec, grad_x| {
                self.backward_input(rec, grad_x, grad_y, w);
                Ok(())
            })
        });
        y
    }
}

impl Conv2d {
    /// Calls `f(y index, x index, w index)` for every product of the sum.
    fn each_product(&self, mut f: impl FnMut(usize, usize, usize)) {
        let [batch, out_channels, out_height, out_width] = self.output_shape();
        let [in_height, in_width] = self.in_size;
        let up = self.upsample;
        let Conv2dOptions {
            kernel,
            stride,
            padding,
        } = self.options;
        for b in 0..batch {
            for o in 0..out_channels {
                for i in 0..out_height {
                    for j in 0..out_width {
                        for c in 0..self.in_channels {
                            for u in 0..kernel {
                                for v in 0..kernel {
                                    let (h, l) = (i * stride + u, j * stride + v);
                                    if h < padding
                                        || l < padding
                                        || h >= in_height + padding
                                        || l >= in_width + padding
                                    {
                                        continue;
                                    }
                                    f(
                                        ((b * out_channels + o) * out_height + i) * out_width + j,
                                        ((b * self.in_channels + c) * (in_height / up)
                                            + (h - padding) / up)
                                            * (in_width / up)
                                            + (l - padding) / up,
                                        ((o * self.in_channels + c) * kernel + u) * kernel + v,
                                    );
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn channel_of(&self, y: usize) -> usize {
        y / (self.out_size[0] * self.out_size[1]) % self.out_channels
    }
}

impl Reference for Conv2d {
    /// Inputs `x, w` and, if there is one, `bias`.
    fn forward<T: Real>(&self, inputs: &[Vec<T>]) -> Vec<T> {
        let len = self.output_shape().iter().product();
        let bias = |y| {
            inputs
                .get(2)
                .map_or(T::of(0.0), |bias| bias[self.channel_of(y)])
        };
        let mut out: Vec<T> = (0..len).map(bias).collect();
        self.each_product(|y, x, w| out[y] += inputs[0][x] * inputs[1][w]);
        out
    }

    fn backward<T: Real>(&self, inputs: &[Vec<T>], grad_y: &[T]) -> Vec<Vec<T>> {
        let mut grads: Vec<Vec<T>> = inputs.iter().map(|v| vec![T::of(0.0); v.len()]).collect();
        self.each_product(|y, x, w| {
            grads[0][x] += inputs[1][w] * grad_y[y];
            grads[1][w] += inputs[0][x] * grad_y[y];
        });
        if let Some(bias) = grads.get_mut(2) {
            for (y, g) in grad_y.iter().enumerate() {
                bias[self.channel_of(y)] += *g;
            }
        }
        grads
    }
}
