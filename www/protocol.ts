/** What the page and the worker say to each other. */
import type { Cost, Evaluation, MethodInfo, Metrics, PartialOptions, Quantizer, TrainOptions } from "./package/index.js";
import type { Side } from "./settings.js";

/** What makes a run: the options of each side that is shown. */
export type Sides = Partial<Record<Side, PartialOptions>>;

/** [C, H, W] of an image. */
export type Shape = [number, number, number];

/** The test images that are shown. */
export interface Originals {
  shape: Shape;
  count: number;
  images: Uint8Array;
}

/** One side at one step: what its views are drawn from. */
export interface SideMoment {
  /** Reconstructions of the originals. */
  images: Uint8Array;
  /** Code of each cell of each of them. */
  codes: Uint32Array;
  /** [H, W] of an image's codes; [0, 0] without a quantiser. */
  cells: [number, number];
  /** What each code decodes to, [K, C, t, t]; empty without a quantiser. */
  tiles: Uint8Array;
  /** t. */
  tile: number;
  /** Steps since each code was used last, [K]. */
  ages: Float32Array;
  /** Vectors of each code over the last epoch's worth of them, [K]. */
  counts: Float32Array;
}

/** Both sides at one step. */
export interface Moment {
  step: number;
  sides: Partial<Record<Side, SideMoment>>;
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
  shape: Shape;
  train: number;
  test: number;
}

/** A run that was saved. */
export interface Kept {
  hash: string;
  time: number;
  step: number;
}

/** Whether a side's options can be, and which of them do nothing, with the reason. */
export interface Checked {
  error: string | null;
  idle: Record<string, string>;
  /** What a run of them would cost; none where they cannot be. */
  cost: Cost | null;
}

/** A stroke's picture as a side draws it. */
export interface Sketched {
  image: Uint8Array;
  codes: Uint32Array;
  cells: [number, number];
}

/** New pictures, as many as there are originals. */
export interface Drawn {
  step: number;
  seed: number;
  /** Bytes; none of a side without codes. */
  sides: Partial<Record<Side, Uint8Array>>;
}

/** How the vectors of one image find their codes. */
export interface Explained {
  side: Side;
  cells: [number, number];
  /** x and y of each vector, and of each code, on one plane. */
  vectors: Float32Array;
  codes: Float32Array;
  /** The three nearest codes of each vector, and their distances. */
  nearest: Uint32Array;
  distances: Float32Array;
}

export type ProblemKind =
  | "no-webgpu" | "no-adapter" | "lost" | "memory" | "file" | "left-out" | "slept" | "options" | "storage" | "other" | "diverged";

export type ToWorker =
  /** `go` says whether it trains on by itself; null: as the run before did. */
  | { kind: "reset"; run: number; sides: Sides; hash: string; data: string; go: boolean | null }
  | { kind: "undo"; run: number }
  /** Back to the last save before a divergence. */
  | { kind: "back"; run: number }
  | { kind: "run" }
  | { kind: "pause" }
  | { kind: "step" }
  | { kind: "change"; sides: Sides; hash: string }
  /** Whether these options can be, and what a run of them on these images would cost. */
  | { kind: "check"; sides: Sides; data: string }
  | { kind: "data"; files: File[]; colour: boolean; size: number; seed: number }
  /** Which test images are shown. */
  | { kind: "show"; indices: number[] }
  | { kind: "preview"; count: number }
  | { kind: "decode"; side: Side; codes: Uint32Array; cells: [number, number]; request: number }
  | { kind: "sketch"; image: Uint8Array; request: number }
  /** New pictures, with the random numbers of `seed`. */
  | { kind: "draw"; seed: number }
  | { kind: "explain"; side: Side; image: Uint8Array; request: number }
  /** Whether the plane of vectors and codes is in sight. */
  | { kind: "look"; plane: boolean }
  | { kind: "save"; side: Side }
  /** A checkpoint; one of a run's folder with the file of its training state. */
  | { kind: "load"; side: Side; files: File[] }
  | { kind: "keep" }
  /** The address that goes with the run as it is, for the autosave. */
  | { kind: "address"; hash: string }
  | { kind: "evaluate" }
  /** Stops the evaluation. */
  | { kind: "stop" };

/** Of which run a message tells: what an earlier one left is no longer drawn. */
interface OfRun {
  run: number;
}

export type FromWorker =
  | { kind: "ready"; adapter: string; software: boolean; methods: MethodInfo[]; granularity: number; kept: Kept | null }
  | OfRun & { kind: "built"; side: Side; built: Built; data: DataInfo; history: Metrics[] }
  | OfRun & { kind: "originals"; originals: Originals }
  | OfRun & { kind: "metrics"; side: Side; metrics: Metrics[] }
  | OfRun & { kind: "moment"; moment: Moment }
  /** Pictures of the sides that have codes. */
  | OfRun & { kind: "drawn"; drawn: Drawn }
  | OfRun & { kind: "plane"; side: Side; step: number; quantizer: Quantizer }
  | OfRun & { kind: "evaluation"; side: Side; evaluation: Evaluation | null; done: number; of: number }
  | OfRun & { kind: "diverged"; side: Side; step: number; loss: number; back: number | null }
  /** A reset that was refused: the run stands as it was. */
  | OfRun & { kind: "refused"; message: string }
  | { kind: "undoable"; step: number | null }
  | { kind: "state"; running: boolean; busy: string; imagesPerSecond: number; stepsPerSecond: number }
  /** `workPerSecond` is what the runs so far reached; 0 before. */
  | { kind: "checked"; sides: Partial<Record<Side, Checked>>; workPerSecond: number }
  | { kind: "decoded"; request: number; image: Uint8Array }
  | { kind: "sketched"; request: number; sides: Partial<Record<Side, Sketched>> }
  | { kind: "explained"; request: number; explained: Explained | null }
  | { kind: "saved"; side: Side; step: number; bytes: Uint8Array }
  | OfRun & { kind: "went-on"; hash: string; options: Sides; own: boolean }
  | { kind: "loaded"; side: Side; options: TrainOptions; step: number }
  | { kind: "data"; data: DataInfo; skipped: string[] }
  | { kind: "previewed"; shape: Shape; count: number; images: Uint8Array }
  | { kind: "kept"; step: number; time: number }
  | { kind: "problem"; problem: ProblemKind; message: string };
