/** A model in training, wherever its core runs: calls in order, what hears of its steps, steps as an iterator. */
/// <reference lib="esnext.disposable" preserve="true" />
import type { PartialOptions, TrainOptions } from "../options.js";
import type { TrainingData } from "./data.js";
import type { Gpu } from "./device.js";
import type { Engine, State } from "./engine.js";
import { type Picture, decodePictures } from "./pictures.js";
import type { Bytes, Description, Evaluation, Explanation, Metrics, Quantizer, Usage, View } from "./types.js";

/** What {@link TrainerBase.on} hears of. */
export interface TrainerEvents {
  /** Each step that has reported, in order. */
  metrics: Metrics;
}

/** What a call can be ended by: it rejects with the signal's reason. */
export interface Abortable {
  signal?: AbortSignal | undefined;
}

/** How {@link TrainerBase.run} runs. */
export interface RunOptions extends Abortable {
  /** Default: without end. */
  steps?: number;
}

/** How {@link TrainerBase.evaluate} evaluates. */
export interface EvaluateOptions extends Abortable {
  /** Hears how many test images are done, after each batch of them. */
  onProgress?: (done: number, total: number) => void;
}

/** Images as bytes of the data's shape, one after the other, or pictures, which are cropped and resized to it. */
export type Images = Uint8Array | Picture | Iterable<Picture>;

function checkSteps(steps: number): void {
  if (steps >= 1 && (Number.isInteger(steps) || steps === Infinity)) return;
  throw new RangeError(`steps must be a whole number of at least 1, not ${steps}`);
}

/** What {@link Trainer} and {@link WorkerTrainer} have in common. Calls may overlap: they are carried out one after the other. */
export abstract class TrainerBase implements AsyncDisposable {
  /** The device that it trains on. */
  abstract readonly device: Gpu;
  #engine: Engine;
  #state: State;
  #last: Metrics | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  #listeners = new Set<(metrics: Metrics) => void>();
  #freed = false;

  protected constructor(
    engine: Engine,
    state: State,
    /** The images that it trains on. */
    readonly data: TrainingData,
  ) {
    this.#engine = engine;
    this.#state = state;
  }

  /** Frees the engine. */
  protected abstract release(): void;

  /** What was known of the engine at the last change or failure. */
  protected get state(): State {
    return this.#state;
  }

  #queued<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(async () => {
      if (this.#freed) throw new Error("this trainer has been freed");
      try {
        return await work();
      } catch (error) {
        // How far it came, and whether the device is lost.
        await this.#refresh().catch(() => undefined);
        throw error;
      }
    });
    this.#tail = result.catch(() => undefined);
    return result;
  }

  async #refresh(): Promise<void> {
    this.#state = await this.#engine.state();
  }

  #report(metrics: Metrics): void {
    this.#last = metrics;
    for (const listener of [...this.#listeners]) {
      try {
        listener(metrics);
      } catch (error) {
        // As with any event: it reaches the console, and stops nothing.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  async #submit(): Promise<void> {
    const metrics = await this.#engine.step();
    this.#state.step++;
    if (metrics) this.#report(metrics);
  }

  async #drain(): Promise<void> {
    for (let metrics; (metrics = await this.#engine.nextMetrics()); ) this.#report(metrics);
  }

  async #bytes(images: Images): Promise<Uint8Array> {
    if (images instanceof Uint8Array) return images;
    const pictures = Symbol.iterator in images ? images : [images];
    return (await decodePictures(pictures, this.data.shape)).pixels;
  }

  /** Calls `listener` for each event of this kind, until the function is called that it returns. */
  on<K extends keyof TrainerEvents>(_event: K, listener: (event: TrainerEvents[K]) => void): () => void {
    // One of its own for each call, so that each is removed by its own function.
    const own = (metrics: Metrics) => listener(metrics);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  /**
   * Does `steps` steps, at least one, and waits for them; the metrics of the last one. When it is aborted, the steps that
   * were begun are done.
   */
  step(steps = 1, { signal }: Abortable = {}): Promise<Metrics> {
    return this.#queued(async () => {
      checkSteps(steps);
      try {
        for (let i = 0; i < steps; i++) {
          signal?.throwIfAborted();
          await this.#submit();
        }
      } catch (error) {
        // What failed first is told.
        await this.#drain().catch(() => undefined);
        throw error;
      }
      await this.#drain();
      if (!this.#last) throw new Error("no step has reported");
      return this.#last;
    });
  }

  /**
   * Steps as they report: `for await (const metrics of trainer.run({ steps: 1000 }))`. It is never more than a few steps
   * ahead of the loop, whose end, `break` too, waits for those.
   */
  async *run({ steps = Infinity, signal }: RunOptions = {}): AsyncGenerator<Metrics, void, undefined> {
    checkSteps(steps);
    const ours = new Set<number>();
    const ready: Metrics[] = [];
    const off = this.on("metrics", (metrics) => {
      if (ours.delete(metrics.step)) ready.push(metrics);
    });
    const submit = () => {
      ours.add(this.#state.step + 1);
      return this.#submit();
    };
    const next = () => ready.splice(0);
    let failed = false;
    try {
      for (let i = 0; i < steps; i++) {
        signal?.throwIfAborted();
        await this.#queued(submit);
        yield* next();
      }
      await this.settle();
      yield* next();
    } catch (error) {
      failed = true;
      throw error;
    } finally {
      off();
      // What failed first is told; of a trainer that was freed in the loop nothing is in flight.
      if (failed) await this.settle().catch(() => undefined);
      else if (!this.#freed) await this.settle();
    }
  }

  /** Submits a step without waiting for it; {@link on} tells of it a few steps later. */
  submitStep(): Promise<void> {
    return this.#queued(() => this.#submit());
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
    return structuredClone(this.#state.options);
  }

  /** Steps done, numbers of parameters and dispatches, the work of a step, size of an image's codes. */
  describe(): Description {
    const { step, parameters, dispatches, work, cells, codes } = this.#state;
    return { step, parameters, dispatches, work, cells: [...cells], codes };
  }

  /** Reconstructions of images, any number of them: bytes of the data's shape. */
  async reconstruct(images: Images): Promise<Bytes> {
    return (await this.view(images)).images;
  }

  /** Reconstructions, and the code of each cell of each image. */
  view(images: Images): Promise<View> {
    return this.#queued(async () => this.#engine.view(await this.#bytes(images)));
  }

  /**
   * The images (bytes) that codes stand for, `height` x `width` of them each: those of the data's images unless others are given.
   * Refused with `residual`, where a vector has several codes.
   */
  decode(codes: Uint32Array, height?: number, width?: number): Promise<Bytes> {
    return this.#queued(() => {
      const [h, w] = this.#state.cells;
      return this.#engine.decode(codes, height ?? h, width ?? w);
    });
  }

  /**
   * New images, and the codes that were drawn for them: each by itself, from how often codes were used over the last epoch. The
   * same for the same seed and step; trainers of one shape draw with the same random numbers.
   */
  draw(count: number, seed = 0): Promise<View> {
    return this.#queued(async () => {
      if (!(Number.isSafeInteger(count) && count >= 1)) throw new RangeError(`count must be a whole number of at least 1, not ${count}`);
      if (!(Number.isSafeInteger(seed) && seed >= 0)) throw new RangeError(`seed must be a whole number of at least 0, not ${seed}`);
      await this.#drain();
      return this.#engine.draw(count, seed);
    });
  }

  /** Figures over all test images. It can be aborted between batches of them. */
  evaluate({ signal, onProgress }: EvaluateOptions = {}): Promise<Evaluation> {
    return this.#queued(async () => {
      const total = this.data.test;
      try {
        for (let done = 0; done < total; ) {
          signal?.throwIfAborted();
          done = await this.#engine.evaluateBatch();
          onProgress?.(done, total);
        }
      } catch (error) {
        await this.#engine.endEvaluation().catch(() => undefined);
        throw error;
      }
      const evaluation = await this.#engine.endEvaluation();
      if (!evaluation) throw new Error("there are no test images");
      return evaluation;
    });
  }

  /** How the codes were used: `counts` and `ages` of {@link quantizer} alone, which costs less. */
  usage(): Promise<Usage> {
    return this.#queued(() => this.#engine.usage());
  }

  /** How the vectors of one image find their codes; nothing before the first step or without a quantiser. */
  explain(image: Uint8Array): Promise<Explanation | undefined> {
    return this.#queued(() => this.#engine.explain(image));
  }

  /** What the quantiser holds, with at most `points` vectors of the last batch. */
  quantizer(points = 2000): Promise<Quantizer> {
    return this.#queued(() => this.#engine.quantizer(points));
  }

  /**
   * Goes on with other options: learning rate, weights of losses, replacement and the like.
   * Throws, and changes nothing, where they need a new trainer (K, F, seed, batch).
   */
  change(options: PartialOptions): Promise<void> {
    return this.#queued(async () => {
      await this.#drain();
      const now = this.#state.options;
      await this.#engine.reconfigure({ ...now, ...options, vq: { ...now.vq, ...options.vq } });
      await this.#refresh();
    });
  }

  /** Submits each step in about `parts` pieces, so that others can use the GPU in between. */
  submitInParts(parts: number): Promise<void> {
    return this.#queued(() => this.#engine.submitInParts(parts));
  }

  /** The checkpoint, one safetensors file; the command line takes it too. */
  save(): Promise<Bytes> {
    return this.#queued(async () => {
      await this.#drain();
      return this.#engine.save();
    });
  }

  /**
   * Takes up a checkpoint of the same options; {@link describeCheckpoint} tells which. One of a run's
   * folder needs its training state too, see {@link joinCheckpoint}.
   */
  load(bytes: Uint8Array): Promise<void> {
    return this.#queued(async () => {
      await this.#drain();
      await this.#engine.load(bytes);
      await this.#refresh();
    });
  }

  /** Frees the memory on both sides, after the calls before it; the trainer is of no use afterwards. */
  async free(): Promise<void> {
    await this.#tail;
    if (this.#freed) return;
    this.#freed = true;
    this.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.free();
  }
}
