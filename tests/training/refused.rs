//! What is refused, and by which words.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use libtest_mimic::Failed;
use semivq::data::{Dataset, Images};
use semivq::gpu::Gpu;
use semivq::quant::{Norm, VectorQuantConfig};
use semivq::train::{Method, TrainOptions};

use super::support::command::ensure;
use super::support::session::{checkpoint, first, glyphs};
use super::{options, session};

pub fn what_cannot_run_is_refused_by_name(gpu: Arc<Gpu>) -> Result<(), Failed> {
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
        glyphs(8, 4),
        "`batch` must be between 1 and the 8 training images",
    )?;
    let few = || first(&glyphs(8, 4).train, 8);
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
    refused(&wide, glyphs(8, 4), "codebook.weight")?;
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
                ema_decay: Some(0.5),
                ..default()
            },
            "simvq and ema_decay exclude each other",
        ),
        (
            VectorQuantConfig {
                simvq: true,
                replace_freq: 5,
                feature_size: 129,
                ..default()
            },
            "needs a feature_size of at most 128, not 129",
        ),
        (
            VectorQuantConfig {
                replace_freq: 5,
                replace_below: 0.5,
                ..default()
            },
            "replace_freq and replace_below exclude each other",
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
        (
            VectorQuantConfig {
                residual: 17,
                ..default()
            },
            "residual must be a whole number from 1 to 16, not 17",
        ),
        (
            VectorQuantConfig {
                fsq_levels: Some(vec![16, 16]),
                residual: 2,
                ..default()
            },
            "fsq_levels and residual exclude each other",
        ),
        (
            VectorQuantConfig {
                stochastic: Some(semivq::quant::stochastic::Variance::All),
                residual: 2,
                ..default()
            },
            "stochastic and residual exclude each other",
        ),
        (
            VectorQuantConfig {
                residual: 2,
                residual_shared: true,
                inplace_optimizer: Some((1.0, 0.9)),
                beta: 1.0,
                ..default()
            },
            "residual_shared and inplace_optimizer exclude each other",
        ),
        (
            VectorQuantConfig {
                residual: 2,
                residual_shared: true,
                use_learnable_std: true,
                ..default()
            },
            "residual_shared and use_learnable_std exclude each other",
        ),
        (
            VectorQuantConfig {
                residual: 2,
                residual_shared: true,
                affine_lr: 1.0,
                using_statistics: true,
                ..default()
            },
            "residual_shared and using_statistics exclude each other",
        ),
    ];
    for (change, want) in nonsense {
        let options = options(Method::Vq, 8, 1e-3).with_quantizer(|vq| *vq = change);
        let error = options.err().ok_or("nonsense was taken")?.to_string();
        ensure(error.contains(want), error)?;
    }
    Ok(())
}

pub fn a_checkpoint_of_another_model_is_refused(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let first = session(&gpu, &options(Method::Vq, 8, 1e-3), glyphs(8, 4))?;
    let bytes = checkpoint(&first)?;
    let mut other = session(&gpu, &options(Method::Approach1, 8, 1e-3), glyphs(8, 4))?;
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
