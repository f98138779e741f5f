/** Up to two runs that share a device and see the same batches; what is kept of them, and how they come back. */
import type { DataInfo, Drawn, FromWorker, Originals, ProblemKind, Shape, Sides } from "./protocol.js";
import { Run, withBatch } from "./run.js";
import { SIDES, type Side } from "./settings.js";
import { Speed } from "./speed.js";
import * as store from "./store.js";
import { GpuDevice, type PartialOptions, TrainingData, completeOptions, describeCheckpoint, idleOptions } from "./package/index.js";

/** Images that are shown. */
const SHOWN = 8;

/** A former run is worth going back to from so many steps on: a second reset in a row does not take the first one's place. */
const WORTH = 20;

/** What is trained: the options of each side, the images by name, and the address that says all of it. */
export interface Experiment {
  sides: Sides;
  data: string;
  hash: string;
  /** The user's images, where `data` is `own`. */
  own?: TrainingData | undefined;
}

/** A save in memory, which knows its images. */
type Saved = store.SavedSession & { own?: TrainingData | undefined };

export const textOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
const outOfMemory = (error: unknown) => /memory|allocat/i.test(textOf(error));

/** A reset that was refused; what there was before still is. */
export class Refused extends Error {}

/** [C, H, W] of the built-in images, by name; there are so many to train on. */
const BUILT_IN: Readonly<Record<string, Shape>> = { glyphs: [1, 28, 28], scenes: [3, 32, 32], scenes64: [3, 64, 64] };
const BUILT_IN_TRAIN = 8192;

export class Training {
  device: GpuDevice | undefined;
  /** The user's images that were read last: those of the next reset. */
  offered: TrainingData | undefined;
  now: Experiment | undefined;
  /** The run that the page's messages are about. */
  run = 0;
  readonly speed = new Speed();
  /** What the runs so far reached; 0 before. */
  workPerSecond = 0;
  /** The last save, which is older than any divergence. */
  kept: Saved | undefined;
  #before: Saved | undefined;
  /** The images that the browser keeps. */
  #stored: TrainingData | undefined;
  /** The built-in images, by name and seed. */
  #builtIn = new Map<string, TrainingData>();
  #runs: Partial<Record<Side, Run>> = {};
  #originals: Originals | undefined;
  #indices: number[] = [];
  /** Whether the browser's one autosave is this tab's: two tabs would overwrite each other's run. */
  ownsStore = false;

  constructor(
    private readonly post: (message: FromWorker, transfer?: Transferable[]) => void,
    private readonly busy: (what: string) => void,
  ) {}

  get runs(): [Side, Run][] {
    return SIDES.flatMap((side) => (this.#runs[side] ? [[side, this.#runs[side]] as [Side, Run]] : []));
  }

  of(side: Side): Run | undefined {
    return this.#runs[side];
  }

  get step(): number {
    return Math.max(0, ...this.runs.map(([, run]) => run.step));
  }

  problem(problem: ProblemKind, message: string) {
    this.post({ kind: "problem", problem, message });
  }

  async open(): Promise<GpuDevice> {
    if (!this.device || this.device.lost !== undefined) this.device = await GpuDevice.open();
    // For the console, and for the test that takes it away.
    Object.assign(self, { semivq: { device: this.device } });
    return this.device;
  }

  // ------------------------------------------------------------------------------------- options

  /** Whether these options can be, which of them do nothing, and what a run of them would cost. */
  async check(sides: Sides, data: string) {
    const own = data === "own" ? (this.offered ?? this.now?.own) : undefined;
    const shape = own?.shape ?? BUILT_IN[data];
    const checked: Extract<FromWorker, { kind: "checked" }>["sides"] = {};
    for (const side of SIDES) {
      const options = sides[side];
      if (!options) continue;
      try {
        await completeOptions(options);
        const device = this.device;
        const cost = device && shape ? device.cost(withBatch(options, device), shape, own?.train ?? BUILT_IN_TRAIN) : null;
        checked[side] = { error: null, idle: await idleOptions(options), cost };
      } catch (error) {
        checked[side] = { error: textOf(error), idle: {}, cost: null };
      }
    }
    return checked;
  }

  /** Steps and images a second of the runs; the work a second is kept as it was last known. */
  pace() {
    const pace = this.speed.of(this.runs.length);
    const work = this.runs.reduce((sum, [, run]) => sum + run.trainer.describe().work, 0);
    if (pace.stepsPerSecond > 0) this.workPerSecond = work * pace.stepsPerSecond;
    return pace;
  }

  // ---------------------------------------------------------------------------------------- runs

  /** The images of an experiment, for a seed. */
  async #images({ data, own }: Experiment, seed = 0): Promise<TrainingData> {
    if (data === "own" && own) return own;
    const key = `${data} ${seed}`;
    const known = this.#builtIn.get(key);
    if (known) return known;
    if (this.#builtIn.size > 1) this.#builtIn.clear();
    const [, name = "glyphs", size] = /^(glyphs|scenes)(\d*)$/.exec(data) ?? [];
    const made = await TrainingData.builtIn(name as "glyphs" | "scenes", seed, size ? Number(size) : undefined);
    this.#builtIn.set(key, made);
    return made;
  }

  async build(side: Side, from?: store.SavedSide) {
    const options = this.now?.sides[side];
    if (!options || !this.now) return;
    const data = await this.#images(this.now, options.seed);
    const batch = () => this.#runs[side]?.trainer.options.batch ?? 0;
    const run = await Run.create(options, data, await this.open(), () => this.speed.add(batch()), from);
    this.#runs[side] = run;
    this.post({ kind: "built", run: this.run, side, ...run.describe() });
    this.#show(data);
  }

  async free() {
    this.speed.clear();
    for (const [side, run] of this.runs) {
      delete this.#runs[side];
      await run.trainer.free().catch(() => undefined);
    }
  }

  /** Forgets runs whose device is gone. */
  drop() {
    this.#runs = {};
    this.device = undefined;
    this.speed.clear();
  }

  /** Throws {@link Refused} where the experiment cannot be. */
  async #check(next: Experiment) {
    for (const side of SIDES) {
      const options = next.sides[side];
      if (!options) continue;
      try {
        await completeOptions(options);
        (await this.#images(next, options.seed)).checkSize(options);
      } catch (error) {
        throw new Refused(textOf(error));
      }
    }
  }

  /**
   * Another experiment in the place of this one, which can be taken back; `each` is called for every side that is
   * ready. Throws {@link Refused}, and leaves all as it was, where it cannot be.
   */
  async replace(wanted: Experiment, run: number, each: (side: Side) => Promise<void>) {
    const next = wanted.data === "own" ? { ...wanted, own: this.offered ?? this.now?.own } : wanted;
    await this.#check(next);
    const former = await this.#former();
    await this.free();
    this.kept = undefined;
    this.now = next;
    this.run = run;
    try {
      for (const side of SIDES) {
        if (!next.sides[side]) continue;
        this.busy("preparing the shaders");
        await this.build(side);
        await each(side);
      }
    } catch (error) {
      if (this.device?.lost !== undefined || !former) throw error;
      // Only the device could tell that this is too much. The page may know the new run already: it goes on as that.
      await this.free();
      await this.resume(former);
      throw new Refused(outOfMemory(error) ? `The GPU has no memory for this (${textOf(error)}). Choose a smaller batch, fewer codes or smaller images.` : textOf(error));
    }
    if (former && (former.step >= WORTH || !this.#before)) this.remember(former);
  }

  /** The run as it is, if it has come anywhere. */
  #former(): Promise<Saved | undefined> {
    return this.now && this.step > 0 ? this.#session(this.now) : Promise.resolve(undefined);
  }

  /** A checkpoint in the place of one side's run. */
  async take(side: Side, options: PartialOptions, from: store.SavedSide) {
    const former = this.now ?? { sides: {}, data: "glyphs", hash: "" };
    const before = this.#runs[side];
    const saved = await this.#former();
    this.now = { ...former, sides: { ...former.sides, [side]: options } };
    try {
      await this.build(side, from);
    } catch (error) {
      this.now = former;
      if (before) this.#runs[side] = before;
      else delete this.#runs[side];
      throw error;
    }
    this.kept = undefined;
    await before?.trainer.free();
    if (saved) this.remember(saved);
  }

  /** Back to the run before the last reset, which then can be taken back itself. */
  async undo(run: number) {
    const to = this.#before;
    if (!to) return;
    const former = await this.#former();
    await this.free();
    this.kept = to;
    this.run = run;
    try {
      await this.resume(to);
    } catch (error) {
      if (this.device?.lost !== undefined) throw error;
      await this.free();
      this.remember(undefined);
      if (former) await this.resume(former);
      this.kept = former;
      throw new Refused(`the run before could not be taken up again: ${textOf(error)}`);
    }
    this.remember(former);
  }

  /** What a reset can be taken back to: the run before it, or what another visit left. */
  remember(saved: Saved | undefined) {
    this.#before = saved;
    this.post({ kind: "undoable", step: saved?.step ?? null });
  }

  /** Carries saved sides on: after a reload, an undo, a divergence or the loss of the device. */
  async resume(saved: Saved) {
    let { own } = saved;
    if (saved.data === "own" && !own) {
      const images = await store.readData();
      if (!images) throw new Error("its images are gone; drop them again");
      own = this.#stored = await TrainingData.parts(images.name, images.train, images.test, images.shape);
    }
    const sides: Sides = {};
    for (const side of SIDES) {
      const from = saved.sides[side];
      if (!from) continue;
      const { data: _, ...options } = (await describeCheckpoint(from.checkpoint)).options;
      sides[side] = options;
    }
    this.now = { sides, data: saved.data, hash: saved.hash, own };
    this.post({ kind: "went-on", run: this.run, hash: saved.hash, options: sides, own: saved.data === "own" });
    for (const side of SIDES) {
      if (!sides[side]) continue;
      this.busy("taking up the run");
      await this.build(side, saved.sides[side]);
    }
  }

  // --------------------------------------------------------------------------------------- saves

  async #session(now: Experiment): Promise<Saved> {
    const sides: store.SavedSession["sides"] = {};
    for (const [side, run] of this.runs) sides[side] = await run.save();
    return { hash: now.hash, time: Date.now(), step: this.step, data: now.data, sides, own: now.own };
  }

  /** Everything that a lost device would lose, and a reload: in memory and, where it may be, in the browser. */
  async keep() {
    // A run that has diverged is not worth the save of a better one.
    const diverged = () => this.runs.some(([, run]) => run.watch.diverged);
    if (!this.now || this.runs.length === 0 || diverged()) return;
    const kept = await this.#session(this.now);
    // The save waits for the last steps, which may be the ones.
    if (diverged()) return;
    this.kept = kept;
    if (!this.ownsStore) return;
    const { own, ...session } = kept;
    const images = own && own !== this.#stored ? { name: own.name, shape: own.shape, train: own.part("train"), test: own.part("test") } : undefined;
    try {
      await store.writeSession(session, images);
      if (own) this.#stored = own;
      this.post({ kind: "kept", step: kept.step, time: kept.time });
    } catch (error) {
      this.problem("storage", `The run could not be saved in this browser (${textOf(error)}); download a checkpoint to be safe.`);
    }
  }

  // --------------------------------------------------------------------------------------- views

  /** Chooses the images that are shown: those of the numbers chosen, or the first. */
  #show(data: TrainingData) {
    const count = Math.min(SHOWN, data.test);
    const wanted = this.#indices.filter((i) => i < data.test).slice(0, count);
    const rest = Array.from({ length: data.test }, (_, i) => i).filter((i) => !wanted.includes(i));
    const indices = [...wanted, ...rest.slice(0, count - wanted.length)];
    const [c, h, w] = data.shape;
    const images = new Uint8Array(count * c * h * w);
    indices.forEach((index, i) => images.set(data.testImages(index, 1), i * c * h * w));
    this.#originals = { shape: data.shape, count, images };
    this.post({ kind: "originals", run: this.run, originals: this.#originals });
  }

  /** The test images of these numbers are shown from now on. */
  show(indices: number[]) {
    this.#indices = indices;
    const data = this.runs[0]?.[1].trainer.data;
    if (data) this.#show(data);
  }

  /** The first test images, to choose from. */
  preview(count: number) {
    const data = this.runs[0]?.[1].trainer.data;
    if (!data) return;
    const most = Math.min(count, data.test);
    this.post({ kind: "previewed", shape: data.shape, count: most, images: data.testImages(0, most) });
  }

  /** Metrics that have come, and what has become of a run that has diverged. */
  flush() {
    for (const [side, run] of this.runs) {
      const metrics = run.takeFresh();
      if (metrics.length > 0) this.post({ kind: "metrics", run: this.run, side, metrics });
      const diverged = run.watch.diverged;
      if (diverged && !run.watch.told) {
        run.watch.told = true;
        this.post({ kind: "diverged", run: this.run, side, ...diverged, back: this.kept?.step ?? null });
      }
    }
  }

  /** Both sides as they are now. */
  async moment() {
    const originals = this.#originals;
    if (!originals) return;
    for (const [, run] of this.runs) await run.trainer.settle();
    this.flush();
    const sides: Extract<FromWorker, { kind: "moment" }>["moment"]["sides"] = {};
    for (const [side, run] of this.runs) sides[side] = await run.moment(originals);
    const buffers = Object.values(sides).flatMap((m) => [m.images, m.codes, m.tiles, m.ages, m.counts].map((a) => a.buffer as ArrayBuffer));
    this.post({ kind: "moment", run: this.run, moment: { step: this.step, sides } }, buffers);
  }

  /** New pictures of both sides, from the codes that they use. */
  async draw(seed: number) {
    const count = this.#originals?.count ?? 0;
    if (count === 0) return;
    const sides: Drawn["sides"] = {};
    for (const [side, { trainer }] of this.runs) {
      if (trainer.describe().codes > 0) sides[side] = (await trainer.draw(count, seed)).images;
    }
    this.post({ kind: "drawn", run: this.run, drawn: { step: this.step, seed, sides } });
  }

  async planes() {
    for (const [side, run] of this.runs) this.post({ kind: "plane", run: this.run, side, step: run.step, quantizer: await run.plane() });
  }

  describeData(): DataInfo | undefined {
    return this.runs[0]?.[1].describe().data;
  }
}
