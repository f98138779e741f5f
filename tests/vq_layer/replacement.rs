//! Dead codes over 200 steps.

use semivq::gpu::Gpu;
use semivq::quant::codebook::{Placement, ReplacePolicy};
use semivq::quant::{VectorQuantConfig, Vectors, tensor};
use semivq::rng::{Stream, number_of};

use super::support::harness::Failed;
use super::support::layer::Layer;
use super::{SEED, codes, lasting, normals, rows, run_step};

async fn codebook(gpu: &Gpu, layer: &Layer) -> Result<Vec<f32>, Failed> {
    let mut all = lasting(gpu, layer).await?;
    all.remove("codebook.weight")
        .ok_or_else(|| "no codebook".into())
}

/// Codes far too many for the vectors, 200 steps: a code unused for `PATIENCE` steps changes within
/// that step, a used one never does.
pub async fn replaces_dead_codes(gpu: &Gpu, policy: ReplacePolicy) -> Result<(), Failed> {
    const PATIENCE: u32 = 7;
    let config = VectorQuantConfig {
        feature_size: 6,
        num_codes: 150,
        replace_freq: PATIENCE as usize,
        replace_policy: policy,
        ..VectorQuantConfig::default()
    };
    let layer = Layer::new(gpu, &config, &[2, 6, 11], true, true)?;
    layer
        .plan
        .write(gpu, layer.grad_out, &vec![0.0_f32; 2 * 6 * 11])?;
    let mut unused = vec![0; config.num_codes];
    let mut before = codebook(gpu, &layer).await?;
    let mut replaced = 0;
    for step in 1..=200 {
        let z = normals(&format!("z {step}"), 2 * 6 * 11);
        run_step(gpu, &layer, step, &z).await?;
        let after = codebook(gpu, &layer).await?;
        let q = codes(gpu, &layer).await?;
        let in_rows = rows(&z, &Vectors::new(&[2, 6, 11], 1, 6)?);
        let mut order = 0;
        for k in 0..config.num_codes {
            unused[k] = if q.contains(&(k as u32)) {
                0
            } else {
                unused[k] + 1
            };
            let row = &after[6 * k..6 * k + 6];
            let changed = row != &before[6 * k..6 * k + 6];
            let due = unused[k] == PATIENCE;
            if changed != due {
                return Err(format!(
                    "step {step}: code {k}, unused for {} steps, changed: {changed}",
                    unused[k]
                )
                .into());
            }
            if due {
                unused[k] = 0;
                replaced += 1;
                let near = |other: &[f32]| -> bool {
                    let squares =
                        |it: &mut dyn Iterator<Item = f32>| it.map(|v| v * v).sum::<f32>();
                    let e = squares(&mut row.iter().zip(other).map(|(a, b)| a - b)).sqrt();
                    // 1 % of the length a feature: six of them, and a wide margin.
                    e < 0.1 * squares(&mut other.iter().copied()).sqrt()
                };
                let fits = match policy {
                    // The very row that the generator's twin on the host draws, in the order of the codes.
                    ReplacePolicy::InputRandom => {
                        let stream = Stream::at_step(SEED, number_of("countdown"), step);
                        near(&in_rows[stream.distinct(order, in_rows.len() as u32) as usize])
                    }
                    ReplacePolicy::Own => q.iter().any(|k| near(&before[6 * *k as usize..][..6])),
                    // A centroid lies within the vectors, not on one.
                    ReplacePolicy::InputKmeans => row.iter().all(|v| v.abs() < 8.0),
                };
                order += 1;
                if !fits {
                    return Err(format!("step {step}: code {k} became {row:?}").into());
                }
            }
        }
        before = after;
    }
    if replaced < 500 {
        return Err(format!("only {replaced} codes were replaced").into());
    }
    Ok(())
}

/// What lies between the stored codebook and the effective one, by name.
type Between = (&'static str, fn(&mut VectorQuantConfig));
const TRANSFORMS: [Between; 9] = [
    ("nothing", |_| {}),
    ("a moving average", |c| c.ema_decay = Some(0.8)),
    ("a learned scale and bias", |c| c.affine_lr = 2.0),
    ("those of three groups", |c| {
        (c.affine_lr, c.affine_groups) = (2.0, 3);
    }),
    ("statistics", |c| {
        (c.affine_lr, c.using_statistics, c.affine_groups) = (2.0, true, 2);
    }),
    ("alpha", |c| c.use_learnable_std = true),
    ("a linear map", |c| c.simvq = true),
    ("a linear map, then a scale and bias", |c| {
        (c.simvq, c.affine_lr, c.affine_groups) = (true, 2.0, 2);
    }),
    ("alpha of three groups, in place", |c| {
        (c.use_learnable_std, c.affine_groups) = (true, 3);
        (c.inplace_optimizer, c.beta) = (Some((1.0, 0.5)), 1.0);
    }),
];

/// Each row of `book` under the map: the values, and the sums of what they are made of, which they are exact to
/// a share of.
fn mapped(book: &[f32], map: &[f32], features: usize) -> (Vec<f64>, Vec<f64>) {
    let mut all = (Vec::new(), Vec::new());
    for row in book.chunks(features) {
        for w in map.chunks(features) {
            let products = row.iter().zip(w);
            let products = products.map(|(c, w)| f64::from(*c) * f64::from(*w));
            all.0.push(products.clone().sum());
            all.1.push(products.map(f64::abs).sum());
        }
    }
    all
}

/// A row of the batch and the noise that it gets as code k: the values, and how far the device may be from them,
/// since WGSL promises a cosine to 2^-11 only (a normal is one times at most 4, but once in 3000).
fn with_noise(row: &[f32], stream: u32, k: usize) -> (Vec<f64>, f64) {
    let noise = Stream::at_step(SEED, stream.wrapping_add(1), 1);
    let length = row.iter().map(|v| f64::from(v * v)).sum::<f64>().sqrt();
    let one = |(f, v): (usize, &f32)| {
        let normal = noise.normal((k * row.len() + f) as u32);
        f64::from(*v) + 0.01 * length * f64::from(normal)
    };
    let values = row.iter().enumerate().map(one).collect();
    (values, 0.01 * length * 4.0 / 2048.0)
}

/// Whatever lies between, the code that is put on a vector lies there as what the placement says, and no
/// two of them on the same vector; a code that is due by its size is one whose average is small.
pub async fn puts_codes_on_distinct_vectors(gpu: &Gpu) -> Result<(), Failed> {
    const FEATURES: usize = 9;
    const CODES: usize = 30;
    let shape = [2, FEATURES, 20];
    for (name, change) in TRANSFORMS {
        for placement in [Placement::Effective, Placement::Raw] {
            for below in [0.0, 0.9] {
                let mut config = VectorQuantConfig {
                    feature_size: FEATURES,
                    num_codes: CODES,
                    placement,
                    replace_below: below,
                    replace_freq: usize::from(below == 0.0),
                    ..VectorQuantConfig::default()
                };
                change(&mut config);
                let layer = Layer::new(gpu, &config, &shape, true, true)?;
                for (tensor, values) in super::agree::draw(&layer.store, 5, true) {
                    layer.store.write_any(gpu, &tensor, &values)?;
                }
                let z = normals("z", shape.iter().product());
                run_step(gpu, &layer, 1, &z).await?;
                let z = rows(&z, &Vectors::new(&shape, 1, FEATURES)?);
                let q = codes(gpu, &layer).await?;
                let book = codebook(gpu, &layer).await?;
                let mut map: Vec<f32> = (0..FEATURES * FEATURES)
                    .map(|i| f32::from(u8::from(i % (FEATURES + 1) == 0)))
                    .collect();
                if let (Some(own), Placement::Effective) =
                    (layer.seen.tensor(tensor::MAP), placement)
                {
                    map = layer.plan.read(gpu, own).await?;
                }
                let (book, sizes) = mapped(&book, &map, FEATURES);
                let of = |tensor| layer.seen.tensor(tensor);
                let (mut scale, mut bias) = (vec![1.0; FEATURES], vec![0.0; FEATURES]);
                if let (Some(s), Some(b), Placement::Effective) =
                    (of(tensor::SCALE), of(tensor::BIAS), placement)
                {
                    scale = layer.plan.read(gpu, s).await?;
                    bias = layer.plan.read(gpu, b).await?;
                }
                let groups = bias.len() / FEATURES;
                let state = ["countdown", "cluster_size"][usize::from(below > 0.0)];
                let stream = Stream::at_step(SEED, number_of(state), 1);
                let mut taken = Vec::new();
                for k in (0..CODES).filter(|k| !q.contains(&(*k as u32))) {
                    let n = stream.distinct(taken.len() as u32, z.len() as u32);
                    taken.push(n);
                    let (want, doubt) = with_noise(&z[n as usize], number_of(state), k);
                    for (f, want) in want.into_iter().enumerate() {
                        let g = k / (CODES / groups);
                        let s = f64::from(scale[f * groups + g]);
                        let (at, bias) = (k * FEATURES + f, f64::from(bias[g * FEATURES + f]));
                        let got = bias + s * book[at];
                        let size = want.abs() + bias.abs() + s.abs() * sizes[at];
                        if s.abs() >= 0.01 && (got - want).abs() > 2e-5 * size + 1e-6 + doubt {
                            let what = format!("{name}, {placement:?}: code {k}, feature {f}");
                            return Err(format!("{what} is {got}, not {want}").into());
                        }
                    }
                }
                taken.sort_unstable();
                let due = taken.len();
                taken.dedup();
                if due < 5 || taken.len() < due {
                    return Err(format!("{name}: {} rows for {due} codes", taken.len()).into());
                }
            }
        }
    }
    Ok(())
}

/// Two layers with the same seed replace alike, and another step draws anew.
pub async fn replacement_repeats(gpu: &Gpu) -> Result<(), Failed> {
    for policy in [
        ReplacePolicy::InputRandom,
        ReplacePolicy::InputKmeans,
        ReplacePolicy::Own,
    ] {
        let config = VectorQuantConfig {
            feature_size: 6,
            num_codes: 150,
            replace_freq: 1,
            replace_policy: policy,
            ..VectorQuantConfig::default()
        };
        let z = normals("z 1", 2 * 6 * 11);
        let once = async |step: u32| -> Result<Vec<f32>, Failed> {
            let layer = Layer::new(gpu, &config, &[2, 6, 11], true, true)?;
            layer
                .plan
                .write(gpu, layer.grad_out, &vec![0.0_f32; 2 * 6 * 11])?;
            run_step(gpu, &layer, step, &z).await?;
            codebook(gpu, &layer).await
        };
        let first = once(1).await?;
        if first != once(1).await? {
            return Err(format!("{policy:?}: two runs differ").into());
        }
        if first == once(2).await? {
            return Err(format!("{policy:?}: two steps drew the same").into());
        }
    }
    Ok(())
}
