/** A codebook as a field of tiles, each what its code decodes to: used ones glow, dead ones are dim. */
import type { SideMoment } from "../protocol.js";
import type { Side } from "../settings.js";
import { type Picture, at, colourOf, element, picture, toImageData, walkable } from "./pixels.js";

/** Steps without use over which a tile fades. */
const FADE = 20;
/** What is left of a dead one. */
const DIM = 0.16;
/** What a recording keeps of an age. */
const OLD = 255;
/** Tiles that get a gap and a glow; more are drawn as they are. */
const GLOWING = 1500;

/** How bright a code is that was used so many steps ago. */
const brightness = (age: number) => DIM + (1 - DIM) * Math.max(0, 1 - age / FADE);

export class TileField {
  #picture: Picture;
  #sheet = document.createElement("canvas");
  #note: HTMLElement;
  #moment: SideMoment | undefined;
  #channels = 1;
  #columns = 1;
  /** K: a tile each, in their order. */
  #codes = 0;
  #pointed: number | undefined;
  /** The columns that the sheet was composed for; 0 before it is. */
  #composed = 0;
  #frame = 0;

  constructor(private readonly side: Side, onPick: (code: number) => void) {
    const host = at(`tiles-${side}`);
    this.#picture = picture("");
    this.#note = at(`tiles-note-${side}`);
    host.append(element("div", { className: "field" }, this.#picture.canvas));
    walkable(this.#picture.canvas, {
      label: `Codebook of ${side.toUpperCase()}`,
      size: () => ({ count: this.#codes, columns: this.#columns }),
      at: (x, y) => {
        const rows = Math.ceil(this.#codes / this.#columns);
        const index = Math.floor(y * rows) * this.#columns + Math.floor(x * this.#columns);
        return index < this.#codes ? index : undefined;
      },
      say: (index) => this.#say(index),
      point: (index) => {
        this.#pointed = index;
        this.#note.textContent = index === undefined ? "" : this.#say(index);
        this.#paint();
      },
      pick: onPick,
    });
    new ResizeObserver(() => this.#paint()).observe(host);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#paint());
  }

  #say(code: number): string {
    const [count, age] = [Math.round(this.#moment?.counts[code] ?? 0), this.#moment?.ages[code] ?? Infinity];
    if (!Number.isFinite(age)) return `code ${code}`;
    const used = age === 0 ? "used by the last batch" : age >= OLD ? `not used for ${OLD} steps or more` : `last used ${age.toLocaleString()} steps ago`;
    // A recorded run has no counts.
    return `code ${code}: ${used}${this.#moment?.counts.some((c) => c > 0) ? `, ${count.toLocaleString()} vectors of an epoch's` : ""}`;
  }

  draw(moment: SideMoment, channels: number) {
    this.#moment = moment;
    this.#channels = channels;
    this.#codes = moment.ages.length;
    this.#composed = 0;
    // Of several moments in a frame the newest is drawn.
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#paint());
  }

  /** All tiles on one sheet, a pixel a pixel, as they stand in the field; many have their brightness there already. */
  #compose(moment: SideMoment) {
    if (this.#composed === this.#columns) return;
    this.#composed = this.#columns;
    const { tile, tiles } = moment;
    const [codes, c] = [this.#codes, this.#channels];
    const image = new ImageData(this.#columns * tile, Math.max(1, Math.ceil(codes / this.#columns)) * tile);
    const plane = tile * tile;
    for (let code = 0; code < codes; code++) {
      const alpha = codes > GLOWING ? Math.round(255 * brightness(moment.ages[code] ?? Infinity)) : 255;
      const corner = Math.floor(code / this.#columns) * tile * image.width + (code % this.#columns) * tile;
      for (let p = 0; p < plane; p++) {
        const to = 4 * (corner + Math.floor(p / tile) * image.width + (p % tile));
        const from = code * c * plane + p;
        for (let k = 0; k < 3; k++) image.data[to + k] = tiles[from + (c === 3 ? k * plane : 0)] ?? 0;
        image.data[to + 3] = alpha;
      }
    }
    [this.#sheet.width, this.#sheet.height] = [image.width, image.height];
    this.#sheet.getContext("2d")?.putImageData(image, 0, 0);
  }

  /** Columns with which square tiles fill the box best. */
  #layout(width: number, height: number): number {
    const codes = Math.max(1, this.#codes);
    let columns = Math.ceil(Math.sqrt((codes * width) / Math.max(1, height)));
    while (Math.ceil(codes / columns) * (width / columns) > height + 1 && columns < codes) columns++;
    return columns;
  }

  #paint() {
    const { canvas, context } = this.#picture;
    const box = canvas.parentElement;
    const moment = this.#moment;
    if (!box || box.clientWidth === 0) return;
    const [boxWidth, boxHeight] = [box.clientWidth, box.clientHeight];
    const codes = this.#codes;
    this.#columns = this.#layout(boxWidth, boxHeight);
    const rows = Math.max(1, Math.ceil(codes / this.#columns));
    const size = Math.min(boxWidth / this.#columns, boxHeight / rows);
    const [width, height] = [size * this.#columns, size * rows];
    const ratio = devicePixelRatio || 1;
    const [deviceWidth, deviceHeight] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
    if (canvas.width !== deviceWidth || canvas.height !== deviceHeight) {
      [canvas.width, canvas.height] = [deviceWidth, deviceHeight];
      [canvas.style.width, canvas.style.height] = [`${width}px`, `${height}px`];
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    if (!moment || codes === 0) return;
    context.imageSmoothingEnabled = false;
    this.#compose(moment);
    const gap = Math.min(2, size * 0.14);
    const glow = colourOf(`--${this.side}`);
    if (codes > GLOWING) context.drawImage(this.#sheet, 0, 0, width, height);
    for (let i = 0; codes <= GLOWING && i < codes; i++) {
      const age = moment.ages[i] ?? Infinity;
      const [x, y] = [(i % this.#columns) * size, Math.floor(i / this.#columns) * size];
      context.globalAlpha = brightness(age);
      if (age === 0) {
        context.fillStyle = glow;
        context.fillRect(x, y, size, size);
      }
      const { tile } = moment;
      context.drawImage(this.#sheet, (i % this.#columns) * tile, Math.floor(i / this.#columns) * tile, tile, tile, x + gap / 2, y + gap / 2, size - gap, size - gap);
    }
    context.globalAlpha = 1;
    if (this.#pointed !== undefined) {
      context.strokeStyle = colourOf("--ink");
      context.lineWidth = 2;
      context.strokeRect((this.#pointed % this.#columns) * size + 1, Math.floor(this.#pointed / this.#columns) * size + 1, size - 2, size - 2);
    }
  }

  clear() {
    this.#moment = undefined;
    this.#codes = 0;
    this.#paint();
  }

  /** The tile of a code as a canvas, for brushes. */
  tileOf(code: number): HTMLCanvasElement | undefined {
    const moment = this.#moment;
    if (!moment || code >= moment.ages.length) return undefined;
    const canvas = element("canvas", { width: moment.tile, height: moment.tile });
    canvas.getContext("2d")?.putImageData(toImageData(moment.tiles, [this.#channels, moment.tile, moment.tile], code), 0, 0);
    return canvas;
  }
}
