/**
 * What the contenders train: `simple` on 28 x 28 grey images, the baseline quantiser, L1 plus ten times
 * the commitment loss, AdamW, from the same first parameters on the same images.
 */

/** A parameter in PyTorch's layout: convolutions are [out, in, height, width]. */
export interface Parameter {
  shape: number[];
  values: Float32Array;
}

export interface Setup {
  batch: number;
  codes: number;
  features: number;
  /** [batch, 1, SIDE, SIDE], in [-1, 1]. */
  images: Float32Array;
  parameters: Record<string, Parameter>;
}

export interface Contender {
  name: string;
  /** Submits a training step, without waiting for the GPU. */
  step(): void | Promise<void>;
  /** Waits for all steps; the loss that the last one began with. */
  loss(): Promise<number>;
  free(): void | Promise<void>;
}

export const SIDE = 28;
export const LR = 1e-3;
export const BETA = 0.97125;
export const COMMITMENT = 10;
/** PyTorch's defaults. */
export const ADAMW = { beta1: 0.9, beta2: 0.999, eps: 1e-8, decay: 1e-2 };
export const CODEBOOK = "layers.5.codebook.weight";
export const CONVOLUTIONS = ["layers.0", "layers.3", "layers.7", "layers.10"];
