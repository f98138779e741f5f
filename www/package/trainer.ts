/** Training in this thread. */
import type { PartialOptions } from "../options.js";
import { TrainerBase } from "./base.js";
import { TrainingData } from "./data.js";
import { GpuDevice } from "./device.js";
import { CoreEngine, type State } from "./engine.js";

/** What {@link Trainer.create} takes. */
export interface CreateOptions extends Omit<PartialOptions, "data"> {
  /** The images; the built-in ones when left out. */
  data?: TrainingData;
  /** The device, to share it between trainers. */
  device?: GpuDevice;
}

/** A model in training, in this thread: the page's, or that of a worker of yours. */
export class Trainer extends TrainerBase {
  #engine: CoreEngine;

  private constructor(
    engine: CoreEngine,
    state: State,
    data: TrainingData,
    readonly device: GpuDevice,
  ) {
    super(engine, state, data);
    this.#engine = engine;
  }

  /** A new model on the built-in images, unless options say otherwise. */
  static async create(options: CreateOptions = {}): Promise<Trainer> {
    const { data, device, ...rest } = options;
    const set = data ?? (await TrainingData.glyphs(rest.seed));
    const gpu = device ?? (await GpuDevice.open());
    const engine = new CoreEngine(gpu, set, rest);
    return new Trainer(engine, await engine.state(), set, gpu);
  }

  protected release(): void {
    this.#engine.free();
  }
}
