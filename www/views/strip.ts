/** The same test images three times: the originals in the middle, A's pictures above, B's below. */
import type { Originals, SideMoment } from "../protocol.js";
import { SIDES, type Side } from "../settings.js";
import { type Picture, at, drawRow, element, picture, walkable } from "./pixels.js";

type Row = Side | "originals";

export class Strip {
  #rows: Record<Row, Picture>;
  #originals: Originals | undefined;

  constructor(private readonly onPick: (index: number) => void) {
    const row = (name: Row, label: string) => {
      const made = picture(label);
      made.canvas.className = "pixels";
      at(`row-${name}`).append(element("div", { className: "row-pictures" }, made.canvas));
      walkable(made.canvas, {
        label,
        size: () => ({ count: this.#originals?.count ?? 0, columns: this.#originals?.count ?? 1 }),
        say: (index) => `${label}: picture ${index + 1} of ${this.#originals?.count ?? 0}; Enter takes it below`,
        pick: (index) => this.onPick(index),
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
  }

  draw(sides: Partial<Record<Side, SideMoment>>) {
    const originals = this.#originals;
    if (!originals) return;
    for (const side of SIDES) {
      const moment = sides[side];
      if (moment && moment.images.length === originals.images.length) drawRow(this.#rows[side], moment.images, originals.shape, originals.count);
    }
  }
}
