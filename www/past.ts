/** Runs before: their curves stay, pale, with what was other in their settings. */
import type { Metrics } from "./package/index.js";
import { SIDES, type Side, type State, describeDifference } from "./settings.js";
import type { Past } from "./views/curves.js";
import { at, button, element } from "./views/pixels.js";

/** Runs that are kept, and points of each of their curves. */
const MOST = 6;
const POINTS = 300;

interface PastRun extends Past {
  state: State;
  step: number;
}

const thin = (history: readonly Metrics[]) => {
  const every = Math.max(1, Math.ceil(history.length / POINTS));
  return history.filter((_, i) => i % every === 0 || i === history.length - 1);
};

export class PastRuns {
  #runs: PastRun[] = [];
  #count = 0;

  constructor(
    private readonly onChange: (past: Past[]) => void,
    private readonly restore: (state: State) => void,
  ) {}

  /** Keeps a run that ends. */
  add(state: State, histories: Record<Side, readonly Metrics[]>) {
    const history: Past["history"] = {};
    for (const side of SIDES) if (histories[side].length > 1) history[side] = thin(histories[side]);
    const step = Math.max(0, ...SIDES.map((side) => histories[side].at(-1)?.step ?? 0));
    if (step < 2) return;
    this.#count++;
    this.#runs = [...this.#runs, { name: `run ${this.#count}`, history, state: { ...state }, step }].slice(-MOST);
    this.onChange(this.#runs);
  }

  /** Says of each what was other in it than in the run that is shown. */
  draw(now: State) {
    at("past").hidden = this.#runs.length === 0;
    at("past-runs").replaceChildren(...this.#runs.toReversed().map((run) => {
      const line = button(`${run.name}, ${run.step.toLocaleString()} steps: ${describeDifference(now, run.state)}`, () => this.restore({ ...run.state }), {
        className: "small", title: "Train with these settings again",
      });
      return element("div", {}, line);
    }));
  }
}
