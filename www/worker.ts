/** Training, off the page's thread: up to two trainers that share a device and see the same batches. */
import { readFiles } from "./files.js";
import type { FromWorker, ProblemKind, Sides, ToWorker } from "./protocol.js";
import { Run } from "./run.js";
import { SIDES, type Side } from "./settings.js";
import * as store from "./store.js";
import { GpuDevice, TrainingData, describeCheckpoint, joinCheckpoint, listMethods, sizesOf } from "./trainer.js";

/** Aim for one submission to the GPU, ms. */
const SLICE = 40;
/** Share of the time that views may take. */
const VIEW_SHARE = 0.15;
const AUTOSAVE_EVERY = 15_000;
/** A pause of the loop from which the tab must have been asleep, ms. */
const ASLEEP = 20_000;
let device: GpuDevice | undefined;
/** The user's images, if there are any. */
let own: TrainingData | undefined;
/** The built-in images, by seed. */
const glyphs = new Map<number, TrainingData>();
const running: Partial<Record<Side, Run>> = {};
let now: { sides: Sides; hash: string; builtIn: boolean } | undefined;
let going = false;
/** Whether the browser's one autosave is this tab's: two tabs would overwrite each other's run. */
let ownsStore = false;
/** Whether the autosave may be written: not while it holds a run that the user has not decided on. */
let mayKeep = false;
let kept: store.SavedSession | undefined;
let dataIsSaved = false;
let slices = 1;
let viewCost = 0;
let lastView = 0;
let lastKept = 0;
let lastReport = 0;
let imagesSince = 0;
let reportSince = 0;
const losses: number[] = [];

const post = (message: FromWorker, transfer: Transferable[] = []) => self.postMessage(message, { transfer });
const text = (error: unknown) => (error instanceof Error ? error.message : String(error));
/** Lets messages in; unlike a timer it is never slowed down. */
const breath = new MessageChannel();
const breathe = () =>
  new Promise<void>((resolve) => {
    breath.port1.onmessage = () => resolve();
    breath.port2.postMessage(null);
  });
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const runs = () => SIDES.flatMap((side) => (running[side] ? [[side, running[side]] as const] : []));
const steps = () => Math.max(0, ...runs().map(([, run]) => run.step));

function report(busy = "") {
  const seconds = (performance.now() - reportSince) / 1000;
  const imagesPerSecond = seconds > 0 ? imagesSince / seconds : 0;
  imagesSince = 0;
  reportSince = performance.now();
  lastReport = reportSince;
  post({ kind: "state", running: going, busy, imagesPerSecond, slices });
}

function problem(kind: ProblemKind, message: string) {
  post({ kind: "problem", problem: kind, message });
}

function flush() {
  for (const [side, run] of runs()) {
    const metrics = run.takeFresh();
    if (metrics.length > 0) post({ kind: "metrics", side, metrics });
  }
}

// ------------------------------------------------------------------------------------------ runs

async function openDevice(): Promise<GpuDevice> {
  if (!device || device.lost !== undefined) device = await GpuDevice.open();
  // For the console, and for the test that takes it away.
  Object.assign(self, { semivq: { device } });
  return device;
}

async function freeAll() {
  for (const [side, run] of runs()) {
    delete running[side];
    await run.trainer.free().catch(() => undefined);
  }
}

/** The images that a run of this seed trains on. */
async function imagesFor(seed = 0): Promise<TrainingData> {
  if (own && now?.builtIn === false) return own;
  const known = glyphs.get(seed);
  if (known) return known;
  // Two sides, two seeds at most.
  if (glyphs.size > 1) glyphs.clear();
  const made = await TrainingData.glyphs(seed);
  glyphs.set(seed, made);
  return made;
}

/** A run for `side`, going on from `from` if there is such a save. */
async function build(side: Side, from?: store.SavedSide) {
  const options = now?.sides[side];
  if (!options) return;
  const gpu = await openDevice();
  const run = await Run.create(options, await imagesFor(options.seed), gpu, from);
  running[side] = run;
  post({ kind: "built", side, ...run.describe() });
}

async function reset(message: Extract<ToWorker, { kind: "reset" }>) {
  going = false;
  await freeAll();
  now = { sides: message.sides, hash: message.hash, builtIn: message.builtIn };
  kept = undefined;
  slices = 1;
  viewCost = 0;
  for (const side of SIDES) {
    if (!message.sides[side]) continue;
    report("preparing the shaders");
    await build(side);
    // The first side shows its first step before the second one's shaders are prepared.
    if (message.run) await advance(side);
    await views(side);
  }
  lastKept = performance.now();
  going = message.run;
  report();
}

async function advance(side: Side) {
  const run = running[side];
  if (!run) return;
  await run.trainer.step(1);
  flush();
}

/** Carries saved sides on: after a reload, and after the device was lost. */
async function resume(saved: store.SavedSession) {
  for (const side of SIDES) {
    const from = saved.sides[side];
    if (from && now?.sides[side]) await build(side, from);
    else if (now?.sides[side]) await build(side);
    await views(side);
  }
}

// ----------------------------------------------------------------------------------------- views

async function views(side: Side) {
  const run = running[side];
  if (!run) return;
  const { shown, quantizer } = await run.views();
  post({ kind: "shown", side, shown }, [shown.images.buffer, shown.codes.buffer]);
  post({ kind: "quantizer", side, step: run.step, quantizer });
}

async function allViews() {
  const start = performance.now();
  for (const [side, run] of runs()) {
    await run.trainer.settle();
    await views(side);
  }
  flush();
  const cost = performance.now() - start;
  viewCost = viewCost === 0 ? cost : 0.7 * viewCost + 0.3 * cost;
  lastView = performance.now();
}

// ------------------------------------------------------------------------------------------ loop

/** One step of each side; every so often waits for it, to know how long it takes. */
async function oneStep(measured: boolean) {
  for (const [, run] of runs()) {
    const start = performance.now();
    if (measured) {
      await run.trainer.settle();
      const settled = performance.now();
      await run.trainer.step(1);
      const took = performance.now() - settled;
      const wanted = device?.software ? 1 : Math.min(64, Math.max(1, Math.ceil(took / SLICE)));
      if (wanted !== slices) {
        slices = wanted;
        for (const [, other] of runs()) await other.trainer.submitInParts(slices);
      }
    } else {
      await run.trainer.submitStep();
    }
    imagesSince += run.trainer.options.batch;
    if (performance.now() - start > ASLEEP) {
      problem("slept", "The browser put this tab to sleep for a while; training goes on where it was.");
    }
  }
}

async function loop() {
  let count = 0;
  for (;;) {
    if (!going) {
      await pause(30);
      await handleAll();
      continue;
    }
    const began = performance.now();
    try {
      await oneStep(count++ % 32 === 1);
      const viewEvery = Math.min(2000, Math.max(250, viewCost / VIEW_SHARE));
      if (performance.now() - lastView > viewEvery) await allViews();
      if (performance.now() - lastReport > 500) {
        flush();
        report();
      }
      if (performance.now() - lastKept > AUTOSAVE_EVERY) await keep();
    } catch (error) {
      await failed(error);
    }
    await handleAll();
    if (performance.now() - began > ASLEEP) {
      problem("slept", "The browser put this tab to sleep for a while; training goes on where it was.");
    }
  }
}

// ------------------------------------------------------------------------------- saves and losses

/** Everything that a lost device would lose, and a reload: in memory and, where it may be, in the browser. */
async function keep() {
  if (!now || runs().length === 0) return;
  lastKept = performance.now();
  const sides: store.SavedSession["sides"] = {};
  for (const [side, run] of runs()) {
    sides[side] = await run.save();
  }
  flush();
  kept = { hash: now.hash, time: Date.now(), step: steps(), builtIn: now.builtIn, sides };
  if (!mayKeep) return;
  const images = now.builtIn || dataIsSaved || !own
    ? undefined
    : { name: own.name, shape: own.shape, train: own.part("train"), test: own.part("test") };
  try {
    await store.writeSession(kept, images);
    if (images) dataIsSaved = true;
    post({ kind: "kept", step: kept.step, time: kept.time });
  } catch (error) {
    problem("storage", `The run could not be saved in this browser (${text(error)}); download a checkpoint to be safe.`);
  }
  lastKept = performance.now();
}

async function failed(error: unknown) {
  const wanted = going;
  going = false;
  // A loss is announced a moment after what it made fail.
  for (let i = 0; i < 10 && device && device.lost === undefined; i++) await pause(50);
  if (device?.lost !== undefined) return recover(wanted);
  const message = text(error);
  report();
  if (/memory|allocat/i.test(message)) {
    problem("memory", `The GPU has no memory left for this (${message}). Choose a smaller batch, fewer codes or smaller images, then reset.`);
  } else {
    problem("other", message);
  }
}

/** Opens another device and goes on from the last save. */
async function recover(run: boolean) {
  const reason = device?.lost ?? "unknown";
  const at = performance.now();
  losses.push(at);
  for (const side of SIDES) delete running[side];
  device = undefined;
  if (losses.filter((time) => at - time < 60_000).length > 3) {
    problem("no-adapter", `The GPU device was lost over and over (${reason}). Close other tabs that use the GPU, or restart the browser, then reload this page; the last save is kept.`);
    return report();
  }
  problem("lost", `The GPU device was lost (${reason}). Opening it again ..`);
  report("opening the GPU again");
  try {
    const saved = kept;
    if (saved) await resume(saved);
    else for (const side of SIDES) await build(side);
    problem("lost", `The GPU device was lost; training went on from ${saved ? `the save at step ${saved.step}` : "the start: nothing had been saved yet"}.`);
    going = run;
  } catch (error) {
    if (device && (device as GpuDevice).lost !== undefined) return recover(run);
    problem("no-adapter", `The GPU device was lost and could not be opened again (${text(error)}). Reload the page; the last save is kept.`);
  }
  report();
}

// -------------------------------------------------------------------------------------- messages

const waiting: ToWorker[] = [];
self.onmessage = (event: MessageEvent<ToWorker>) => {
  // Of decodes, only the newest matters.
  if (event.data.kind === "decode") {
    const older = waiting.findIndex((m) => m.kind === "decode");
    if (older >= 0) waiting.splice(older, 1);
  }
  waiting.push(event.data);
};

async function handleAll() {
  await breathe();
  for (let message = waiting.shift(); message; message = waiting.shift()) {
    try {
      await handle(message);
    } catch (error) {
      if (message.kind === "data" || message.kind === "load") {
        problem("file", text(error));
        report();
      } else if ((message.kind === "reset" || message.kind === "change") && device?.lost === undefined && !/memory|allocat/i.test(text(error))) {
        // A change that is refused leaves the run as it was.
        if (message.kind === "reset") going = false;
        problem("options", text(error));
        report();
      } else {
        await failed(error);
      }
    }
  }
}

async function handle(message: ToWorker): Promise<void> {
  switch (message.kind) {
    case "reset":
      return reset(message);
    case "run":
      going = runs().length > 0;
      imagesSince = 0;
      return report();
    case "pause":
      going = false;
      for (const [, run] of runs()) await run.trainer.settle();
      await allViews();
      report();
      return keep();
    case "step":
      going = false;
      for (const [side] of runs()) await advance(side);
      await allViews();
      return report();
    case "change":
      for (const [side, run] of runs()) {
        const options = message.sides[side];
        if (options) await run.trainer.change(options);
      }
      if (now) now = { ...now, sides: message.sides, hash: message.hash };
      return;
    case "data": {
      report("reading the files");
      const { data: set, skipped } = await readFiles(message.files, message);
      set.checkSize();
      going = false;
      await freeAll();
      own = set;
      dataIsSaved = false;
      const { name, shape, train, test } = set;
      return post({ kind: "data", data: { name, shape, train, test }, skipped });
    }
    case "decode": {
      const run = running[message.side];
      if (!run) return;
      const image = await run.trainer.decode(Uint32Array.from(message.codes), ...message.cells);
      return post({ kind: "decoded", request: message.request, image }, [image.buffer]);
    }
    case "save": {
      const run = running[message.side];
      if (!run) return;
      const bytes = await run.trainer.save();
      return post({ kind: "saved", side: message.side, step: run.step, bytes }, [bytes.buffer]);
    }
    case "load":
      return load(message.side, message.files);
    case "go-on":
      return goOn();
    case "forget":
      mayKeep = ownsStore;
      dataIsSaved = false;
      return ownsStore ? store.forget() : undefined;
    case "keep":
      return keep();
    case "address":
      if (now) now = { ...now, hash: message.hash };
      return;
    case "evaluate":
      for (const [side, run] of runs()) {
        await run.trainer.settle();
        post({ kind: "evaluation", side, evaluation: await run.trainer.evaluate() });
      }
      return;
  }
}

/** A checkpoint, this page's or the command line's with its training state, as one side. */
async function load(side: Side, files: File[]) {
  const training = files.length > 1 ? files.find((f) => f.name.startsWith("training-")) : undefined;
  const [file, ...others] = files.filter((f) => f !== training);
  if (!file || others.length > 0) {
    throw new Error(`${files.map((f) => f.name).join(", ")}: want one checkpoint, and with the command line's its training-STEP.safetensors`);
  }
  let bytes = new Uint8Array(await file.arrayBuffer());
  let described;
  try {
    if (training) bytes = new Uint8Array(await joinCheckpoint(bytes, new Uint8Array(await training.arrayBuffer())));
    described = await describeCheckpoint(bytes);
  } catch (error) {
    throw new Error(`${file.name}: ${text(error)}`);
  }
  const { options, step } = described;
  const was = going;
  going = false;
  const { data: name, ...rest } = options;
  const before = running[side];
  const keptNow = now;
  now = { hash: now?.hash ?? "", builtIn: now?.builtIn ?? true, sides: { ...now?.sides, [side]: rest } };
  try {
    await build(side, { checkpoint: bytes, history: [] });
  } catch (error) {
    now = keptNow;
    if (before) running[side] = before;
    else delete running[side];
    going = was;
    throw new Error(`${file.name}: ${text(error)}`);
  }
  await before?.trainer.free();
  await views(side);
  report();
  post({ kind: "loaded", side, options, step });
  const here = running[side]?.trainer.data.name;
  if (name !== null && name !== here) {
    problem("file", `${file.name} was trained on ${name}; here it goes on with ${here}. To go on as it was, drop those images first, then load it again.`);
  }
}

/** The autosave of an earlier visit. */
async function goOn() {
  const saved = await store.readSession();
  if (!saved) throw new Error("the saved run is gone");
  report("taking up the saved run");
  await freeAll();
  const images = saved.builtIn ? undefined : await store.readData();
  own = images && (await TrainingData.parts(images.name, images.train, images.test, images.shape));
  dataIsSaved = images !== undefined;
  const sides: Sides = {};
  for (const side of SIDES) {
    const from = saved.sides[side];
    if (!from) continue;
    const { data: _, ...options } = (await describeCheckpoint(from.checkpoint)).options;
    sides[side] = options;
  }
  now = { sides, hash: saved.hash, builtIn: saved.builtIn };
  kept = saved;
  mayKeep = ownsStore;
  post({ kind: "went-on", hash: saved.hash, options: sides });
  await resume(saved);
  lastKept = performance.now();
  going = true;
  report();
}

async function start() {
  try {
    if (!("gpu" in navigator)) {
      return problem("no-webgpu", "The page trains on the GPU through WebGPU, which is not there.");
    }
    let gpu: GpuDevice;
    try {
      gpu = await openDevice();
    } catch (error) {
      return problem("no-adapter", text(error));
    }
    ownsStore = await store.claim();
    if (!ownsStore) {
      problem("storage", "Another tab of this page is open, and the browser keeps one run only: this tab's is not saved by itself. Download a checkpoint to keep it.");
    }
    const saved = ownsStore ? await store.readSession().catch(() => undefined) : undefined;
    mayKeep = ownsStore && saved === undefined;
    post({
      kind: "ready", adapter: gpu.name, software: gpu.software, methods: await listMethods(),
      granularity: await sizesOf(),
      kept: saved ? { hash: saved.hash, time: saved.time, step: saved.step } : null,
    });
  } catch (error) {
    problem("other", text(error));
  }
  await loop();
}

void start();
