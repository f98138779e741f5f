/** What the quantiser holds: usage of the codes, vectors and codes on one plane, the scale of the features. */
import type { Side } from "../settings.js";
import type { Quantizer } from "../package/index.js";
import { Curve } from "./curve.js";
import { colourOf, element, fit, picture, walkable } from "./pixels.js";

const median = (values: readonly number[]) => {
  const sorted = [...values].sort((p, q) => p - q);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
};
const mean = (values: readonly number[]) => values.reduce((p, q) => p + q, 0) / Math.max(1, values.length);

/** Codes sorted by their vectors, the dead ones marked. */
class Usage {
  #drawn = picture("Codes sorted by use");
  #note = element("p", { className: "note" });
  #order: number[] = [];
  #last: Quantizer | undefined;

  constructor(host: HTMLElement, private readonly side: Side) {
    host.append(element("h4", { textContent: "Use of the codes, sorted" }), element("div", {}, this.#drawn.canvas), this.#note);
    walkable(this.#drawn.canvas, {
      label: `Codes of ${side.toUpperCase()}, sorted by use`,
      size: () => ({ count: this.#order.length, columns: Math.max(1, this.#order.length) }),
      say: (index) => {
        const k = this.#order[index] ?? 0;
        return `code ${k}: ${Math.round(this.#last?.counts[k] ?? 0)} vectors of the last epoch's worth, age ${Math.round(this.#last?.ages[k] ?? 0)} steps`;
      },
      point: (index) => {
        if (index === undefined) this.#summary();
        else this.#note.textContent = this.#drawn.canvas.getAttribute("aria-valuetext");
      },
    });
  }

  #summary() {
    const counts = this.#last?.counts;
    if (!counts) return;
    const dead = counts.reduce((n, c) => n + (c === 0 ? 1 : 0), 0);
    this.#note.textContent = `${counts.length - dead} of ${counts.length} codes in use over an epoch's worth of vectors, ${dead} not (red)`;
  }

  draw(q: Quantizer) {
    this.#last = q;
    this.#order = [...q.counts.keys()].sort((i, j) => (q.counts[j] ?? 0) - (q.counts[i] ?? 0));
    const { canvas, context } = this.#drawn;
    const [width, height] = fit(canvas, context, 96);
    const most = Math.max(1, q.counts[this.#order[0] ?? 0] ?? 1);
    const bar = width / this.#order.length;
    const colour = colourOf(`--${this.side}`);
    const dead = colourOf("--dead");
    this.#order.forEach((k, i) => {
      const count = q.counts[k] ?? 0;
      // A root: rare codes are what one looks for.
      const tall = Math.sqrt(count / most) * (height - 8);
      context.fillStyle = count > 0 ? colour : dead;
      context.fillRect(i * bar, count > 0 ? height - 4 - tall : height - 4, Math.max(bar - 0.3, 0.5), count > 0 ? tall + 4 : 4);
    });
    if (!canvas.matches(":hover")) this.#summary();
  }
}

/** Codes and vectors on the plane of the vectors' largest deviations; moves from one state to the next. */
class Plane {
  #drawn = picture("Vectors and codes on one plane");
  #from: Quantizer | undefined;
  #to: Quantizer | undefined;
  #started = 0;
  #frame = 0;
  #box: [number, number, number, number] | undefined;
  #still = matchMedia("(prefers-reduced-motion: reduce)");

  constructor(host: HTMLElement, private readonly side: Side) {
    host.append(
      element("h4", { textContent: "Vectors and codes (PCA)" }),
      element("div", {}, this.#drawn.canvas),
      element("p", { className: "note", textContent: "dots: vectors of the last batch; rings: codes in use; red crosses: dead codes" }),
    );
  }

  reset() {
    this.#from = this.#to = this.#box = undefined;
  }

  draw(q: Quantizer) {
    this.#from = this.#to ?? q;
    this.#to = q;
    this.#started = performance.now();
    cancelAnimationFrame(this.#frame);
    this.#step();
  }

  #step = () => {
    const t = this.#still.matches ? 1 : Math.min(1, (performance.now() - this.#started) / 240);
    this.#paint(t);
    if (t < 1) this.#frame = requestAnimationFrame(this.#step);
  };

  /** The box of everything, which follows slowly. */
  #limits(q: Quantizer): [number, number, number, number] {
    let [x0, x1, y0, y1] = [Infinity, -Infinity, Infinity, -Infinity];
    const take = (points: Float32Array) => {
      for (let i = 0; i + 1 < points.length; i += 2) {
        const [x, y] = [points[i] ?? 0, points[i + 1] ?? 0];
        if (!Number.isFinite(x + y)) continue;
        [x0, x1, y0, y1] = [Math.min(x0, x), Math.max(x1, x), Math.min(y0, y), Math.max(y1, y)];
      }
    };
    take(q.vectors);
    take(q.codes);
    if (!Number.isFinite(x0)) return [-1, 1, -1, 1];
    const pad = 0.05 * Math.max(x1 - x0, y1 - y0, 1e-6);
    const box: [number, number, number, number] = [x0 - pad, x1 + pad, y0 - pad, y1 + pad];
    const old = this.#box;
    this.#box = old && !this.#still.matches ? (box.map((v, i) => 0.6 * (old[i] ?? v) + 0.4 * v) as typeof box) : box;
    return this.#box;
  }

  #paint(t: number) {
    const [from, to] = [this.#from, this.#to];
    if (!from || !to) return;
    const { canvas, context } = this.#drawn;
    const [width, height] = fit(canvas, context, 230);
    const [x0, x1, y0, y1] = t === 1 || !this.#box ? this.#limits(to) : this.#box;
    const ease = t * t * (3 - 2 * t);
    const at = (a: Float32Array, b: Float32Array, i: number, low: number, high: number, size: number) => {
      const end = b[i] ?? 0;
      const start = a.length === b.length ? (a[i] ?? end) : end;
      return ((start + (end - start) * ease - low) / (high - low)) * size;
    };
    const place = (a: Float32Array, b: Float32Array, i: number): [number, number] =>
      [at(a, b, 2 * i, x0, x1, width), height - at(a, b, 2 * i + 1, y0, y1, height)];
    context.fillStyle = colourOf("--faint");
    for (let i = 0; 2 * i < to.vectors.length; i++) {
      // Vectors are other ones each time: they do not move.
      const [x, y] = place(to.vectors, to.vectors, i);
      context.fillRect(x - 1, y - 1, 2, 2);
    }
    for (const dead of [true, false]) {
      context.strokeStyle = colourOf(dead ? "--dead" : `--${this.side}`);
      context.lineWidth = dead ? 1 : 1.8;
      context.beginPath();
      for (let k = 0; 2 * k < to.codes.length; k++) {
        if (((to.counts[k] ?? 0) === 0) !== dead) continue;
        const [x, y] = place(from.codes, to.codes, k);
        if (dead) {
          context.moveTo(x - 2, y - 2);
          context.lineTo(x + 2, y + 2);
          context.moveTo(x + 2, y - 2);
          context.lineTo(x - 2, y + 2);
        } else {
          context.moveTo(x + 3.5, y);
          context.arc(x, y, 3.5, 0, 2 * Math.PI);
        }
      }
      context.stroke();
    }
    canvas.setAttribute("aria-label", `${to.vectors.length / 2} vectors and ${to.codes.length / 2} codes on one plane`);
  }
}

/** Steps, means, medians. */
type Over = [number[], number[], number[]];

/** Alpha or gamma of each feature with mean and median, and these over the steps. */
class Scale {
  #drawn = picture("Scale of each feature");
  #title = element("h4");
  #note = element("p", { className: "note" });
  #curve: Curve;
  #over: Over = [[], [], []];
  #box: HTMLElement;

  constructor(host: HTMLElement, private readonly side: Side) {
    const over = element("div", { className: "curve" });
    this.#box = element("div", { hidden: true }, this.#title, element("div", {}, this.#drawn.canvas), this.#note, over);
    host.append(this.#box);
    this.#curve = new Curve(over, [
      { label: "mean", colour: `--${side}` },
      { label: "median", colour: `--${side}`, dash: [4, 3] },
    ], { title: "Mean and median over the steps", height: 150, sync: false });
  }

  reset() {
    this.#over = [[], [], []];
    this.#box.hidden = true;
  }

  draw(q: Quantizer, step: number) {
    const isGamma = q.gamma.length > 0;
    const values = Array.from(isGamma ? q.gamma : q.scale);
    this.#box.hidden = values.length === 0;
    if (values.length === 0) return;
    const name = isGamma ? "Gamma" : "Alpha (scale of the codebook)";
    this.#title.textContent = `${name} for each feature`;
    const [average, middle] = [mean(values), median(values)];
    this.#note.textContent = `mean ${average.toPrecision(4)} (solid), median ${middle.toPrecision(4)} (dashed)`;
    this.#drawn.canvas.setAttribute("aria-label", `${name} of ${values.length} features: ${this.#note.textContent}`);
    const { canvas, context } = this.#drawn;
    const [width, height] = fit(canvas, context, 80);
    const [low, high] = [Math.min(0, ...values), Math.max(1e-6, 0, ...values)];
    const y = (v: number) => height - 2 - ((v - low) / (high - low)) * (height - 4);
    const bar = width / values.length;
    context.fillStyle = colourOf(`--${this.side}`);
    values.forEach((v, i) => context.fillRect(i * bar, Math.min(y(v), y(0)), Math.max(1, bar - 1), Math.abs(y(v) - y(0)) || 1));
    context.strokeStyle = colourOf("--ink");
    for (const [v, dash] of [[average, []], [middle, [4, 3]]] as const) {
      context.setLineDash([...dash]);
      context.beginPath();
      context.moveTo(0, y(v));
      context.lineTo(width, y(v));
      context.stroke();
    }
    context.setLineDash([]);
    if (step < (this.#over[0].at(-1) ?? 0)) this.#over = [[], [], []];
    if (this.#over[0].at(-1) !== step) [step, average, middle].forEach((v, i) => this.#over[i]?.push(v));
    if (this.#over[0].length > 2000) this.#over = this.#over.map((line) => line.filter((_, i) => i % 2 === 0)) as Over;
    this.#curve.set(this.#over);
  }
}

export class Codebook {
  #usage: Usage;
  #plane: Plane;
  #scale: Scale;
  #empty = element("p", { className: "note", textContent: "No quantiser here: a plain autoencoder.", hidden: true });
  #full = element("div");

  constructor(host: HTMLElement, side: Side) {
    host.append(this.#full, this.#empty);
    this.#usage = new Usage(this.#full, side);
    this.#plane = new Plane(this.#full, side);
    this.#scale = new Scale(this.#full, side);
  }

  reset() {
    this.#plane.reset();
    this.#scale.reset();
  }

  draw(q: Quantizer, step: number) {
    const some = q.counts.length > 0;
    this.#full.hidden = !some && step > 0;
    this.#empty.hidden = some || step === 0;
    if (!some) return;
    this.#usage.draw(q);
    if (q.codes.length > 0) this.#plane.draw(q);
    this.#scale.draw(q, step);
  }
}
