/** The experiment that is shown, if it is one: its button, its address, and the line that holds its claim against the numbers. */
import { EXPERIMENTS, type Experiment, experimentOf, judge } from "./experiments.js";
import { type State, differences, nameOf, sidesOf, stateOf, toHash } from "./settings.js";
import type { Show } from "./show.js";
import { at, button, element } from "./views/pixels.js";

export class Story {
  #experiment: Experiment | undefined;
  #judged = false;

  constructor(
    private readonly show: Show,
    private readonly summaryOf: (method: unknown) => string,
    /** An experiment was asked for. */
    onChoose: (settings: Partial<State>) => void,
  ) {
    at("experiments").append(...EXPERIMENTS.map((experiment) => {
      const chip = button(experiment.title, () => {
        this.choose(experiment);
        onChoose(experiment.settings);
      });
      chip.dataset["id"] = experiment.id;
      return chip;
    }));
  }

  choose(experiment: Experiment | undefined) {
    this.#experiment = experiment;
    for (const chip of at("experiments").querySelectorAll<HTMLButtonElement>("button")) {
      chip.setAttribute("aria-pressed", String(chip.dataset["id"] === experiment?.id));
    }
  }

  /** The experiment that an address names; an address without anything is the first one. */
  chooseBy(hash: string) {
    const id = new URLSearchParams(hash.slice(1)).get("experiment");
    this.choose(experimentOf(id) ?? (hash === "" ? EXPERIMENTS[0] : undefined));
  }

  /** The state as the address has it: an experiment by its name, as long as nothing of it was changed. */
  addressOf(state: State): string {
    const experiment = this.#experiment;
    return experiment && differences(stateOf(experiment.settings), state).length === 0 ? `#experiment=${experiment.id}` : toHash(state);
  }

  /** Another run has begun. */
  begin(applied: State) {
    this.#judged = false;
    this.tell(applied);
  }

  /** The line under the headline: what A and B are, and what was claimed of them. */
  tell(applied: State) {
    const shown = sidesOf(applied);
    for (const side of shown) at(`title-${side}`).textContent = nameOf(applied, side);
    this.show.curves.names = { a: nameOf(applied, "a"), b: nameOf(applied, "b") };
    const line = at("line");
    const experiment = this.#experiment;
    if (!experiment) {
      line.replaceChildren(...shown.flatMap((side) => [
        element("b", { className: `side-${side}`, textContent: `${side.toUpperCase()}: ${nameOf(applied, side)}` }),
        ` (${this.summaryOf(applied[`${side}.method`])}) `,
      ]));
      delete line.dataset["claim"];
      return;
    }
    const { steps, claim, text } = experiment;
    const { curves } = this.show;
    const result = this.#judged
      ? judge(experiment, { a: curves.historyOf("a"), b: curves.historyOf("b") }, { a: this.show.codesOf("a"), b: this.show.codesOf("b") })
      : undefined;
    line.replaceChildren(`${text} `, result
      ? element("span", { className: result.holds ? "holds" : "fails", textContent: `After ${steps} steps: ${result.figures}${result.holds ? ", as claimed." : `, not as claimed (${claim}).`}` })
      : element("b", { textContent: `After ${steps} steps: ${claim}.` }));
    line.dataset["claim"] = result ? (result.holds ? "holds" : "fails") : "open";
  }

  /** Judges the claim once both sides have come so far. */
  judge(applied: State) {
    const steps = this.#experiment?.steps;
    if (steps === undefined || this.#judged) return;
    if (!sidesOf(applied).every((side) => (this.show.curves.historyOf(side).at(-1)?.step ?? 0) >= steps)) return;
    this.#judged = true;
    this.tell(applied);
  }
}
