/** What the page and the worker say to each other. */
import type { Evaluation, Metrics, MethodInfo, PartialOptions, Quantizer, TrainOptions } from "./trainer.js";
import type { Side } from "./settings.js";

/** What makes a run: the options of each side that is shown. */
export type Sides = Partial<Record<Side, PartialOptions>>;

/** Test images, theirs reconstructions and codes. */
export interface Shown {
  /** [C, H, W] of an image. */
  shape: [number, number, number];
  count: number;
  originals: Uint8Array;
  images: Uint8Array;
  codes: Uint32Array;
  /** [H, W] of an image's codes; empty without a quantiser. */
  cells: [number, number];
}

/** A side that is ready. */
export interface Built {
  options: TrainOptions;
  step: number;
  parameters: number;
  dispatches: number;
}

export interface DataInfo {
  name: string;
  shape: [number, number, number];
  train: number;
  test: number;
}

/** A run that was saved. */
export interface Kept {
  hash: string;
  time: number;
  step: number;
}

export type ProblemKind = "no-webgpu" | "no-adapter" | "lost" | "memory" | "file" | "slept" | "options" | "storage" | "other";

export type ToWorker =
  | { kind: "reset"; sides: Sides; hash: string; builtIn: boolean; run: boolean }
  | { kind: "run" }
  | { kind: "pause" }
  | { kind: "step" }
  | { kind: "change"; sides: Sides; hash: string }
  | { kind: "data"; files: File[]; colour: boolean; size: number; seed: number }
  | { kind: "decode"; side: Side; codes: Int32Array; cells: [number, number]; request: number }
  | { kind: "save"; side: Side }
  /** A checkpoint; one of a run's folder with the file of its training state. */
  | { kind: "load"; side: Side; files: File[] }
  | { kind: "go-on" }
  | { kind: "forget" }
  | { kind: "keep" }
  /** The address that goes with the run as it is, for the autosave. */
  | { kind: "address"; hash: string }
  | { kind: "evaluate" };

export type FromWorker =
  | { kind: "ready"; adapter: string; software: boolean; methods: MethodInfo[]; granularity: number; kept: Kept | null }
  | { kind: "built"; side: Side; built: Built; data: DataInfo; history: Metrics[] }
  | { kind: "metrics"; side: Side; metrics: Metrics[] }
  | { kind: "shown"; side: Side; shown: Shown }
  | { kind: "quantizer"; side: Side; step: number; quantizer: Quantizer }
  | { kind: "evaluation"; side: Side; evaluation: Evaluation }
  | { kind: "state"; running: boolean; busy: string; imagesPerSecond: number; slices: number }
  | { kind: "decoded"; request: number; image: Uint8Array }
  | { kind: "saved"; side: Side; step: number; bytes: Uint8Array }
  | { kind: "went-on"; hash: string; options: Sides }
  | { kind: "loaded"; side: Side; options: TrainOptions; step: number }
  | { kind: "data"; data: DataInfo; skipped: string[] }
  | { kind: "kept"; step: number; time: number }
  | { kind: "problem"; problem: ProblemKind; message: string };
