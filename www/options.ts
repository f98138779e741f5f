/**
 * Made of the tables in `src/options/table.rs` and `src/train/methods.rs`; `cargo xtask tables` writes it anew.
 */

/** A named setting of the quantiser's options. */
export type Method =
  | "vq"
  | "replace"
  | "approach1"
  | "approach1++"
  | "approach2"
  | "approach3"
  | "affine"
  | "ste++"
  | "ste++++"
  | "ema"
  | "cosine"
  | "rotation"
  | "simvq"
  | "fsq"
  | "sqvae"
  | "sqvae-2"
  | "sqvae-3"
  | "sqvae-4"
  | "vmf"
  | "best";

/** All methods. */
export const METHODS: readonly Method[] = [
  "vq",
  "replace",
  "approach1",
  "approach1++",
  "approach2",
  "approach3",
  "affine",
  "ste++",
  "ste++++",
  "ema",
  "cosine",
  "rotation",
  "simvq",
  "fsq",
  "sqvae",
  "sqvae-2",
  "sqvae-3",
  "sqvae-4",
  "vmf",
  "best",
];

/** Options of the quantiser, under the names of the command line; the method sets most of them. */
export interface QuantizerOptions {
  /** Features of a vector. Default: 32. */
  feature_size: number;
  /** Codes of the codebook. Default: 256. */
  num_codes: number;
  /** Weight of the codebook side of the commitment loss, in [0, 1]. Default: 0.97125. */
  beta: number;
  /** Share of the decoder's gradient that reaches the code vectors. Default: 0. */
  sync_nu: number;
  /** Learning-rate factor of the affine codebook. Default: 0. */
  affine_lr: number;
  /** Groups of consecutive codes with a scale of their own. Default: 1. */
  affine_groups: number;
  /** Affine codebook from running moments. */
  using_statistics: boolean;
  /** Learn alpha, the standard deviation of the codebook (Approach 1). */
  use_learnable_std: boolean;
  /** Penalty on alpha: default, between1 or small. Default: "default". */
  alter_penalty: "default" | "between1" | "small";
  /** Weight of that penalty in the training loss. Default: 0. */
  penalty_weight: number;
  /** Learn gamma, an offset of the quantised vector (Approach 2). */
  use_learnable_gamma: boolean;
  /** Gamma for all vectors (default) or each (personalize, Approach 3). Default: "default". */
  gamma_policy: "default" | "personalize";
  /** Steps unused before a code is replaced. Default: 0. */
  replace_freq: number;
  /** Cluster size, the moving average of a code's vectors in a step, below which it is replaced; the decay is --ema-decay, or 0.8. Default: 0. */
  replace_below: number;
  /** What a replaced code becomes: input_random (a vector of the batch), input_kmeans (a centroid of it) or self (a copy of a code in use). Default: "input_random". */
  replace_policy: "input_random" | "input_kmeans" | "self";
  /** In-place step of the codebook: learning rate and momentum, or none. */
  inplace_optimizer: [number, number] | null;
  /** Codebook as an exponential moving average with this decay, or none. */
  ema_decay: number | null;
  /** SimVQ: a frozen codebook under a learned linear map. */
  simvq: boolean;
  /** Finite scalar quantisation in place of a codebook: values of each channel, or none. */
  fsq_levels: number[] | null;
  /** Stochastic quantisation: codes are drawn from a posterior whose variance is learned, one for all (gaussian_1), for each image (gaussian_2), vector (gaussian_3) or value (gaussian_4), or that of directions (vmf); or none. */
  stochastic: "gaussian_1" | "gaussian_2" | "gaussian_3" | "gaussian_4" | "vmf" | null;
  /** Temperature of the noise of stochastic quantisation. Default: 1. */
  temperature: number;
  /** By how much the logarithm of that temperature falls a step. Default: 1e-5. */
  temperature_decay: number;
  /** Least temperature. Default: 0.001. */
  temperature_min: number;
  /** Gradient through the quantiser: straight_through or rotation. Default: "straight_through". */
  estimator: "straight_through" | "rotation";
  /** Axis of the features: 1, as in the model. Default: 1. */
  dim: number;
  /** Norm of the vectors: none, l2, l2c, bn, gn or in. Default: "none". */
  norm: "none" | "l2" | "l2c" | "bn" | "gn" | "in";
  /** Norm of the codebook: none, l2 or l2c. Default: "none". */
  cb_norm: "none" | "l2" | "l2c";
  /** How the codebook begins: normal (deviation 1), uniform (within sqrt(6 / (K F))) or kmeans (k-means of a warm-up batch). Default: "normal". */
  codebook_init: "normal" | "uniform" | "kmeans";
  /** What k-means and replacement put on a vector: the effective code, which is searched, the raw one, as the PyTorch package does, or (auto) the effective one but with alpha. Default: "auto". */
  placement: "auto" | "effective" | "raw";
  /** Distance: euclidean or cosine. Default: "euclidean". */
  dist: "euclidean" | "cosine";
  /** Residual quantisation: codebooks one after the other, each for what those before it left over; a vector has as many codes. Default: 1. */
  residual: number;
  /** One codebook for all layers of --residual, in place of one each. */
  residual_shared: boolean;
  /** No quantisation: the plain autoencoder. */
  no_vq: boolean;
}

/** The optimiser and its constants. */
export type OptimizerOptions =
  | { name: "adamw"; beta1: number; beta2: number; eps: number; weight_decay: number }
  | { name: "sgd"; weight_decay: number; momentum: number };

/** What a run is: the same object as the command line's `config.json`. */
export interface TrainOptions {
  /** Model: simple (small, grey or colour), or a residual one: resnet32, resnet64. Default: "simple". */
  model: "simple" | "resnet32" | "resnet64";
  /** Channels inside a residual model, which are its features of a vector. */
  width?: number;
  /** Residual blocks in its encoder. */
  blocks?: number;
  /** Method: a named setting of the options below, which override it; `semivq methods` lists them. Default: "vq". */
  method: Method;
  /** Images: a folder of PNG, JPEG, WebP or BMP files, flat or by class, of IDX files as MNIST's or of CIFAR's .bin files; or glyphs or scenes, which are built in. */
  data: string | null;
  /** Start from the weights in a safetensors FILE: a state_dict of PyTorch, or a checkpoint. */
  init?: string;
  /** Resize and crop the images of a folder to this height and width; built-in scenes are 32 or 64. */
  image_size?: number;
  /** Leave out the images of a folder that cannot be read, and say which. */
  skip_bad: boolean;
  /** Flip half of the training images left to right, others in each step. */
  flip: boolean;
  /** Steps in all. */
  steps?: number;
  /** The goal in passes over the training images, in place of --steps. */
  epochs?: number;
  /** Images a step. Default: 256. */
  batch: number;
  /** Learning rate. Default: 3e-4. */
  lr: number;
  /** Seed of parameters, data order and built-in images; the same seed gives the same run. Default: 0. */
  seed: number;
  /** Write a metrics line every so many steps. Default: 1. */
  log_every: number;
  /** Write a checkpoint every so many steps, or seconds (15s). */
  checkpoint_every?: string;
  /** Learning rate after the warm-up: constant, cosine (down to --min-lr at the end) or step (down every so many steps). Default: "constant". */
  schedule: "constant" | "cosine" | "step";
  /** Steps over which the rate grows to --lr. Default: 0. */
  warmup: number;
  /** Where the cosine ends. Default: 0. */
  min_lr: number;
  /** Steps between two falls of the rate. */
  decay_every?: number;
  /** What the rate is multiplied by at each fall. Default: 0.1. */
  decay_factor: number;
  /** Evaluate on the test images every so many steps. Default: 0. */
  eval_every: number;
  /** Keep the checkpoint with the least test loss of the evaluations, as checkpoint-best.safetensors. */
  keep_best: boolean;
  /** Checkpoints that are kept; with more than one each is also there as checkpoint-STEP.safetensors. Default: 1. */
  keep_last: number;
  /** End the run after so many evaluations in a row without a smaller test loss. Default: 0. */
  patience: number;
  /** How far the test loss must fall to count as smaller. Default: 0. */
  min_delta: number;
  /** Clamp the output in training too (train) or outside it only (eval). Default: "eval". */
  output_clamp: "train" | "eval";
  /** Weight of the commitment loss. Default: 10. */
  commitment_weight: number;
  /** Reconstruction loss: l1, mse, elbo (as in a negative ELBO, with the variance that is best for the batch) or elbo_learned (with a learned one). */
  loss?: "l1" | "mse" | "elbo" | "elbo_learned";
  /** Factor of the learning rate for what the quantiser learns besides its codebook: networks of alpha and gamma, affine scales and biases, maps. Default: 1. */
  quantizer_lr: number;
  /** Greatest norm of all gradients together; longer ones are scaled down to it. Default: 0. */
  clip_norm: number;
  /** Parts of a batch that pass one after the other and make one step, where the whole does not fit. Default: 1. */
  accumulate: number;
  /** The quantiser. */
  vq: QuantizerOptions;
  /** The optimiser. */
  optimizer: OptimizerOptions;
}

/** Some options; what is missing comes from the method, then from the defaults. */
export type PartialOptions = Partial<Omit<TrainOptions, "vq">> & { vq?: Partial<QuantizerOptions> };

/** The controls of the options, in the page's order; `key` is the option's name. */
export const CONTROLS = [
  { key: "model", label: "Model", scope: "shared", type: "choice", initial: "simple", choices: ["simple", "resnet32", "resnet64"], help: "The network around the codebook: simple is small; the residual ones draw better and take many times as long. Their width is F." },
  { key: "blocks", label: "Blocks", scope: "shared", type: "number", initial: null, min: 1, max: 64, step: 1, whole: true, help: "Residual blocks in the encoder of a residual model. Empty: 6." },
  { key: "seed", label: "Seed", scope: "shared", type: "number", initial: 0, min: 0, max: 4294967295, step: 1, whole: true, help: "Fixes the first parameters and the order of the images: the same seed repeats the run." },
  { key: "lr", label: "Learning rate", scope: "shared", live: true, type: "number", initial: 0.001, min: 1e-9, max: 1, step: "any", help: "Length of the optimiser's steps (AdamW); large values learn fast and break early." },
  { key: "batch", label: "Batch", scope: "shared", type: "number", initial: null, min: 1, max: 4096, step: 1, whole: true, help: "Images a step: more make a steadier gradient and a slower step. Empty: 64 on a GPU, 16 on a processor." },
  { key: "num_codes", label: "Codes (K)", scope: "shared", type: "number", initial: 256, min: 1, max: 65536, step: 1, whole: true, help: "Size of the codebook: how many different vectors a cell of the code map can be." },
  { key: "feature_size", label: "Features (F)", scope: "shared", type: "number", initial: 32, min: 1, max: 1024, step: 1, whole: true, help: "Length of each code vector; of a residual model its width, too." },
  { key: "commitment_weight", label: "Commitment weight", scope: "shared", live: true, type: "number", initial: null, min: 0, max: 1000, step: "any", help: "Weight of the commitment loss against the reconstruction. Empty: 10, of residual models 5." },
  { key: "method", label: "Method", scope: "side", type: "choice", initial: "vq", choices: METHODS, help: "A named remedy: it sets the options below (pale or in brackets), each of which can still be changed." },
  { key: "beta", label: "Beta", scope: "side", live: true, type: "number", initial: null, min: 0, max: 1, step: "any", help: "Who moves: 1 pulls the codes to the vectors, 0 the vectors to the codes." },
  { key: "sync_nu", label: "Sync nu", scope: "side", live: true, type: "number", initial: null, min: 0, max: 100, step: "any", help: "Share of the decoder's gradient that reaches the codes themselves." },
  { key: "penalty_weight", label: "Penalty", scope: "side", live: true, type: "number", initial: null, min: 0, max: 1000, step: "any", help: "Weight of the penalty on alpha (Approach 1); 0 is off." },
  { key: "alter_penalty", label: "Penalty form", scope: "side", live: true, type: "choice", initial: null, choices: ["default", "between1", "small"], help: "What the penalty rewards: a large alpha, an alpha near 1, or an alpha that grows with the steps." },
  { key: "replace_freq", label: "Replace after", scope: "side", live: true, type: "number", initial: null, min: 0, max: 1000000, step: 1, whole: true, help: "A code unused for this many steps is dead and gets replaced; 0 never." },
  { key: "replace_policy", label: "Replace by", scope: "side", live: true, type: "choice", initial: null, choices: ["input_random", "input_kmeans", "self"], help: "What a dead code becomes: a random vector of the batch, a centroid of it, or a copy of a code in use." },
  { key: "codebook_init", label: "Codes begin", scope: "side", type: "choice", initial: null, choices: ["normal", "uniform", "kmeans"], help: "Where the codes are at first: drawn with deviation 1, drawn close to 0, or placed by k-means on the first batch." },
  { key: "norm", label: "Norm of vectors", scope: "side", more: true, type: "choice", initial: null, choices: ["none", "l2", "l2c", "bn", "gn", "in"], help: "Normalises the encoder's vectors before the search: l2 unit length, l2c length at most 10, batch, group or instance norm." },
  { key: "cb_norm", label: "Norm of codes", scope: "side", more: true, type: "choice", initial: null, choices: ["none", "l2", "l2c"], help: "Normalises the codes in place: l2 length at most 10, l2c unit length." },
  { key: "dist", label: "Distance", scope: "side", more: true, type: "choice", initial: null, choices: ["euclidean", "cosine"], help: "What nearest means in the codebook search." },
  { key: "estimator", label: "Estimator", scope: "side", more: true, type: "choice", initial: null, choices: ["straight_through", "rotation"], help: "How the gradient passes the quantiser: as it is, or turned and scaled as the vector was." },
  { key: "use_learnable_std", label: "Alpha", scope: "side", more: true, type: "choice", initial: null, choices: ["yes", "no"], flag: true, help: "Approach 1: learns alpha, the standard deviation of the codebook, for each feature." },
  { key: "use_learnable_gamma", label: "Gamma", scope: "side", more: true, type: "choice", initial: null, choices: ["yes", "no"], flag: true, help: "Approach 2: learns gamma, an offset of the quantised vectors." },
  { key: "gamma_policy", label: "Gamma for", scope: "side", more: true, type: "choice", initial: null, choices: ["default", "personalize"], help: "One gamma a feature, or (Approach 3) one for each vector and channel." },
  { key: "affine_lr", label: "Affine rate", scope: "side", more: true, type: "number", initial: null, min: 0, max: 100, step: "any", help: "Learns a scale and a bias of the whole codebook, with this factor on the learning rate; 0 is off." },
  { key: "affine_groups", label: "Groups", scope: "side", more: true, type: "number", initial: null, min: 1, max: 65536, step: 1, whole: true, help: "Groups of consecutive codes that have a scale of their own." },
  { key: "using_statistics", label: "By statistics", scope: "side", more: true, type: "choice", initial: null, choices: ["yes", "no"], flag: true, help: "Scale and bias of the codebook follow running moments of the vectors instead of being learned." },
  { key: "ema_decay", label: "EMA decay", scope: "side", more: true, type: "number", initial: null, min: 0, max: 0.999999, step: "any", help: "Codes follow a moving average of their vectors with this decay instead of a gradient." },
  { key: "inplace_lr", label: "In-place rate", scope: "side", more: true, type: "number", initial: null, min: 0, max: 1000, step: "any", help: "Learning rate of a second, immediate step of the codebook (momentum 0.9); part of VQ-STE++." },
  { key: "replace_below", label: "Replace below", scope: "side", live: true, more: true, type: "number", initial: null, min: 0, max: 1000000, step: "any", help: "A code whose vectors in a step, on average, are fewer than this gets replaced; 0 never." },
  { key: "placement", label: "Place", scope: "side", more: true, type: "choice", initial: null, choices: ["auto", "effective", "raw"], help: "What k-means and replacement put on a vector: the code that is searched, or the one before its scale and bias; auto: the former, but with alpha." },
  { key: "simvq", label: "SimVQ", scope: "side", more: true, type: "choice", initial: null, choices: ["yes", "no"], flag: true, help: "Freezes the codebook and learns one linear map of it." },
  { key: "stochastic", label: "Stochastic", scope: "side", more: true, type: "choice", initial: null, choices: ["gaussian_1", "gaussian_2", "gaussian_3", "gaussian_4", "vmf"], help: "Draws the code of a vector from a posterior over all codes, whose variance is learned and falls by itself." },
  { key: "temperature", label: "Temperature", scope: "side", live: true, more: true, type: "number", initial: null, min: 0.001, max: 100, step: "any", help: "Of the noise with which codes are drawn: small ones draw one code, large ones mix many." },
  { key: "no_vq", label: "No quantiser", scope: "side", more: true, type: "choice", initial: null, choices: ["yes", "no"], flag: true, help: "A plain autoencoder: what the reconstruction would be without codes." },
] as const;
