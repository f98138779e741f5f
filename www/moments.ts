/** Moments of the run, kept so that one can go back to them. */
import type { Moment } from "./protocol.js";

/** Kept at most; the bytes matter where images are large or codes are many. */
const MOST = 100;
const MOST_BYTES = 20e6;

function bytesOf(moment: Moment): number {
  return Object.values(moment.sides).reduce((sum, { images, codes, tiles, ages, counts }) =>
    sum + images.byteLength + codes.byteLength + tiles.byteLength + ages.byteLength + counts.byteLength, 0);
}

export class Moments {
  /** In the order of their steps. */
  readonly all: Moment[] = [];
  /** Steps between two that are kept. */
  #every = 1;

  get bytes(): number {
    return this.all.reduce((sum, moment) => sum + bytesOf(moment), 0);
  }

  get newest(): Moment | undefined {
    return this.all.at(-1);
  }

  /** Takes the newest moment, which is always kept; a run that goes back to a save forgets what came after it. */
  add(moment: Moment) {
    while ((this.newest?.step ?? -1) >= moment.step) this.all.pop();
    const [before, last] = this.all.slice(-2);
    if (before && last && last.step - before.step < this.#every) this.all.pop();
    this.all.push(moment);
    while (this.all.length > MOST || (this.all.length > 2 && this.bytes > MOST_BYTES)) this.#thin();
  }

  /** Every second one goes. */
  #thin() {
    const last = this.all.length - 1;
    const kept = this.all.filter((_, i) => i % 2 === 0 || i === last);
    this.all.splice(0, this.all.length, ...kept);
    const span = (this.newest?.step ?? 0) - (this.all[0]?.step ?? 0);
    this.#every = Math.max(this.#every, Math.floor(span / Math.max(1, this.all.length)));
  }

  /** The last one up to `step`, or the first. */
  at(step: number): Moment | undefined {
    let found = this.all[0];
    for (const moment of this.all) if (moment.step <= step) found = moment;
    return found;
  }

  /** So many of them, the early ones closer to each other. */
  few(count: number): Moment[] {
    const last = this.newest?.step ?? 0;
    const wanted = Array.from({ length: count }, (_, i) => this.at(last * (i / (count - 1)) ** 2));
    return [...new Set(wanted.filter((moment) => moment !== undefined))];
  }

  clear() {
    this.all.length = 0;
    this.#every = 1;
  }
}
