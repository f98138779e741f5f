/** When the views are drawn: as often as they may cost. */
import type { Training } from "./training.js";

/** Share of the time that views may take. */
const SHARE = 0.05;
/** The views are drawn no more often than this, ms; vectors and codes on their plane less so. */
const EVERY = 200;
const PLANE_EVERY = 500;
/** Early steps tell most: a view is due when a run has grown by this share. */
const GROWN = 1.08;
const EARLY = 200;
const EARLY_SHARE = 0.25;
/** The share of a new cost in the running one. */
const NEW = 0.3;

export class Pace {
  /** Whether the plane of vectors and codes is in sight. */
  planeWanted = false;
  /** What all views have cost so far, ms. */
  spent = 0;
  #cost = 0;
  #drawn = { at: 0, step: 0 };
  #plane = { at: 0, cost: 0 };

  constructor(private readonly training: Training) {}

  /** Another run, whose views cost something else. */
  begin() {
    this.#cost = this.#plane.cost = 0;
    this.#drawn = { at: 0, step: 0 };
  }

  /** Draws everything that is in sight. */
  async draw() {
    await this.#moment();
    if (this.planeWanted) await this.#planes();
  }

  async drawWhatIsDue() {
    const { step } = this.training;
    const early = step < EARLY && step >= this.#drawn.step * GROWN;
    const every = Math.max(early ? 0 : EVERY, this.#cost / (early ? EARLY_SHARE : SHARE));
    if (performance.now() - this.#drawn.at > every) await this.#moment();
    if (this.planeWanted && performance.now() - this.#plane.at > Math.max(PLANE_EVERY, this.#plane.cost / SHARE)) await this.#planes();
  }

  async #moment() {
    const { step } = this.training;
    const start = performance.now();
    await this.training.moment();
    const at = performance.now();
    const cost = at - start;
    this.spent += cost;
    this.#cost = this.#cost === 0 ? cost : (1 - NEW) * this.#cost + NEW * cost;
    this.#drawn = { at, step };
  }

  async #planes() {
    const start = performance.now();
    await this.training.planes();
    const at = performance.now();
    this.spent += at - start;
    this.#plane = { at, cost: at - start };
  }
}
