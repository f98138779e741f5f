//! What is counted: the layer with every remedy, the models, k-means, over sizes up to the limits.

use super::priors;
use semivq::Error;
use semivq::gpu::{Dispatch, Element, ParameterLayout, Recorder, Traits};
use std::sync::Arc;

use semivq::models::{
    Builder, Model, OutputClamp, ResNet, ResNetOptions, Simple, SimpleOptions, Variant,
};
use semivq::ops::activation::Activation;
use semivq::ops::gather::{Page, gather};
use semivq::ops::interpolate::interpolate;
use semivq::ops::loss::PixelLoss;
use semivq::ops::max_pool2d::max_pool2d;
use semivq::ops::ssim;
use semivq::ops::upsample::upsample_nearest;
use semivq::optim::{Optimizer, Update, clip};
use semivq::quant::codebook::kmeans;
use semivq::quant::codebook::{AlterPenalty, CodebookNorm, Distance, ReplacePolicy};
use semivq::quant::stochastic::Variance;
use semivq::quant::{Encoded, Norm, Quantizer, VectorQuantConfig};
use semivq::train::Method;

/// Elements of the largest tensor that can be bound: WebGPU's default limit, which every device is
/// asked for, is 128 MiB.
const MAX_ELEMENTS: usize = (128 << 20) / 4;
const MAX_VECTORS: usize = 1 << 20;

/// The dispatches of something, by what it is.
pub struct Recorded {
    pub name: String,
    pub dispatches: Vec<Dispatch>,
}

/// K and F.
const CODEBOOKS: [[usize; 2]; 12] = [
    [256, 32],
    [1024, 64],
    [8192, 256],
    [16_384, 128],
    [65_536, 32],
    [65_536, 256],
    [70_000, 8],
    [262_144, 8],
    [524_288, 4],
    [16_384, 1024],
    [1024, 4096],
    [64, 16_384],
];

/// Every method, and what no method has.
fn remedies(codes: usize, features: usize) -> Vec<(String, VectorQuantConfig)> {
    let plain = VectorQuantConfig {
        feature_size: features,
        num_codes: codes,
        ..VectorQuantConfig::default()
    };
    let mut all = Vec::new();
    for method in Method::ALL {
        let mut config = plain.clone();
        method.apply(&mut config);
        // These take their vectors in chunks: see `posteriors`.
        if config.stochastic.is_some() {
            continue;
        }
        all.push((method.name().to_owned(), config));
    }
    let mut add = |name: &str, change: &dyn Fn(&mut VectorQuantConfig)| {
        let mut config = plain.clone();
        change(&mut config);
        all.push((name.to_owned(), config));
    };
    let policies = [
        ("replace input_random", ReplacePolicy::InputRandom),
        ("replace input_kmeans", ReplacePolicy::InputKmeans),
        ("replace self", ReplacePolicy::Own),
    ];
    for (name, policy) in policies {
        add(name, &|c| {
            c.replace_freq = 10;
            c.replace_policy = policy;
        });
        add(&format!("ema, {name}"), &|c| {
            c.ema_decay = Some(0.99);
            c.replace_freq = 10;
            c.replace_policy = policy;
        });
    }
    add("replaced by size", &|c| c.replace_below = 0.5);
    add("ema, replaced by size", &|c| {
        c.ema_decay = Some(0.8);
        c.replace_below = 0.5;
    });
    if features <= 128 {
        add("simvq, replaced", &|c| {
            c.simvq = true;
            c.replace_freq = 10;
        });
    }
    for groups in [1, 2, 16] {
        add(&format!("affine, {groups} groups"), &|c| {
            c.affine_lr = 2.0;
            c.affine_groups = groups;
        });
        add(&format!("affine from statistics, {groups} groups"), &|c| {
            c.affine_lr = 2.0;
            c.affine_groups = groups;
            c.using_statistics = true;
        });
        for penalty in [
            AlterPenalty::Default,
            AlterPenalty::Between1,
            AlterPenalty::Small,
        ] {
            add(&format!("approach1, {penalty:?}, {groups} groups"), &|c| {
                c.use_learnable_std = true;
                c.affine_groups = groups;
                c.alter_penalty = penalty;
                c.penalty_weight = 0.1;
            });
        }
    }
    add("residual", &|c| c.residual = 2);
    add("residual, shared, replaced", &|c| {
        c.residual = 2;
        c.residual_shared = true;
        c.ema_decay = Some(0.8);
        c.replace_below = 0.5;
    });
    add("cosine", &|c| c.dist = Distance::Cosine);
    for norm in [Norm::L2, Norm::L2c, Norm::Bn, Norm::Gn, Norm::In] {
        add(&format!("norm {norm:?}"), &|c| c.norm = norm);
    }
    for norm in [CodebookNorm::L2, CodebookNorm::L2c] {
        add(&format!("cb_norm {norm:?}"), &|c| c.cb_norm = norm);
    }
    all
}

/// A finished recording, unless it holds a tensor that no device would take.
fn recorded(name: String, rec: Recorder<'_>) -> Option<Recorded> {
    (rec.largest() <= MAX_ELEMENTS).then(|| Recorded {
        name,
        dispatches: rec.dispatches().to_vec(),
    })
}

/// `name` in training and evaluation, for a GPU and for a CPU, as `record` records it.
pub fn variants(
    all: &mut Vec<Option<Recorded>>,
    name: &str,
    record: &dyn Fn(&mut Recorder<'_>) -> semivq::Result<()>,
) {
    for training in [true, false] {
        for on_cpu in [true, false] {
            let mut layout = ParameterLayout::default();
            let mut rec = Recorder::new(&mut layout, training).with_traits(Traits {
                software: on_cpu,
                ..Traits::default()
            });
            match record(&mut rec) {
                Ok(()) => {}
                // A group norm of single values, say.
                Err(Error::Shape(_)) => {
                    all.push(None);
                    continue;
                }
                Err(error) => panic!("{name}: {error}"),
            }
            let how = if training { "training" } else { "evaluation" };
            let on = if on_cpu { "CPU" } else { "GPU" };
            all.push(recorded(format!("{name}, {how}, {on}"), rec));
        }
    }
}

/// Images of the vectors: one row of positions, or one vector an image.
fn layouts(features: usize) -> Vec<[usize; 4]> {
    let count = MAX_VECTORS.min(MAX_ELEMENTS / features);
    let small = count.min(2053);
    vec![
        [1, features, count, 1],
        [count, features, 1, 1],
        [count / 64, features, 8, 8],
        [small, features, 1, 1],
    ]
}

fn layers(all: &mut Vec<Option<Recorded>>) {
    for [codes, features] in CODEBOOKS {
        for (remedy, config) in remedies(codes, features) {
            // What the options themselves refuse is nothing to count.
            let Ok(quantizer) = config.build() else {
                continue;
            };
            for shape in layouts(features) {
                let name = format!("K {codes}, {shape:?}, {remedy}");
                variants(all, &name, &|rec| {
                    let z = rec.input("z", &shape);
                    rec.require_gradient(z);
                    let z_q = quantizer.apply(rec, Encoded::from(z), 1.0)?.output;
                    if rec.training() {
                        let gradient = rec.input("gradient", &shape);
                        rec.seed_gradient(z_q, gradient);
                        rec.backward()?;
                    }
                    Ok(())
                });
            }
        }
    }
}

/// Posteriors of few and many codes, in one chunk and in many.
fn posteriors(all: &mut Vec<Option<Recorded>>) {
    const VARIANCES: [Variance; 5] = [
        Variance::All,
        Variance::Image,
        Variance::Vector,
        Variance::Value,
        Variance::Directions,
    ];
    for (codes, shape) in [
        (1, [4, 3, 1 << 18, 1]),
        (16, [1, 4, 1 << 18, 1]),
        (256, [256, 32, 7, 7]),
        (8192, [16, 64, 8, 8]),
        (65_536, [3, 1024, 5, 5]),
    ] {
        for variance in VARIANCES {
            let config = VectorQuantConfig {
                feature_size: shape[1],
                num_codes: codes,
                stochastic: Some(variance),
                ..VectorQuantConfig::default()
            };
            let quantizer = config.build().unwrap();
            variants(
                all,
                &format!("posterior, {variance:?}, K {codes}, {shape:?}"),
                &|rec| {
                    let z = rec.input("z", &shape);
                    let log_var = rec.input("log_var", &shape);
                    rec.require_gradient(z);
                    rec.require_gradient(log_var);
                    let encoded = Encoded {
                        z,
                        log_var: variance.of_encoder().then_some(log_var),
                    };
                    let z_q = quantizer.apply(rec, encoded, 1.0)?.output;
                    let gradient = rec.input("gradient", &shape);
                    rec.seed_gradient(z_q, gradient);
                    rec.backward()
                },
            );
        }
    }
}

/// Where codes are turned back.
fn decoding(all: &mut Vec<Option<Recorded>>) {
    let mut rounded = VectorQuantConfig::default();
    Method::Fsq.apply(&mut rounded);
    let rounded = rounded.build().unwrap();
    variants(all, "decode, fsq", &|rec| {
        let q = rec.input("q", &[4096]);
        rounded.decode(rec, &[q], &[64, 32, 8, 8]).map(|_| ())
    });
    for [codes, features] in CODEBOOKS {
        let config = VectorQuantConfig {
            feature_size: features,
            num_codes: codes,
            ..VectorQuantConfig::default()
        };
        let quantizer = config.build().unwrap();
        for shape in layouts(features) {
            variants(all, &format!("decode, K {codes}, {shape:?}"), &|rec| {
                let q = rec.input("q", &[shape.iter().product::<usize>() / features]);
                quantizer.decode(rec, &[q], &shape).map(|_| ())
            });
        }
    }
}

fn quantizer(features: usize, codes: usize) -> Arc<dyn Quantizer> {
    let config = VectorQuantConfig {
        feature_size: features,
        num_codes: codes,
        ..VectorQuantConfig::default()
    };
    config.build().unwrap()
}

/// A training step or an evaluation of `model`, as a session records it.
fn step(rec: &mut Recorder<'_>, model: &dyn Model, shape: [usize; 4]) -> semivq::Result<()> {
    let pixels: usize = shape[1..].iter().product();
    let images = rec.input("data set", &[pixels * shape[0] / 4]);
    let order = rec.input("order", &[shape[0]]);
    let page = Page {
        images,
        first: 0,
        count: shape[0],
    };
    let batch = gather(rec, &[page], order, &shape, model.pixel_range())?;
    let mut net = Builder::new(rec, model.commitment_weight());
    let output = model.forward(&mut net, batch)?;
    let loss = model.reconstruction_loss();
    loss.apply(rec, "rec_loss", output, batch, 1.0)?;
    if rec.training() {
        rec.backward()?;
        let how = Update {
            factor: Some(clip::record(rec, 1.0).factor),
            ..Update::default()
        };
        Optimizer::default().record_with(rec, &how);
    } else if ssim::fits(&shape) {
        ssim::ssim(rec, "ssim", output, batch, 1.0)?;
    }
    Ok(())
}

fn models(all: &mut Vec<Option<Recorded>>) {
    for pixels in [28, 32, 64, 100, 128, 256] {
        for batch in [256, 128, 32, 8, 1] {
            for features in [32, 256] {
                let quantizer = || quantizer(features, 1024);
                let options = SimpleOptions {
                    output_clamp: OutputClamp::Train,
                    ..SimpleOptions::default()
                };
                let grey = Simple::new(quantizer(), options);
                let resnet = |variant, blocks| {
                    let own = ResNetOptions::new(variant);
                    ResNet::new(quantizer(), ResNetOptions { blocks, ..own })
                };
                let models: [(usize, Box<dyn Model>); 4] = [
                    (1, Box::new(grey.clone())),
                    (3, Box::new(grey.with_channels(3))),
                    (3, Box::new(resnet(Variant::Resnet32, 2))),
                    (3, Box::new(resnet(Variant::Resnet64, 3))),
                ];
                for (channels, model) in models {
                    let shape = [batch, channels, pixels, pixels];
                    let name = format!("{} F {features}, {shape:?}", model.name());
                    variants(all, &name, &|rec| step(rec, model.as_ref(), shape));
                }
            }
        }
    }
}

/// Operations that no model here has, or not in every shape.
fn operations(all: &mut Vec<Option<Recorded>>) {
    for shape in [[32, 16, 256, 256], [3, 5, 63, 65], [1, 3, 2048, 2047]] {
        variants(all, &format!("operations, {shape:?}"), &|rec| {
            let x = rec.input("x", &shape);
            rec.require_gradient(x);
            let y = Activation::Gelu.apply(rec, x);
            let overlapping = max_pool2d(rec, y, 3, 2)?;
            let y = upsample_nearest(rec, overlapping, 2)?;
            if shape[0] > 1 {
                interpolate(rec, x)?;
            }
            let target = rec.input("target", &shape);
            for (name, loss) in [
                ("elbo", PixelLoss::Elbo),
                ("elbo_learned", PixelLoss::ElboLearned),
            ] {
                loss.apply(rec, name, x, target, 1.0)?;
            }
            if rec.training() {
                rec.in_parts(3);
                let counts = rec.input("counts", &[MAX_VECTORS]);
                rec.statistic(counts, Element::U32);
                let gradient_shape = rec.shape(y).to_vec();
                let gradient = rec.input("gradient", &gradient_shape);
                rec.seed_gradient(y, gradient);
                rec.backward()?;
                let sgd = Optimizer::Sgd {
                    momentum: 0.9,
                    weight_decay: 0.0,
                };
                sgd.record(rec);
                let how = Update {
                    factor: Some(clip::record(rec, 1.0).factor),
                    ..Update::default()
                };
                sgd.record_with(rec, &how);
                Optimizer::default().record(rec);
            }
            Ok(())
        });
    }
}

fn clusterings(all: &mut Vec<Option<Recorded>>) {
    for [codes, features] in CODEBOOKS {
        for rows in [MAX_VECTORS, 65_536, 4099] {
            let rows = rows.min(MAX_ELEMENTS / features);
            let name = format!("k-means of {rows} rows, K {codes}, F {features}");
            variants(all, &name, &|rec| {
                kmeans::record(rec, rows, features, codes);
                Ok(())
            });
        }
    }
}

/// All of them; `None` for one that is refused, or that has a tensor too large for any device.
pub fn all() -> Vec<Option<Recorded>> {
    let mut all = Vec::new();
    layers(&mut all);
    posteriors(&mut all);
    decoding(&mut all);
    models(&mut all);
    operations(&mut all);
    priors::priors(&mut all);
    clusterings(&mut all);
    all
}
