//! What the page shows of an option.

/// Whose value it is on the page, which trains two runs side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One for both sides.
    Shared,
    /// Each side's own.
    Side,
}

/// A control of the page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Control {
    /// Its name in the page's address: the option's, unless it stands for a part of it.
    pub key: &'static str,
    /// Its label.
    pub label: &'static str,
    /// What it is, in a sentence.
    pub help: &'static str,
    /// Whose value it is.
    pub scope: Scope,
    /// What a fresh page has, as typed; empty where the method or the machine decides.
    pub initial: &'static str,
    /// Whether it changes a run under way; the others apply on reset.
    pub live: bool,
    /// Whether it stands among the further options.
    pub more: bool,
    /// Least and greatest number that it takes: at most the option's range. Where the option can be
    /// none, 0 stands for that.
    pub bounds: (f64, f64),
}

/// The options that have a control, in the page's order.
pub const PAGE: [&str; 34] = [
    "model",
    "blocks",
    "seed",
    "lr",
    "batch",
    "num_codes",
    "feature_size",
    "commitment_weight",
    "method",
    "beta",
    "sync_nu",
    "penalty_weight",
    "alter_penalty",
    "replace_freq",
    "replace_policy",
    "codebook_init",
    "norm",
    "cb_norm",
    "dist",
    "estimator",
    "use_learnable_std",
    "use_learnable_gamma",
    "gamma_policy",
    "affine_lr",
    "affine_groups",
    "using_statistics",
    "ema_decay",
    "inplace_optimizer",
    "replace_below",
    "placement",
    "simvq",
    "stochastic",
    "temperature",
    "no_vq",
];
