/** The curves of both sides and of runs before; the timeline is one of them. Their export. */
import { History } from "../history.js";
import { SIDES, type Side } from "../settings.js";
import type { Metrics } from "../package/index.js";
import { Curve, type Line } from "./curve.js";
import { at, colourOf, element } from "./pixels.js";

type Name = "perplexity" | "rec_loss" | "cmt_loss" | "active_ratio" | "posterior_entropy" | "variance_mean";

/** The first is the timeline; `some` are of some methods alone, and not there without one of these. */
const CURVES: readonly { name: Name; title: string; log: boolean; some?: true }[] = [
  { name: "perplexity", title: "Perplexity: codes really at work", log: true },
  { name: "rec_loss", title: "Reconstruction loss", log: true },
  { name: "cmt_loss", title: "Commitment loss", log: true },
  { name: "active_ratio", title: "Codes that a batch uses, %", log: false },
  { name: "posterior_entropy", title: "Mean entropy of a posterior, nats", log: false, some: true },
  { name: "variance_mean", title: "Mean variance (vmf: 1 / concentration)", log: false, some: true },
];

/** What the curves of stochastic quantisation say. */
const ANNEALING = "Self-annealing: a vector draws its code from a posterior over all of them, whose entropy is 0 nats when one is certain and ln K when all K are alike; training makes it fall by itself, without a schedule, as it learns the variance (in squared units of the vectors).";

/** Curves of a run before. */
export interface Past {
  name: string;
  history: Partial<Record<Side, Metrics[]>>;
}

export class Curves {
  #history: Record<Side, History> = { a: new History(), b: new History() };
  #past: Past[] = [];
  #charts: Curve[];
  #hosts: HTMLElement[] = [];
  #note = element("p", { className: "note", textContent: ANNEALING, hidden: true });
  #queue: number[] = [];
  #waiting = false;
  #names: Record<Side, string> = { a: "A", b: "B" };

  constructor(private readonly onHover: (step: number | undefined) => void) {
    this.#charts = CURVES.map(({ title, log, some }, i) => {
      const first = i === 0;
      const host = first ? at("timeline-chart") : at("curves").appendChild(element("div", { className: "curve" }));
      host.hidden = some === true;
      this.#hosts.push(host);
      host.setAttribute("role", "img");
      host.setAttribute("aria-label", title);
      const chart = new Curve(host, this.#lines(), first ? {} : { title, height: 190, legend: true });
      chart.log = first && log;
      chart.onHover = this.onHover;
      return chart;
    });
    at("curves").append(this.#note);
  }

  #lines(): Line[] {
    return [
      { label: "A", colour: "--a" },
      { label: "B", colour: "--b" },
      ...this.#past.flatMap(({ name, history }) => SIDES.filter((side) => history[side]).map((side) => ({ label: `${name} ${side.toUpperCase()}`, colour: `--${side}`, faint: true }))),
    ];
  }

  /** Logarithmic losses; the timeline always is. */
  set log(log: boolean) {
    CURVES.forEach((curve, i) => {
      const chart = this.#charts[i];
      if (chart && i > 0) chart.log = log && curve.log;
    });
    this.#draw();
  }

  set past(past: Past[]) {
    this.#past = past;
    for (const chart of this.#charts) chart.lines = this.#lines();
    this.#draw();
  }

  set names(names: Record<Side, string>) {
    this.#names = names;
  }

  set mark(step: number | undefined) {
    for (const chart of this.#charts) chart.mark = step;
  }

  /** Where the timeline's lines begin and end, for the scrubber under it. */
  get area(): [number, number] {
    return this.#charts[0]?.area ?? [0, 0];
  }

  /** Replaces a side's curve. */
  set(side: Side, history: Metrics[]) {
    this.#history[side] = new History(history.slice());
    this.#draw();
  }

  add(side: Side, metrics: Metrics[]) {
    for (const m of metrics) this.#history[side].add(m);
    this.#draw();
  }

  historyOf(side: Side): Metrics[] {
    return this.#history[side].entries;
  }

  /** What a side reported last up to `step`. */
  metricsAt(side: Side, step: number): Metrics | undefined {
    return this.#history[side].entries.findLast((m) => m.step <= step);
  }

  /** All curves, one a frame, so that no frame is long. */
  #draw() {
    for (let i = 0; i < this.#charts.length; i++) if (!this.#queue.includes(i)) this.#queue.push(i);
    if (this.#waiting) return;
    this.#waiting = true;
    const next = () => {
      const index = this.#queue.shift();
      if (index === undefined) {
        this.#waiting = false;
        return;
      }
      this.#drawOne(index);
      requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
  }

  /** All histories in the order of the lines. */
  #all(): Metrics[][] {
    const past = this.#past.flatMap(({ history }) => SIDES.flatMap((side) => (history[side] ? [history[side]] : [])));
    return [this.#history.a.entries, this.#history.b.entries, ...past];
  }

  #drawOne(index: number) {
    const [curve, host] = [CURVES[index], this.#hosts[index]];
    if (!curve || !host) return;
    const all = this.#all();
    if (curve.some) {
      // Those of runs before do not bring it back.
      const there = SIDES.some((side) => this.#history[side].entries.at(-1)?.[curve.name] !== undefined);
      host.hidden = this.#note.hidden = !there;
      if (!there) return;
    }
    const steps = [...new Set(all.flatMap((history) => history.map((m) => m.step)))].sort((p, q) => p - q);
    const place = new Map(steps.map((step, i) => [step, i]));
    const lines = all.map((history) => {
      const line: (number | null)[] = new Array(steps.length).fill(null);
      for (const m of history) line[place.get(m.step) ?? 0] = m[curve.name] ?? null;
      return line;
    });
    this.#charts[index]?.set([steps, ...lines]);
  }

  /** All metrics of both sides, a line a step. */
  csv(): string {
    const columns = SIDES.flatMap((side) => {
      const names = new Set(this.#history[side].entries.flatMap((m) => Object.keys(m)));
      names.delete("step");
      return [...names].map((name) => ({ side, name: name as keyof Metrics }));
    });
    const by = Object.fromEntries(SIDES.map((side) => [side, new Map(this.#history[side].entries.map((m) => [m.step, m]))])) as Record<Side, Map<number, Metrics>>;
    const steps = [...new Set(SIDES.flatMap((side) => [...by[side].keys()]))].sort((p, q) => p - q);
    const lines = steps.map((step) => [step, ...columns.map(({ side, name }) => by[side].get(step)?.[name] ?? "")].join(","));
    return [["step", ...columns.map(({ side, name }) => `${side}.${name}`)].join(","), ...lines, ""].join("\n");
  }

  /** The curves that are there as one picture, twice as fine as a screen, with what A and B are. */
  png(): Promise<Blob | null> {
    const scale = 2 / (devicePixelRatio || 1);
    const shown = this.#charts.flatMap((chart, i) => (chart.canvas && !this.#hosts[i]?.hidden ? [{ canvas: chart.canvas, title: CURVES[i]?.title ?? "" }] : []));
    const width = Math.max(...shown.map(({ canvas }) => canvas.width)) * scale;
    const height = Math.max(...shown.map(({ canvas }) => canvas.height)) * scale + 60;
    const sheet = element("canvas", { width: 2 * width, height: Math.ceil(shown.length / 2) * height + 70 });
    const context = sheet.getContext("2d");
    if (!context) return Promise.resolve(null);
    context.fillStyle = colourOf("--card");
    context.fillRect(0, 0, sheet.width, sheet.height);
    context.font = "28px system-ui, sans-serif";
    let x = 24;
    for (const side of SIDES) {
      if (this.#history[side].entries.length === 0) continue;
      const text = `${side.toUpperCase()}: ${this.#names[side]}`;
      context.fillStyle = colourOf(`--${side}`);
      context.fillText(text, x, 44);
      x += context.measureText(text).width + 48;
    }
    context.fillStyle = colourOf("--ink");
    shown.forEach(({ canvas, title }, i) => {
      const [left, top] = [(i % 2) * width, 70 + Math.floor(i / 2) * height];
      context.fillText(title, left + 24, top + 34);
      context.drawImage(canvas, left, top + 48, canvas.width * scale, canvas.height * scale);
    });
    return new Promise((resolve) => sheet.toBlob(resolve));
  }
}
