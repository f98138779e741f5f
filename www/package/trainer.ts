/**
 * Trains vector-quantised autoencoders on WebGPU, in a page or a worker.
 *
 * ```ts
 * const trainer = await Trainer.create({ method: "approach1", batch: 32 });
 * const metrics = await trainer.step(100);
 * ```
 */
import init, { Core, Data, Device, complete, describe, granularity, join, methods } from "./core/semivq.js";
import type { Method, PartialOptions, QuantizerOptions, TrainOptions } from "./options.js";

export type { Method, OptimizerOptions, PartialOptions, QuantizerOptions, TrainOptions } from "./options.js";

/** What a step reports. */
export interface Metrics {
  step: number;
  /** Reconstruction loss: mean absolute error a pixel. */
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

let loading: Promise<unknown> | undefined;

/** Loads the wasm module, once; the other functions do so by themselves. */
export function load(): Promise<unknown> {
  loading ??= init();
  return loading;
}

/** All methods. */
export async function listMethods(): Promise<MethodInfo[]> {
  await load();
  return JSON.parse(methods());
}

/** Some options completed; throws where they are out of range or exclude each other. */
export async function completeOptions(options: PartialOptions): Promise<TrainOptions> {
  await load();
  return JSON.parse(complete(JSON.stringify(options)));
}

/** What divides the height and the width of the images of the options' model. */
export async function sizesOf(options: PartialOptions = {}): Promise<number> {
  await load();
  return granularity(JSON.stringify(options));
}

/** Step and options of a checkpoint. */
export async function describeCheckpoint(
  bytes: Uint8Array,
): Promise<{ step: number; options: TrainOptions }> {
  await load();
  return JSON.parse(describe(bytes));
}

/** The command line's checkpoint and its `training-STEP.safetensors`, in one as {@link Trainer.load} takes it. */
export async function joinCheckpoint(checkpoint: Uint8Array, training: Uint8Array): Promise<Uint8Array> {
  await load();
  return join(checkpoint, training);
}

/** The browser's GPU, for any number of trainers. */
export class GpuDevice {
  private constructor(readonly inner: Device) {}

  /** Opens the adapter; throws where there is none. */
  static async open(): Promise<GpuDevice> {
    await load();
    return new GpuDevice(await Device.open());
  }

  /** The adapter's name, as far as the browser tells it. */
  get name(): string {
    return this.inner.name();
  }

  /** Whether the arithmetic runs on the CPU. */
  get software(): boolean {
    return this.inner.software();
  }

  /** Why the device is gone, if it is. */
  get lost(): string | undefined {
    return this.inner.lost();
  }

  /** Gives the device up. */
  destroy(): void {
    this.inner.destroy();
  }
}

/** Images to train on and to test with. */
export class TrainingData {
  readonly name: string;
  /** Channels, height, width. */
  readonly shape: [number, number, number];
  /** Numbers of images. */
  readonly train: number;
  readonly test: number;

  private constructor(readonly inner: Data) {
    const { name, shape, train, test } = JSON.parse(inner.describe());
    this.name = name;
    this.shape = shape;
    this.train = train;
    this.test = test;
  }

  /** The built-in images, a function of the seed. */
  static async glyphs(seed = 0): Promise<TrainingData> {
    await load();
    return new TrainingData(Data.glyphs(seed));
  }

  /** Built-in images by name: grey glyphs of 28 pixels, or scenes in colour of 32 or 64; a function of the seed. */
  static async builtIn(name: "glyphs" | "scenes", seed = 0, size = name === "glyphs" ? 28 : 32): Promise<TrainingData> {
    await load();
    return new TrainingData(Data.built_in(name, seed, size));
  }

  /** An IDX file of images (plain or gzip), the test images held out or in a file of their own. */
  static async idx(
    name: string,
    bytes: Uint8Array,
    test?: { name: string; bytes: Uint8Array },
    seed = 0,
  ): Promise<TrainingData> {
    await load();
    const data = test
      ? Data.idx_pair(name, bytes, test.name, test.bytes)
      : Data.idx(name, bytes, seed);
    return new TrainingData(data);
  }

  /** CIFAR's binary form, test images held out. */
  static async cifar(name: string, bytes: Uint8Array, seed = 0): Promise<TrainingData> {
    await load();
    return new TrainingData(Data.cifar(name, bytes, seed));
  }

  /** Bytes of images of `shape` [C, H, W], one after the other; test images are held out. */
  static async images(
    name: string,
    bytes: Uint8Array,
    shape: [number, number, number],
    seed = 0,
  ): Promise<TrainingData> {
    await load();
    return new TrainingData(Data.images(name, bytes, ...shape, seed));
  }

  /** The two parts of a set as {@link part} gave them. */
  static async parts(
    name: string,
    train: Uint8Array,
    test: Uint8Array,
    shape: [number, number, number],
  ): Promise<TrainingData> {
    await load();
    return new TrainingData(Data.parts(name, train, test, ...shape));
  }

  /** Throws where the options' model does not take images of this size. */
  checkSize(options: PartialOptions = {}): void {
    this.inner.check_size(JSON.stringify(options));
  }

  /** All bytes of one part. */
  part(which: "train" | "test"): Uint8Array {
    return this.inner.part(which === "test");
  }

  /** `count` test images from `start`, as far as there are any. */
  testImages(start: number, count: number): Uint8Array {
    return this.inner.test_images(start, count);
  }
}

/** What {@link Trainer.create} takes. */
export interface CreateOptions extends Omit<PartialOptions, "data"> {
  /** The images; the built-in ones when left out. */
  data?: TrainingData;
  /** The device, to share it between trainers. */
  device?: GpuDevice;
}

/** A model in training. Calls may overlap: they are carried out one after the other. */
export class Trainer {
  /** Called once for each step that has reported, in order. */
  onMetrics: ((metrics: Metrics) => void) | undefined;
  #core: Core;
  #last: Metrics | undefined;
  #tail: Promise<unknown> = Promise.resolve();

  private constructor(
    core: Core,
    /** The device that it trains on. */
    readonly device: GpuDevice,
    /** The images that it trains on. */
    readonly data: TrainingData,
  ) {
    this.#core = core;
  }

  /** A new model on the built-in images, unless options say otherwise. */
  static async create(options: CreateOptions = {}): Promise<Trainer> {
    const { data, device, ...rest } = options;
    const set = data ?? (await TrainingData.glyphs(rest.seed));
    const gpu = device ?? (await GpuDevice.open());
    const name = data && data.name !== "built-in glyphs" ? data.name : null;
    const core = new Core(gpu.inner, set.inner, JSON.stringify({ ...rest, data: name }));
    return new Trainer(core, gpu, set);
  }

  #queued<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  #report(json: string | undefined): void {
    if (json === undefined) return;
    const metrics: Metrics = JSON.parse(json);
    this.#last = metrics;
    this.onMetrics?.(metrics);
  }

  async #drain(): Promise<void> {
    for (;;) {
      const json = await this.#core.next_metrics();
      if (json === undefined) return;
      this.#report(json);
    }
  }

  /** Does `steps` steps, at least one, and waits for them; the metrics of the last one. */
  step(steps = 1): Promise<Metrics> {
    return this.#queued(async () => {
      if (!Number.isInteger(steps) || steps < 1) throw new RangeError(`steps must be a whole number of at least 1, not ${steps}`);
      for (let i = 0; i < steps; i++) this.#report(await this.#core.step());
      await this.#drain();
      if (!this.#last) throw new Error("no step has reported");
      return this.#last;
    });
  }

  /** Submits a step without waiting for it; {@link onMetrics} hears of it a few steps later. */
  submitStep(): Promise<void> {
    return this.#queued(async () => this.#report(await this.#core.step()));
  }

  /** Waits until all submitted steps have reported. */
  settle(): Promise<void> {
    return this.#queued(() => this.#drain());
  }

  /** Metrics of the last step that has reported, if any has. */
  metrics(): Metrics | undefined {
    return this.#last;
  }

  /** All options. */
  get options(): TrainOptions {
    return JSON.parse(this.#core.options());
  }

  /** Steps done, parameters, GPU dispatches a step, [H, W] of an image's codes. */
  describe(): { step: number; parameters: number; dispatches: number; cells: [number, number] } {
    return JSON.parse(this.#core.describe());
  }

  /** Reconstructions of images: bytes of the data's shape, any number of images. */
  async reconstruct(images: Uint8Array): Promise<Uint8Array> {
    return (await this.view(images)).images;
  }

  /** Reconstructions, and the code of each cell of each image. */
  view(images: Uint8Array): Promise<{ images: Uint8Array; codes: Uint32Array }> {
    return this.#queued(async () => {
      const view = await this.#core.view(images);
      const result = { images: view.images(), codes: view.codes() };
      view.free();
      return result;
    });
  }

  /** The image (bytes) that `height` x `width` codes stand for. */
  decode(codes: Int32Array, height: number, width: number): Promise<Uint8Array> {
    return this.#queued(() => this.#core.decode(codes, height, width));
  }

  /** Figures over all test images. */
  evaluate(): Promise<Evaluation> {
    return this.#queued(async () => JSON.parse(await this.#core.evaluate()));
  }

  /** What the quantiser holds, with at most `points` vectors of the last batch. */
  quantizer(points = 2000): Promise<Quantizer> {
    return this.#queued(async () => {
      const seen = await this.#core.quantizer(points);
      const result = {
        counts: seen.counts(),
        ages: seen.ages(),
        vectors: seen.vectors(),
        codes: seen.codes(),
        q: seen.q(),
        scale: seen.scale(),
        gamma: seen.gamma(),
      };
      seen.free();
      return result;
    });
  }

  /**
   * Goes on with other options: learning rate, weights of losses, replacement and the like.
   * Throws, and changes nothing, where they need a new trainer (K, F, seed, batch).
   */
  change(options: PartialOptions): Promise<void> {
    return this.#queued(async () => {
      await this.#drain();
      const now = this.options;
      const next = { ...now, ...options, vq: { ...now.vq, ...options.vq } };
      await this.#core.reconfigure(JSON.stringify(next));
    });
  }

  /** Submits each step in about `parts` pieces, so that others can use the GPU in between. */
  submitInParts(parts: number): Promise<void> {
    return this.#queued(async () => this.#core.submit_in_parts(parts));
  }

  /** The checkpoint, one safetensors file; the command line takes it too. */
  save(): Promise<Uint8Array> {
    return this.#queued(async () => {
      await this.#drain();
      return this.#core.save();
    });
  }

  /**
   * Takes up a checkpoint of the same options; {@link describeCheckpoint} tells which. One of a run's
   * folder needs its training state too, see {@link joinCheckpoint}.
   */
  load(bytes: Uint8Array): Promise<void> {
    return this.#queued(async () => {
      await this.#drain();
      this.#core.load(bytes);
    });
  }

  /** Frees the memory on both sides; the trainer is of no use afterwards. */
  free(): Promise<void> {
    return this.#queued(async () => this.#core.free());
  }
}
