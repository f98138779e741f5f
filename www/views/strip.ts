/**
 * The same test images three times: the originals in the middle, A's pictures above, B's below; or new pictures that A and B
 * have drawn, with where they come from in the middle.
 */
import type { Drawn, Originals, SideMoment } from "../protocol.js";
import { SIDES, type Side } from "../settings.js";
import { type Picture, at, drawRow, element, picture, walkable } from "./pixels.js";

type Row = Side | "originals";

export class Strip {
  #rows: Record<Row, Picture>;
  #originals: Originals | undefined;
  #shown: Partial<Record<Side, SideMoment>> = {};
  #drawn: Drawn | undefined;

  constructor(private readonly onPick: (index: number) => void) {
    const row = (name: Row, label: string) => {
      const made = picture(label);
      made.canvas.className = "pixels";
      at(`row-${name}`).append(element("div", { className: "row-pictures" }, made.canvas));
      walkable(made.canvas, {
        label,
        size: () => ({ count: this.#originals?.count ?? 0, columns: this.#originals?.count ?? 1 }),
        say: (index) => `${label}: picture ${index + 1} of ${this.#originals?.count ?? 0}${this.#drawn ? ", drawn from its codes" : "; Enter takes it below"}`,
        pick: (index) => {
          if (!this.#drawn) this.onPick(index);
        },
      });
      return made;
    };
    this.#rows = { a: row("a", "A's pictures"), originals: row("originals", "Originals"), b: row("b", "B's pictures") };
  }

  /** Pictures that are shown; a narrow screen has room for half of them. */
  set originals(originals: Originals) {
    this.#originals = originals;
    drawRow(this.#rows.originals, originals.images, originals.shape, originals.count);
    const [, h, w] = originals.shape;
    for (const { canvas } of Object.values(this.#rows)) {
      canvas.style.setProperty("--count", String(originals.count));
      canvas.style.setProperty("--ratio", String(w / h));
    }
    // Others than those that new pictures were as many as.
    this.drawn = undefined;
  }

  draw(sides: Partial<Record<Side, SideMoment>>) {
    this.#shown = sides;
    if (!this.#drawn) this.#put((side) => sides[side]?.images);
  }

  get drawn(): Drawn | undefined {
    return this.#drawn;
  }

  /** New pictures in the place of the reconstructions; none any more. */
  set drawn(drawn: Drawn | undefined) {
    const had = this.#drawn;
    this.#drawn = drawn;
    for (const id of ["choose", "originals-name"]) at(id).hidden = drawn !== undefined;
    for (const id of ["undraw", "drawn"]) at(id).hidden = drawn === undefined;
    at("draw").textContent = drawn ? "Anew" : "Draw";
    this.#rows.originals.canvas.hidden = drawn !== undefined;
    if (!drawn) {
      if (had) this.#put((side) => this.#shown[side]?.images);
      return;
    }
    for (const side of SIDES) {
      const { canvas, context } = this.#rows[side];
      if (!drawn.sides[side]) context.clearRect(0, 0, canvas.width, canvas.height);
    }
    this.#put((side) => drawn.sides[side]);
    const without = SIDES.filter((side) => this.#shown[side] && !drawn.sides[side]);
    const names = without.map((side) => side.toUpperCase()).join(" and ");
    at("drawn").textContent = [
      Object.keys(drawn.sides).length > 0 ? `New pictures: each code drawn by itself from the histogram of the last epoch's. Seed ${drawn.seed}, step ${drawn.step.toLocaleString()}.` : "",
      names ? `${names} ${without.length > 1 ? "have" : "has"} no codes to draw from.` : "",
    ].filter(Boolean).join(" ");
  }

  #put(images: (side: Side) => Uint8Array | undefined) {
    const originals = this.#originals;
    if (!originals) return;
    for (const side of SIDES) {
      const bytes = images(side);
      if (bytes && bytes.length === originals.images.length) drawRow(this.#rows[side], bytes, originals.shape, originals.count);
    }
  }
}
