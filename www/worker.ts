/** Training, off the page's thread: the loop, and what the page asks for. */
import { readFiles } from "./files.js";
import type { FromWorker, ToWorker } from "./protocol.js";
import { SIDES, type Side } from "./settings.js";
import { Pace } from "./pace.js";
import * as store from "./store.js";
import { Refused, Training, textOf } from "./training.js";
import { describeCheckpoint, joinCheckpoint, listMethods, sizesOf } from "./package/index.js";

/** Aim for one submission to the GPU, ms. */
const SLICE = 40;
const AUTOSAVE_EVERY = 15_000;
/** The first save comes sooner: what a loss takes away should not be all. */
const FIRST_SAVE = 3000;
/** A pause of the loop from which the tab must have been asleep, ms. */
const ASLEEP = 20_000;

let going = false;
/** Whether the run that is being prepared is to go on by itself. */
let toGo = false;
/** What is being done besides steps; empty while there is nothing. */
let busy = "";
let slices = 1;
let lastKept = 0;
let lastReport = 0;
const losses: number[] = [];
/** Stops the evaluation under way. */
let evaluating: AbortController | undefined;

const post = (message: FromWorker, transfer: Transferable[] = []) => self.postMessage(message, { transfer });
/** Lets messages in; unlike a timer it is never slowed down. */
const breath = new MessageChannel();
const breathe = () =>
  new Promise<void>((resolve) => {
    breath.port1.onmessage = () => resolve();
    breath.port2.postMessage(null);
  });
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const training = new Training(post, (what) => report(what));
const pace = new Pace(training);
// For the console, and for the test of what views cost.
Object.assign(self, { pace });

function report(what = "") {
  busy = what;
  lastReport = performance.now();
  post({ kind: "state", running: going || toGo, busy, ...training.pace() });
}

// ------------------------------------------------------------------------------------------ loop

/** One step of each side; every so often waits for it, to know how long it takes. */
async function oneStep(measured: boolean) {
  for (const [, { trainer }] of training.runs) {
    if (!measured) {
      await trainer.submitStep();
      continue;
    }
    await trainer.settle();
    const settled = performance.now();
    await trainer.step(1);
    const took = performance.now() - settled;
    const wanted = training.device?.software ? 1 : Math.min(64, Math.max(1, Math.ceil(took / SLICE)));
    if (wanted === slices) continue;
    slices = wanted;
    for (const [, other] of training.runs) await other.trainer.submitInParts(slices);
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
      await pace.drawWhatIsDue();
      if (performance.now() - lastReport > 500) {
        training.flush();
        report();
      }
      const first = training.kept === undefined;
      if (performance.now() - lastKept > (first ? FIRST_SAVE : AUTOSAVE_EVERY)) await keep();
    } catch (error) {
      await failed(error);
      continue;
    }
    if (performance.now() - began > ASLEEP) {
      training.problem("slept", "The browser put this tab to sleep for a while; training goes on where it was.");
    }
    await handleAll();
  }
}

// ------------------------------------------------------------------------------- saves and losses

async function keep() {
  await training.keep();
  training.flush();
  lastKept = performance.now();
}

async function failed(error: unknown) {
  const wanted = going || toGo;
  going = toGo = false;
  // A loss is announced a moment after what it made fail.
  for (let i = 0; i < 10 && training.device && training.device.lost === undefined; i++) await pause(50);
  if (training.device?.lost !== undefined) return recover(wanted);
  training.problem("other", textOf(error));
  report();
}

/** Opens another device and goes on from the last save. */
async function recover(run: boolean) {
  const reason = training.device?.lost ?? "unknown";
  const at = performance.now();
  losses.push(at);
  training.drop();
  if (losses.filter((time) => at - time < 60_000).length > 3) {
    training.problem("no-adapter", `The GPU device was lost over and over (${reason}). Close other tabs that use the GPU, or restart the browser, then reload this page; the last save is kept.`);
    return report();
  }
  training.problem("lost", `The GPU device was lost (${reason}). Opening it again ..`);
  report("opening the GPU again");
  try {
    const saved = training.kept;
    if (saved) await training.resume(saved);
    else for (const side of SIDES) await training.build(side);
    await pace.draw();
    training.problem("lost", `The GPU device was lost; training went on from ${saved ? `the save at step ${saved.step}` : "the start: nothing had been saved yet"}.`);
    going = run;
  } catch (error) {
    if (training.device?.lost !== undefined) return recover(run);
    training.problem("no-adapter", `The GPU device was lost and could not be opened again (${textOf(error)}). Reload the page; the last save is kept.`);
  }
  report();
}

// -------------------------------------------------------------------------------------- messages

const waiting: ToWorker[] = [];
/** Of these, only the newest matters. */
const LATEST: readonly ToWorker["kind"][] = ["decode", "sketch", "explain", "check", "show", "draw"];
/** What only draws. */
const VIEWS: readonly ToWorker["kind"][] = ["decode", "sketch", "explain", "look", "preview", "show", "draw"];
/** These do not wait for an evaluation, which ends; "stop" is one. */
const STOPS: readonly ToWorker["kind"][] = ["stop", "reset", "undo", "back", "run", "pause", "step", "load"];
self.onmessage = ({ data: message }: MessageEvent<ToWorker>) => {
  if (LATEST.includes(message.kind)) {
    const older = waiting.findIndex((m) => m.kind === message.kind && !("side" in m && "side" in message && m.side !== message.side));
    if (older >= 0) waiting.splice(older, 1);
  }
  if (STOPS.includes(message.kind)) evaluating?.abort();
  waiting.push(message);
};

async function handleAll() {
  await breathe();
  for (let message = waiting.shift(); message; message = waiting.shift()) {
    try {
      await handle(message);
    } catch (error) {
      if (message.kind === "data" || message.kind === "load") {
        training.problem("file", textOf(error));
        report();
      } else if (error instanceof Refused && (message.kind === "reset" || message.kind === "undo")) {
        toGo = false;
        post({ kind: "refused", run: message.run, message: textOf(error) });
        report();
      } else if (VIEWS.includes(message.kind) && training.device?.lost === undefined) {
        // Asked of a run that is no more: what it was for is gone, too.
        if (message.kind === "sketch") post({ kind: "sketched", request: message.request, sides: {} });
      } else if (message.kind === "change" && training.device?.lost === undefined) {
        training.problem("options", textOf(error));
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
    case "undo":
    case "back": {
      const was = going;
      going = false;
      if (message.kind === "undo") await training.undo(message.run);
      else if (training.kept) {
        await training.free();
        await training.resume(training.kept);
      }
      await pace.draw();
      // What has diverged would do so again: its owner changes something first.
      going = was && message.kind === "undo";
      return report();
    }
    case "run":
      going = training.runs.length > 0;
      training.speed.clear();
      return report();
    case "pause":
      going = false;
      await pace.draw();
      report();
      return keep();
    case "step":
      going = false;
      for (const [, run] of training.runs) await run.trainer.step(1);
      await pace.draw();
      return report();
    case "change":
      for (const [side, run] of training.runs) {
        const options = message.sides[side];
        if (options) await run.trainer.change(options);
      }
      if (training.now) training.now = { ...training.now, sides: message.sides, hash: message.hash };
      return;
    case "check":
      return post({ kind: "checked", sides: await training.check(message.sides, message.data), workPerSecond: training.workPerSecond });
    case "data": {
      const was = busy;
      report("reading the files");
      try {
        const { data: set, skipped } = await readFiles(message.files, message);
        set.checkSize();
        training.offered = set;
        const { name, shape, train, test } = set;
        return post({ kind: "data", data: { name, shape, train, test }, skipped });
      } finally {
        report(was);
      }
    }
    case "show":
      training.show(message.indices);
      return pace.draw();
    case "preview":
      return training.preview(message.count);
    case "decode": {
      const image = await training.of(message.side)?.trainer.decode(message.codes, ...message.cells);
      return image && post({ kind: "decoded", request: message.request, image }, [image.buffer]);
    }
    case "sketch": {
      const sides: Extract<FromWorker, { kind: "sketched" }>["sides"] = {};
      for (const [side, run] of training.runs) sides[side] = await run.sketch(message.image);
      return post({ kind: "sketched", request: message.request, sides });
    }
    case "explain": {
      const explained = (await training.of(message.side)?.explain(message.side, message.image)) ?? null;
      return post({ kind: "explained", request: message.request, explained });
    }
    case "draw":
      return training.draw(message.seed);
    case "look":
      pace.planeWanted = message.plane;
      return message.plane && !going ? training.planes() : undefined;
    case "save": {
      const run = training.of(message.side);
      if (!run) return;
      const bytes = await run.trainer.save();
      return post({ kind: "saved", side: message.side, step: run.step, bytes }, [bytes.buffer]);
    }
    case "load":
      return load(message.side, message.files);
    case "keep":
      return keep();
    case "address":
      if (training.now) training.now = { ...training.now, hash: message.hash };
      return;
    case "evaluate":
      return evaluate();
    case "stop":
      return;
  }
}

async function reset({ sides, data, hash, run, ...message }: Extract<ToWorker, { kind: "reset" }>) {
  const was = going;
  const go = message.go ?? (going || training.step === 0);
  going = false;
  toGo = go;
  pace.begin();
  try {
    await training.replace({ sides, data, hash }, run, async (side) => {
      // The first side shows its first step before the second one's shaders are prepared.
      if (go) await training.of(side)?.trainer.step(1);
      await pace.draw();
    });
  } catch (error) {
    // What is refused leaves the run as it was.
    if (error instanceof Refused) going = was;
    throw error;
  }
  lastKept = performance.now();
  going = go;
  toGo = false;
  report();
}

async function evaluate() {
  evaluating = new AbortController();
  const { signal } = evaluating;
  try {
    for (const [side, { trainer }] of training.runs) {
      const tell = (done: number, of: number) => post({ kind: "evaluation", run: training.run, side, evaluation: null, done, of });
      report("evaluating");
      tell(0, trainer.data.test);
      const evaluation = await trainer.evaluate({ signal, onProgress: tell });
      post({ kind: "evaluation", run: training.run, side, evaluation, done: evaluation.images, of: evaluation.images });
    }
  } catch (error) {
    for (const side of SIDES) post({ kind: "evaluation", run: training.run, side, evaluation: null, done: 0, of: 0 });
    if (!signal.aborted) throw error;
  } finally {
    evaluating = undefined;
    report();
  }
}

/** A checkpoint, this page's or the command line's with its training state, as one side. */
async function load(side: Side, files: File[]) {
  const state = files.length > 1 ? files.find((f) => f.name.startsWith("training-")) : undefined;
  const [file, ...others] = files.filter((f) => f !== state);
  if (!file || others.length > 0) {
    throw new Error(`${files.map((f) => f.name).join(", ")}: want one checkpoint, and with the command line's its training-STEP.safetensors`);
  }
  let bytes = new Uint8Array(await file.arrayBuffer());
  const was = going;
  going = false;
  try {
    if (state) bytes = new Uint8Array(await joinCheckpoint(bytes, new Uint8Array(await state.arrayBuffer())));
    const { options, step } = await describeCheckpoint(bytes);
    const codebooks = options.vq.residual;
    if (codebooks > 1) throw new Error(`it has ${codebooks} codebooks, of which this page could show one only; go on with it on the command line`);
    const { data: name, ...rest } = options;
    await training.take(side, rest, { checkpoint: bytes, history: [] });
    await pace.draw();
    report();
    post({ kind: "loaded", side, options, step });
    const here = training.describeData()?.name;
    if (name !== null && name !== here) {
      training.problem("file", `${file.name} was trained on ${name}; here it goes on with ${here}. To go on as it was, drop those images first, then load it again.`);
    }
  } catch (error) {
    going = was;
    throw new Error(`${file.name}: ${textOf(error)}`);
  }
}

// ----------------------------------------------------------------------------------------- start

/** Waits for its turn to keep its run in this browser. */
async function claim(): Promise<boolean> {
  const mine = store.claim().then(() => true).catch(() => false);
  const soon = await Promise.race([mine, pause(1500).then(() => false)]);
  if (!soon) {
    training.problem("storage", "Another tab of this page is open, and the browser keeps one run at a time: this tab's is saved once that one is closed.");
    void mine.then((owned) => (training.ownsStore = owned));
  }
  return soon;
}

async function start() {
  try {
    if (!("gpu" in navigator)) {
      return training.problem("no-webgpu", "The page trains on the GPU through WebGPU, which is not there.");
    }
    let gpu;
    try {
      gpu = await training.open();
    } catch (error) {
      return training.problem("no-adapter", textOf(error));
    }
    training.ownsStore = await claim();
    const saved = training.ownsStore ? await store.readSession().catch(() => undefined) : undefined;
    post({
      kind: "ready", adapter: gpu.name, software: gpu.software, methods: await listMethods(),
      granularity: await sizesOf(),
      kept: saved ? { hash: saved.hash, time: saved.time, step: saved.step } : null,
    });
    // It can be gone back to whatever the page does now.
    if (saved) training.remember(saved);
  } catch (error) {
    training.problem("other", textOf(error));
  }
  await loop();
}

void start();
