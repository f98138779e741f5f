//! The flags of `train`.

use std::path::PathBuf;

use clap::Args;
use semivq::models::{ModelOptions, OutputClamp};
use semivq::optim::Optimizer;
use semivq::quant::codebook::{
    AlterPenalty, CodebookNorm, Distance, Estimator, GammaPolicy, ReplacePolicy,
};
use semivq::quant::{Norm, VectorQuantConfig};
use semivq::train::{CheckpointEvery, Method, TrainOptions};
use semivq::{Error, Result, options};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::given::Given;
use super::idle;

/// A word that the library knows, such as `approach1`; the error lists all of them.
fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(text.into()).map_err(|e| e.to_string())
}

/// A value, or the word `none` that takes back what a method set.
type OrNone<T> = Option<T>;

fn or_none<T, E>(text: &str, parse: impl Fn(&str) -> Result<T, E>) -> Result<OrNone<T>, E> {
    if text == "none" {
        return Ok(None);
    }
    parse(text).map(Some)
}

fn pair_or_none(text: &str) -> Result<OrNone<(f32, f32)>, Error> {
    or_none(text, pair)
}

fn decay_or_none(text: &str) -> Result<OrNone<f32>, Error> {
    or_none(text, |text| options::EMA_DECAY.parse(text)).map_err(|e| match e {
        Error::Option { name, value, want } => Error::Option {
            name,
            value,
            want: format!("{want}, for example 0.99, or none"),
        },
        other => other,
    })
}

/// The levels of finite scalar quantisation; a type of its own, since clap takes a `Vec` for many
/// values.
#[derive(Clone, Debug)]
struct Levels(Vec<usize>);

fn levels_or_none(text: &str) -> Result<OrNone<Levels>, String> {
    or_none(text, |text| {
        let numbers: Option<Vec<usize>> = text.split(',').map(|t| t.trim().parse().ok()).collect();
        let want = || "want numbers, for example 8,6,5, or none".into();
        numbers.map(Levels).ok_or_else(want)
    })
}

fn pair(text: &str) -> Result<(f32, f32), Error> {
    let parts: Vec<&str> = text.split(',').collect();
    let numbers = parts.iter().all(|t| t.trim().parse::<f32>().is_ok());
    let [lr, momentum] = parts[..] else {
        return Err(no_pair());
    };
    if !numbers {
        return Err(no_pair());
    }
    let lr = options::INPLACE_LR.parse(lr);
    let momentum = options::INPLACE_MOMENTUM.parse(momentum);
    // What was typed, not what float32 makes of it.
    lr.and_then(|lr| Ok((lr, momentum?)))
        .map_err(|_| VectorQuantConfig::not_in_place(text))
}

fn no_pair() -> Error {
    Error::Config("want LR,MOMENTUM, for example 10,0.9, or none".into())
}

#[derive(Args)]
pub struct TrainArgs {
    /// Model: simple
    #[arg(long, default_value = "simple")]
    pub model: String,
    /// Method: a named setting of the options below, which override it; `semivq methods` lists them
    #[arg(long, default_value = "vq", value_parser = word::<Method>)]
    pub method: Method,
    /// Folder with IDX files as MNIST's, plain or gzip. Default: the built-in images
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Steps in all [default: 1000; on a software adapter 600; with --resume what the run was to do]
    #[arg(long, allow_negative_numbers = true, value_parser = |t: &str| options::STEPS.parse::<u32>(t))]
    pub steps: Option<u32>,
    /// Images a step [default: 256; on a software adapter 64]
    #[arg(long, allow_negative_numbers = true, value_parser = |t: &str| options::BATCH.parse::<usize>(t))]
    pub batch: Option<usize>,
    /// Learning rate [default: 3e-4]
    #[arg(long, allow_negative_numbers = true, value_parser = |t: &str| options::LR.parse::<f32>(t))]
    pub lr: Option<f32>,
    /// Seed of parameters, data order and built-in images; the same seed gives the same run
    #[arg(long, allow_negative_numbers = true, value_parser = |t: &str| options::SEED.parse::<u64>(t), default_value_t = 0)]
    pub seed: u64,
    /// Folder for the results [default: runs/METHOD-1, -2, ..]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Replace the run that --out holds
    #[arg(long, requires = "out")]
    pub overwrite: bool,
    /// Go on with a run: the one in a folder, or from a checkpoint FILE.safetensors (the page's too),
    /// which makes a new run (--out). Its options are the run's; --steps, --lr, --log-every,
    /// --checkpoint-every, --commitment-weight, --penalty-weight, --weight-decay and, where its
    /// images were moved, --data can be given anew
    #[arg(long, value_name = "DIR|FILE")]
    pub resume: Option<PathBuf>,
    /// The seed's README to the letter: output clamped in training too, batch 256, 1000 steps. It
    /// ends at the constant background, because a clamped pixel has no gradient
    #[arg(long, conflicts_with = "output_clamp")]
    pub readme: bool,
    /// Write a metrics line every so many steps
    #[arg(long, allow_negative_numbers = true, value_parser = |t: &str| options::LOG_EVERY.parse::<u32>(t), default_value_t = 1)]
    pub log_every: u32,
    /// Write a checkpoint every so many steps, or seconds (15s) [default: 15s]
    #[arg(long, value_name = "N|SECONDSs")]
    pub checkpoint_every: Option<CheckpointEvery>,
    #[command(flatten, next_help_heading = "Quantiser (names of the seed's README)")]
    pub vq: VqArgs,
    #[command(flatten, next_help_heading = "Losses and optimiser")]
    pub loss: LossArgs,
}

#[derive(Args)]
pub struct VqArgs {
    /// Features of a vector [default: 32]
    #[arg(long, allow_negative_numbers = true, value_parser = |t: &str| options::FEATURE_SIZE.parse::<usize>(t))]
    feature_size: Option<usize>,
    /// Codes of the codebook [default: 256]
    #[arg(long, allow_negative_numbers = true, value_parser = |t: &str| options::NUM_CODES.parse::<usize>(t))]
    num_codes: Option<usize>,
    /// Weight of the codebook side of the commitment loss, in [0, 1] [default: 0.97125]
    #[arg(long, allow_negative_numbers = true, value_parser = |t: &str| options::BETA.parse::<f32>(t))]
    beta: Option<f32>,
    /// Share of the decoder's gradient that reaches the code vectors [default: 0]
    #[arg(long, allow_negative_numbers = true, value_parser = |t: &str| options::SYNC_NU.parse::<f32>(t))]
    sync_nu: Option<f32>,
    /// Learning-rate factor of the affine codebook [default: 0, off]
    #[arg(long, allow_negative_numbers = true, value_parser = |t: &str| options::AFFINE_LR.parse::<f32>(t))]
    affine_lr: Option<f32>,
    /// Groups of consecutive codes with a scale of their own [default: 1]
    #[arg(long, allow_negative_numbers = true, value_parser = |t: &str| options::AFFINE_GROUPS.parse::<usize>(t))]
    affine_groups: Option<usize>,
    /// Affine codebook from running moments
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    using_statistics: Option<bool>,
    /// Learn alpha, the standard deviation of the codebook (Approach 1)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    use_learnable_std: Option<bool>,
    /// Penalty on alpha: default, between1 or small
    #[arg(long, value_parser = word::<AlterPenalty>)]
    alter_penalty: Option<AlterPenalty>,
    /// Weight of that penalty in the training loss [default: 0, left out]
    #[arg(long, allow_negative_numbers = true, value_parser = |t: &str| options::PENALTY_WEIGHT.parse::<f32>(t))]
    penalty_weight: Option<f32>,
    /// Learn gamma, an offset of the quantised vector (Approach 2)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    use_learnable_gamma: Option<bool>,
    /// Gamma for all vectors (default) or each (personalize, Approach 3)
    #[arg(long, value_parser = word::<GammaPolicy>)]
    gamma_policy: Option<GammaPolicy>,
    /// Steps unused before a code is replaced [default: 0, never]
    #[arg(long, allow_negative_numbers = true, value_parser = |t: &str| options::REPLACE_FREQ.parse::<usize>(t))]
    replace_freq: Option<usize>,
    /// What a replaced code becomes: input_random (a vector of the batch), input_kmeans (a centroid
    /// of it) or self (a copy of a code in use)
    #[arg(long, value_parser = word::<ReplacePolicy>)]
    replace_policy: Option<ReplacePolicy>,
    /// In-place step of the codebook: learning rate and momentum, or none
    #[arg(long, value_name = "LR,MOMENTUM", allow_hyphen_values = true, value_parser = pair_or_none)]
    inplace_optimizer: Option<OrNone<(f32, f32)>>,
    /// Codebook as an exponential moving average with this decay, or none
    #[arg(long, value_name = "DECAY", allow_negative_numbers = true, value_parser = decay_or_none)]
    ema_decay: Option<OrNone<f32>>,
    /// SimVQ: a frozen codebook under a learned linear map
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    simvq: Option<bool>,
    /// Finite scalar quantisation in place of a codebook: values of each channel, or none
    #[arg(long, value_name = "L,L,..", allow_hyphen_values = true, value_parser = levels_or_none)]
    fsq_levels: Option<OrNone<Levels>>,
    /// Gradient through the quantiser: straight_through or rotation
    #[arg(long, value_parser = word::<Estimator>)]
    estimator: Option<Estimator>,
    /// Axis of the features: 1, as in the model
    #[arg(long, hide = true, allow_negative_numbers = true, value_parser = |t: &str| options::DIM.parse::<usize>(t))]
    dim: Option<usize>,
    /// Norm of the vectors: none, l2, l2c, bn, gn or in
    #[arg(long, value_parser = word::<Norm>)]
    norm: Option<Norm>,
    /// Norm of the codebook: none, l2 or l2c
    #[arg(long, value_parser = word::<CodebookNorm>)]
    cb_norm: Option<CodebookNorm>,
    /// Codebook from k-means of a warm-up batch
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    kmeans_init: Option<bool>,
    /// Distance: euclidean or cosine
    #[arg(long, value_parser = word::<Distance>)]
    dist: Option<Distance>,
    /// No quantisation: the plain autoencoder
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    no_vq: Option<bool>,
}

#[derive(Args)]
pub struct LossArgs {
    /// Clamp the output in training too (train) or outside it only (eval) [default: eval]
    #[arg(long, value_parser = word::<OutputClamp>)]
    output_clamp: Option<OutputClamp>,
    /// Weight of the commitment loss [default: 10]
    #[arg(long, allow_negative_numbers = true, value_parser = |t: &str| options::COMMITMENT_WEIGHT.parse::<f32>(t))]
    commitment_weight: Option<f32>,
    /// adamw or sgd
    #[arg(long, default_value = "adamw", value_parser = ["adamw", "sgd"])]
    optimizer: String,
    /// AdamW: decay of the first moment
    #[arg(long, allow_negative_numbers = true, value_parser = |t: &str| options::BETA1.parse::<f32>(t), default_value_t = 0.9)]
    beta1: f32,
    /// AdamW: decay of the second moment
    #[arg(long, allow_negative_numbers = true, value_parser = |t: &str| options::BETA2.parse::<f32>(t), default_value_t = 0.999)]
    beta2: f32,
    /// Weight decay [default: 0.01 for adamw, 0 for sgd]
    #[arg(long, allow_negative_numbers = true, value_parser = |t: &str| options::WEIGHT_DECAY.parse::<f32>(t))]
    weight_decay: Option<f32>,
    /// SGD: momentum
    #[arg(long, allow_negative_numbers = true, value_parser = |t: &str| options::MOMENTUM.parse::<f32>(t), default_value_t = 0.9)]
    momentum: f32,
}

/// Default steps and batch on a GPU, and on a software adapter, where the run should end within
/// two minutes.
const GPU_SIZE: (u32, usize) = (1000, 256);
const SOFTWARE_SIZE: (u32, usize) = (600, 64);

fn set<T: Clone>(target: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        *target = value.clone();
    }
}

impl TrainArgs {
    /// The options and the number of steps; `software` says what adapter they are for.
    pub fn options(&self, software: bool) -> Result<(TrainOptions, u32)> {
        self.options_of(self.method, software)
    }

    /// The same for another method.
    pub fn options_of(&self, method: Method, software: bool) -> Result<(TrainOptions, u32)> {
        let (value, steps) = self.value(method, software);
        Ok((TrainOptions::from_partial(value)?, steps))
    }

    fn num_codes_are_those_of_levels(&self) -> bool {
        self.vq.num_codes.is_none() && matches!(self.vq.fsq_levels, Some(Some(_)))
    }

    /// The options as JSON.
    fn value(&self, method: Method, software: bool) -> (Value, u32) {
        let small = software && !self.readme;
        let (steps, batch) = if small { SOFTWARE_SIZE } else { GPU_SIZE };
        let mut vq = VectorQuantConfig::default();
        self.vq.apply(method, &mut vq);
        let steps = self.steps.unwrap_or(steps);
        let mut value = json!({
            "model": self.model, "method": method, "batch": self.batch.unwrap_or(batch),
            "seed": self.seed, "log_every": self.log_every, "vq": vq,
            "optimizer": self.loss.optimizer(), "steps": steps,
        });
        if self.num_codes_are_those_of_levels()
            && let Some(vq) = value["vq"].as_object_mut()
        {
            vq.remove("num_codes");
        }
        if let Some(every) = self.checkpoint_every {
            value["checkpoint_every"] = json!(every);
        }
        if self.readme {
            value["output_clamp"] = json!(OutputClamp::Train);
        }
        if let Some(lr) = self.lr {
            value["lr"] = json!(lr);
        }
        if let Some(clamp) = self.loss.output_clamp {
            value["output_clamp"] = json!(clamp);
        }
        if let Some(weight) = self.loss.commitment_weight {
            value["commitment_weight"] = json!(weight);
        }
        (value, steps)
    }

    /// What can be said of the options before there is a device.
    ///
    /// # Errors
    /// [`Error::Option`], [`Error::Conflict`] as [`TrainOptions::validate`], and for what is `given`
    /// without effect.
    pub fn check(&self, given: &Given) -> Result<()> {
        let (value, _) = self.value(self.method, false);
        idle::refuse(given, &TrainOptions::idle(value)?)?;
        let (options, _) = self.options(false)?;
        idle::refuse_method(given, self)?;
        idle::say(given, self.vq.num_codes, &options);
        Ok(())
    }

    /// Options that go with `--resume`; any other one that is `given` would be ignored.
    pub const WITH_RESUME: [&str; 8] = [
        "steps",
        "lr",
        "log_every",
        "checkpoint_every",
        "commitment_weight",
        "penalty_weight",
        "weight_decay",
        "data",
    ];

    /// What is given of [`Self::WITH_RESUME`], but for the data, over the options of a run.
    ///
    /// # Errors
    /// [`Error::Conflict`] names what would have no effect.
    pub fn change(&self, given: &Given, options: &mut TrainOptions) -> Result<()> {
        set(&mut options.lr, self.lr.as_ref());
        let ModelOptions::Simple(simple) = &mut options.model;
        set(
            &mut simple.commitment_weight,
            self.loss.commitment_weight.as_ref(),
        );
        let mut value = json!(options);
        if let Some(weight) = self.vq.penalty_weight {
            value["vq"]["penalty_weight"] = json!(weight);
        }
        let idle = TrainOptions::idle(value.clone())?;
        idle::refuse(given, &idle)?;
        *options = TrainOptions::from_partial(value)?;
        let (Optimizer::Adamw { weight_decay, .. } | Optimizer::Sgd { weight_decay, .. }) =
            &mut options.optimizer;
        set(weight_decay, self.loss.weight_decay.as_ref());
        options.steps = self.steps.or(options.steps);
        options.checkpoint_every = self.checkpoint_every.or(options.checkpoint_every);
        if given.has("log_every") {
            options.log_every = self.log_every;
        }
        Ok(())
    }

    /// What to say when the defaults were shrunk, if they were.
    pub fn shrunk(&self, software: bool) -> Option<String> {
        let (steps, batch) = SOFTWARE_SIZE;
        let mut parts = Vec::new();
        if self.steps.is_none() {
            parts.push(format!("{steps} steps"));
        }
        if self.batch.is_none() {
            parts.push(format!("batch {batch}"));
        }
        (software && !self.readme && !parts.is_empty()).then(|| {
            format!(
                "software adapter: {} instead of {} steps of batch {}",
                parts.join(" of "),
                GPU_SIZE.0,
                GPU_SIZE.1
            )
        })
    }
}

impl VqArgs {
    /// The method's options, and the flags over them.
    fn apply(&self, method: Method, vq: &mut VectorQuantConfig) {
        set(&mut vq.feature_size, self.feature_size.as_ref());
        set(&mut vq.num_codes, self.num_codes.as_ref());
        method.apply(vq);
        set(&mut vq.beta, self.beta.as_ref());
        set(&mut vq.sync_nu, self.sync_nu.as_ref());
        set(&mut vq.affine_lr, self.affine_lr.as_ref());
        set(&mut vq.affine_groups, self.affine_groups.as_ref());
        set(&mut vq.using_statistics, self.using_statistics.as_ref());
        set(&mut vq.use_learnable_std, self.use_learnable_std.as_ref());
        set(&mut vq.alter_penalty, self.alter_penalty.as_ref());
        set(&mut vq.penalty_weight, self.penalty_weight.as_ref());
        set(
            &mut vq.use_learnable_gamma,
            self.use_learnable_gamma.as_ref(),
        );
        set(&mut vq.gamma_policy, self.gamma_policy.as_ref());
        set(&mut vq.replace_freq, self.replace_freq.as_ref());
        set(&mut vq.replace_policy, self.replace_policy.as_ref());
        set(&mut vq.inplace_optimizer, self.inplace_optimizer.as_ref());
        set(&mut vq.ema_decay, self.ema_decay.as_ref());
        set(&mut vq.simvq, self.simvq.as_ref());
        set(&mut vq.estimator, self.estimator.as_ref());
        set(&mut vq.dim, self.dim.as_ref());
        set(&mut vq.norm, self.norm.as_ref());
        set(&mut vq.cb_norm, self.cb_norm.as_ref());
        set(&mut vq.kmeans_init, self.kmeans_init.as_ref());
        set(&mut vq.dist, self.dist.as_ref());
        set(&mut vq.no_vq, self.no_vq.as_ref());
        if let Some(levels) = &self.fsq_levels {
            vq.fsq_levels = levels.clone().map(|levels| levels.0);
        }
    }
}

impl LossArgs {
    fn optimizer(&self) -> Optimizer {
        if self.optimizer == "sgd" {
            return Optimizer::Sgd {
                momentum: self.momentum,
                weight_decay: self.weight_decay.unwrap_or(0.0),
            };
        }
        Optimizer::Adamw {
            beta1: self.beta1,
            beta2: self.beta2,
            eps: 1e-8,
            weight_decay: self.weight_decay.unwrap_or(0.01),
        }
    }
}
