/** How fast it goes: of steps that are done, over some seconds. */

/** ms. */
const WINDOW = 5000;

export class Speed {
  #times: { at: number; images: number }[] = [];

  /** A step of `images` is done. */
  add(images: number, at = performance.now()) {
    this.#times.push({ at, images });
  }

  clear() {
    this.#times = [];
  }

  /** Steps, of `sides` together, and images a second; 0 until two steps are known. */
  of(sides: number, now = performance.now()): { stepsPerSecond: number; imagesPerSecond: number } {
    const first = this.#times.findIndex(({ at }) => now - at < WINDOW);
    // Where a step takes longer than that, the last two say it.
    const from = Math.max(0, Math.min(first < 0 ? Infinity : first, this.#times.length - 1 - sides));
    this.#times = this.#times.slice(from);
    const [start, ...rest] = this.#times;
    const last = rest.at(-1);
    if (!start || !last || last.at === start.at) return { stepsPerSecond: 0, imagesPerSecond: 0 };
    const seconds = (last.at - start.at) / 1000;
    const images = rest.reduce((sum, step) => sum + step.images, 0);
    return { stepsPerSecond: rest.length / Math.max(1, sides) / seconds, imagesPerSecond: images / seconds };
  }
}
