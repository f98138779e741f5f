//! Whole runs: they learn, repeat bit for bit, and go on as if they had never stopped.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use semivq::Error;
use semivq::data::{Dataset, Images, Source, synthetic};
use semivq::gpu::{BuildOptions, Gpu, ParameterLayout, Recorder, StepValues, Store};
use semivq::models::{Builder, Model, Simple, SimpleOptions};
use semivq::ops::loss::PixelLoss;
use semivq::quant::codebook::AlterPenalty;
use semivq::quant::{Norm, VectorQuantConfig};
use semivq::train::{Method, Session, StepMetrics, TrainOptions};

type Test = fn(Arc<Gpu>) -> Result<(), Failed>;

/// The first `count` images of `source`.
fn first(source: &dyn Source, count: usize) -> Images {
    Images {
        shape: source.shape(),
        pixels: source.read_range(0..count).unwrap(),
        labels: None,
    }
}

/// The first images of the built-in set.
fn data(train: usize, test: usize) -> Dataset {
    let all = synthetic::glyphs(5);
    Dataset::new(
        "a few glyphs",
        first(&all.train, train),
        first(&all.test, test),
    )
}

fn options(method: Method, batch: usize, lr: f32) -> TrainOptions {
    let options = TrainOptions {
        batch,
        lr,
        ..TrainOptions::default()
    };
    options
        .with_quantizer(|vq| vq.num_codes = 40)
        .and_then(|options| options.with_method(method))
        .unwrap()
}

fn session(gpu: &Arc<Gpu>, options: &TrainOptions, data: Dataset) -> semivq::Result<Session> {
    Session::new(
        Arc::clone(gpu),
        options.build_model(data.shape()[0])?,
        data,
        options.session(),
    )
}

/// `steps` more steps and all their metrics.
fn run(session: &mut Session, steps: u32) -> semivq::Result<Vec<StepMetrics>> {
    pollster::block_on(async {
        let mut all = Vec::new();
        for _ in 0..steps {
            all.extend(session.step().await?);
        }
        while let Some(metrics) = session.next_metrics().await? {
            all.push(metrics);
        }
        Ok(all)
    })
}

fn checkpoint(session: &Session) -> semivq::Result<Vec<u8>> {
    pollster::block_on(session.checkpoint(serde_json::Value::Null))
}

fn ensure(holds: bool, message: impl Into<String>) -> Result<(), Failed> {
    if holds {
        Ok(())
    } else {
        Err(message.into().into())
    }
}

fn overfits_one_batch(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for method in Method::ALL {
        let mut session = session(&gpu, &options(method, 8, 3e-3), data(8, 4))?;
        let metrics = run(&mut session, 200)?;
        let (first, last) = (metrics[0].rec_loss, metrics[199].rec_loss);
        ensure(
            last < 0.25 * first,
            format!("{method:?}: {first} became {last} only"),
        )?;
    }
    Ok(())
}

fn two_runs_are_equal(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for method in Method::ALL {
        let once = || -> Result<_, Failed> {
            let mut session = session(&gpu, &options(method, 8, 1e-3), data(24, 4))?;
            Ok((run(&mut session, 6)?, checkpoint(&session)?))
        };
        let (first, again) = (once()?, once()?);
        ensure(first.0.len() == 6, "a step did not report")?;
        ensure(first == again, format!("{method:?}: two runs differ"))?;
    }
    Ok(())
}

fn seeds_differ(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let once = |seed: u64| -> Result<_, Failed> {
        let mut options = options(Method::Vq, 8, 1e-3);
        options.seed = seed;
        let mut session = session(&gpu, &options, data(24, 4))?;
        Ok(run(&mut session, 2)?)
    };
    ensure(once(1)? != once(2)?, "two seeds gave the same run")
}

fn resuming_equals_not_stopping(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for method in Method::ALL {
        // Three batches an epoch: the stop falls into the middle of the second one.
        let options = options(method, 8, 1e-3);
        let mut whole = session(&gpu, &options, data(24, 4))?;
        let mut metrics = run(&mut whole, 4)?;
        let stopped = checkpoint(&whole)?;
        metrics.extend(run(&mut whole, 4)?);
        let mut resumed = session(&gpu, &options, data(24, 4))?;
        resumed.restore(&stopped)?;
        ensure(resumed.steps_done() == 4, "the step was not restored")?;
        let tail = run(&mut resumed, 4)?;
        ensure(
            metrics[4..] == tail[..],
            format!("{method:?}: the metrics differ"),
        )?;
        ensure(
            checkpoint(&whole)? == checkpoint(&resumed)?,
            format!("{method:?}: the checkpoints differ"),
        )?;
    }
    Ok(())
}

fn evaluation_changes_nothing(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for method in Method::ALL {
        let mut session = session(&gpu, &options(method, 8, 1e-3), data(24, 13))?;
        run(&mut session, 2)?;
        let before = checkpoint(&session)?;
        let test = session.data().test.clone();
        let first = pollster::block_on(session.evaluate(&test))?;
        let again = pollster::block_on(session.evaluate(&test))?;
        ensure(
            first == again && first.images == 13,
            format!("{first:?} then {again:?}"),
        )?;
        ensure(
            before == checkpoint(&session)?,
            format!("{method:?}: evaluation changed the model"),
        )?;
    }
    Ok(())
}

/// Codes there and back give what a reconstruction gives, for every method.
fn codes_stand_for_the_reconstruction(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for method in Method::ALL {
        let mut session = session(&gpu, &options(method, 8, 1e-3), data(24, 13))?;
        run(&mut session, 3)?;
        let images = session.data().test.clone();
        let codes = pollster::block_on(session.encode(&images))?;
        let shapes: Vec<_> = codes.iter().map(|c| c.shape.clone()).collect();
        ensure(shapes == [[13, 7, 7]], format!("{shapes:?}"))?;
        let decoded = pollster::block_on(session.decode(&codes))?;
        let straight = pollster::block_on(session.reconstruct(&images))?;
        ensure(
            decoded.shape == straight.shape && decoded.pixels == straight.pixels,
            format!("{method:?}: decoding the codes gives other images"),
        )?;
        let mut wrong = codes.clone();
        wrong[0].values[5] = -1;
        let error = pollster::block_on(session.decode(&wrong)).err();
        let text = error.ok_or("code -1 was decoded")?.to_string();
        ensure(text.contains("code -1 does not exist"), text)?;
    }
    Ok(())
}

/// With `kmeans_init` the first step finds a codebook that lies among the vectors: far more codes are
/// in use, two runs are equal, and nothing is clustered again when a run goes on.
fn kmeans_starts_the_codebook(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for method in [
        Method::Vq,
        Method::Ema,
        Method::Approach1Plus,
        Method::StePlus,
    ] {
        let options = options(method, 8, 1e-3);
        let plain = run(&mut session(&gpu, &options, data(24, 4))?, 1)?[0].clone();
        let options = options.with_quantizer(|vq| vq.kmeans_init = true)?;
        let mut whole = session(&gpu, &options, data(24, 4))?;
        let mut metrics = run(&mut whole, 2)?;
        let (used, before) = (metrics[0].perplexity, plain.perplexity);
        ensure(
            used > before.map(|p| 1.5 * p),
            format!("{method:?}: perplexity {before:?} became {used:?} only"),
        )?;
        let stopped = checkpoint(&whole)?;
        metrics.extend(run(&mut whole, 2)?);
        let mut resumed = session(&gpu, &options, data(24, 4))?;
        resumed.restore(&stopped)?;
        ensure(
            metrics[2..] == run(&mut resumed, 2)?[..]
                && checkpoint(&whole)? == checkpoint(&resumed)?,
            format!("{method:?}: a resumed run differs"),
        )?;
    }
    Ok(())
}

/// A plan whose activations share memory gives the bits of one where none does.
fn sharing_memory_changes_nothing(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let config = VectorQuantConfig {
        num_codes: 24,
        use_learnable_std: true,
        use_learnable_gamma: true,
        alter_penalty: AlterPenalty::Between1,
        penalty_weight: 0.5,
        ..VectorQuantConfig::default()
    };
    let model = Simple::new(config.build()?, SimpleOptions::default());
    let once = |guarded: bool| -> Result<_, Failed> {
        let mut layout = ParameterLayout::guarded();
        let mut rec = Recorder::new(&mut layout, true);
        let x = rec.input("x", &[3, 1, 12, 20]);
        let mut net = Builder::new(&mut rec, 10.0);
        let y = model.forward(&mut net, x)?;
        PixelLoss::Mse.apply(&mut rec, "loss", y, x, 1.0)?;
        rec.backward()?;
        let recording = rec.finish();
        let store = Store::new(&gpu, layout, 9)?;
        store.poison_gradients(&gpu);
        let plan = recording.build(&gpu, &store, BuildOptions { guarded })?;
        plan.write(&gpu, x, &support::normals("images", 3 * 12 * 20))?;
        let values = StepValues::default().with("step", 1_u32);
        plan.run(&gpu, &values.with("epoch_steps", 1_u32))?;
        let gradients = pollster::block_on(store.read(&gpu, semivq::gpu::Arena::Gradients))?;
        Ok((gradients, plan.activation_bytes()))
    };
    let ((shared, few), (alone, many)) = (once(false)?, once(true)?);
    ensure(
        shared.iter().flat_map(|g| &g.2).all(|v| v.is_finite()),
        "a gradient was not written",
    )?;
    ensure(shared == alone, "the gradients differ")?;
    ensure(
        2 * few < many,
        format!("{few} bytes shared, {many} alone: hardly anything is shared"),
    )
}

fn a_diverging_run_says_so(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let mut session = session(&gpu, &options(Method::Vq, 8, 1e30), data(8, 4))?;
    let error = run(&mut session, 20)
        .err()
        .ok_or("a learning rate of 1e30 went well")?;
    let Error::Diverged { step, .. } = &error else {
        return Err(error.to_string().into());
    };
    ensure((2..10).contains(step), format!("noticed at step {step}"))?;
    ensure(
        error.to_string().contains("lower `lr` (now 1e30)"),
        error.to_string(),
    )?;
    ensure(
        error.to_string().contains(
            "of the 392 vectors before the quantiser, or their squared distances, are NaN",
        ),
        error.to_string(),
    )?;
    ensure(
        checkpoint(&session).is_err(),
        "a checkpoint that is not finite was handed out",
    )
}

fn what_cannot_run_is_refused_by_name(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let refused = |options: &TrainOptions, data: Dataset, want: &str| -> Result<(), Failed> {
        let error = session(&gpu, options, data)
            .err()
            .ok_or_else(|| format!("{want}: accepted"))?;
        let text = error.to_string();
        ensure(
            text.contains(want),
            format!("{text:?} does not say {want:?}"),
        )
    };
    refused(
        &options(Method::Vq, 9, 1e-3),
        data(8, 4),
        "`batch` must be between 1 and the 8 training images",
    )?;
    let few = || first(&data(8, 4).train, 8);
    let narrow = || Images {
        shape: [1, 14, 56],
        ..few()
    };
    refused(
        &options(Method::Vq, 8, 1e-3),
        Dataset::new("narrow", narrow(), narrow()),
        "images are 14 x 56; height and width must be divisible by 4, because the model halves them twice",
    )?;
    let none = Images {
        pixels: Vec::new(),
        ..few()
    };
    refused(
        &options(Method::Vq, 8, 1e-3),
        Dataset::new("none", none, few()),
        "no images",
    )?;
    let many = Images {
        pixels: few().pixels.repeat(512),
        ..few()
    };
    refused(
        &options(Method::Vq, 4096, 1e-3),
        Dataset::new("many", many, few()),
        "max_storage_buffer_binding_size",
    )?;
    let wide = options(Method::Vq, 8, 1e-3).with_quantizer(|vq| vq.num_codes = 3_000_000)?;
    refused(&wide, data(8, 4), "codebook.weight")?;
    let default = VectorQuantConfig::default;
    let nonsense = [
        (
            VectorQuantConfig {
                num_codes: 0,
                ..default()
            },
            "num_codes",
        ),
        (
            VectorQuantConfig {
                beta: 1.5,
                ..default()
            },
            "beta must be in [0, 1]",
        ),
        (
            VectorQuantConfig {
                affine_groups: 7,
                affine_lr: 1.0,
                ..default()
            },
            "affine_groups (7) must divide num_codes (256)",
        ),
        (
            VectorQuantConfig {
                inplace_optimizer: Some((10.0, 0.9)),
                ..default()
            },
            "it needs beta 1, not 0.97125",
        ),
        (
            VectorQuantConfig {
                inplace_optimizer: Some((10.0, 1.0)),
                beta: 1.0,
                ..default()
            },
            "momentum in [0, 1)",
        ),
        (
            VectorQuantConfig {
                using_statistics: true,
                ..default()
            },
            "using_statistics",
        ),
        (
            VectorQuantConfig {
                norm: Norm::Gn,
                feature_size: 48,
                ..default()
            },
            "norm gn has 32 groups",
        ),
        (
            VectorQuantConfig {
                ema_decay: Some(1.0),
                ..default()
            },
            "ema_decay must be in [0, 1)",
        ),
        (
            VectorQuantConfig {
                ema_decay: Some(0.9),
                inplace_optimizer: Some((1.0, 0.9)),
                beta: 1.0,
                ..default()
            },
            "ema_decay and inplace_optimizer exclude each other",
        ),
        (
            VectorQuantConfig {
                ema_decay: Some(0.9),
                use_learnable_std: true,
                ..default()
            },
            "ema_decay and use_learnable_std exclude each other",
        ),
        (
            VectorQuantConfig {
                ema_decay: Some(0.9),
                sync_nu: 1.0,
                ..default()
            },
            "sync_nu",
        ),
        (
            VectorQuantConfig {
                simvq: true,
                replace_freq: 5,
                ..default()
            },
            "simvq and replace_freq exclude each other",
        ),
        (
            VectorQuantConfig {
                fsq_levels: Some(vec![8, 6, 5]),
                ..default()
            },
            "make 240 codes, but num_codes is 256",
        ),
        (
            VectorQuantConfig {
                fsq_levels: Some(vec![16, 16]),
                replace_freq: 3,
                ..default()
            },
            "fsq_levels and replace_freq exclude each other",
        ),
        (
            VectorQuantConfig {
                fsq_levels: Some(vec![2, 128]),
                ..default()
            },
            "at least 3",
        ),
    ];
    for (change, want) in nonsense {
        let options = options(Method::Vq, 8, 1e-3).with_quantizer(|vq| *vq = change);
        let error = options.err().ok_or("nonsense was taken")?.to_string();
        ensure(error.contains(want), error)?;
    }
    Ok(())
}

fn a_checkpoint_of_another_model_is_refused(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let first = session(&gpu, &options(Method::Vq, 8, 1e-3), data(8, 4))?;
    let bytes = checkpoint(&first)?;
    let mut other = session(&gpu, &options(Method::Approach1, 8, 1e-3), data(8, 4))?;
    let before = checkpoint(&other)?;
    let text = other.restore(&bytes).err().ok_or("accepted")?.to_string();
    ensure(text.contains("mlp_std"), text)?;
    ensure(
        before == checkpoint(&other)?,
        "a refused checkpoint changed the model",
    )?;
    ensure(
        other.restore(&bytes[..bytes.len() / 2]).is_err(),
        "half a checkpoint was accepted",
    )
}

/// Every dispatch after the 65,535th workgroup lies in the second row of the grid.
fn a_folded_grid_reaches_every_element(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let count = 65_535 * 256 + 300;
    let mut layout = ParameterLayout::default();
    let mut rec = Recorder::new(&mut layout, false);
    let x = rec.input("x", &[count]);
    let y = semivq::ops::activation::relu(&mut rec, x);
    rec.keep(y);
    let recording = rec.finish();
    let store = Store::new(&gpu, layout, 0)?;
    let plan = recording.build(&gpu, &store, BuildOptions::default())?;
    let values: Vec<f32> = (0..count).map(|i| (i % 1009) as f32 + 1.0).collect();
    plan.write(&gpu, x, &values)?;
    plan.run(&gpu, &StepValues::default())?;
    ensure(
        pollster::block_on(plan.read(&gpu, y))? == values,
        "an element was missed",
    )
}

fn main() {
    let mut args = Arguments::from_args();
    args.test_threads = Some(1);
    let gpu = support::gpu().map(Arc::new);
    if let Err(why) = &gpu {
        println!("GPU tests are ignored: {why}");
    }
    let tests: &[(&str, Test)] = &[
        ("overfits one batch", overfits_one_batch),
        ("two runs are equal bit for bit", two_runs_are_equal),
        ("two seeds give two runs", seeds_differ),
        ("resuming equals not stopping", resuming_equals_not_stopping),
        ("evaluation changes nothing", evaluation_changes_nothing),
        (
            "sharing memory changes nothing",
            sharing_memory_changes_nothing,
        ),
        (
            "codes stand for the reconstruction",
            codes_stand_for_the_reconstruction,
        ),
        ("k-means starts the codebook", kmeans_starts_the_codebook),
        ("a diverging run says so", a_diverging_run_says_so),
        (
            "what cannot run is refused by name",
            what_cannot_run_is_refused_by_name,
        ),
        (
            "a checkpoint of another model is refused",
            a_checkpoint_of_another_model_is_refused,
        ),
        (
            "a folded grid reaches every element",
            a_folded_grid_reaches_every_element,
        ),
    ];
    let trials = tests.iter().map(|(name, test)| {
        let device = gpu.clone();
        let test = *test;
        Trial::test(*name, move || {
            let gpu = device?;
            test(Arc::clone(&gpu))?;
            gpu.check("the test")?;
            Ok(())
        })
        .with_ignored_flag(gpu.is_err())
    });
    libtest_mimic::run(&args, trials.collect()).exit();
}
