//! Every operation, on shapes that are distinct and odd.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use semivq::gpu::{Recorder, Var};
use semivq::ops::activation::Activation;
use semivq::ops::add::{add, zero_gradient};
use semivq::ops::attention::{Attention, attention};
use semivq::ops::batch_norm::{BatchNorm, BatchNormState, batch_norm};
use semivq::ops::conv_transpose2d::{ConvTranspose2d, conv_transpose2d};
use semivq::ops::conv2d::{Conv2d, Conv2dOptions, conv2d, upsample_conv2d};
use semivq::ops::group_norm::{GroupNorm, group_norm};
use semivq::ops::linear::{Bias, Linear, linear, linear_without_bias};
use semivq::ops::loss::{self, OfImages, PixelLoss};
use semivq::ops::max_pool2d::{MaxPool2d, max_pool2d};
use semivq::ops::reference::{Real, Reference};
use semivq::ops::upsample::{Upsample, upsample_nearest};
use semivq::quant::Vectors;
use semivq::quant::codebook::affine::{self, Apply, Transform};
use semivq::quant::codebook::gamma::{self, Table};
use semivq::quant::norm::{self, Length, VectorNorm};

use super::case::{Case, case};

/// `a + b`; or `a + a`, and b is told that nothing depends on it.
#[derive(Clone, Copy)]
struct Sum {
    both: bool,
}

impl Reference for Sum {
    fn forward<T: Real>(&self, inputs: &[Vec<T>]) -> Vec<T> {
        let pairs = inputs[0].iter().zip(&inputs[usize::from(self.both)]);
        pairs.map(|(a, b)| *a + *b).collect()
    }

    fn backward<T: Real>(&self, _: &[Vec<T>], grad_y: &[T]) -> Vec<Vec<T>> {
        let [a, b] = if self.both { [1.0, 1.0] } else { [2.0, 0.0] };
        let times = |factor: f64| grad_y.iter().map(|g| *g * T::of(factor)).collect();
        vec![times(a), times(b)]
    }
}

fn convolution(
    b: usize,
    c: usize,
    size: [usize; 2],
    o: usize,
    k: usize,
    s: usize,
    p: usize,
) -> Case {
    let options = Conv2dOptions {
        kernel: k,
        stride: s,
        padding: p,
    };
    let (x, w) = ([b, c, size[0], size[1]], [o, c, k, k]);
    let op = Conv2d::new(&x, &w, options).unwrap();
    let name = format!(
        "conv2d {c}->{o} k{k}s{s}p{p} of {b}x{}x{}",
        size[0], size[1]
    );
    case(&name, op, &[&x, &w, &[o]], move |rec, v| {
        conv2d(rec, v[0], v[1], Some(v[2]), options)
    })
}

/// Each loss, of images in one part and in several.
fn losses() -> Vec<Case> {
    let mut all = Vec::new();
    for shape in [vec![5, 1031], vec![7, 3, 13, 139], vec![1, 2, 3, 5]] {
        for which in [
            PixelLoss::L1,
            PixelLoss::Mse,
            PixelLoss::Elbo,
            PixelLoss::ElboLearned,
        ] {
            let op = OfImages {
                loss: which,
                images: shape[0],
            };
            let name = format!("{which:?} loss of {shape:?}").to_lowercase();
            let learned = which == PixelLoss::ElboLearned;
            let shapes: [&[usize]; 3] = [&shape, &shape, &[1]];
            let shapes = &shapes[..2 + usize::from(learned)];
            let mut one = case(&name, op, shapes, move |rec, v| match v {
                [y, target, log_var] => loss::elbo(rec, "loss", *y, *target, Some(*log_var), 1.0),
                _ => which.apply(rec, "loss", v[0], v[1], 1.0),
            });
            one.root = true;
            all.push(one);
        }
    }
    all
}

pub fn all() -> Vec<Case> {
    let mut all = vec![
        // Few and many channels, tails of every tile, more taps than fit a workgroup at once.
        convolution(3, 1, [9, 7], 5, 3, 1, 1),
        convolution(2, 9, [11, 18], 10, 3, 1, 1),
        convolution(2, 17, [6, 5], 9, 3, 1, 1),
        convolution(2, 33, [5, 21], 17, 3, 1, 1),
        convolution(2, 40, [3, 4], 1, 3, 1, 1),
        convolution(3, 11, [8, 13], 8, 3, 1, 0),
        convolution(2, 3, [10, 7], 9, 4, 2, 1),
        convolution(2, 5, [9, 11], 7, 5, 3, 2),
        convolution(2, 7, [5, 3], 6, 1, 1, 0),
        convolution(1, 13, [7, 9], 3, 2, 2, 0),
        // Images enough that every kernel of the weight gradient splits them.
        convolution(40, 3, [10, 14], 5, 4, 2, 1),
        convolution(40, 2, [7, 9], 9, 3, 1, 1),
        convolution(40, 9, [6, 5], 8, 3, 1, 1),
        convolution(70, 2, [5, 6], 3, 1, 1, 0),
    ];
    let (x, w) = ([2, 3, 6, 7], [4, 3, 3, 3]);
    let same = Conv2dOptions::SAME_3X3;
    let op = Conv2d::new(&x, &w, same).unwrap();
    all.push(case("conv2d without bias", op, &[&x, &w], move |rec, v| {
        conv2d(rec, v[0], v[1], None, same)
    }));
    for (shape, heads) in [
        ([3, 5, 3, 24], 2),
        ([2, 67, 3, 12], 3),
        ([1, 1, 3, 4], 1),
        ([5, 9, 3, 20], 5),
    ] {
        let op = Attention::new(&shape, heads).unwrap();
        let name = format!("attention of {shape:?} in {heads} heads");
        all.push(case(&name, op, &[&shape], move |rec, v| {
            attention(rec, v[0], heads)
        }));
    }
    for (b, c, o, size) in [
        (2, 3, 9, [5, 7]),
        (2, 11, 8, [3, 9]),
        (2, 18, 1, [7, 3]),
        (2, 1, 5, [1, 1]),
        (40, 2, 3, [3, 5]),
    ] {
        let (x, w) = ([b, c, size[0], size[1]], [o, c, 3, 3]);
        let op = Conv2d::after_upsampling(&x, &w).unwrap();
        let name = format!("upsample_conv2d {c}->{o} of {b}x{}x{}", size[0], size[1]);
        let record =
            |rec: &mut Recorder<'_>, v: &[Var]| upsample_conv2d(rec, v[0], v[1], Some(v[2]));
        all.push(case(&name, op, &[&x, &w, &[o]], record));
    }
    for (x, w, stride, padding) in [
        ([2, 5, 4, 7], [5, 3, 4, 4], 2, 1),
        ([3, 9, 5, 3], [9, 10, 3, 3], 1, 1),
        ([1, 4, 3, 5], [4, 7, 5, 5], 3, 2),
    ] {
        let options = Conv2dOptions {
            kernel: w[2],
            stride,
            padding,
        };
        let op = ConvTranspose2d::new(&x, &w, options).unwrap();
        let name = format!("conv_transpose2d k{}s{stride}p{padding} of {x:?}", w[2]);
        all.push(case(&name, op, &[&x, &w, &[w[1]]], move |rec, v| {
            conv_transpose2d(rec, v[0], v[1], v[2], options)
        }));
    }
    for (window, stride) in [(2, 2), (3, 2), (3, 3), (2, 3)] {
        let x = [2, 3, 11, 8];
        let op = MaxPool2d::new(&x, window, stride).unwrap();
        let name = format!("max_pool2d {window} at stride {stride}");
        all.push(case(&name, op, &[&x], move |rec, v| {
            max_pool2d(rec, v[0], window, stride)
        }));
    }
    for factor in [2, 3] {
        let x = [2, 3, 5, 7];
        let op = Upsample::new(&x, factor).unwrap();
        let name = format!("upsample by {factor}");
        all.push(case(&name, op, &[&x], move |rec, v| {
            upsample_nearest(rec, v[0], factor)
        }));
    }
    for a in [
        Activation::Gelu,
        Activation::Elu,
        Activation::Relu,
        Activation::Sigmoid,
        Activation::Clamp,
    ] {
        // By one and by four.
        for length in [257, 260] {
            let name = format!("{a:?} of 3x{length}").to_lowercase();
            all.push(case(&name, a, &[&[3, length]], move |rec, v| {
                Ok(a.apply(rec, v[0]))
            }));
        }
    }
    let op = Linear::new(&[19, 23], &[31, 23], Bias::Absent).unwrap();
    let shapes: [&[usize]; 2] = [&[19, 23], &[31, 23]];
    all.push(case("linear without bias", op, &shapes, |rec, v| {
        linear_without_bias(rec, v[0], v[1])
    }));
    let op = Linear::new(&[13, 67], &[9, 67], Bias::Matters).unwrap();
    all.push(case(
        "linear",
        op,
        &[&[13, 67], &[9, 67], &[9]],
        |rec, v| linear(rec, v[0], v[1], v[2], Bias::Matters),
    ));
    for shape in [
        vec![263, 5],
        vec![9, 130],
        vec![3, 4, 7, 5],
        vec![5, 3, 7, 6],
    ] {
        let op = BatchNorm::new(&shape, true).unwrap();
        let c = shape[1];
        let name = format!("batch_norm {shape:?}");
        all.push(case(&name, op, &[&shape, &[c], &[c]], move |rec, v| {
            let state = BatchNormState {
                weight: v[1],
                bias: v[2],
                running_mean: rec.buffer("running_mean", &[c], 0.0)?,
                running_var: rec.buffer("running_var", &[c], 1.0)?,
            };
            batch_norm(rec, v[0], state)
        }));
    }
    let shapes: [&[usize]; 2] = [&[7, 43], &[7, 43]];
    all.push(case("add", Sum { both: true }, &shapes, |rec, v| {
        add(rec, v[0], v[1])
    }));
    let alone = Sum { both: false };
    all.push(case("a zero gradient", alone, &shapes, |rec, v| {
        zero_gradient(rec, v[1]);
        add(rec, v[0], v[0])
    }));
    all.extend(losses());
    let op = Apply {
        codes: 21,
        features: 5,
        groups: 3,
    };
    all.push(case(
        "affine",
        op,
        &[&[21, 5], &[5, 3], &[3, 5]],
        |rec, v| {
            let (scale, bias) = (v[1], v[2]);
            Ok(affine::apply(rec, v[0], Transform { scale, bias }))
        },
    ));
    let op = VectorNorm {
        vectors: Vectors {
            outer: 3,
            features: 7,
            positions: 11,
        },
        length: Length::Unit(1e-6),
    };
    all.push(case("unit vectors", op, &[&[3, 7, 11]], move |rec, v| {
        Ok(norm::normalize(rec, v[0], &op.vectors, op.length))
    }));
    for (shape, groups) in [([3, 12, 5, 7], 4), ([2, 10, 17, 31], 5)] {
        let op = GroupNorm::new(&shape, groups, 1e-6).unwrap();
        let name = format!("group_norm {shape:?} in {groups}");
        let c = shape[1];
        all.push(case(&name, op, &[&shape, &[c], &[c]], move |rec, v| {
            group_norm(rec, v[0], groups, 1e-6, Some((v[1], v[2])))
        }));
        let op = GroupNorm::new(&shape, c, 1e-5).unwrap();
        let name = format!("instance_norm {shape:?}");
        all.push(case(&name, op, &[&shape], move |rec, v| {
            group_norm(rec, v[0], c, 1e-5, None)
        }));
    }
    let op = Table {
        codes: 277,
        features: 3,
    };
    all.push(case(
        "gamma personalize",
        op,
        &[&[277, 3], &[3, 2], &[3], &[3, 2], &[3]],
        |rec, v| Ok(gamma::personalize(rec, v[0], [v[1], v[2], v[3], v[4]])),
    ));
    all
}
