/** The settings: one table of what both sides share and what is A's and B's, made from the table of settings. */
import type { Checked } from "../protocol.js";
import { DATA, SETTINGS, SIDES, type Setting, type Side, type State, inLabels, initialState, namesOf, optionOf, parseValue, valueIn } from "../settings.js";
import type { MethodInfo, QuantizerOptions, TrainOptions } from "../package/index.js";
import { costLine } from "./cost.js";
import { at, button, element } from "./pixels.js";

type Input = HTMLInputElement | HTMLSelectElement;

/** A value of the options as a control shows it. */
const shown = ({ vq }: TrainOptions, key: string) => String(valueIn(vq, key) ?? 0).replaceAll("_", " ");

const entries = (sides: Partial<Record<Side, Checked>>) => Object.entries(sides) as [Side, Checked][];

export class Drawer {
  #inputs = new Map<string, Input>();
  #rows = new Map<string, HTMLTableRowElement>();
  #resets = new Map<string, HTMLButtonElement>();
  #errors = new Map<string, HTMLElement>();
  #methods: MethodInfo[] = [];
  #granularity = 1;
  #help = at("help");
  readonly #initial = initialState();

  constructor(
    private state: State,
    /** Told of each change: the name, and its setting. */
    private readonly onChange: (name: string, setting: Setting) => void,
  ) {
    const bodies = { shared: at("settings-shared"), side: at("settings-side"), more: at("settings-more"), page: at("settings-page") };
    for (const setting of SETTINGS) {
      const body = setting.scope === "side" ? (setting.more ? bodies.more : bodies.side) : bodies[setting.scope];
      body.append(this.#row(setting));
    }
    this.refresh(state);
  }

  #row(setting: Setting): HTMLTableRowElement {
    const help = element("span", { id: `help-${setting.key}`, textContent: `${setting.help} ${this.#when(setting)}`, hidden: true });
    const label = element("span", { className: "label", textContent: setting.label });
    const head = element("th", { scope: "row" }, label, help);
    const row = element("tr", {}, head);
    const names = namesOf(setting);
    for (const name of names) {
      const side = names.length > 1 ? (name[0] as Side) : undefined;
      const cell = element("td", { colSpan: side ? 1 : 2 });
      if (side) cell.dataset["side"] = side;
      const input = this.#input(name, setting, side);
      const back = button("↺", () => this.#take(name, setting, this.#initial[name] ?? null), {
        className: "back", title: "Back to what a fresh page has", hidden: true,
      });
      back.setAttribute("aria-label", `${setting.label}${side ? ` of ${side.toUpperCase()}` : ""}: back to what a fresh page has`);
      const error = element("span", { className: "error", id: `set-${name.replace(".", "-")}-error` });
      cell.append(element("div", { className: "cell" }, input, back), error);
      this.#resets.set(name, back);
      this.#errors.set(name, error);
      this.#rows.set(name, row);
      row.append(cell);
    }
    row.addEventListener("pointerenter", () => this.#explain(setting));
    return row;
  }

  #when(setting: Setting): string {
    if (setting.scope === "page") return "";
    return setting.live ? "Applies at once." : "Applies on reset.";
  }

  #explain(setting: Setting) {
    const side = SIDES.find((s) => document.activeElement?.id === `set-${s}-method`);
    const method = side && this.#methods.find((m) => m.name === this.state[`${side}.method`]);
    this.#help.textContent = method && setting.key === "method"
      ? `${method.name}: ${method.summary}. Source: ${method.paper}.`
      : `${setting.label}: ${setting.help} ${this.#when(setting)}`;
  }

  #input(name: string, setting: Setting, side: Side | undefined): Input {
    const id = `set-${name.replace(".", "-")}`;
    let input: Input;
    if (setting.type === "choice") {
      input = element("select", { id });
      if (setting.initial === null) input.append(element("option", { value: "", textContent: "by method" }));
      for (const choice of setting.choices) {
        input.append(element("option", { value: choice, textContent: setting.key === "data" ? (DATA[choice] ?? choice) : choice.replaceAll("_", " ") }));
      }
    } else {
      input = element("input", { id, type: "number", min: String(setting.min), max: String(setting.max), step: String(setting.step), inputMode: "decimal" });
      if (setting.initial === null) input.placeholder = setting.scope === "side" ? "by method" : setting.key === "batch" ? "by machine" : "by model";
    }
    input.setAttribute("aria-label", side ? `${setting.label} of ${side.toUpperCase()}` : setting.label);
    input.setAttribute("aria-describedby", `help-${setting.key} ${id}-error`);
    input.addEventListener("focus", () => this.#explain(setting));
    input.addEventListener("change", () => this.#typed(name, setting, input));
    this.#inputs.set(name, input);
    return input;
  }

  #typed(name: string, setting: Setting, input: Input) {
    const parsed = parseValue(setting, input.value, this.#granularity);
    const error = this.#errors.get(name);
    const wrong = "error" in parsed;
    if (error) {
      error.textContent = wrong ? parsed.error : "";
      // An empty alert is one more thing that a screen reader passes.
      if (wrong) error.setAttribute("role", "alert");
      else error.removeAttribute("role");
    }
    input.setAttribute("aria-invalid", String(wrong));
    if (!wrong) this.#take(name, setting, parsed.value);
  }

  #take(name: string, setting: Setting, value: State[string]) {
    this.state[name] = value;
    this.refresh(this.state);
    this.#explain(setting);
    this.onChange(name, setting);
  }

  /** Shows `state`. */
  refresh(state: State) {
    this.state = state;
    for (const [name, input] of this.#inputs) {
      input.value = String(state[name] ?? "");
      input.setAttribute("aria-invalid", "false");
      const error = this.#errors.get(name);
      if (error) error.textContent = "";
      const back = this.#resets.get(name);
      if (back) back.hidden = (state[name] ?? null) === (this.#initial[name] ?? null);
    }
    const alone = state["show"] !== "both";
    for (const cell of document.querySelectorAll<HTMLElement>("#drawer [data-side]")) cell.hidden = alone && cell.dataset["side"] !== state["show"];
    this.#compare();
  }

  /** What differs between the sides is bold. */
  #compare() {
    for (const setting of SETTINGS) {
      if (setting.scope !== "side") continue;
      const [a, b] = SIDES.map((side) => this.#inputs.get(`${side}.${setting.key}`));
      const text = (input: Input | undefined) =>
        input instanceof HTMLSelectElement ? (input.selectedOptions[0]?.textContent ?? "").replace(/^\((.*)\)$/, "$1") : input?.value || input?.placeholder || "";
      this.#rows.get(`a.${setting.key}`)?.classList.toggle("differs", this.state["show"] === "both" && text(a) !== text(b));
    }
  }

  set methods(methods: MethodInfo[]) {
    this.#methods = methods;
  }

  /** What a method sets. */
  optionsOf(method: unknown): QuantizerOptions | undefined {
    return this.#methods.find((m) => m.name === method)?.vq;
  }

  /** The sentence of a method. */
  summaryOf(method: unknown): string {
    return this.#methods.find((m) => m.name === method)?.summary ?? "";
  }

  /** What divides the height and the width of the model's images. */
  set granularity(granularity: number) {
    this.#granularity = granularity;
    for (const setting of SETTINGS) {
      if (setting.type !== "number" || !setting.granular) continue;
      for (const name of namesOf(setting)) this.#inputs.get(name)?.setAttribute("step", String(granularity));
    }
  }

  /** What the sides would run with, what of it does nothing, and what it would cost. */
  checked(sides: Partial<Record<Side, Checked>>, workPerSecond: number) {
    for (const [side, { error }] of entries(sides)) {
      const host = at(`refused-${side}`);
      host.textContent = error ? `${side.toUpperCase()}: ${inLabels(error)}` : "";
      host.hidden = !error;
    }
    for (const setting of SETTINGS) {
      for (const name of namesOf(setting)) {
        const input = this.#inputs.get(name);
        if (!input) continue;
        // What both sides share has an effect if it has one on any.
        const of = entries(sides).filter(([side]) => setting.scope !== "side" || name.startsWith(`${side}.`));
        if (of.length === 0) continue;
        const reasons = of.map(([, { idle }]) => idle[optionOf(setting.key)]);
        const [why] = reasons.every((reason) => reason !== undefined) ? reasons : [];
        input.disabled = why !== undefined;
        input.title = why === undefined ? "" : `no effect: ${why}`;
      }
    }
    at("cost").textContent = costLine(sides, workPerSecond);
  }

  /** What a side really runs with, where the method decides. */
  showEffective(side: Side, options: TrainOptions) {
    for (const setting of SETTINGS) {
      const input = this.#inputs.get(`${side}.${setting.key}`);
      if (!input || setting.initial !== null || setting.scope !== "side") continue;
      if (input instanceof HTMLInputElement) input.placeholder = shown(options, setting.key);
      else if (input.options[0]) input.options[0].textContent = `(${shown(options, setting.key)})`;
    }
    for (const name of ["batch", "blocks", "commitment_weight"] as const) {
      const input = this.#inputs.get(name);
      if (input instanceof HTMLInputElement) input.placeholder = String(options[name] ?? "by model");
    }
    this.#compare();
  }
}
