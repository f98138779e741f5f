/** How it works: a vector of a picture goes to its nearest code and back into the picture; the gradient passes the code. */
import type { Explained, FromWorker, ToWorker } from "../protocol.js";
import { SIDES, type Side } from "../settings.js";
import type { Show } from "../show.js";
import { type Picture, button, colourOf, element, fit, picture, toImageData, walkable } from "./pixels.js";

/** One journey of a vector, ms; slow motion is so many times slower. */
const JOURNEY = 2600;
const SLOW = 4;
const HEIGHT = 260;

const mix = (a: number, b: number, t: number) => a + (b - a) * Math.max(0, Math.min(1, t));
const ease = (t: number) => t * t * (3 - 2 * t);

export class How {
  #drawn: Picture;
  #note = element("p", { className: "note" });
  #explained: Explained | undefined;
  #side: Side = "b";
  #index = 0;
  #cell = 24;
  #request = 0;
  #visible = false;
  #slow = false;
  #began = 0;
  #frame = 0;
  #still = matchMedia("(prefers-reduced-motion: reduce)");
  /** Left edge and size of the picture on the left, CSS pixels. */
  #picture = { x: 0, y: 0, size: 1 };

  constructor(host: HTMLElement, private readonly send: (message: ToWorker) => void, private readonly show: Show) {
    this.#drawn = picture("");
    const { canvas } = this.#drawn;
    const sides = element("span", { className: "bar" }, ...SIDES.map((side) => {
      const made = button(side.toUpperCase(), () => {
        this.#side = side;
        for (const other of sides.querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === made));
        this.#ask();
      }, { className: `small side-${side}` });
      made.setAttribute("aria-pressed", String(side === this.#side));
      made.dataset["side"] = side;
      return made;
    }));
    const slow = button("Slow motion", () => {
      this.#slow = !this.#slow;
      slow.setAttribute("aria-pressed", String(this.#slow));
      this.#start();
    }, { className: "small" });
    slow.setAttribute("aria-pressed", "false");
    host.append(
      element("p", { className: "note", textContent: "The encoder turns each cell of the picture into a vector. It is replaced by the nearest code, and the decoder draws the picture from the codes alone. Point at a cell of the left picture." }),
      element("div", { className: "bar" }, sides, slow),
      element("div", {}, canvas), this.#note,
    );
    walkable(canvas, {
      label: "Cells of a picture, each a vector that finds its code",
      size: () => ({ count: (this.#explained?.cells[0] ?? 0) * (this.#explained?.cells[1] ?? 0), columns: Math.max(1, this.#explained?.cells[1] ?? 1) }),
      at: (x, y) => {
        const [h, w] = this.#explained?.cells ?? [0, 0];
        const { x: left, y: top, size } = this.#picture;
        const [px, py] = [x * canvas.clientWidth - left, y * canvas.clientHeight - top];
        if (px < 0 || py < 0 || px >= size || py >= size) return undefined;
        return Math.floor((py / size) * h) * w + Math.floor((px / size) * w);
      },
      say: (cell) => this.#say(cell),
      point: (cell) => {
        if (cell === undefined || cell === this.#cell) return;
        this.#cell = cell;
        this.#start();
      },
    });
    new ResizeObserver(() => this.#paint(1)).observe(host);
    new IntersectionObserver((entries) => {
      this.#visible = entries.some((e) => e.isIntersecting);
      if (this.#visible) this.#ask();
    }).observe(host);
  }

  #say(cell: number): string {
    const e = this.#explained;
    if (!e || e.nearest.length === 0) return e ? `cell ${cell}: each channel is rounded to the nearest of its levels; there is no codebook to search` : "";
    const three = [0, 1, 2].map((i) => `code ${e.nearest[3 * cell + i]} at ${(e.distances[3 * cell + i] ?? 0).toPrecision(3)}`);
    return `cell ${cell}: nearest is ${three.join(", then ")}. On the way back the gradient passes the code and reaches the vector unchanged (straight through).`;
  }

  take(index: number) {
    this.#index = index;
    this.#ask();
  }

  update() {
    if (this.#visible) this.#ask();
  }

  reset() {
    this.#explained = undefined;
    this.#paint(1);
  }

  #ask() {
    const originals = this.show.originals;
    if (!originals || !this.show.newest) return;
    const size = originals.shape[0] * originals.shape[1] * originals.shape[2];
    const image = originals.images.slice(this.#index * size, (this.#index + 1) * size);
    if (!this.show.newest.sides[this.#side]) this.#side = SIDES.find((side) => this.show.newest?.sides[side]) ?? "a";
    this.send({ kind: "explain", side: this.#side, image, request: ++this.#request });
  }

  hear({ request, explained }: Extract<FromWorker, { kind: "explained" }>) {
    if (request !== this.#request) return;
    const first = this.#explained === undefined;
    this.#explained = explained ?? undefined;
    if (!explained) {
      this.#note.textContent = "No codes here yet.";
      return;
    }
    this.#cell = Math.min(this.#cell, explained.cells[0] * explained.cells[1] - 1);
    if (first) this.#start();
    else if (this.#frame === 0) this.#paint(1);
  }

  #start() {
    cancelAnimationFrame(this.#frame);
    this.#began = performance.now();
    const step = () => {
      const t = this.#still.matches ? 1 : (performance.now() - this.#began) / (JOURNEY * (this.#slow ? SLOW : 1));
      this.#paint(Math.min(1, t));
      this.#frame = t < 1 && this.#visible ? requestAnimationFrame(step) : 0;
    };
    step();
  }

  #paint(t: number) {
    const { canvas, context } = this.#drawn;
    const [width, height] = fit(canvas, context, HEIGHT);
    const [e, originals, moment] = [this.#explained, this.show.originals, this.show.newest?.sides[this.#side]];
    if (!e || !originals || !moment) return;
    const [h, w] = e.cells;
    const size = Math.min(height - 30, width * 0.26);
    const [left, right, top] = [0, width - size, 22];
    this.#picture = { x: left, y: top, size };
    context.imageSmoothingEnabled = false;
    context.font = "13px system-ui, sans-serif";
    context.fillStyle = colourOf("--soft");
    context.fillText("picture", left, 14);
    context.fillText("vectors and codes", left + size + 16, 14);
    context.fillText("from the codes alone", right, 14);
    const image = (bytes: Uint8Array, x: number) => {
      const sheet = element("canvas", { width: originals.shape[2], height: originals.shape[1] });
      sheet.getContext("2d")?.putImageData(toImageData(bytes, originals.shape, this.#index), 0, 0);
      context.drawImage(sheet, x, top, size, size);
    };
    image(originals.images, left);
    image(moment.images, right);
    const [cy, cx] = [Math.floor(this.#cell / w), this.#cell % w];
    const [dx, dy] = [size / w, size / h];
    const ink = colourOf(`--${this.#side}`);
    context.strokeStyle = ink;
    context.lineWidth = 2;
    for (const x of [left, right]) context.strokeRect(x + cx * dx, top + cy * dy, dx, dy);
    // The plane between the pictures.
    let [x0, x1, y0, y1] = [Infinity, -Infinity, Infinity, -Infinity];
    for (const points of [e.vectors, e.codes]) {
      for (let i = 0; i + 1 < points.length; i += 2) {
        const [x, y] = [points[i] ?? NaN, points[i + 1] ?? NaN];
        if (Number.isFinite(x + y)) [x0, x1, y0, y1] = [Math.min(x0, x), Math.max(x1, x), Math.min(y0, y), Math.max(y1, y)];
      }
    }
    const [px0, px1] = [left + size + 16, right - 16];
    const place = (points: Float32Array, i: number): [number, number] => [
      mix(px0 + 6, px1 - 6, ((points[2 * i] ?? 0) - x0) / (x1 - x0 || 1)),
      mix(top + size - 6, top + 6, ((points[2 * i + 1] ?? 0) - y0) / (y1 - y0 || 1)),
    ];
    context.strokeStyle = colourOf("--line");
    context.lineWidth = 1;
    context.strokeRect(px0, top, px1 - px0, size);
    context.fillStyle = colourOf("--faint");
    for (let k = 0; 2 * k < e.codes.length; k++) {
      const [x, y] = place(e.codes, k);
      context.fillRect(x - 2, y - 2, 4, 4);
    }
    for (let i = 0; 2 * i < e.vectors.length; i++) {
      const [x, y] = place(e.vectors, i);
      context.beginPath();
      context.arc(x, y, 2, 0, 7);
      context.fill();
    }
    const [vx, vy] = place(e.vectors, this.#cell);
    const best = e.nearest.length > 0 ? [...e.nearest.subarray(3 * this.#cell, 3 * this.#cell + 3)] : [];
    const [qx, qy] = best.length > 0 ? place(e.codes, best[0] ?? 0) : [vx, vy];
    best.forEach((code, i) => {
      const [x, y] = place(e.codes, code);
      context.strokeStyle = ink;
      context.lineWidth = i === 0 ? 2 : 1;
      context.setLineDash(i === 0 ? [] : [3, 3]);
      context.beginPath();
      context.moveTo(vx, vy);
      context.lineTo(x, y);
      context.stroke();
      context.setLineDash([]);
      context.strokeRect(x - 4, y - 4, 8, 8);
      context.fillStyle = colourOf("--ink");
      context.fillText((e.distances[3 * this.#cell + i] ?? 0).toPrecision(2), x + 7, y + (i === 0 ? -6 : 14));
    });
    // The way: cell, vector, code, cell; then the gradient, back past the code.
    const from: [number, number] = [left + (cx + 0.5) * dx, top + (cy + 0.5) * dy];
    const to: [number, number] = [right + (cx + 0.5) * dx, top + (cy + 0.5) * dy];
    const stops: [number, number][] = [from, [vx, vy], [qx, qy], to, [vx, vy], from];
    const at = Math.min(0.9999, t) * (stops.length - 1);
    const leg = Math.floor(at);
    const [[ax, ay], [bx, by]] = [stops[leg] ?? from, stops[leg + 1] ?? to];
    const back = leg >= 3;
    const share = ease(at - leg);
    if (t < 1) {
      context.fillStyle = back ? colourOf("--dead") : ink;
      context.beginPath();
      context.arc(mix(ax, bx, share), mix(ay, by, share), back ? 5 : 7, 0, 7);
      context.fill();
    }
    context.strokeStyle = colourOf("--dead");
    context.setLineDash([5, 4]);
    context.lineWidth = 1.5;
    context.beginPath();
    context.moveTo(...to);
    context.lineTo(vx, vy);
    context.lineTo(...from);
    context.globalAlpha = back || t === 1 ? 0.8 : 0.15;
    context.stroke();
    context.globalAlpha = 1;
    context.setLineDash([]);
    this.#note.textContent = this.#say(this.#cell);
  }
}
