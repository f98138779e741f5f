/** What a trainer tells of itself. */
import type { Method, QuantizerOptions } from "../options.js";

/** Images: bytes `[N, C, H, W]`, channels first, one image after the other. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** Codes `[N, H, W]`: the row of the codebook that each cell of each image is; with `residual` that of the first codebook. */
export type Codes = Uint32Array<ArrayBuffer>;

/** What a step reports. */
export interface Metrics {
  step: number;
  /** Reconstruction loss of the batch: what `loss` says, or the model's own. */
  rec_loss: number;
  cmt_loss?: number;
  /** Perplexity of the batch's codes. */
  perplexity?: number;
  /** Percent of the codes that the batch used. */
  active_ratio?: number;
  top_share?: number;
  epoch_perplexity?: number;
  epoch_active_ratio?: number;
  age_mean?: number;
  age_max?: number;
  alpha_mean?: number;
  alpha_penalty?: number;
  /** Of stochastic quantisation: mean entropy of a posterior in nats, mean variance, perplexity of the mean posterior. */
  posterior_entropy?: number;
  variance_mean?: number;
  posterior_perplexity?: number;
  /** Norm of all gradients together, where they are clipped. */
  grad_norm?: number;
  /** Learning rate, where it changes over the steps. */
  lr?: number;
}

/** Figures over the test images. */
export interface Evaluation {
  images: number;
  l1: number;
  mse: number;
  /** Peak signal-to-noise ratio in dB, mean over images. */
  psnr: number | null;
  /** Structural similarity, mean over images of 11 pixels a side or more. */
  ssim: number | null;
  perplexity: number | null;
  active_ratio: number | null;
}

/** A method with its explanation and the quantiser's options that it sets. */
export interface MethodInfo {
  name: Method;
  summary: string;
  paper: string;
  vq: QuantizerOptions;
}

/** What the quantiser holds; all empty before the first step. */
export interface Quantizer {
  /** Vectors of each code over the last epoch's worth of them `[K]`. */
  counts: Float32Array;
  /** Steps since each code was used last `[K]`. */
  ages: Float32Array;
  /** Vectors of the last batch, x and y of each, on the plane of their largest deviations. */
  vectors: Float32Array;
  /** The codes on the same plane. */
  codes: Float32Array;
  /** Code of each vector. */
  q: Uint32Array;
  /** Scale of the codebook for each feature (alpha, with Approach 1). */
  scale: Float32Array;
  /** Offset for each feature (gamma, with Approaches 2 and 3). */
  gamma: Float32Array;
}

/** How the codes were used: a part of {@link Quantizer} that costs less. */
export type Usage = Pick<Quantizer, "counts" | "ages">;

/** How the vectors of an image find their codes. */
export interface Explanation {
  /** x and y of each vector on the plane of {@link Quantizer.vectors}. */
  vectors: Float32Array;
  /** The codes on the same plane. */
  codes: Float32Array;
  /** The three nearest codes of each vector; empty without a codebook. */
  nearest: Uint32Array;
  /** Their distances. */
  distances: Float32Array;
}

/** Images, and the code of each of their cells. */
export interface View {
  images: Bytes;
  codes: Codes;
}

/** What a training run needs, known before it is begun. */
export interface Cost {
  /** Numbers that are learned. */
  parameters: number;
  /** GPU dispatches a step. */
  dispatches: number;
  /** What a step takes, in floating-point operations: those of arithmetic, or those that moving its bytes and launching it cost. */
  work: number;
  /** GPU memory in bytes: parameters, their gradients and moments, activations, training images. */
  bytes: number;
}

/** Where a model is. */
export interface Description {
  /** Steps done. */
  step: number;
  /** Numbers that are learned. */
  parameters: number;
  /** GPU dispatches a step. */
  dispatches: number;
  /** What a step takes, in floating-point operations: those of arithmetic, or those that moving its bytes and launching it cost. */
  work: number;
  /** Height and width of an image's codes. */
  cells: [number, number];
  /** K; 0 without a quantiser. */
  codes: number;
}
