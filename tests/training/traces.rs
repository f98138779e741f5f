//! Runs from PyTorch's weights follow PyTorch's losses; `tests/traces/generate.py` makes the files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use libtest_mimic::Failed;
use safetensors::SafeTensors;
use semivq::data::{Dataset, Images};
use semivq::gpu::Gpu;
use semivq::rng::Stream;
use semivq::train::{Session, TrainOptions, Weights};

use super::support::command::ensure;

const SIDE: u32 = 16;
const BATCH: usize = 8;
/// How far a loss may be from float64's.
const TOLERANCE: f64 = 5e-5;

/// The files, of which there are as many as the script writes.
fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "safetensors"))
        .collect();
    files.sort();
    assert_eq!(files.len(), 12);
    files
}

/// The script's image number `i`, `[channels, SIDE, SIDE]`.
fn image(i: u32, channels: u32) -> Vec<u8> {
    let h = i.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let (cx, cy, square) = (h % SIDE, (h >> 8) % SIDE, 4 + (h >> 16) % 40);
    let mut pixels = Vec::new();
    for c in 0..channels {
        let tone = 55 + (h >> (5 * c + 3)) % 200;
        for (y, x) in (0..SIDE).flat_map(|y| (0..SIDE).map(move |x| (y, x))) {
            let inside = x.abs_diff(cx).pow(2) + y.abs_diff(cy).pow(2) < square;
            let ramp = (8 * x + 5 * (c + 1) * y) % 120;
            pixels.push(if inside { tone } else { ramp } as u8);
        }
    }
    pixels
}

/// The script's images, so that the first epoch has them in the script's order.
fn data(count: u32, channels: u32, seed: u64) -> Dataset {
    let of = |pixels| Images {
        shape: [channels, SIDE, SIDE].map(|n| n as usize),
        pixels,
        labels: None,
    };
    let mut at = vec![0; count as usize];
    for (step, place) in Stream::new(seed, 0).permutation(count).iter().enumerate() {
        at[*place as usize] = step as u32;
    }
    let train = at.iter().flat_map(|i| image(*i, channels)).collect();
    Dataset::new("discs", of(train), of(image(0, channels)))
}

/// The values of the trace `name`, float64.
fn trace(file: &SafeTensors<'_>, name: &str) -> Vec<f64> {
    let view = file.tensor(name).unwrap();
    bytemuck::pod_collect_to_vec(view.data())
}

fn largest(a: &[f64], b: &[f64]) -> f64 {
    let pairs = a.iter().zip(b);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn follow(gpu: &Arc<Gpu>, path: &Path) -> Result<(), Failed> {
    let name = path.file_stem().unwrap().to_string_lossy();
    let bytes = std::fs::read(path)?;
    let (_, header) = SafeTensors::read_metadata(&bytes)?;
    let config = &header.metadata().as_ref().unwrap()["config"];
    let options = TrainOptions::from_partial(serde_json::from_str(config)?)?;
    let file = SafeTensors::deserialize(&bytes)?;
    let (rec, cmt) = (
        trace(&file, "trace.rec_loss"),
        trace(&file, "trace.cmt_loss"),
    );
    let channels = if name.starts_with("simple") { 1 } else { 3 };
    let data = data((rec.len() * BATCH) as u32, channels, options.seed);
    let model = options.build_model(channels as usize)?;
    let mut session = Session::new(Arc::clone(gpu), model, data, options.session())?;
    let taken = session.take_weights(&Weights::read(path)?)?;
    let traces = [
        "single.cmt_loss",
        "single.rec_loss",
        "trace.cmt_loss",
        "trace.rec_loss",
    ];
    ensure(
        taken.missing.is_empty() && taken.left_over == traces,
        format!("{name}: {taken:?}"),
    )?;
    let metrics = pollster::block_on(async {
        let mut metrics = Vec::new();
        for _ in &rec {
            metrics.extend(session.step().await?);
        }
        while let Some(last) = session.next_metrics().await? {
            metrics.push(last);
        }
        Ok::<_, semivq::Error>(metrics)
    })?;
    let ours_rec: Vec<f64> = metrics.iter().map(|m| m.rec_loss.into()).collect();
    let ours_cmt: Vec<f64> = metrics.iter().map(|m| m.cmt_loss.unwrap().into()).collect();
    let far = largest(&ours_rec, &rec).max(largest(&ours_cmt, &cmt));
    let single = largest(&trace(&file, "single.rec_loss"), &rec)
        .max(largest(&trace(&file, "single.cmt_loss"), &cmt));
    println!("{name}: {far:.1e} from float64, PyTorch's float32 {single:.1e}");
    ensure(
        ours_rec.len() == rec.len() && far <= TOLERANCE,
        format!("{name}: {far:.1e} from PyTorch's float64 losses"),
    )
}

/// The losses of 60 steps, for each of the files.
pub fn losses_follow_pytorch(gpu: Arc<Gpu>) -> Result<(), Failed> {
    files().iter().try_for_each(|path| follow(&gpu, path))
}

/// Weights of another width are refused by name; those of a part are taken, and the rest stays.
pub fn weights_are_taken_by_name(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let path = files()
        .into_iter()
        .find(|p| p.ends_with("simple_vq.safetensors"));
    let weights = Weights::read(&path.unwrap())?;
    let session = |given: serde_json::Value, channels: usize| -> semivq::Result<Session> {
        let options = TrainOptions::from_partial(given)?;
        let model = options.build_model(channels)?;
        let data = data(16, channels as u32, options.seed);
        Session::new(Arc::clone(&gpu), model, data, options.session())
    };
    let vq = serde_json::json!({"feature_size": 16, "num_codes": 32});
    let given = serde_json::json!({"batch": 8, "method": "affine", "vq": vq});
    let taken = session(given.clone(), 1)?.take_weights(&weights)?;
    let affine = "layers.5.affine_transform.";
    ensure(
        taken.missing == [format!("{affine}bias"), format!("{affine}scale")],
        format!("{taken:?}"),
    )?;
    for (given, channels, want) in [
        (
            given,
            3,
            "`layers.0.weight` as [16, 1, 3, 3], the model has [16, 3, 3, 3]",
        ),
        (
            serde_json::json!({"batch": 8, "model": "resnet32", "width": 16}),
            3,
            "has nothing of the model resnet32: it holds layers.0.bias",
        ),
    ] {
        let error = session(given, channels)?
            .take_weights(&weights)
            .unwrap_err();
        ensure(error.to_string().contains(want), error.to_string())?;
    }
    Ok(())
}
