/** Lines over steps: one chart of uPlot, with a cursor that charts share and a mark that stays. */
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { colourOf } from "./pixels.js";

export interface Line {
  label: string;
  colour: string;
  dash?: number[];
  /** Pale: of a run before. */
  faint?: boolean;
}

/** uPlot's own has none for a chart without data. */
const logRange: uPlot.Range.Function = (_, low: number | null, high: number | null) =>
  low === null || high === null ? [1, 10] : uPlot.rangeLog(low, high, 10, true);

/** Charts with the cursor of all others. */
const SYNC = "steps";

export class Curve {
  #plot: uPlot | undefined;
  #log = false;
  #lines: readonly Line[];
  #mark: number | undefined;
  /** Told of the step under the pointer; undefined when it leaves. */
  onHover: ((step: number | undefined) => void) | undefined;

  constructor(
    private readonly host: HTMLElement,
    lines: readonly Line[],
    private readonly options: { title?: string; height?: number; legend?: boolean; sync?: boolean } = {},
  ) {
    this.#lines = lines;
    // Sizes follow the column's width.
    new ResizeObserver(() => this.#resize()).observe(host);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.rebuild());
    for (const leave of ["pointerleave", "mouseleave"]) host.addEventListener(leave, () => this.onHover?.(undefined));
    this.rebuild();
  }

  get #height(): number {
    return this.options.height ?? (this.host.clientHeight || 170);
  }

  #resize() {
    const width = this.host.clientWidth;
    if (this.#plot && width > 0 && (width !== this.#plot.width || this.#height !== this.#plot.height)) this.#plot.setSize({ width, height: this.#height });
  }

  set log(log: boolean) {
    if (this.#log === log) return;
    this.#log = log;
    this.rebuild();
  }

  get log(): boolean {
    return this.#log;
  }

  /** Other lines than before. */
  set lines(lines: readonly Line[]) {
    if (JSON.stringify(lines) === JSON.stringify(this.#lines)) return;
    this.#lines = lines;
    this.rebuild();
  }

  /** A step that is marked by an upright line; none. */
  set mark(step: number | undefined) {
    if (step === this.#mark) return;
    this.#mark = step;
    // A chart without data has no axes to draw.
    if (this.#plot?.data[0].length) this.#plot.redraw(false);
  }

  /** Left and right edge of the lines' area within the chart, CSS pixels. */
  get area(): [number, number] {
    const over = this.#plot?.over;
    return over ? [over.offsetLeft, over.offsetLeft + over.clientWidth] : [0, 0];
  }

  rebuild() {
    const data = this.#plot?.data.length === this.#lines.length + 1 ? this.#plot.data : ([[], ...this.#lines.map(() => [])] as uPlot.AlignedData);
    this.#plot?.destroy();
    const axis: uPlot.Axis = {
      stroke: colourOf("--soft"),
      grid: { stroke: colourOf("--line"), width: 1 },
      ticks: { stroke: colourOf("--line"), width: 1, size: 4 },
      font: "13px system-ui, sans-serif",
      size: 26,
    };
    this.#plot = new uPlot(
      {
        width: Math.max(120, this.host.clientWidth),
        height: this.#height,
        ...(this.options.title && { title: this.options.title }),
        legend: { show: this.options.legend ?? false },
        scales: { x: { time: false }, y: this.#log ? { distr: 3, range: logRange } : {} },
        axes: [axis, { ...axis, size: 50 }],
        series: [
          { label: "step" },
          ...this.#lines.map(({ label, colour, dash, faint }) => ({
            label, stroke: colourOf(colour), width: faint ? 1 : 2, alpha: faint ? 0.35 : 1, points: { show: false }, spanGaps: true,
            value: (_: uPlot, v: number | null) => (v === null ? "–" : v.toPrecision(4)),
            ...(dash && { dash }),
          })),
        ],
        cursor: { drag: { x: false, y: false }, ...(this.options.sync !== false && { sync: { key: SYNC, scales: ["x", null] } }), points: { show: true } },
        hooks: {
          setCursor: [(plot) => {
            const index = plot.cursor.idx;
            if (!this.host.matches(":hover")) return;
            this.onHover?.(index === null || index === undefined ? undefined : plot.data[0][index]);
          }],
          draw: [(plot) => this.#drawMark(plot)],
        },
      },
      data,
      this.host,
    );
  }

  #drawMark(plot: uPlot) {
    if (this.#mark === undefined) return;
    const x = plot.valToPos(this.#mark, "x", true);
    const { left, width, top, height } = plot.bbox;
    if (x < left || x > left + width) return;
    plot.ctx.save();
    plot.ctx.strokeStyle = colourOf("--ink");
    plot.ctx.lineWidth = devicePixelRatio;
    plot.ctx.beginPath();
    plot.ctx.moveTo(x, top);
    plot.ctx.lineTo(x, top + height);
    plot.ctx.stroke();
    plot.ctx.restore();
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
