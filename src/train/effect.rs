//! Options that do nothing beside the others.

use crate::models::Simple;
use crate::optim::Optimizer;
use crate::optim::schedule::Kind;
use crate::quant::codebook::CodebookInit;
use crate::quant::{Norm, VectorQuantConfig};

/// What only a quantiser has.
const OF_A_QUANTISER: [&str; 33] = [
    "method",
    "num_codes",
    "beta",
    "sync_nu",
    "affine_lr",
    "affine_groups",
    "using_statistics",
    "use_learnable_std",
    "alter_penalty",
    "penalty_weight",
    "use_learnable_gamma",
    "gamma_policy",
    "replace_freq",
    "replace_below",
    "replace_policy",
    "inplace_optimizer",
    "ema_decay",
    "simvq",
    "fsq_levels",
    "stochastic",
    "temperature",
    "temperature_decay",
    "temperature_min",
    "estimator",
    "dim",
    "norm",
    "cb_norm",
    "codebook_init",
    "placement",
    "dist",
    "residual",
    "residual_shared",
    "commitment_weight",
];

/// What only a codebook has.
const OF_A_CODEBOOK: [&str; 21] = [
    "sync_nu",
    "affine_lr",
    "affine_groups",
    "using_statistics",
    "use_learnable_std",
    "alter_penalty",
    "penalty_weight",
    "use_learnable_gamma",
    "gamma_policy",
    "replace_freq",
    "replace_below",
    "replace_policy",
    "inplace_optimizer",
    "ema_decay",
    "simvq",
    "cb_norm",
    "codebook_init",
    "placement",
    "dist",
    "residual",
    "residual_shared",
];

/// Options without effect, by their names in JSON, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idle {
    /// The options.
    pub names: &'static [&'static str],
    /// Why: a clause.
    pub why: &'static str,
}

/// Of the learning rate over the steps, and of evaluations.
pub(super) fn of_training(
    vq: &VectorQuantConfig,
    schedule: Kind,
    eval_every: u32,
    patience: u32,
) -> Vec<Idle> {
    let projected = vq
        .fsq_levels
        .as_ref()
        .is_some_and(|levels| levels.len() != vq.feature_size);
    let transformed = vq.affine_lr > 0.0 && !vq.using_statistics;
    let networks = vq.use_learnable_std || vq.use_learnable_gamma || vq.simvq;
    let norm = matches!(vq.norm, Norm::Bn | Norm::Gn);
    let learns = projected || transformed || networks || norm || vq.stochastic.is_some();
    let rules: [(bool, &'static [&'static str], &'static str); 6] = [
        (
            vq.no_vq,
            &["quantizer_lr"],
            "nothing is quantised with no_vq",
        ),
        (
            !learns,
            &["quantizer_lr"],
            "the quantiser learns nothing besides its codebook",
        ),
        (
            schedule != Kind::Cosine,
            &["min_lr"],
            "it is where a cosine ends, which needs schedule cosine",
        ),
        (
            schedule != Kind::Step,
            &["decay_every", "decay_factor"],
            "the rate falls in steps with schedule step only",
        ),
        (
            eval_every == 0,
            &["keep_best", "patience", "min_delta"],
            "it goes by the evaluations under way, which need an eval_every above 0",
        ),
        (
            patience == 0,
            &["min_delta"],
            "it is of the early stop, which needs a patience above 0",
        ),
    ];
    let rules = rules.into_iter().filter(|(holds, ..)| *holds);
    rules.map(|(_, names, why)| Idle { names, why }).collect()
}

/// See [`super::TrainOptions::without_effect`].
pub(super) fn without_effect(
    model: &str,
    vq: &VectorQuantConfig,
    commitment_weight: f32,
    optimizer: &Optimizer,
) -> Vec<Idle> {
    let simple = model == Simple::NAME;
    let adamw = matches!(optimizer, Optimizer::Adamw { .. });
    let fsq = vq.fsq_levels.is_some();
    let stochastic = vq.stochastic.is_some();
    let replaces = vq.replace_freq > 0 || vq.replace_below > 0.0;
    let followed = vq.ema_decay.is_some() && vq.beta == 1.0;
    let rules: [(bool, &'static [&'static str], &'static str); 26] = [
        (simple, &["width", "blocks"], "the model simple has none"),
        (
            !simple,
            &["output_clamp"],
            "a residual model ends in a sigmoid",
        ),
        (vq.no_vq, &OF_A_QUANTISER, "nothing is quantised with no_vq"),
        (
            fsq,
            &OF_A_CODEBOOK,
            "finite scalar quantisation (fsq_levels) has no codebook",
        ),
        (
            fsq,
            &["beta", "commitment_weight"],
            "finite scalar quantisation (fsq_levels) has no commitment loss",
        ),
        (
            fsq,
            &["estimator"],
            "finite scalar quantisation (fsq_levels) has a gradient of its own",
        ),
        (
            stochastic,
            &OF_A_CODEBOOK,
            "stochastic quantisation learns its codes by their posterior alone",
        ),
        (
            stochastic,
            &["beta", "estimator"],
            "with stochastic quantisation the gradient passes the draw itself",
        ),
        (
            !stochastic,
            &["temperature", "temperature_decay", "temperature_min"],
            "it is of the noise of stochastic quantisation, which needs stochastic",
        ),
        (
            !vq.use_learnable_std,
            &["alter_penalty", "penalty_weight"],
            "it is of the penalty on alpha, which needs use_learnable_std",
        ),
        (
            vq.penalty_weight == 0.0,
            &["alter_penalty"],
            "the penalty on alpha needs a penalty_weight above 0",
        ),
        (
            !vq.use_learnable_gamma,
            &["gamma_policy"],
            "gamma needs use_learnable_gamma",
        ),
        (
            !vq.affine(),
            &["affine_groups"],
            "it is of an affine codebook, which needs affine_lr above 0 or use_learnable_std",
        ),
        (
            !vq.affine(),
            &["using_statistics"],
            "it says how the codebook is affine, which needs affine_lr above 0",
        ),
        (
            vq.use_learnable_std,
            &["affine_lr", "using_statistics"],
            "use_learnable_std makes the scale of the codebook",
        ),
        (
            !replaces,
            &["replace_policy"],
            "codes are replaced with a replace_freq above 0 or a replace_below above 0 only",
        ),
        (
            !replaces && vq.codebook_init != CodebookInit::Kmeans,
            &["placement"],
            "codes are put on vectors by replace_freq, replace_below and codebook_init kmeans only",
        ),
        (
            !vq.affine() && !vq.simvq,
            &["placement"],
            "the raw code is the effective one but for an affine codebook and simvq",
        ),
        (
            !(replaces || vq.using_statistics || vq.use_learnable_std || vq.simvq),
            &["placement"],
            "a learned scale and bias begin at 1 and 0, so that k-means puts both codes on the vector",
        ),
        (
            followed,
            &["commitment_weight"],
            "with ema_decay and beta 1 no gradient of the commitment loss is left",
        ),
        (
            vq.inplace_optimizer.is_some(),
            &["commitment_weight"],
            "inplace_optimizer takes the place of the commitment loss",
        ),
        (
            commitment_weight == 0.0 && vq.inplace_optimizer.is_none(),
            &["beta"],
            "with a commitment_weight of 0 there is no commitment loss",
        ),
        (
            vq.num_codes == 1,
            &["replace_freq", "replace_policy"],
            "with a num_codes of 1 no code is ever unused",
        ),
        (
            vq.residual == 1,
            &["residual_shared"],
            "there is one codebook only without a residual above 1",
        ),
        (adamw, &["momentum"], "the optimizer adamw has none"),
        (
            !adamw,
            &["beta1", "beta2", "eps"],
            "the optimizer sgd has none",
        ),
    ];
    let rules = rules.into_iter().filter(|(holds, ..)| *holds);
    rules.map(|(_, names, why)| Idle { names, why }).collect()
}
