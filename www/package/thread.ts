/** The script of a {@link WorkerTrainer}'s worker: one engine, and its answers. */
import type { PartialOptions } from "../options.js";
import { load } from "./core.js";
import { TrainingData } from "./data.js";
import { GpuDevice } from "./device.js";
import { CoreEngine, type Engine } from "./engine.js";
import type { Bytes } from "./types.js";

/** A data set as it is posted. */
export interface Parts {
  name: string;
  shape: [number, number, number];
  train: Bytes;
  test: Bytes;
}

/** What the worker is asked for. */
export interface Calls extends Engine {
  /** Makes the engine; first, and once. */
  create(module: WebAssembly.Module, data: Parts, options: PartialOptions): Promise<void>;
}

/** A call as it is posted. */
export type Call = { [K in keyof Calls]: { id: number; name: K; args: Parameters<Calls[K]> } }[keyof Calls];

/** What is posted back. */
export type Answer = { id: number; value: unknown } | { id: number; error: unknown };

let engine: CoreEngine | undefined;

async function create(...[module, data, options]: Parameters<Calls["create"]>): Promise<void> {
  await load(module);
  const device = await GpuDevice.open();
  engine = new CoreEngine(device, await TrainingData.parts(data.name, data.train, data.test, data.shape), options);
}

async function carryOut(call: Call): Promise<unknown> {
  if (call.name === "create") return create(...call.args);
  if (!engine) throw new Error("there is no trainer in this worker");
  return Reflect.apply(engine[call.name], engine, call.args);
}

self.onmessage = async ({ data: call }: MessageEvent<Call>) => {
  const post = (answer: Answer) => self.postMessage(answer);
  try {
    post({ id: call.id, value: await carryOut(call) });
  } catch (error) {
    post({ id: call.id, error });
  }
};
