/** Training in a worker: the page stays at ease. */
import { TrainerBase } from "./base.js";
import { load } from "./core.js";
import { TrainingData } from "./data.js";
import type { Gpu } from "./device.js";
import type { State } from "./engine.js";
import { RemoteEngine } from "./remote.js";
import type { CreateOptions } from "./trainer.js";

/** What {@link WorkerTrainer.create} takes. */
export interface WorkerOptions extends Omit<CreateOptions, "device"> {
  /**
   * A worker whose script is `semivq/thread`, where the bundler does not find that by itself. It serves this trainer
   * alone, and ends with it.
   */
  worker?: Worker;
}

/** A model in training, in a worker of its own; as {@link Trainer}, on a device of its own. */
export class WorkerTrainer extends TrainerBase {
  #worker: Worker;

  private constructor(worker: Worker, engine: RemoteEngine, state: State, data: TrainingData) {
    super(engine, state, data);
    this.#worker = worker;
  }

  /** A new model on the built-in images, unless options say otherwise. */
  static async create(options: WorkerOptions = {}): Promise<WorkerTrainer> {
    const { data, worker: given, ...rest } = options;
    const worker = given ?? new Worker(new URL("./thread.js", import.meta.url), { type: "module" });
    // At once, so that it hears of a script that is not there.
    const engine = new RemoteEngine(worker);
    try {
      const module = await load();
      const set = data ?? (await TrainingData.glyphs(rest.seed));
      const { name, shape } = set;
      await engine.create(module, { name, shape, train: set.part("train"), test: set.part("test") }, rest);
      return new WorkerTrainer(worker, engine, await engine.state(), set);
    } catch (error) {
      worker.terminate();
      throw error;
    }
  }

  /** As it was known at the last change or failure. */
  get device(): Gpu {
    return this.state.device;
  }

  protected release(): void {
    this.#worker.terminate();
  }
}
