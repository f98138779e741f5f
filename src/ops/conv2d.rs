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
//! All gradients are assigned.

use super::reference::{Real, Reference};
use super::{GRID, kernels};
use crate::error::{Result, ShapeError};
use crate::gpu::{Kernel, Recorder, Var, uniform_struct};

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
    options: Conv2dOptions,
    batch: usize,
    in_channels: usize,
    in_size: [usize; 2],
    out_channels: usize,
    out_size: [usize; 2],
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

    fn macs(&self) -> usize {
        let [b, o, i, j] = self.output_shape();
        b * o * i * j * self.in_channels * self.options.kernel.pow(2)
    }
}

uniform_struct! {
    /// Uniform of all entry points.
    struct Params {
        batch: u32,
        in_height: u32,
        in_width: u32,
        out_height: u32,
        out_width: u32,
        chunks: u32,
    }
}

kernels! {
    "conv2d", [GRID];
    FORWARD = "forward", 64, Params::FIELDS, [Read 1, Read 2, Read 3, Write 4];
    FORWARD_3X3 = "forward_3x3", 64, Params::FIELDS, [Read 1, Read 2, Read 3, Write 4];
    BACKWARD_INPUT = "backward_input", 64, Params::FIELDS, [Read 2, Read 5, Write 6];
    BACKWARD_WEIGHT = "backward_weight", 64, Params::FIELDS, [Read 1, Read 5, Write 7];
    BACKWARD_WEIGHT_3X3 = "backward_weight_3x3", 64, Params::FIELDS, [Read 1, Read 5, Write 7];
    BACKWARD_WEIGHT_SUM = "backward_weight_sum", 64, Params::FIELDS, [Write 8, Write 9, Read 10];
}

/// A convolution as the forward entry points see it; backward to the input is one too.
struct Direction {
    from: [usize; 2],
    to: [usize; 2],
    channels: [usize; 2],
    padding: usize,
    weight_steps: [usize; 2],
    flip: bool,
}

impl Conv2d {
    fn params(&self) -> Params {
        Params {
            batch: self.batch as u32,
            in_height: self.in_size[0] as u32,
            in_width: self.in_size[1] as u32,
            out_height: self.out_size[0] as u32,
            out_width: self.out_size[1] as u32,
            chunks: 0,
        }
    }

    fn constants(&self) -> [(&'static str, f64); 5] {
        [
            ("IN", self.in_channels as f64),
            ("OUT", self.out_channels as f64),
            ("K", self.options.kernel as f64),
            ("STRIDE", self.options.stride as f64),
            ("PAD", self.options.padding as f64),
        ]
    }

    fn is_3x3(&self) -> bool {
        self.options.kernel == 3 && self.options.stride == 1
    }

    /// Records `y = conv(x, w) + bias`.
    pub fn forward(&self, rec: &mut Recorder<'_>, y: Var, x: Var, w: Var, bias: Option<Var>) {
        let taps = self.options.kernel.pow(2);
        let direction = Direction {
            from: self.in_size,
            to: self.out_size,
            channels: [self.in_channels, self.out_channels],
            padding: self.options.padding,
            weight_steps: [self.in_channels * taps, taps],
            flip: false,
        };
        self.convolve(rec, &direction, y, x, w, bias);
    }

    fn convolve(
        &self,
        rec: &mut Recorder<'_>,
        d: &Direction,
        to: Var,
        from: Var,
        w: Var,
        bias: Option<Var>,
    ) {
        let params = Params {
            batch: self.batch as u32,
            in_height: d.from[0] as u32,
            in_width: d.from[1] as u32,
            out_height: d.to[0] as u32,
            out_width: d.to[1] as u32,
            chunks: 0,
        };
        let (kernel, tile_rows): (&'static Kernel, usize) = if self.is_3x3() {
            (&FORWARD_3X3, 4)
        } else {
            (&FORWARD, 1)
        };
        let items = self.batch * d.to[0].div_ceil(tile_rows) * d.to[1].div_ceil(4);
        let groups = items.div_ceil(64);
        let fold = groups.div_ceil(65_535);
        let grid = [
            groups.div_ceil(fold) as u32,
            d.channels[1].div_ceil(8) as u32,
            fold as u32,
        ];
        rec.dispatch_groups(kernel, &params, &[from, w, bias.unwrap_or(w), to], grid)
            .constants(&[
                ("IN", d.channels[0] as f64),
                ("OUT", d.channels[1] as f64),
                ("K", self.options.kernel as f64),
                ("STRIDE", self.options.stride as f64),
                ("PAD", d.padding as f64),
                ("W_OUT", d.weight_steps[0] as f64),
                ("W_IN", d.weight_steps[1] as f64),
                ("FLIP", f64::from(u8::from(d.flip))),
                ("HAS_BIAS", f64::from(u8::from(bias.is_some()))),
            ])
            .flops(2 * self.macs());
    }

    /// Records `grad_x` from `grad_y`.
    pub fn backward_input(&self, rec: &mut Recorder<'_>, grad_x: Var, grad_y: Var, w: Var) {
        let taps = self.options.kernel.pow(2);
        if self.options.stride == 1 {
            let direction = Direction {
                from: self.out_size,
                to: self.in_size,
                channels: [self.out_channels, self.in_channels],
                padding: self.options.kernel - 1 - self.options.padding,
                weight_steps: [taps, self.in_channels * taps],
                flip: true,
            };
            return self.convolve(rec, &direction, grad_x, grad_y, w, None);
        }
        let items = self.batch * self.in_channels * self.in_size[0] * self.in_size[1];
        rec.dispatch(&BACKWARD_INPUT, &self.params(), &[w, grad_y, grad_x], items)
            .constants(&self.constants())
            .flops(2 * self.macs());
    }

    /// Records `grad_w` and `grad_bias` from `grad_y`, in two stages.
    pub fn backward_weight(
        &self,
        rec: &mut Recorder<'_>,
        grad_w: Var,
        grad_bias: Option<Var>,
        grad_y: Var,
        x: Var,
    ) {
        let taps = self.options.kernel.pow(2);
        let weights = self.out_channels * self.in_channels * taps;
        let (kernel, tile_rows, tiles): (&'static Kernel, usize, usize) = if self.is_3x3() {
            (&BACKWARD_WEIGHT_3X3, 2, self.in_channels)
        } else {
            (&BACKWARD_WEIGHT, 1, self.in_channels * taps)
        };
        let items =
            self.batch * self.out_size[0].div_ceil(tile_rows) * self.out_size[1].div_ceil(4);
        let octets = self.out_channels.div_ceil(8);
        // Enough workgroups to fill a large GPU, but at least four items a thread.
        let chunks = (2048 / (tiles * octets))
            .clamp(1, 64)
            .min(items.div_ceil(4 * 64));
        let params = Params {
            chunks: chunks as u32,
            ..self.params()
        };
        let partial = rec.temporary("partial", &[chunks, weights + self.out_channels]);
        let grid = [chunks as u32, tiles as u32, octets as u32];
        rec.dispatch_groups(kernel, &params, &[x, grad_y, partial], grid)
            .constants(&self.constants())
            .flops(2 * self.macs());
        let no_bias = grad_bias.is_none();
        let grad_bias = grad_bias.unwrap_or_else(|| rec.temporary("no bias", &[self.out_channels]));
        let mut constants = self.constants().to_vec();
        constants.push(("HAS_BIAS", f64::from(u8::from(!no_bias))));
        rec.dispatch(
            &BACKWARD_WEIGHT_SUM,
            &params,
            &[grad_w, grad_bias, partial],
            weights + self.out_channels,
        )
        .constants(&constants);
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
    let y = rec.temporary("conv2d", &op.output_shape());
    op.forward(rec, y, x, w, bias);
    let mut inputs = vec![x, w];
    inputs.extend(bias);
    rec.on_backward(y, &inputs, move |rec, grad_y| {
        rec.contribute_always(w, |rec, grad_w| {
            let Some(bias) = bias else {
                op.backward_weight(rec, grad_w, None, grad_y, x);
                return Ok(());
            };
            rec.contribute_always(bias, |rec, grad_bias| {
                op.backward_weight(rec, grad_w, Some(grad_bias), grad_y, x);
                Ok(())
            })
        })?;
        rec.contribute(x, |rec, grad_x| {
            op.backward_input(rec, grad_x, grad_y, w);
            Ok(())
        })
    });
    Ok(y)
}

impl Conv2d {
    /// Calls `f(y index, x index, w index)` for every product of the sum.
    fn each_product(&self, mut f: impl FnMut(usize, usize, usize)) {
        let [batch, out_channels, out_height, out_width] = self.output_shape();
        let [in_height, in_width] = self.in_size;
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
                                        ((b * self.in_channels + c) * in_height + h - padding)
                                            * in_width
                                            + l
                                            - padding,
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
