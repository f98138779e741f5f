/** What the page and the worker around a module of tests say to each other: an answer to each question. */

/** What a module in dist/gpu/ holds: tests by number, or the bench in stages. */
export interface Suite {
  names(): string[];
  /** The bench returns all that was measured so far, as JSON; what is wrong is an exception. */
  run(index: number): Promise<string | undefined>;
  /** Why the device is gone, if it is. */
  lost(): string | undefined;
}

/** Such a module, as wasm-bindgen writes it. */
export interface Module {
  default(): Promise<unknown>;
  version(): string;
  open(onPurpose: boolean): Suite;
}

export type ToWorker = { kind: "open"; url: string; onPurpose: boolean } | { kind: "run"; index: number };

export type FromWorker =
  | { kind: "opened"; version: string; names: string[] }
  | { kind: "passed"; measured: string | undefined }
  /** `dead`: nothing more will run in this worker. */
  | { kind: "failed"; message: string; dead: boolean };
