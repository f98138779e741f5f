/** Whether a run has diverged. */
import type { Metrics } from "./package/index.js";

/** The share of a new loss in the running one. */
const NEW = 0.2;
/** Against the first loss, and against the least running one: what no run comes back from. */
const ABOVE_FIRST = 2;
const ABOVE_BEST = 4;

export class Watch {
  #first: number | undefined;
  #running = 0;
  #best = Infinity;
  /** The step, and the loss there, at which it diverged. */
  diverged: { step: number; loss: number } | undefined;
  /** Whether the page knows. */
  told = false;

  see({ step, rec_loss: loss }: Pick<Metrics, "step" | "rec_loss">) {
    if (this.#first === undefined) this.#first = this.#running = loss;
    this.#running += NEW * (loss - this.#running);
    this.#best = Math.min(this.#best, this.#running);
    // An ELBO can be negative: no multiple of it says anything then.
    const above = this.#best > 0 && this.#running > ABOVE_FIRST * this.#first && this.#running > ABOVE_BEST * this.#best;
    if (!this.diverged && (above || !Number.isFinite(loss))) this.diverged = { step, loss };
  }
}
