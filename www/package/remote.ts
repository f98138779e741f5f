/** An engine in a worker, as the page's side of it. Not Comlink: its bare import would keep the worker from running unbundled. */
import type { TrainOptions } from "../options.js";
import type { Engine } from "./engine.js";
import type { Answer, Call, Calls } from "./thread.js";

interface Waiting {
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** The engine that `semivq/thread` holds. */
export class RemoteEngine implements Engine {
  #worker: Worker;
  #waiting = new Map<number, Waiting>();
  #calls = 0;
  #broken: Error | undefined;

  constructor(worker: Worker) {
    this.#worker = worker;
    worker.addEventListener("message", ({ data: answer }: MessageEvent<Answer>) => {
      const waiting = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if ("error" in answer) waiting?.reject(answer.error);
      else waiting?.resolve(answer.value);
    });
    worker.addEventListener("error", ({ message }) => {
      // Without a message it is the script that is not there.
      const why = message || "where a bundler left its script out, build semivq/thread, and pass it as the option `worker`";
      this.#broken = new Error(`the trainer's worker failed: ${why}`);
      for (const waiting of this.#waiting.values()) waiting.reject(this.#broken);
      this.#waiting.clear();
    });
  }

  #post(call: Call, transfer: Transferable[]): Promise<unknown> {
    if (this.#broken) return Promise.reject(this.#broken);
    const answered = new Promise((resolve, reject) => this.#waiting.set(call.id, { resolve, reject }));
    this.#worker.postMessage(call, transfer);
    return answered;
  }

  #call<K extends keyof Calls>(name: K, args: Parameters<Calls[K]>, transfer: Transferable[] = []): ReturnType<Calls[K]> {
    return this.#post({ id: this.#calls++, name, args } as Call, transfer) as ReturnType<Calls[K]>;
  }

  create(...args: Parameters<Calls["create"]>): Promise<void> {
    const { train, test } = args[1];
    return this.#call("create", args, [train.buffer, test.buffer]);
  }

  state = () => this.#call("state", []);
  step = () => this.#call("step", []);
  nextMetrics = () => this.#call("nextMetrics", []);
  submitInParts = (parts: number) => this.#call("submitInParts", [parts]);
  reconfigure = (options: TrainOptions) => this.#call("reconfigure", [options]);
  view = (images: Uint8Array) => this.#call("view", [images]);
  decode = (codes: Uint32Array, height: number, width: number) => this.#call("decode", [codes, height, width]);
  evaluateBatch = () => this.#call("evaluateBatch", []);
  endEvaluation = () => this.#call("endEvaluation", []);
  quantizer = (points: number) => this.#call("quantizer", [points]);
  draw = (count: number, seed: number) => this.#call("draw", [count, seed]);
  usage = () => this.#call("usage", []);
  explain = (image: Uint8Array) => this.#call("explain", [image]);
  save = () => this.#call("save", []);
  load = (checkpoint: Uint8Array) => this.#call("load", [checkpoint]);
}
