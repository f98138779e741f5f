/** Draw an image, and see how both sides encode and decode it; paint with codes on their maps. */
import type { FromWorker, Originals, ToWorker } from "../protocol.js";
import { SIDES, type Side } from "../settings.js";
import type { Show } from "../show.js";
import { type Picture, button, colourOf, element, picture, toImageData, toPlanes, walkable } from "./pixels.js";

/** Codes that a palette shows, the most used ones. */
const PALETTE = 64;
/** The width of a stroke, as a share of the image. */
const STROKE = 0.075;

/** A side's map of codes over what they decode to. */
class CodeMap {
  readonly box = element("div");
  #image: Picture;
  #grid: Picture;
  #palette = element("div", { className: "palette" });
  #note = element("p", { className: "note" });
  #codes: Uint32Array = new Uint32Array();
  #cells: [number, number] = [0, 0];
  #history: Uint32Array[] = [];
  #brush: number | undefined;
  #pointed: number | undefined;
  #painting = false;
  /** Whether the codes are the user's own by now; then neither training nor drawing replaces them. */
  edited = false;

  constructor(
    readonly side: Side,
    private readonly show: Show,
    private readonly decode: (codes: Uint32Array, cells: [number, number]) => void,
  ) {
    const name = side.toUpperCase();
    this.#image = picture(`What ${name} makes of it`);
    this.#grid = picture("");
    this.#grid.canvas.className = "grid";
    walkable(this.#grid.canvas, {
      label: `Codes of ${name}`,
      size: () => ({ count: this.#codes.length, columns: Math.max(1, this.#cells[1]) }),
      say: (cell) => `cell ${cell}: code ${this.#codes[cell] ?? 0}`,
      point: (cell) => {
        this.#pointed = cell;
        if (cell !== undefined && this.#painting) this.#put(cell);
        this.#paintGrid();
      },
      pick: (cell) => (this.#brush === undefined ? this.choose(this.#codes[cell] ?? 0) : this.#painted || this.#put(cell)),
    });
    this.#grid.canvas.addEventListener("pointerdown", () => {
      this.#painted = false;
      if (this.#brush === undefined || this.#pointed === undefined) return;
      this.#remember();
      this.#painting = true;
      this.#put(this.#pointed);
      this.#painted = true;
    });
    for (const end of ["pointerup", "pointercancel"]) window.addEventListener(end, () => (this.#painting = false));
    this.#grid.canvas.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      this.#painted = false;
      this.#remember();
    }, { capture: true });
    this.box.append(
      element("h3", { className: `side-${side}`, textContent: name }),
      element("div", { className: "map" }, this.#image.canvas, this.#grid.canvas),
      this.#note,
      element("div", { className: "bar" },
        button("Undo", () => this.undo(), { className: "small" }),
        button("Fill", () => this.#fill(), { className: "small", title: "All cells become the chosen code" })),
      this.#palette,
    );
    this.box.dataset["side"] = side;
    this.#tell();
  }

  /** Whether the press that ends has painted already. */
  #painted = false;

  #remember() {
    if (this.#brush === undefined) return;
    this.#history.push(this.#codes.slice());
    if (this.#history.length > 50) this.#history.shift();
  }

  #put(cell: number) {
    if (this.#brush === undefined || this.#codes[cell] === this.#brush) return;
    this.#codes[cell] = this.#brush;
    this.edited = true;
    this.redraw();
  }

  #fill() {
    if (this.#codes.length === 0) return;
    if (this.#brush === undefined) this.#brush = this.#codes[0] ?? 0;
    this.#remember();
    this.#codes.fill(this.#brush);
    this.edited = true;
    this.redraw();
  }

  /** Takes back the last stroke; the first one's undoing gives the image its own codes again. */
  undo() {
    const before = this.#history.pop();
    if (!before) return;
    this.#codes = before;
    this.edited = this.#history.length > 0;
    this.redraw();
  }

  /** The code that is painted with; none. */
  choose(code: number | undefined) {
    this.#brush = code;
    for (const swatch of this.#palette.querySelectorAll<HTMLElement>("button")) swatch.setAttribute("aria-pressed", String(swatch.dataset["code"] === String(code)));
    this.#tell();
  }

  #tell() {
    this.#note.textContent = this.#codes.length === 0
      ? "No codes here."
      : this.#brush === undefined ? "Take a code: click a cell, a tile or the palette." : `Code ${this.#brush} is taken: click or drag over cells. Escape puts it away.`;
  }

  /** Decodes the codes as they stand. */
  redraw() {
    this.#paintGrid();
    if (this.#codes.length > 0) this.decode(this.#codes.slice(), this.#cells);
  }

  /** What the side made of an image. */
  take(image: Uint8Array, codes: Uint32Array, cells: [number, number], shape: Originals["shape"]) {
    if (this.edited && codes.length === this.#codes.length) return this.redraw();
    this.edited = false;
    this.#history = [];
    this.#codes = Uint32Array.from(codes);
    this.#cells = cells;
    this.draw(image, shape);
    this.#paintGrid();
    this.#tell();
    this.#swatches();
  }

  draw(image: Uint8Array, shape: Originals["shape"]) {
    const { canvas, context } = this.#image;
    [canvas.width, canvas.height] = [shape[2], shape[1]];
    context.putImageData(toImageData(image, shape), 0, 0);
  }

  #paintGrid() {
    const { canvas, context } = this.#grid;
    const size = 480;
    const [h, w] = this.#cells;
    if (canvas.width !== size) canvas.width = canvas.height = size;
    context.clearRect(0, 0, size, size);
    if (h === 0) return;
    const [dy, dx] = [size / h, size / w];
    const same = this.#pointed === undefined ? undefined : this.#codes[this.#pointed];
    context.lineWidth = 1;
    this.#codes.forEach((code, i) => {
      const [x, y] = [(i % w) * dx, Math.floor(i / w) * dy];
      // The hue tells equal codes.
      context.strokeStyle = `hsl(${(code * 137.5) % 360} 80% 55% / 0.5)`;
      context.strokeRect(x + 0.5, y + 0.5, dx - 1, dy - 1);
      if (code !== same) return;
      context.lineWidth = 3;
      context.strokeStyle = colourOf(`--${this.side}`);
      context.strokeRect(x + 2, y + 2, dx - 4, dy - 4);
      context.lineWidth = 1;
    });
    if (this.#pointed === undefined || same === undefined) return;
    const [x, y] = [(this.#pointed % w) * dx, Math.floor(this.#pointed / w) * dy];
    context.font = `600 ${Math.max(22, Math.min(34, dy / 2))}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.lineWidth = 5;
    context.strokeStyle = "#000";
    context.fillStyle = "#fff";
    const [tx, ty] = [Math.max(30, Math.min(size - 30, x + dx / 2)), y + dy / 2 + 10];
    context.strokeText(String(same), tx, ty);
    context.fillText(String(same), tx, ty);
  }

  /** The most used codes as they decode now. */
  #swatches() {
    const counts = this.show.newest?.sides[this.side]?.counts ?? new Float32Array();
    const order = [...counts.keys()].sort((i, j) => (counts[j] ?? 0) - (counts[i] ?? 0)).slice(0, PALETTE);
    this.#palette.replaceChildren(...order.flatMap((code) => {
      const tile = this.show.fields[this.side].tileOf(code);
      if (!tile) return [];
      const swatch = button("", () => this.choose(code), { title: `code ${code}` });
      swatch.setAttribute("aria-label", `code ${code}`);
      swatch.setAttribute("aria-pressed", String(code === this.#brush));
      swatch.dataset["code"] = String(code);
      swatch.append(tile);
      return [swatch];
    }));
  }

  reset() {
    this.edited = false;
    this.#history = [];
    this.choose(undefined);
    this.#codes = new Uint32Array();
    this.#cells = [0, 0];
    this.#palette.replaceChildren();
    this.#paintGrid();
  }
}

export class Studio {
  #pad: Picture;
  #maps: Record<Side, CodeMap>;
  #ink = element("input", { type: "color", value: "#ffffff", id: "ink" });
  #shape: Originals["shape"] = [1, 28, 28];
  #request = 0;
  #waiting = false;
  #dirty = false;
  #decodes = new Map<number, Side>();
  #last: [number, number] | undefined;
  #strokes: ImageData[] = [];
  #visible = false;

  constructor(host: HTMLElement, private readonly send: (message: ToWorker) => void, private readonly show: Show) {
    this.#pad = picture("Your drawing", { willReadFrequently: true });
    this.#pad.canvas.className = "pad";
    this.#maps = Object.fromEntries(SIDES.map((side) => [side, new CodeMap(side, show, (codes, cells) => {
      this.#decodes.set(++this.#request, side);
      send({ kind: "decode", side, codes, cells, request: this.#request });
    })])) as Record<Side, CodeMap>;
    const { canvas } = this.#pad;
    canvas.addEventListener("pointerdown", (event) => {
      this.#strokes.push(this.#pad.context.getImageData(0, 0, canvas.width, canvas.height));
      canvas.setPointerCapture(event.pointerId);
      this.#last = this.#at(event);
      this.#stroke(event);
    });
    canvas.addEventListener("pointermove", (event) => this.#last && this.#stroke(event));
    for (const end of ["pointerup", "pointercancel"] as const) canvas.addEventListener(end, () => (this.#last = undefined));
    const ink = element("label", { className: "bar", id: "ink-label" }, "Ink ", this.#ink);
    host.append(
      element("p", { className: "note", textContent: "Draw on the left, or take a test image from above by a click: both sides encode and decode it while they learn." }),
      element("div", { className: "studio" },
        element("div", {},
          element("h3", { textContent: "Yours" }), canvas,
          element("div", { className: "bar" },
            button("Clear", () => this.#clear(), { className: "small" }),
            button("Undo stroke", () => this.#undo(), { className: "small" }), ink)),
        this.#maps.a.box, this.#maps.b.box),
    );
    window.addEventListener("keydown", (event) => {
      if (event.key === "Escape") for (const side of SIDES) this.#maps[side].choose(undefined);
      if ((event.ctrlKey || event.metaKey) && event.key === "z") for (const side of SIDES) this.#maps[side].undo();
    });
    new IntersectionObserver((entries) => {
      this.#visible = entries.some((e) => e.isIntersecting);
      if (this.#visible) this.#ask();
    }).observe(host);
  }

  #at(event: PointerEvent): [number, number] {
    const { canvas } = this.#pad;
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * canvas.width, ((event.clientY - box.top) / box.height) * canvas.height];
  }

  #stroke(event: PointerEvent) {
    const { canvas, context } = this.#pad;
    const to = this.#at(event);
    const from = this.#last ?? to;
    context.strokeStyle = this.#ink.value;
    context.lineCap = "round";
    context.lineWidth = Math.max(1, canvas.width * STROKE);
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(to[0] + 0.01, to[1]);
    context.stroke();
    this.#last = to;
    for (const side of SIDES) this.#maps[side].edited = false;
    this.#ask();
  }

  #clear() {
    const { canvas, context } = this.#pad;
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    this.#strokes = [];
    this.#ask();
  }

  #undo() {
    const before = this.#strokes.pop();
    if (before) this.#pad.context.putImageData(before, 0, 0);
    this.#ask();
  }

  /** The drawing as bytes [C, H, W]. */
  #bytes(): Uint8Array {
    const [c, h, w] = this.#shape;
    const bytes = new Uint8Array(c * h * w);
    toPlanes(this.#pad.context.getImageData(0, 0, w, h).data, c, bytes, 0);
    return bytes;
  }

  /** Asks both sides what they make of it; one question at a time. */
  #ask() {
    if (!this.show.newest) return;
    if (this.#waiting) {
      this.#dirty = true;
      return;
    }
    this.#waiting = true;
    this.#dirty = false;
    this.send({ kind: "sketch", image: this.#bytes(), request: ++this.#request });
  }

  set originals({ shape, images }: Originals) {
    const same = shape.join() === this.#shape.join() && this.#pad.canvas.width === shape[2];
    this.#shape = shape;
    const { canvas, context } = this.#pad;
    canvas.style.aspectRatio = `${shape[2]} / ${shape[1]}`;
    const label = document.getElementById("ink-label");
    if (label) label.hidden = shape[0] === 1;
    // What was drawn stays, unless it has another shape; a canvas that is given a size loses what it holds.
    if (same) return;
    this.#strokes = [];
    [canvas.width, canvas.height] = [shape[2], shape[1]];
    context.putImageData(toImageData(images, shape), 0, 0);
  }

  /** A test image as the drawing. */
  take(index: number) {
    const originals = this.show.originals;
    if (!originals) return;
    this.#strokes = [];
    for (const side of SIDES) this.#maps[side].edited = false;
    this.#pad.context.putImageData(toImageData(originals.images, originals.shape, index), 0, 0);
    this.#ask();
  }

  /** A code of a side as its brush. */
  choose(side: Side, code: number) {
    this.#maps[side].choose(code);
  }

  /** The models have moved on. */
  update() {
    if (this.#visible) this.#ask();
  }

  hear(message: Extract<FromWorker, { kind: "decoded" | "sketched" }>) {
    if (message.kind === "decoded") {
      const side = this.#decodes.get(message.request);
      this.#decodes.delete(message.request);
      if (side) this.#maps[side].draw(message.image, this.#shape);
      return;
    }
    this.#waiting = false;
    for (const side of SIDES) {
      const sketched = message.sides[side];
      if (sketched && sketched.image.length === this.#shape[0] * this.#shape[1] * this.#shape[2]) this.#maps[side].take(sketched.image, sketched.codes, sketched.cells, this.#shape);
    }
    if (this.#dirty) this.#ask();
  }

  reset() {
    this.#waiting = false;
    for (const side of SIDES) this.#maps[side].reset();
  }
}
