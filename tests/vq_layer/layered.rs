//! Combinations of options for residual quantisation.

use semivq::quant::VectorQuantConfig;
use semivq::quant::codebook::Estimator;

use super::combinations::{self, Combination};

/// Every second of the combinations of a single layer, some with two layers and some with three, each with a codebook of
/// its own and, where that can be, with one for all; and what is among them by chance only.
pub fn all() -> Vec<Combination> {
    let of = |(number, combination): (usize, Combination)| {
        [false, true].map(|shared| {
            let mut made = combination.clone();
            made.config.residual = 2 + number % 4 / 2;
            made.config.residual_shared = shared;
            made.config.build().is_ok().then_some(made)
        })
    };
    let every_second = combinations::all().into_iter().enumerate().step_by(2);
    let made = every_second.flat_map(of).flatten();
    made.chain([None, Some(0.8)].map(replaced_by_size))
        .collect()
}

/// One codebook for three layers, followed by a moving average or not.
fn replaced_by_size(ema_decay: Option<f32>) -> Combination {
    Combination {
        config: VectorQuantConfig {
            feature_size: 9,
            num_codes: 30,
            replace_below: 0.9,
            ema_decay,
            residual: 3,
            residual_shared: true,
            ..VectorQuantConfig::default()
        },
        shape: vec![3, 9, 4, 5],
        training: true,
        initialized: false,
    }
}

/// What could go wrong between layers is among them.
pub fn cover_what_layers_share() -> Result<(), String> {
    let all = all();
    type Has = fn(&VectorQuantConfig) -> bool;
    let wanted: [(&str, Has); 8] = [
        ("one moving average", |c| {
            c.residual_shared && c.ema_decay.is_some()
        }),
        ("one codebook whose dead codes are replaced", |c| {
            c.residual_shared && c.replace_freq > 0
        }),
        ("one codebook, replaced by size", |c| {
            c.residual_shared && c.replace_below > 0.0
        }),
        ("one gamma", |c| c.residual_shared && c.use_learnable_gamma),
        ("one map", |c| c.residual_shared && c.simvq),
        ("steps in place", |c| c.inplace_optimizer.is_some()),
        ("alpha with its penalty", |c| c.penalty_weight > 0.0),
        ("three layers of rotation", |c| {
            c.residual == 3 && c.estimator == Estimator::Rotation
        }),
    ];
    match wanted
        .iter()
        .find(|(_, has)| !all.iter().any(|c| c.training && has(&c.config)))
    {
        None => Ok(()),
        Some((what, _)) => Err(format!("no combination has {what}")),
    }
}
