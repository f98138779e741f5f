/** The experiment that is shown, if the settings are one's: its button, its address, and the line that holds its claim against the numbers. */
import { EXPERIMENTS, type Experiment, judge } from "./experiments.js";
import { type State, differences, nameOf, sidesOf, stateOf, toHash } from "./settings.js";
import type { Show } from "./show.js";
import { at, button, element } from "./views/pixels.js";

/** The experiment whose settings these are. */
const experimentOf = (state: State) => EXPERIMENTS.find((e) => differences(stateOf(e.settings), state).length === 0);

/** The state as the address has it: an experiment by its name, anything else setting by setting. */
export function addressOf(state: State): string {
  const experiment = experimentOf(state);
  return experiment ? `#experiment=${experiment.id}` : toHash(state);
}

export class Story {
  #experiment: Experiment | undefined;
  /** What became of the claim. */
  #result: ReturnType<typeof judge> | undefined;

  constructor(
    private readonly show: Show,
    private readonly summaryOf: (method: unknown) => string,
    /** An experiment was asked for. */
    onChoose: (settings: Partial<State>) => void,
  ) {
    at("experiments").append(...EXPERIMENTS.map((experiment) => {
      const chip = button(experiment.title, () => onChoose(experiment.settings));
      chip.dataset["id"] = experiment.id;
      return chip;
    }));
  }

  /** Another run has begun. */
  begin(applied: State) {
    this.#result = undefined;
    this.tell(applied);
  }

  /** The line under the headline: what A and B are, and what was claimed of them. */
  tell(applied: State) {
    const experiment = experimentOf(applied);
    if (experiment !== this.#experiment) this.#result = undefined;
    this.#experiment = experiment;
    for (const chip of at("experiments").querySelectorAll<HTMLButtonElement>("button")) {
      chip.setAttribute("aria-pressed", String(chip.dataset["id"] === experiment?.id));
    }
    const shown = sidesOf(applied);
    for (const side of shown) at(`title-${side}`).textContent = nameOf(applied, side);
    this.show.curves.names = { a: nameOf(applied, "a"), b: nameOf(applied, "b") };
    const line = at("line");
    if (!experiment) {
      line.replaceChildren(...shown.flatMap((side) => [
        element("b", { className: `side-${side}`, textContent: `${side.toUpperCase()}: ${nameOf(applied, side)}` }),
        ` (${this.summaryOf(applied[`${side}.method`])}) `,
      ]));
      delete line.dataset["claim"];
      return;
    }
    const { steps, claim, text } = experiment;
    const result = this.#result;
    line.replaceChildren(`${text} `, result
      ? element("span", { className: result.holds ? "holds" : "fails", textContent: `After ${steps} steps: ${result.figures}${result.holds ? ", as claimed." : `, not as claimed (${claim}).`}` })
      : element("b", { textContent: `After ${steps} steps: ${claim}.` }));
    line.dataset["claim"] = result ? (result.holds ? "holds" : "fails") : "open";
  }

  /** Judges the claim once both sides have come so far; once, since curves are thinned later on. */
  judge(applied: State) {
    const experiment = this.#experiment;
    if (!experiment || this.#result) return;
    const { curves } = this.show;
    if (!sidesOf(applied).every((side) => (curves.historyOf(side).at(-1)?.step ?? 0) >= experiment.steps)) return;
    this.#result = judge(experiment, { a: curves.historyOf("a"), b: curves.historyOf("b") }, { a: this.show.codesOf("a"), b: this.show.codesOf("b") });
    this.tell(applied);
  }
}
