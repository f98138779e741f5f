//! Maximum over windows of K by K at stride S, no padding; a rest at the border is left out.
//!
//! x `[B, C, H, L]`, y `[B, C, I, J]`, `I = (H - K) / S + 1`:
//!
//! ```text
//! y[b,c,i,j]      = max_{u,v} x[b,c, iS+u, jS+v]       (the first one on a tie)
//! grad_x[b,c,h,l] = sum of grad_y over the windows whose maximum is (h, l)
//! ```
//!
//! The gradient is assigned.

use super::reference::{Real, Reference};
use crate::error::{Result, ShapeError};
use crate::gpu::{GRID, NUMBER, Recorder, Var, kernels, uniform_struct};

/// The shape contract.
#[derive(Debug, Clone, Copy)]
pub struct MaxPool2d {
    batch: usize,
    channels: usize,
    in_size: [usize; 2],
    out_size: [usize; 2],
    window: usize,
    stride: usize,
}

impl MaxPool2d {
    /// Checks `x` `[B, C, H, L]`.
    ///
    /// # Errors
    /// [`ShapeError`] when a window does not fit into the image.
    pub fn new(x: &[usize], window: usize, stride: usize) -> Result<Self, ShapeError> {
        let &[batch, channels, height, width] = x else {
            return Err(ShapeError::new(
                "max_pool2d",
                format!("x must be [B, C, H, W], not {x:?}"),
            ));
        };
        if window == 0 || stride == 0 || height < window || width < window {
            let message = format!("a window of {window} at stride {stride} does not fit x {x:?}");
            return Err(ShapeError::new("max_pool2d", message));
        }
        let out = |n: usize| (n - window) / stride + 1;
        Ok(Self {
            batch,
            channels,
            in_size: [height, width],
            out_size: [out(height), out(width)],
            window,
            stride,
        })
    }

    /// `[B, C, I, J]`
    #[must_use]
    pub fn output_shape(&self) -> [usize; 4] {
        [
            self.batch,
            self.channels,
            self.out_size[0],
            self.out_size[1],
        ]
    }
}

uniform_struct! {
    /// Uniform of all entry points.
    struct Params { planes: u32 }
}

kernels! {
    "max_pool2d", [GRID, NUMBER];
    FORWARD = "forward", 64, Params::FIELDS, [Read 1, Write 2, Write 3];
    BACKWARD_DISJOINT = "backward_disjoint", 64, Params::FIELDS, [Read 4, Read 5, Write 6];
    BACKWARD = "backward", 64, Params::FIELDS, [Read 4, Read 5, Write 6];
}

impl MaxPool2d {
    fn params(&self) -> Params {
        Params {
            planes: (self.batch * self.channels) as u32,
        }
    }

    fn constants(&self) -> [(&'static str, f64); 6] {
        [
            ("IN_HEIGHT", self.in_size[0] as f64),
            ("IN_WIDTH", self.in_size[1] as f64),
            ("OUT_HEIGHT", self.out_size[0] as f64),
            ("OUT_WIDTH", self.out_size[1] as f64),
            ("WINDOW", self.window as f64),
            ("STRIDE", self.stride as f64),
        ]
    }

    /// Records `y` and the places of the maxima.
    pub fn forward(&self, rec: &mut Recorder<'_>, y: Var, argmax: Var, x: Var) {
        let items = rec.len(y);
        rec.dispatch(&FORWARD, &self.params(), &[x, y, argmax], items)
            .constants(&self.constants());
    }

    /// Records `grad_x`.
    pub fn backward(&self, rec: &mut Recorder<'_>, grad_x: Var, grad_y: Var, argmax: Var) {
        let tensors = [argmax, grad_y, grad_x];
        if self.window == self.stride {
            let windows = |n: usize| n.div_ceil(self.window);
            let items =
                self.batch * self.channels * windows(self.in_size[0]) * windows(self.in_size[1]);
            rec.dispatch(&BACKWARD_DISJOINT, &self.params(), &tensors, items)
                .constants(&self.constants());
        } else {
            let items = rec.len(grad_x);
            rec.dispatch(&BACKWARD, &self.params(), &tensors, items)
                .constants(&self.constants());
        }
    }
}

/// Pools `x` `[B, C, H, L]`.
///
/// # Errors
/// [`ShapeError`], see [`MaxPool2d::new`].
pub fn max_pool2d(rec: &mut Recorder<'_>, x: Var, window: usize, stride: usize) -> Result<Var> {
    let op = MaxPool2d::new(rec.shape(x), window, stride)?;
    let y = rec.temporary("max_pool2d", &op.output_shape());
    let argmax = rec.temporary("argmax", &op.output_shape());
    op.forward(rec, y, argmax, x);
    rec.on_backward(y, &[x], move |rec, grad_y| {
        rec.contribute(x, |rec, grad_x| {
            op.backward(rec, grad_x, grad_y, argmax);
            Ok(())
        })
    });
    Ok(y)
}

impl MaxPool2d {
    /// The place of the maximum of output `item`.
    fn maximum<T: Real>(&self, x: &[T], item: usize) -> usize {
        let [out_height, out_width] = self.out_size;
        let [in_height, in_width] = self.in_size;
        let (j, i, plane) = (
            item % out_width,
            item / out_width % out_height,
            item / (out_width * out_height),
        );
        let corner = (plane * in_height + i * self.stride) * in_width + j * self.stride;
        let mut best = corner;
        for u in 0..self.window {
            for v in 0..self.window {
                let at = corner + u * in_width + v;
                if x[at] > x[best] {
                    best = at;
                }
            }
        }
        best
    }
}

impl Reference for MaxPool2d {
    fn forward<T: Real>(&self, inputs: &[Vec<T>]) -> Vec<T> {
        let x = &inputs[0];
        let items = 0..self.output_shape().iter().product();
        items.map(|item| x[self.maximum(x, item)]).collect()
    }

    fn backward<T: Real>(&self, inputs: &[Vec<T>], grad_y: &[T]) -> Vec<Vec<T>> {
        let x = &inputs[0];
        let mut grad_x = vec![T::of(0.0); x.len()];
        for (item, g) in grad_y.iter().enumerate() {
            grad_x[self.maximum(x, item)] += *g;
        }
        vec![grad_x]
    }
}
