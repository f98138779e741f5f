/** What each code decodes to: in the middle of three by three cells of it, as its neighbours have a say in its pixels. */
import type { Trainer } from "./package/index.js";

/** Codes on a side of a square that is decoded at once. */
const ACROSS = { software: 8, gpu: 16 };
/** Steps without use after which a code waits until those in use have been drawn. */
const RECENT = 20;

/** The cells of a square of `codes`, `across` of them on a side, three by three of each. */
export function blocks(codes: readonly number[], across: number): Uint32Array {
  const side = 3 * across;
  return Uint32Array.from({ length: side * side }, (_, i) => {
    const [y, x] = [Math.floor(i / side / 3), Math.floor((i % side) / 3)];
    return codes[y * across + x] ?? codes[0] ?? 0;
  });
}

/** The tiles of a side, drawn a square at a time: all at once would take longer than a step. */
export class Tiles {
  /** [K, C, t, t]. */
  readonly pixels: Uint8Array;
  readonly size: number;
  #drawn: Int32Array;

  constructor(private readonly trainer: Trainer, readonly codes: number) {
    const [channels, height] = trainer.data.shape;
    const [rows] = trainer.describe().cells;
    this.size = Math.max(1, Math.round(height / Math.max(1, rows)));
    this.pixels = new Uint8Array(codes * channels * this.size * this.size);
    this.#drawn = new Int32Array(codes).fill(-1);
  }

  /** Those that go next: never drawn, then in use, then the oldest. */
  #next(ages: Float32Array, count: number): number[] {
    const worth = (k: number) => {
      const drawn = this.#drawn[k] ?? -1;
      if (drawn < 0) return -2e9 + (ages[k] ?? 0);
      return (ages[k] ?? 0) < RECENT ? drawn - 1e9 : drawn;
    };
    return [...this.#drawn.keys()].sort((i, j) => worth(i) - worth(j)).slice(0, count);
  }

  /** Draws a square of them anew, at `step`. */
  async refresh(ages: Float32Array, step: number): Promise<void> {
    if (this.codes === 0) return;
    const most = this.trainer.device.software ? ACROSS.software : ACROSS.gpu;
    const across = Math.min(most, Math.ceil(Math.sqrt(this.codes)));
    const codes = this.#next(ages, across * across);
    const image = await this.trainer.decode(blocks(codes, across), 3 * across, 3 * across);
    const [channels] = this.trainer.data.shape;
    const [t, row] = [this.size, 3 * across * this.size];
    codes.forEach((code, i) => {
      this.#drawn[code] = step;
      const [y0, x0] = [(3 * Math.floor(i / across) + 1) * t, (3 * (i % across) + 1) * t];
      for (let c = 0; c < channels; c++) {
        for (let y = 0; y < t; y++) {
          const from = c * row * row + (y0 + y) * row + x0;
          this.pixels.set(image.subarray(from, from + t), ((code * channels + c) * t + y) * t);
        }
      }
    });
  }
}
