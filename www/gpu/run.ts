/** A run of the tests and the bench: what is to be done, one after the other. */
import { type Adapter, type Bench, type Failure, type Result, SCHEMA } from "./result.js";
import { Closed, Room } from "./room.js";

const TESTS = ["gradients", "vq_layer"];
const BENCH = "bench";

/** Seconds of a stage of the bench before one has ended. */
const STAGE = 6;

/** What the address chooses: parts of names of tests and of stages of the bench, all where there are none. */
export interface Wanted {
  tests: string[];
  bench: string[];
  /** Whether two tests are added that fail. */
  onPurpose: boolean;
}

export function fromHash(hash: string): Wanted {
  const params = new URLSearchParams(hash.replace(/^#/, ""));
  return { tests: params.getAll("tests"), bench: params.getAll("bench"), onPurpose: params.has("fail") };
}

function chosen(names: string[], parts: string[]): number[] {
  const has = (name: string) => parts.some((part) => name.toLowerCase().includes(part.toLowerCase()));
  return names.flatMap((name, index) => (parts.length === 0 || has(name) || name.startsWith("on purpose") ? [index] : []));
}

export interface Progress {
  done: number;
  total: number;
  name: string;
  secondsLeft?: number;
}

export interface Listener {
  progress(progress: Progress): void;
  failed(failure: Failure): void;
  measured(bench: Bench): void;
}

interface Task {
  room: Room;
  index: number;
  name: string;
}

/** How long tasks of a kind take, from those that have ended. */
class Pace {
  #seconds = 0;
  #ended = 0;

  constructor(private readonly guess?: number) {}

  add(seconds: number) {
    this.#seconds += seconds;
    this.#ended++;
  }

  left(tasks: number): number | undefined {
    if (tasks === 0) return 0;
    const mean = this.#ended > 0 ? this.#seconds / this.#ended : this.guess;
    return mean === undefined ? undefined : tasks * mean;
  }
}

export class Run {
  readonly #rooms: Room[];
  readonly #paces = { tests: new Pace(), bench: new Pace(STAGE) };
  #stopped = false;
  readonly result: Result;

  constructor(
    private readonly wanted: Wanted,
    adapter: Pick<Result, "limits" | "features"> & { adapter: Adapter },
    private readonly listener: Listener,
  ) {
    this.#rooms = [...TESTS, BENCH].map((module, i) => new Room(module, wanted.onPurpose && i === 0));
    this.result = {
      schema: SCHEMA, semivq: "", date: new Date().toISOString(), user_agent: navigator.userAgent, ...adapter,
      ended: "complete", seconds: 0, tests: { total: 0, passed: 0, failed: [] }, bench: { failed: [] },
    };
  }

  /** Does all of it; whatever comes in between, the result holds what there was. */
  async run(): Promise<Result> {
    const started = performance.now();
    const { result } = this;
    try {
      const tasks = await this.#tasks();
      result.tests.total = tasks.filter((task) => task.room.module !== BENCH).length;
      for (const [done, task] of tasks.entries()) {
        result.ended_at = task.name;
        this.#progress(tasks, done);
        await this.#do(task);
        if (tasks[done + 1]?.room !== task.room) task.room.close();
      }
      delete result.ended_at;
    } catch (error) {
      result.ended = error instanceof Closed || this.#stopped ? "stopped" : "error";
      if (result.ended === "error") result.error = error instanceof Error ? error.message : String(error);
    }
    for (const room of this.#rooms) room.close();
    result.seconds = (performance.now() - started) / 1000;
    return result;
  }

  stop() {
    this.#stopped = true;
    for (const room of this.#rooms) room.close();
  }

  async #tasks(): Promise<Task[]> {
    const tasks: Task[] = [];
    for (const room of this.#rooms) {
      if (this.#stopped) throw new Closed();
      this.result.ended_at = `loading ${room.module}`;
      await room.open();
      this.result.semivq = room.version;
      const parts = room.module === BENCH ? this.wanted.bench : this.wanted.tests;
      tasks.push(...chosen(room.names, parts).map((index) => ({ room, index, name: room.names[index] ?? "" })));
    }
    return tasks;
  }

  #progress(tasks: Task[], done: number) {
    const stages = tasks.slice(done).filter((task) => task.room.module === BENCH).length;
    const [tests, bench] = [this.#paces.tests.left(tasks.length - done - stages), this.#paces.bench.left(stages)];
    const secondsLeft = tests === undefined || bench === undefined ? undefined : tests + bench;
    this.listener.progress({ done, total: tasks.length, name: tasks[done]?.name ?? "", ...(secondsLeft !== undefined && { secondsLeft }) });
  }

  async #do({ room, index, name }: Task) {
    const { tests, bench } = this.result;
    const benching = room.module === BENCH;
    const started = performance.now();
    const { failed, measured } = await room.run(index);
    this.#paces[benching ? "bench" : "tests"].add((performance.now() - started) / 1000);
    if (failed !== undefined) {
      const failure = { module: room.module, name, message: failed };
      (benching ? bench : tests).failed.push(failure);
      this.listener.failed(failure);
    } else if (measured !== undefined) {
      Object.assign(bench, JSON.parse(measured) as Bench);
      this.listener.measured(bench as Bench);
    } else {
      tests.passed++;
    }
  }
}
