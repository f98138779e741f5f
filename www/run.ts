/** One side's run: its trainer, what it has reported, and what the page sees of it. */
import { History } from "./history.js";
import type { Built, DataInfo, Shown } from "./protocol.js";
import type { SavedSide } from "./store.js";
import { type GpuDevice, type Metrics, type PartialOptions, type Quantizer, Trainer, type TrainingData } from "./trainer.js";

/** Vectors of the last batch that the page draws. */
const POINTS = 1500;

export class Run {
  #fresh: Metrics[] = [];
  #originals: Uint8Array;
  #count: number;

  private constructor(
    readonly trainer: Trainer,
    readonly history: History,
  ) {
    const { data, device } = trainer;
    this.#count = Math.min(device.software ? 8 : 16, data.test);
    this.#originals = data.testImages(0, this.#count);
    trainer.on("metrics", (metrics) => {
      this.#fresh.push(metrics);
      this.history.add(metrics);
    });
  }

  /** A new run, or one that goes on from a save. */
  static async create(options: PartialOptions, data: TrainingData, device: GpuDevice, from?: SavedSide): Promise<Run> {
    // A software adapter gets little to do, so that something moves.
    const trainer = await Trainer.create({ batch: device.software ? 16 : 64, ...options, data, device });
    if (from) await trainer.load(from.checkpoint);
    return new Run(trainer, new History(from?.history.slice()));
  }

  get step(): number {
    return this.trainer.describe().step;
  }

  describe(): { built: Built; data: DataInfo; history: Metrics[] } {
    const { step, parameters, dispatches } = this.trainer.describe();
    const { name, shape, train, test } = this.trainer.data;
    return {
      built: { options: this.trainer.options, step, parameters, dispatches },
      data: { name, shape, train, test },
      history: this.history.entries,
    };
  }

  /** Metrics that have come since the last call. */
  takeFresh(): Metrics[] {
    const fresh = this.#fresh;
    this.#fresh = [];
    return fresh;
  }

  async save(): Promise<SavedSide> {
    const checkpoint = await this.trainer.save();
    return { checkpoint, history: this.history.entries.slice() };
  }

  /** Test images with their reconstructions and codes, and what the quantiser holds. */
  async views(): Promise<{ shown: Shown; quantizer: Quantizer }> {
    const { shape } = this.trainer.data;
    const { images, codes } = await this.trainer.view(this.#originals);
    const shown: Shown = {
      shape, images, codes, originals: this.#originals, count: this.#count,
      cells: codes.length > 0 ? this.trainer.describe().cells : [0, 0],
    };
    return { shown, quantizer: await this.trainer.quantizer(POINTS) };
  }
}
