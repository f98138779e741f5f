/** The metrics of a run, thinned out as they become many. */
import type { Metrics } from "./package/index.js";

/** Entries at most; every second one goes when there are more. */
const MOST = 4000;

export class History {
  #every = 1;

  constructor(public entries: Metrics[] = []) {}

  add(metrics: Metrics) {
    if (metrics.step % this.#every === 0 || this.entries.length === 0) this.entries.push(metrics);
    if (this.entries.length <= MOST) return;
    this.#every *= 2;
    this.entries = this.entries.filter((m) => m.step % this.#every === 0);
  }
}
