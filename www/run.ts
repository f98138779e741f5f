/** One side's run: its trainer, what it has reported, and what the page sees of it. */
import { History } from "./history.js";
import type { Built, DataInfo, Explained, Originals, SideMoment, Sketched } from "./protocol.js";
import type { Side } from "./settings.js";
import type { SavedSide } from "./store.js";
import { Tiles } from "./tiles.js";
import { type GpuDevice, type Metrics, type PartialOptions, type Quantizer, Trainer, type TrainingData } from "./package/index.js";
import { Watch } from "./watch.js";

/** Vectors of the last batch that the page draws. */
const POINTS = 1500;

/** The options with a batch: a software adapter gets little to do, so that something moves. */
export function withBatch(options: PartialOptions, device: GpuDevice): PartialOptions {
  return { batch: device.software ? 16 : 64, ...options };
}

export class Run {
  #fresh: Metrics[] = [];
  #tiles: Tiles;
  readonly watch = new Watch();

  private constructor(
    readonly trainer: Trainer,
    readonly history: History,
    onStep: () => void,
  ) {
    this.#tiles = new Tiles(trainer, trainer.describe().codes);
    trainer.on("metrics", (metrics) => {
      this.#fresh.push(metrics);
      this.history.add(metrics);
      this.watch.see(metrics);
      onStep();
    });
  }

  /** A new run, or one that goes on from a save; `onStep` hears of each step that is done. */
  static async create(options: PartialOptions, data: TrainingData, device: GpuDevice, onStep: () => void, from?: SavedSide): Promise<Run> {
    const trainer = await Trainer.create({ ...withBatch(options, device), data, device });
    if (from) await trainer.load(from.checkpoint);
    return new Run(trainer, new History(from?.history.slice()), onStep);
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

  /** [H, W] of an image's codes; none without a quantiser. */
  #cells(): [number, number] {
    const { codes, cells } = this.trainer.describe();
    return codes > 0 ? cells : [0, 0];
  }

  /** What the views are drawn from. */
  async moment(originals: Originals): Promise<SideMoment> {
    const { images, codes } = await this.trainer.view(originals.images);
    const { counts, ages } = await this.trainer.usage();
    await this.#tiles.refresh(ages, this.step);
    return {
      images, codes, cells: this.#cells(), tiles: this.#tiles.pixels.slice(), tile: this.#tiles.size,
      // Before the first step every code is as old as any other.
      ages: ages.length > 0 ? ages : new Float32Array(this.#tiles.codes).fill(Infinity),
      counts: counts.length > 0 ? counts : new Float32Array(this.#tiles.codes),
    };
  }

  plane(): Promise<Quantizer> {
    return this.trainer.quantizer(POINTS);
  }

  /** One image, there and back. */
  async sketch(image: Uint8Array): Promise<Sketched> {
    const { images, codes } = await this.trainer.view(image);
    return { image: images, codes, cells: this.#cells() };
  }

  async explain(side: Side, image: Uint8Array): Promise<Explained | null> {
    const cells = this.#cells();
    const explained = cells[0] > 0 ? await this.trainer.explain(image) : undefined;
    return explained ? { side, cells, ...explained } : null;
  }
}
