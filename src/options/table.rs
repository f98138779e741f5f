//! The table, in the order of the command line's help.

use serde_json::Value;

use super::entry::{Entry, Flag, Kind, Unset, entry, number};
use super::number::{
    ACCUMULATE, AFFINE_GROUPS, AFFINE_LR, BATCH, BETA, BETA1, BETA2, BLOCKS, CLIP_NORM,
    COMMITMENT_WEIGHT, DECAY_EVERY, DECAY_FACTOR, DIM, EMA_DECAY, EPOCHS, EPS, EVAL_EVERY,
    FEATURE_SIZE, IMAGE_SIZE, KEEP_LAST, LOG_EVERY, LR, MIN_DELTA, MIN_LR, MOMENTUM, NUM_CODES,
    PATIENCE, PENALTY_WEIGHT, QUANTIZER_LR, REPLACE_BELOW, REPLACE_FREQ, RESIDUAL, SEED, STEPS,
    SYNC_NU, TEMPERATURE, TEMPERATURE_DECAY, TEMPERATURE_MIN, WARMUP, WEIGHT_DECAY, WIDTH,
};
use crate::error::Result;

/// The models.
pub(crate) const MODELS: [&str; 3] = ["simple", "resnet32", "resnet64"];

/// The residual ones.
const RESNETS: &[&str] = &["resnet32", "resnet64"];

const fn word(
    group: &'static str,
    name: &'static str,
    words: &'static [&'static str],
    default: &'static str,
    help: &'static str,
) -> Entry {
    entry(group, name, Kind::Word(words), default, help)
}

const fn switch(name: &'static str, help: &'static str) -> Entry {
    entry("vq", name, Kind::Switch, "false", help)
}

/// All options of [`crate::train::TrainOptions`].
pub static TABLE: [Entry; 71] = [
    word(
        "",
        "model",
        &MODELS,
        "simple",
        "Model: simple (small, grey or colour), or a residual one: resnet32, resnet64",
    )
    .shown("")
    .shared("Model", "The network around the codebook: simple is small; the residual ones draw better and take many times as long. Their width is F.")
    .initial("simple"),
    number(WIDTH, "", "Channels inside a residual model, which are its features of a vector [default: 64]")
        .unset(Unset::LeftOut)
        .of(RESNETS),
    number(BLOCKS, "", "Residual blocks in its encoder [default: 6]")
        .unset(Unset::LeftOut)
        .shared("Blocks", "Residual blocks in the encoder of a residual model. Empty: 6.")
        .bounds(1.0, 64.0)
        .of(RESNETS),
    entry(
        "",
        "method",
        Kind::Method,
        "vq",
        "Method: a named setting of the options below, which override it; `semivq methods` lists them [default: best; vq beside options of the quantiser and with --readme]",
    )
    .side("Method", "A named remedy: it sets the options below (pale or in brackets), each of which can still be changed.")
    .initial("vq"),
    entry("", "data", Kind::Text, "", "Images: a folder of PNG, JPEG, WebP or BMP files, flat or by class, of IDX files as MNIST's or of CIFAR's .bin files; or glyphs or scenes, which are built in [default: glyphs; of resnets scenes]")
        .unset(Unset::Null)
        .resumable(),
    entry("", "init", Kind::Text, "", "Start from the weights in a safetensors FILE: a state_dict of PyTorch, or a checkpoint")
        .unset(Unset::LeftOut),
    number(
        IMAGE_SIZE,
        "",
        "Resize and crop the images of a folder to this height and width; built-in scenes are 32 or 64 [default: their own, if they have one that the model takes, else 64; scenes 32, of resnet64 64]",
    )
    .unset(Unset::LeftOut),
    entry("", "skip_bad", Kind::Switch, "false", "Leave out the images of a folder that cannot be read, and say which"),
    entry("", "flip", Kind::Switch, "false", "Flip half of the training images left to right, others in each step"),
    number(
        STEPS,
        "",
        "Steps in all [default: 1000; on a software adapter 600; with --resume what the run was to do]",
    )
    .unset(Unset::LeftOut)
    .resumable(),
    number(EPOCHS, "", "The goal in passes over the training images, in place of --steps")
        .unset(Unset::LeftOut)
        .resumable(),
    number(BATCH, "256", "Images a step")
        .shown("; on a software adapter 64")
        .shared("Batch", "Images a step: more make a steadier gradient and a slower step. Empty: 64 on a GPU, 16 on a processor.")
        .bounds(1.0, 4096.0),
    number(LR, "3e-4", "Learning rate")
        .shown("; of resnets 1e-4")
        .resumable()
        .shared("Learning rate", "Length of the optimiser's steps (AdamW); large values learn fast and break early.")
        .initial("0.001")
        .live()
        .bounds(1e-9, 1.0),
    number(SEED, "0", "Seed of parameters, data order and built-in images; the same seed gives the same run")
        .shown("")
        .shared("Seed", "Fixes the first parameters and the order of the images: the same seed repeats the run.")
        .initial("0")
        .bounds(0.0, 4_294_967_295.0),
    number(LOG_EVERY, "1", "Write a metrics line every so many steps")
        .shown("")
        .resumable(),
    entry("", "checkpoint_every", Kind::Text, "", "Write a checkpoint every so many steps, or seconds (15s) [default: 15s]")
        .unset(Unset::LeftOut)
        .resumable(),
    // The learning rate over the steps.
    word(
        "",
        "schedule",
        &["constant", "cosine", "step"],
        "constant",
        "Learning rate after the warm-up: constant, cosine (down to --min-lr at the end) or step (down every so many steps)",
    )
    .shown("")
    .resumable(),
    number(WARMUP, "0", "Steps over which the rate grows to --lr")
        .shown("")
        .resumable(),
    number(MIN_LR, "0", "Where the cosine ends")
        .shown("")
        .resumable(),
    number(DECAY_EVERY, "", "Steps between two falls of the rate [default: a third of those after the warm-up]")
        .unset(Unset::LeftOut)
        .resumable(),
    number(DECAY_FACTOR, "0.1", "What the rate is multiplied by at each fall")
        .shown("")
        .resumable(),
    // Held-out data.
    number(EVAL_EVERY, "0", "Evaluate on the test images every so many steps")
        .shown(", at the end only")
        .resumable(),
    entry("", "keep_best", Kind::Switch, "false", "Keep the checkpoint with the least test loss of the evaluations, as checkpoint-best.safetensors")
        .resumable(),
    number(KEEP_LAST, "1", "Checkpoints that are kept; with more than one each is also there as checkpoint-STEP.safetensors")
        .shown("")
        .resumable(),
    number(PATIENCE, "0", "End the run after so many evaluations in a row without a smaller test loss")
        .shown(", never")
        .resumable(),
    number(MIN_DELTA, "0", "How far the test loss must fall to count as smaller")
        .shown("")
        .resumable(),
    // The quantiser.
    number(FEATURE_SIZE, "32", "Features of a vector")
        .shown("; of resnets --width")
        .shared("Features (F)", "Length of each code vector; of a residual model its width, too.")
        .initial("32")
        .bounds(1.0, 1024.0),
    number(NUM_CODES, "256", "Codes of the codebook")
        .shown("; of resnets 1024")
        .shared("Codes (K)", "Size of the codebook: how many different vectors a cell of the code map can be.")
        .initial("256")
        .bounds(1.0, 65_536.0),
    number(BETA, "0.97125", "Weight of the codebook side of the commitment loss, in [0, 1]")
        .shown("")
        .side("Beta", "Who moves: 1 pulls the codes to the vectors, 0 the vectors to the codes.")
        .live(),
    number(SYNC_NU, "0", "Share of the decoder's gradient that reaches the code vectors")
        .shown("")
        .side("Sync nu", "Share of the decoder's gradient that reaches the codes themselves.")
        .live()
        .bounds(0.0, 100.0),
    number(AFFINE_LR, "0", "Learning-rate factor of the affine codebook")
        .shown(", off")
        .side("Affine rate", "Learns a scale and a bias of the whole codebook, with this factor on the learning rate; 0 is off.")
        .more()
        .bounds(0.0, 100.0),
    number(AFFINE_GROUPS, "1", "Groups of consecutive codes with a scale of their own")
        .shown("")
        .side("Groups", "Groups of consecutive codes that have a scale of their own.")
        .more()
        .bounds(1.0, 65_536.0),
    switch("using_statistics", "Affine codebook from running moments")
        .side("By statistics", "Scale and bias of the codebook follow running moments of the vectors instead of being learned.")
        .more(),
    switch("use_learnable_std", "Learn alpha, the standard deviation of the codebook (Approach 1)")
        .side("Alpha", "Approach 1: learns alpha, the standard deviation of the codebook, for each feature.")
        .more(),
    word("vq", "alter_penalty", &["default", "between1", "small"], "default", "Penalty on alpha: default, between1 or small")
        .side("Penalty form", "What the penalty rewards: a large alpha, an alpha near 1, or an alpha that grows with the steps.")
        .live(),
    number(PENALTY_WEIGHT, "0", "Weight of that penalty in the training loss")
        .shown(", left out")
        .resumable()
        .side("Penalty", "Weight of the penalty on alpha (Approach 1); 0 is off.")
        .live()
        .bounds(0.0, 1000.0),
    switch("use_learnable_gamma", "Learn gamma, an offset of the quantised vector (Approach 2)")
        .side("Gamma", "Approach 2: learns gamma, an offset of the quantised vectors.")
        .more(),
    word("vq", "gamma_policy", &["default", "personalize"], "default", "Gamma for all vectors (default) or each (personalize, Approach 3)")
        .side("Gamma for", "One gamma a feature, or (Approach 3) one for each vector and channel.")
        .more(),
    number(REPLACE_FREQ, "0", "Steps unused before a code is replaced")
        .shown(", never")
        .side("Replace after", "A code unused for this many steps is dead and gets replaced; 0 never.")
        .live()
        .bounds(0.0, 1e6),
    number(REPLACE_BELOW, "0", "Cluster size, the moving average of a code's vectors in a step, below which it is replaced; the decay is --ema-decay, or 0.8")
        .shown(", never")
        .side("Replace below", "A code whose vectors in a step, on average, are fewer than this gets replaced; 0 never.")
        .more()
        .live()
        .bounds(0.0, 1e6),
    word(
        "vq",
        "replace_policy",
        &["input_random", "input_kmeans", "self"],
        "input_random",
        "What a replaced code becomes: input_random (a vector of the batch), input_kmeans (a centroid of it) or self (a copy of a code in use)",
    )
    .side("Replace by", "What a dead code becomes: a random vector of the batch, a centroid of it, or a copy of a code in use.")
    .live(),
    entry("vq", "inplace_optimizer", Kind::Pair, "none", "In-place step of the codebook: learning rate and momentum, or none")
        .unset(Unset::OrNone("10,0.9"))
        .side("In-place rate", "Learning rate of a second, immediate step of the codebook (momentum 0.9); part of VQ-STE++.")
        .key("inplace_lr")
        .more()
        .bounds(0.0, 1000.0),
    number(EMA_DECAY, "none", "Codebook as an exponential moving average with this decay, or none")
        .unset(Unset::OrNone("0.99"))
        .side("EMA decay", "Codes follow a moving average of their vectors with this decay instead of a gradient.")
        .more()
        .bounds(0.0, 0.999_999),
    switch("simvq", "SimVQ: a frozen codebook under a learned linear map")
        .side("SimVQ", "Freezes the codebook and learns one linear map of it.")
        .more(),
    entry("vq", "fsq_levels", Kind::Levels, "none", "Finite scalar quantisation in place of a codebook: values of each channel, or none")
        .unset(Unset::OrNone("8,6,5")),
    word("vq", "stochastic", &["gaussian_1", "gaussian_2", "gaussian_3", "gaussian_4", "vmf"], "none", "Stochastic quantisation: codes are drawn from a posterior whose variance is learned, one for all (gaussian_1), for each image (gaussian_2), vector (gaussian_3) or value (gaussian_4), or that of directions (vmf); or none")
        .unset(Unset::OrNone("gaussian_1"))
        .side("Stochastic", "Draws the code of a vector from a posterior over all codes, whose variance is learned and falls by itself.")
        .more(),
    number(TEMPERATURE, "1", "Temperature of the noise of stochastic quantisation")
        .shown("")
        .side("Temperature", "Of the noise with which codes are drawn: small ones draw one code, large ones mix many.")
        .more()
        .live()
        .bounds(1e-3, 100.0),
    number(TEMPERATURE_DECAY, "1e-5", "By how much the logarithm of that temperature falls a step")
        .shown(""),
    number(TEMPERATURE_MIN, "0.001", "Least temperature")
        .shown(""),
    word("vq", "estimator", &["straight_through", "rotation"], "straight_through", "Gradient through the quantiser: straight_through or rotation")
        .side("Estimator", "How the gradient passes the quantiser: as it is, or turned and scaled as the vector was.")
        .more(),
    number(DIM, "1", "Axis of the features: 1, as in the model").flag(Flag::Hidden),
    word("vq", "norm", &["none", "l2", "l2c", "bn", "gn", "in"], "none", "Norm of the vectors: none, l2, l2c, bn, gn or in")
        .side("Norm of vectors", "Normalises the encoder's vectors before the search: l2 unit length, l2c length at most 10, batch, group or instance norm.")
        .more(),
    word("vq", "cb_norm", &["none", "l2", "l2c"], "none", "Norm of the codebook: none, l2 or l2c")
        .side("Norm of codes", "Normalises the codes in place: l2 length at most 10, l2c unit length.")
        .more(),
    word("vq", "codebook_init", &["normal", "uniform", "kmeans"], "normal", "How the codebook begins: normal (deviation 1), uniform (within sqrt(6 / (K F))) or kmeans (k-means of a warm-up batch)")
        .side("Codes begin", "Where the codes are at first: drawn with deviation 1, drawn close to 0, or placed by k-means on the first batch."),
    word("vq", "placement", &["auto", "effective", "raw"], "auto", "What k-means and replacement put on a vector: the effective code, which is searched, the raw one, as the PyTorch package does, or (auto) the effective one but with alpha")
        .side("Place", "What k-means and replacement put on a vector: the code that is searched, or the one before its scale and bias; auto: the former, but with alpha.")
        .more(),
    word("vq", "dist", &["euclidean", "cosine"], "euclidean", "Distance: euclidean or cosine")
        .side("Distance", "What nearest means in the codebook search.")
        .more(),
    number(RESIDUAL, "1", "Residual quantisation: codebooks one after the other, each for what those before it left over; a vector has as many codes")
        .shown(""),
    switch("residual_shared", "One codebook for all layers of --residual, in place of one each"),
    switch("no_vq", "No quantisation: the plain autoencoder")
        .side("No quantiser", "A plain autoencoder: what the reconstruction would be without codes.")
        .more(),
    // The model and the optimiser.
    word("", "output_clamp", &["train", "eval"], "eval", "Clamp the output in training too (train) or outside it only (eval)")
        .shown("")
        .of(&["simple"]),
    number(COMMITMENT_WEIGHT, "10", "Weight of the commitment loss")
        .shown("; of resnets 5")
        .of(&MODELS)
        .resumable()
        .shared("Commitment weight", "Weight of the commitment loss against the reconstruction. Empty: 10, of residual models 5.")
        .live()
        .bounds(0.0, 1000.0),
    word("", "loss", &["l1", "mse", "elbo", "elbo_learned"], "", "Reconstruction loss: l1, mse, elbo (as in a negative ELBO, with the variance that is best for the batch) or elbo_learned (with a learned one) [default: the model's own, l1 for simple, mse for resnets]")
        .unset(Unset::LeftOut),
    number(
        QUANTIZER_LR,
        "1",
        "Factor of the learning rate for what the quantiser learns besides its codebook: networks of alpha and gamma, \
         affine scales and biases, maps",
    )
    .shown(""),
    number(CLIP_NORM, "0", "Greatest norm of all gradients together; longer ones are scaled down to it")
        .shown(", no limit"),
    number(ACCUMULATE, "1", "Parts of a batch that pass one after the other and make one step, where the whole does not fit")
        .shown(""),
    word("optimizer", "name", &["adamw", "sgd"], "adamw", "adamw or sgd").shown(""),
    number(BETA1, "0.9", "AdamW: decay of the first moment").shown("").of(&["adamw"]),
    number(BETA2, "0.999", "AdamW: decay of the second moment").shown("; of resnets 0.95").of(&["adamw"]),
    number(EPS, "1e-8", "AdamW: added to the root of the second moment").of(&["adamw"]).flag(Flag::Missing),
    number(WEIGHT_DECAY, "0.01", "Weight decay")
        .shown(" for adamw (of resnets 1e-4), 0 for sgd")
        .resumable(),
    number(MOMENTUM, "0.9", "SGD: momentum").shown("").of(&["sgd"]),
];

impl Entry {
    /// The entry of an option, by its name on the command line.
    #[must_use]
    pub fn named(id: &str) -> Option<&'static Self> {
        TABLE.iter().find(|entry| entry.id() == id)
    }
}

/// Whether the numbers in `options`, JSON of [`crate::train::TrainOptions`] or a part of it, are
/// numbers and in range.
///
/// # Errors
/// [`crate::Error::Option`] names the first one that is not, by its path in the JSON.
pub fn check_json(options: &Value) -> Result<()> {
    TABLE.iter().try_for_each(|entry| entry.check_json(options))
}
