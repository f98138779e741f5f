/** A worker with one module of tests. */
import type { FromWorker, ToWorker } from "./protocol.js";

/** What a question ends with when its room is closed. */
export class Closed extends Error {}

export class Room {
  #worker?: Worker;
  #waiting?: { resolve: (answer: FromWorker) => void; reject: (reason: Error) => void };
  names: string[] = [];
  version = "";

  constructor(
    readonly module: string,
    private readonly onPurpose: boolean,
  ) {}

  /** Loads the module, anew where that was done before. */
  async open() {
    this.close();
    const worker = new Worker(new URL("./gpu-worker.ts", import.meta.url), { type: "module" });
    this.#worker = worker;
    worker.addEventListener("message", (event: MessageEvent<FromWorker>) => this.#waiting?.resolve(event.data));
    // The worker's own file could not be loaded.
    worker.addEventListener("error", () => this.#waiting?.reject(new Error("the worker could not be loaded")));
    const url = new URL(`gpu/${this.module}.js`, document.baseURI).href;
    const answer = await this.#ask({ kind: "open", url, onPurpose: this.onPurpose });
    if (answer.kind !== "opened") throw new Error(answer.kind === "failed" ? answer.message : answer.kind);
    this.names = answer.names;
    this.version = answer.version;
  }

  /** Runs a test; after one that ended the worker with it, the next go on in another. */
  async run(index: number): Promise<{ failed?: string; measured?: string | undefined }> {
    if (!this.#worker) await this.open();
    const answer = await this.#ask({ kind: "run", index });
    if (answer.kind !== "failed") return answer.kind === "passed" ? { measured: answer.measured } : {};
    if (answer.dead) this.close();
    return { failed: answer.message };
  }

  /** Ends the worker, whatever it is doing. */
  close() {
    this.#worker?.terminate();
    this.#worker = undefined;
    this.#waiting?.reject(new Closed());
    this.#waiting = undefined;
  }

  #ask(message: ToWorker): Promise<FromWorker> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#worker?.postMessage(message);
    });
  }
}
