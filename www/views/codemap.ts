/** The codes of an image as a map: change one, or paint a whole image from codes. */
import type { Shown } from "../protocol.js";
import { element, picture, toImageData } from "./pixels.js";

/** Codes of the palette at most. */
const PALETTE = 64;

export interface CodeMapCalls {
  /** The image of `codes`, [h, w] of them. */
  decode(codes: Int32Array, cells: [number, number]): Promise<Uint8Array>;
  numCodes(): number;
  counts(): Float32Array | undefined;
}

export class CodeMap {
  #image = picture("The image that the codes decode to");
  #overlay = element("div", { className: "cells" });
  #palette = element("div", { className: "palette" });
  #note = element("p", { className: "note" });
  #number = element("input", { type: "number", min: "0", value: "0" });
  #index = element("input", { type: "number", min: "0", value: "0" });
  #shown: Shown | undefined;
  #codes = new Int32Array();
  #cells: [number, number] = [0, 0];
  /** Whether the codes are the user's own by now; then training does not replace them. */
  #edited = false;
  #selected = 0;
  #painting = false;
  #buttons: HTMLButtonElement[] = [];

  constructor(host: HTMLElement, private readonly calls: CodeMapCalls) {
    const fill = element("button", { type: "button", textContent: "Fill", title: "All cells become the chosen code" });
    const undo = element("button", { type: "button", textContent: "Image's codes", title: "Back to the codes of the image" });
    const palette = element("button", { type: "button", textContent: "Refresh palette", title: "Draws the codes as the model decodes them now" });
    fill.addEventListener("click", () => {
      this.#codes.fill(this.#brush());
      void this.#changed();
    });
    undo.addEventListener("click", () => {
      this.#edited = false;
      this.#take();
    });
    palette.addEventListener("click", () => void this.#drawPalette());
    this.#index.addEventListener("change", () => this.pick(Number(this.#index.value)));
    this.#number.addEventListener("change", () => this.#put(this.#selected));
    host.append(
      element("div", { className: "row" },
        element("label", {}, "Image ", this.#index),
        element("label", {}, "Code ", this.#number),
        fill, undo, palette),
      element("div", { className: "codemap" }, this.#image.canvas, this.#overlay),
      this.#note,
      this.#palette,
    );
    this.#overlay.setAttribute("role", "grid");
    this.#overlay.setAttribute("aria-label", "Code of each cell; arrow keys move, Enter puts the chosen code");
    this.#overlay.addEventListener("pointerdown", (event) => {
      const cell = this.#cellAt(event);
      if (cell === undefined) return;
      event.preventDefault();
      this.#select(cell);
      // The first touch of a cell only takes its code up; with a code chosen in the palette it paints.
      if (this.#armed) {
        this.#painting = true;
        this.#put(cell);
      } else {
        this.#number.value = String(this.#codes[cell] ?? 0);
      }
    });
    this.#overlay.addEventListener("pointermove", (event) => {
      const cell = this.#cellAt(event);
      if (cell !== undefined && this.#painting) {
        event.preventDefault();
        this.#put(cell);
      }
    });
    for (const end of ["pointerup", "pointercancel"]) window.addEventListener(end, () => (this.#painting = false));
    this.#overlay.addEventListener("keydown", (event) => {
      const [h, w] = this.#cells;
      const moves: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -w, ArrowDown: w };
      const move = moves[event.key];
      if (move !== undefined) this.#select(Math.min(h * w - 1, Math.max(0, this.#selected + move)));
      else if (event.key === "Enter" || event.key === " ") this.#put(this.#selected);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  /** Whether a code was chosen in the palette: then a touch paints. */
  #armed = false;

  #brush(): number {
    return Math.min(this.calls.numCodes() - 1, Math.max(0, Math.round(Number(this.#number.value)) || 0));
  }

  #cellAt(event: PointerEvent): number | undefined {
    const under = document.elementFromPoint(event.clientX, event.clientY);
    const index = under instanceof HTMLElement ? under.dataset["cell"] : undefined;
    return index === undefined ? undefined : Number(index);
  }

  #select(cell: number) {
    this.#selected = cell;
    [...this.#overlay.children].forEach((child, i) => {
      const on = i === cell;
      child.classList.toggle("on", on);
      (child as HTMLElement).tabIndex = on ? 0 : -1;
      if (on && this.#overlay.contains(document.activeElement)) (child as HTMLElement).focus();
    });
    const code = this.#codes[cell];
    this.#note.textContent = code === undefined ? "" : `cell ${cell}: code ${code}. Choose another below, or type its number.`;
  }

  #put(cell: number) {
    const code = this.#brush();
    if (this.#codes[cell] === code) return;
    this.#codes[cell] = code;
    void this.#changed();
    this.#select(cell);
  }

  async #changed() {
    this.#edited = true;
    this.#labels();
    await this.#decode();
  }

  async #decode() {
    const shown = this.#shown;
    if (!shown || this.#codes.length === 0) return;
    const image = await this.calls.decode(this.#codes.slice(), this.#cells);
    this.#draw(image, shown.shape);
  }

  #draw(image: Uint8Array, shape: [number, number, number]) {
    const [, h, w] = shape;
    this.#image.canvas.width = w;
    this.#image.canvas.height = h;
    this.#image.context.putImageData(toImageData(image, shape), 0, 0);
  }

  #labels() {
    [...this.#overlay.children].forEach((child, i) => {
      const code = this.#codes[i] ?? 0;
      // The hue tells equal codes; the number says which.
      (child as HTMLElement).style.setProperty("--hue", String((code * 137.5) % 360));
      child.textContent = String(code);
      child.setAttribute("aria-label", `cell ${i}, code ${code}`);
    });
  }

  /** Chooses a test image. */
  pick(index: number) {
    if (!this.#shown) return;
    const at = Math.min(this.#shown.count - 1, Math.max(0, Math.round(index) || 0));
    this.#index.value = String(at);
    this.#edited = false;
    this.#take();
  }

  /** The chosen image's codes and reconstruction. */
  #take() {
    const shown = this.#shown;
    if (!shown) return;
    const [h, w] = shown.cells;
    const at = Number(this.#index.value);
    this.#codes = Int32Array.from(shown.codes.subarray(at * h * w, (at + 1) * h * w));
    if (h !== this.#cells[0] || w !== this.#cells[1]) {
      this.#cells = [h, w];
      this.#overlay.style.setProperty("--columns", String(w));
      this.#overlay.replaceChildren(...Array.from({ length: h * w }, (_, i) => {
        const cell = element("span", { tabIndex: i === 0 ? 0 : -1 });
        cell.dataset["cell"] = String(i);
        cell.setAttribute("role", "gridcell");
        return cell;
      }));
      this.#selected = 0;
    }
    this.#labels();
    const size = shown.shape[0] * shown.shape[1] * shown.shape[2];
    this.#draw(shown.images.subarray(at * size, (at + 1) * size), shown.shape);
    if (h === 0) this.#note.textContent = "No codes: there is no quantiser.";
  }

  update(shown: Shown) {
    const first = this.#shown === undefined;
    this.#shown = shown;
    this.#index.max = String(shown.count - 1);
    this.#number.max = String(this.calls.numCodes() - 1);
    for (const button of this.#buttons) button.disabled = shown.codes.length === 0;
    if (shown.cells[0] !== this.#cells[0]) this.#edited = false;
    if (this.#edited) void this.#decode();
    else this.#take();
    if (first) this.#note.textContent = "Click a cell, then choose another code below or type its number.";
  }

  reset() {
    this.#edited = false;
    this.#armed = false;
    this.#shown = undefined;
    this.#palette.replaceChildren();
  }

  /** The most used codes, each as three by three cells of it decode in their middle. */
  async #drawPalette() {
    const shown = this.#shown;
    const counts = this.calls.counts();
    if (!shown || this.#cells[0] === 0) return;
    const order = [...Array(this.calls.numCodes()).keys()].sort((i, j) => (counts?.[j] ?? 0) - (counts?.[i] ?? 0)).slice(0, PALETTE);
    const across = Math.ceil(Math.sqrt(order.length));
    const codes = new Int32Array((3 * across) ** 2);
    for (let i = 0; i < codes.length; i++) {
      const [y, x] = [Math.floor(i / (3 * across)), i % (3 * across)];
      codes[i] = order[Math.floor(y / 3) * across + Math.floor(x / 3)] ?? order[0] ?? 0;
    }
    const image = await this.calls.decode(codes, [3 * across, 3 * across]);
    const scale = shown.shape[1] / this.#cells[0];
    const full = toImageData(image, [shown.shape[0], 3 * across * scale, 3 * across * scale]);
    this.#palette.replaceChildren(...order.map((code, i) => {
      const { canvas, context } = picture(`code ${code}`);
      canvas.width = canvas.height = scale;
      context.putImageData(full, -(3 * (i % across) + 1) * scale, -(3 * Math.floor(i / across) + 1) * scale);
      const button = element("button", { type: "button", title: `code ${code}, ${Math.round(counts?.[code] ?? 0)} vectors` }, canvas, String(code));
      button.addEventListener("click", () => {
        this.#armed = true;
        this.#number.value = String(code);
        this.#put(this.#selected);
        for (const other of this.#palette.children) other.classList.toggle("on", other === button);
        this.#note.textContent = `code ${code} is chosen: click or drag over the cells to paint with it`;
      });
      return button;
    }));
  }

  /** Draws the palette the first time that it is wanted. */
  open() {
    if (this.#palette.childElementCount === 0) void this.#drawPalette();
  }
}
