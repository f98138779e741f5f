/** Live curves of both sides, and their export. */
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { History } from "./history.js";
import { SIDES, type Side } from "./settings.js";
import type { Metrics } from "./trainer.js";

type Name = "rec_loss" | "cmt_loss" | "perplexity" | "active_ratio";

const CURVES: readonly { name: Name; title: string; log: boolean }[] = [
  { name: "rec_loss", title: "Reconstruction loss (mean absolute error)", log: true },
  { name: "cmt_loss", title: "Commitment loss", log: true },
  { name: "perplexity", title: "Perplexity of the codes", log: true },
  { name: "active_ratio", title: "Active codes, % of the codebook", log: false },
];

export const colourOf = (name: string) =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Values over steps, for any number of lines; shared by the curves and the scale over time. */
export class Curve {
  #plot: uPlot | undefined;
  #log = false;

  constructor(
    private readonly host: HTMLElement,
    private readonly title: string,
    private readonly lines: readonly { label: string; colour: string; dash?: number[] }[],
    private readonly height = 170,
  ) {
    // Sizes follow the column's width.
    new ResizeObserver(() => this.#resize()).observe(host);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.rebuild());
    this.rebuild();
  }

  #resize() {
    const width = this.host.clientWidth;
    if (this.#plot && width > 0 && width !== this.#plot.width) this.#plot.setSize({ width, height: this.height });
  }

  set log(log: boolean) {
    if (this.#log === log) return;
    this.#log = log;
    this.rebuild();
  }

  rebuild() {
    const data = this.#plot?.data ?? ([[], ...this.lines.map(() => [])] as uPlot.AlignedData);
    this.#plot?.destroy();
    const axis: uPlot.Axis = {
      stroke: colourOf("--soft"),
      grid: { stroke: colourOf("--line"), width: 1 },
      ticks: { stroke: colourOf("--line"), width: 1 },
      font: "11px system-ui, sans-serif",
    };
    this.#plot = new uPlot(
      {
        title: this.title,
        width: Math.max(200, this.host.clientWidth),
        height: this.height,
        scales: { x: { time: false }, y: this.#log ? { distr: 3 } : {} },
        axes: [axis, { ...axis, size: 52 }],
        series: [
          { label: "step" },
          ...this.lines.map(({ label, colour, dash }) => ({
            label, stroke: colourOf(colour), width: 1.5, points: { show: false }, spanGaps: true,
            value: (_: uPlot, v: number | null) => (v === null ? "–" : v.toPrecision(4)),
            ...(dash && { dash }),
          })),
        ],
        cursor: { drag: { x: true, y: false } },
      },
      data,
      this.host,
    );
  }

  set(data: (number | null)[][]) {
    // A logarithm has no place for zero.
    const shown = this.#log ? data.map((line, i) => (i === 0 ? line : line.map((v) => (v !== null && v > 0 ? v : null)))) : data;
    this.#plot?.setData(shown as uPlot.AlignedData);
  }

  get canvas(): HTMLCanvasElement | undefined {
    return this.#plot?.ctx.canvas;
  }
}

export class Charts {
  #history: Record<Side, History> = { a: new History(), b: new History() };
  #curves: Curve[];
  #queue: number[] = [];
  #waiting = false;

  constructor(host: HTMLElement) {
    this.#curves = CURVES.map(({ title }) => {
      const box = host.appendChild(document.createElement("div"));
      box.className = "curve";
      box.setAttribute("role", "img");
      box.setAttribute("aria-label", title);
      return new Curve(box, title, [
        { label: "A", colour: "--a" },
        { label: "B", colour: "--b" },
      ]);
    });
  }

  set log(log: boolean) {
    CURVES.forEach((curve, i) => {
      const chart = this.#curves[i];
      if (chart) chart.log = log && curve.log;
    });
    this.#draw();
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

  /** All curves, one a frame, so that no frame is long. */
  #draw() {
    for (let i = 0; i < this.#curves.length; i++) if (!this.#queue.includes(i)) this.#queue.push(i);
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

  #steps(): number[] {
    const steps = new Set<number>();
    for (const side of SIDES) for (const m of this.#history[side].entries) steps.add(m.step);
    return [...steps].sort((p, q) => p - q);
  }

  #drawOne(index: number) {
    const curve = CURVES[index];
    if (!curve) return;
    const steps = this.#steps();
    const at = new Map(steps.map((step, i) => [step, i]));
    const lines = SIDES.map((side) => {
      const line: (number | null)[] = new Array(steps.length).fill(null);
      for (const m of this.#history[side].entries) line[at.get(m.step) ?? 0] = m[curve.name] ?? null;
      return line;
    });
    this.#curves[index]?.set([steps, ...lines]);
  }

  /** All metrics of both sides, a line a step. */
  csv(): string {
    const columns = SIDES.flatMap((side) => {
      const names = new Set(this.#history[side].entries.flatMap((m) => Object.keys(m)));
      names.delete("step");
      return [...names].map((name) => ({ side, name: name as keyof Metrics }));
    });
    const by = Object.fromEntries(SIDES.map((side) => [side, new Map(this.#history[side].entries.map((m) => [m.step, m]))])) as Record<Side, Map<number, Metrics>>;
    const lines = this.#steps().map((step) => [step, ...columns.map(({ side, name }) => by[side].get(step)?.[name] ?? "")].join(","));
    return [["step", ...columns.map(({ side, name }) => `${side}.${name}`)].join(","), ...lines, ""].join("\n");
  }

  /** The four curves as one picture. */
  png(): Promise<Blob | null> {
    const canvases = this.#curves.flatMap((curve) => curve.canvas ?? []);
    const width = Math.max(...canvases.map((c) => c.width));
    const height = Math.max(...canvases.map((c) => c.height)) + 24;
    const sheet = document.createElement("canvas");
    sheet.width = 2 * width;
    sheet.height = 2 * height;
    const context = sheet.getContext("2d");
    if (!context) return Promise.resolve(null);
    context.fillStyle = colourOf("--card");
    context.fillRect(0, 0, sheet.width, sheet.height);
    context.fillStyle = colourOf("--ink");
    context.font = "14px system-ui, sans-serif";
    canvases.forEach((canvas, i) => {
      const [x, y] = [(i % 2) * width, Math.floor(i / 2) * height];
      context.fillText(CURVES[i]?.title ?? "", x + 12, y + 17);
      context.drawImage(canvas, x, y + 24);
    });
    return new Promise((resolve) => sheet.toBlob(resolve));
  }
}
