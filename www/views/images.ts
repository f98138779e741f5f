/** Test images above their reconstructions. */
import type { Shown } from "../protocol.js";
import { picture, toImageData } from "./pixels.js";

export class Images {
  readonly canvas: HTMLCanvasElement;
  #context: CanvasRenderingContext2D;

  constructor(host: HTMLElement, private readonly onPick: (index: number) => void) {
    ({ canvas: this.canvas, context: this.#context } = picture("Test images above, reconstructions below"));
    this.canvas.className = "pixels";
    this.canvas.hidden = true;
    this.canvas.title = "Click an image to see its codes";
    host.append(this.canvas);
    this.canvas.addEventListener("click", (event) => {
      const box = this.canvas.getBoundingClientRect();
      this.onPick(Math.floor(((event.clientX - box.left) / box.width) * this.#count));
    });
  }

  #count = 1;

  draw(shown: Shown) {
    const [, h, w] = shown.shape;
    this.canvas.hidden = false;
    this.#count = Math.max(1, Math.min(shown.count, 8));
    this.canvas.width = this.#count * (w + 1) - 1;
    this.canvas.height = 2 * h + 1;
    // Few images stay small.
    this.canvas.style.maxWidth = `${this.#count * 9}rem`;
    for (let i = 0; i < this.#count; i++) {
      this.#context.putImageData(toImageData(shown.originals, shown.shape, i), i * (w + 1), 0);
      this.#context.putImageData(toImageData(shown.images, shown.shape, i), i * (w + 1), h + 1);
    }
  }
}
