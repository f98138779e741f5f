/** What a trainer stands on: the core, in this thread or in another one. */
import { Core } from "../core/semivq.js";
import type { PartialOptions, TrainOptions } from "../options.js";
import { owned } from "./core.js";
import type { TrainingData } from "./data.js";
import type { Gpu, GpuDevice } from "./device.js";
import type { Bytes, Codes, Description, Evaluation, Explanation, Metrics, Quantizer, Usage, View } from "./types.js";

/** What a trainer is asked for without having to wait. */
export interface State extends Description {
  options: TrainOptions;
  device: Gpu;
}

/** One call at a time. All that it takes and gives can be posted to another thread. */
export interface Engine {
  state(): Promise<State>;
  /** Submits a step; metrics of one a few steps back, once there are any. */
  step(): Promise<Metrics | undefined>;
  /** Metrics of the oldest step that has not reported, waited for. */
  nextMetrics(): Promise<Metrics | undefined>;
  submitInParts(parts: number): Promise<void>;
  /** Goes on with these options, all of them. */
  reconfigure(options: TrainOptions): Promise<void>;
  view(images: Uint8Array): Promise<View>;
  decode(codes: Uint32Array, height: number, width: number): Promise<Bytes>;
  draw(count: number, seed: number): Promise<View>;
  /** Takes the next batch of test images into the evaluation under way, or begins one; how many are in it. */
  evaluateBatch(): Promise<number>;
  /** Ends it, wherever it is. */
  endEvaluation(): Promise<Evaluation | undefined>;
  quantizer(points: number): Promise<Quantizer>;
  usage(): Promise<Usage>;
  explain(image: Uint8Array): Promise<Explanation | undefined>;
  save(): Promise<Bytes>;
  load(checkpoint: Uint8Array): Promise<void>;
}

const parsed = <T>(json: string | undefined): T | undefined => (json === undefined ? undefined : JSON.parse(json));

/** The core in this thread. */
export class CoreEngine implements Engine {
  #core: Core;
  #device: GpuDevice;

  constructor(device: GpuDevice, data: TrainingData, options: PartialOptions) {
    // The built-in images of the seed have no name in the options.
    const name = data.name === "built-in glyphs" ? null : data.name;
    this.#device = device;
    this.#core = new Core(device.inner, data.inner, JSON.stringify({ ...options, data: name }));
  }

  async state(): Promise<State> {
    const { name, software, lost } = this.#device;
    return { ...JSON.parse(this.#core.describe()), options: JSON.parse(this.#core.options()), device: { name, software, lost } };
  }

  async step(): Promise<Metrics | undefined> {
    return parsed(await this.#core.step());
  }

  async nextMetrics(): Promise<Metrics | undefined> {
    return parsed(await this.#core.next_metrics());
  }

  async submitInParts(parts: number): Promise<void> {
    this.#core.submit_in_parts(parts);
  }

  async reconfigure(options: TrainOptions): Promise<void> {
    await this.#core.reconfigure(JSON.stringify(options));
  }

  async view(images: Uint8Array): Promise<View> {
    const view = await this.#core.view(images);
    const result = { images: owned(view.images), codes: view.codes as Codes };
    view.free();
    return result;
  }

  async decode(codes: Uint32Array, height: number, width: number): Promise<Bytes> {
    return owned(await this.#core.decode(codes, height, width));
  }

  async draw(count: number, seed: number): Promise<View> {
    const view = await this.#core.draw(count, seed);
    const result = { images: owned(view.images), codes: view.codes as Codes };
    view.free();
    return result;
  }

  evaluateBatch(): Promise<number> {
    return this.#core.evaluate_batch();
  }

  async endEvaluation(): Promise<Evaluation | undefined> {
    return parsed(this.#core.end_evaluation());
  }

  async quantizer(points: number): Promise<Quantizer> {
    const seen = await this.#core.quantizer(points);
    const result = {
      counts: seen.counts,
      ages: seen.ages,
      vectors: seen.vectors,
      codes: seen.codes,
      q: seen.q,
      scale: seen.scale,
      gamma: seen.gamma,
    };
    seen.free();
    return result;
  }

  async usage(): Promise<Usage> {
    const seen = await this.#core.usage();
    const result = { counts: seen.counts, ages: seen.ages };
    seen.free();
    return result;
  }

  async explain(image: Uint8Array): Promise<Explanation | undefined> {
    const seen = await this.#core.explain(image);
    if (!seen) return undefined;
    const result = { vectors: seen.vectors, codes: seen.codes, nearest: seen.nearest, distances: seen.distances };
    seen.free();
    return result;
  }

  async save(): Promise<Bytes> {
    return owned(await this.#core.save());
  }

  async load(checkpoint: Uint8Array): Promise<void> {
    this.#core.load(checkpoint);
  }

  free(): void {
    this.#core.free();
  }
}
