/** The wasm core: how it comes here, and what it answers without a GPU. */
import init, { complete, describe, granularity, idle, join, methods } from "../core/semivq.js";
import type { PartialOptions, TrainOptions } from "../options.js";
import type { Bytes, MethodInfo } from "./types.js";

/** Where the wasm file is, or what it holds. */
export type CoreSource = string | URL | ArrayBuffer | Uint8Array | Response | PromiseLike<Response> | WebAssembly.Module;

let loading: { source: CoreSource | undefined; module: Promise<WebAssembly.Module> } | undefined;

/** What the core gives are copies, each with a buffer of its own. */
export const owned = (bytes: Uint8Array) => bytes as Bytes;

const isAddress = (source: unknown): source is string | URL => typeof source === "string" || source instanceof URL;

/** Node.js reads by these what its `fetch` does not: files. */
interface Process {
  getBuiltinModule?(name: "node:fs/promises"): { readFile(path: URL): Promise<Bytes> };
}

async function compileResponse(response: Response): Promise<WebAssembly.Module> {
  if (!response.ok) throw new Error(`the server answers ${response.status} ${response.statusText}`.trim());
  // Only what is sent as wasm can be compiled while it comes.
  if (response.headers.get("content-type")?.startsWith("application/wasm")) return WebAssembly.compileStreaming(response);
  return WebAssembly.compile(await response.arrayBuffer());
}

async function compileFrom(address: string | URL): Promise<WebAssembly.Module> {
  try {
    const { process } = globalThis as { process?: Process };
    const files = String(address).startsWith("file:") ? process?.getBuiltinModule?.("node:fs/promises") : undefined;
    if (files) return await WebAssembly.compile(await files.readFile(new URL(address)));
    return await compileResponse(await fetch(address));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`semivq's core could not be loaded from ${address} (${why}); where a bundler left the file out, give load() the address of semivq/core.wasm`, { cause: error });
  }
}

async function start(source: CoreSource): Promise<WebAssembly.Module> {
  const given = isAddress(source) ? source : await source;
  let module: WebAssembly.Module;
  if (isAddress(given)) module = await compileFrom(given);
  else if (typeof Response === "function" && given instanceof Response) module = await compileResponse(given);
  else if (given instanceof ArrayBuffer || ArrayBuffer.isView(given)) module = await WebAssembly.compile(given as BufferSource);
  else if (given instanceof WebAssembly.Module) module = given;
  else throw new TypeError(`load takes a URL, bytes, a Response or a WebAssembly.Module, not ${Object.prototype.toString.call(given)}`);
  await init({ module_or_path: module });
  return module;
}

/**
 * Loads the wasm core, once; all other functions do so by themselves. Only where the file does not lie beside
 * this one does it need a `source`, before anything else. The compiled module can be posted to a worker, for
 * the `load` there.
 */
export function load(source?: CoreSource): Promise<WebAssembly.Module> {
  if (!loading) {
    const module = start(source ?? new URL("../core/semivq_bg.wasm", import.meta.url));
    loading = { source, module };
    // What failed may be tried again.
    module.catch(() => (loading = undefined));
    return module;
  }
  const known = loading.source;
  const same = source === undefined || source === known || (isAddress(source) && isAddress(known) && String(source) === String(known));
  if (same) return loading.module;
  return Promise.reject(new Error("semivq's core is loaded already, from another source: call load(source) once, before anything else"));
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

/** Of some options those that do nothing, each with the reason. */
export async function idleOptions(options: PartialOptions): Promise<Record<string, string>> {
  await load();
  return JSON.parse(idle(JSON.stringify(options)));
}

/** What divides the height and the width of the images of the options' model. */
export async function sizesOf(options: PartialOptions = {}): Promise<number> {
  await load();
  return granularity(JSON.stringify(options));
}

/** Step and options of a checkpoint. */
export async function describeCheckpoint(bytes: Uint8Array): Promise<{ step: number; options: TrainOptions }> {
  await load();
  return JSON.parse(describe(bytes));
}

/** The command line's checkpoint and its `training-STEP.safetensors`, in one as {@link Trainer.load} takes it. */
export async function joinCheckpoint(checkpoint: Uint8Array, training: Uint8Array): Promise<Bytes> {
  await load();
  return owned(join(checkpoint, training));
}
