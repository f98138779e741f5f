/** Controls, made from the table of settings. */
import { METHODS } from "./options.js";
import { SETTINGS, SIDES, type Setting, type State, namesOf, parseValue } from "./settings.js";
import type { MethodInfo, TrainOptions } from "./trainer.js";
import { element } from "./views/pixels.js";

export class Controls {
  #inputs = new Map<string, HTMLInputElement | HTMLSelectElement>();
  #errors = new Map<string, HTMLElement>();
  #summaries = new Map<string, HTMLElement>();
  #methods: MethodInfo[] = [];
  #granularity = 1;

  constructor(
    hosts: { shared: HTMLElement; a: HTMLElement; b: HTMLElement; page: HTMLElement },
    private state: State,
    /** Told of each change: the name, and its setting. */
    private readonly onChange: (name: string, setting: Setting) => void,
  ) {
    const more = Object.fromEntries(SIDES.map((side) => [side, element("details", {}, element("summary", { textContent: "Further options" }))]));
    for (const setting of SETTINGS) {
      for (const name of namesOf(setting)) {
        const side = name[1] === "." ? (name[0] as "a" | "b") : undefined;
        const host = setting.scope === "page" ? hosts.page : side ? (setting.more ? more[side] : hosts[side]) : hosts.shared;
        host?.append(this.#control(name, setting));
        if (side && setting.key === "method") {
          const summary = element("p", { className: "note" });
          this.#summaries.set(side, summary);
          hosts[side].append(summary);
        }
      }
    }
    for (const side of SIDES) hosts[side].append(more[side] as HTMLElement);
    this.refresh(state);
  }

  #control(name: string, setting: Setting): HTMLElement {
    const id = `set-${name.replace(".", "-")}`;
    let input: HTMLInputElement | HTMLSelectElement;
    if (setting.type === "choice") {
      input = element("select", { id });
      if (setting.initial === null) input.append(element("option", { value: "", textContent: "by method" }));
      for (const choice of setting.choices) input.append(element("option", { value: choice, textContent: choice.replaceAll("_", " ") }));
    } else {
      input = element("input", { id, type: "number", min: String(setting.min), max: String(setting.max), step: String(setting.step), inputMode: "decimal" });
      if (setting.initial === null) input.placeholder = setting.scope === "side" ? "by method" : "by machine";
    }
    const help = element("small", { id: `${id}-help`, textContent: setting.help });
    const when = setting.scope === "page" ? "" : setting.live ? " Applies at once." : " Applies on reset.";
    if (when) help.append(element("i", { textContent: when }));
    const error = element("span", { className: "error", id: `${id}-error` });
    error.setAttribute("role", "alert");
    input.setAttribute("aria-describedby", `${help.id} ${error.id}`);
    input.addEventListener("change", () => {
      const parsed = parseValue(setting, input.value, this.#granularity);
      const wrong = "error" in parsed;
      error.textContent = wrong ? parsed.error : "";
      input.setAttribute("aria-invalid", String(wrong));
      if (wrong) return;
      this.state[name] = parsed.value;
      this.onChange(name, setting);
    });
    this.#inputs.set(name, input);
    this.#errors.set(name, error);
    const label = element("label", { htmlFor: id, textContent: setting.label });
    if (setting.live) label.append(element("span", { className: "live", textContent: "live", title: "Changes a run under way" }));
    return element("div", { className: "control" }, label, input, help, error);
  }

  /** Shows `state`. */
  refresh(state: State) {
    this.state = state;
    for (const [name, input] of this.#inputs) {
      input.value = String(state[name] ?? "");
      input.setAttribute("aria-invalid", "false");
      const error = this.#errors.get(name);
      if (error) error.textContent = "";
    }
    this.#summarise();
  }

  set methods(methods: MethodInfo[]) {
    this.#methods = methods;
    this.#summarise();
  }

  /** What divides the height and the width of the model's images. */
  set granularity(granularity: number) {
    this.#granularity = granularity;
    for (const setting of SETTINGS) {
      if (setting.type !== "number" || !setting.granular) continue;
      for (const name of namesOf(setting)) this.#inputs.get(name)?.setAttribute("step", String(granularity));
    }
  }

  /** The methods' sentences. */
  #summarise() {
    for (const side of SIDES) {
      const summary = this.#summaries.get(side);
      const method = this.state[`${side}.method`];
      const info = this.#methods.find((m) => m.name === method) ?? null;
      if (summary) summary.textContent = info && METHODS.includes(info.name) ? `${info.summary}. Source: ${info.paper}.` : "";
    }
  }

  /** What a side really runs with, where the method decides. */
  showEffective(side: "a" | "b", options: TrainOptions) {
    this.#summarise();
    for (const setting of SETTINGS) {
      const input = this.#inputs.get(`${side}.${setting.key}`);
      if (!input || setting.initial !== null || setting.scope !== "side") continue;
      const vq = options.vq as unknown as Record<string, unknown>;
      const value = setting.key === "inplace_lr" ? (options.vq.inplace_optimizer?.[0] ?? 0) : (vq[setting.key] ?? 0);
      const shown = value === true ? "yes" : value === false ? "no" : String(value);
      if (input instanceof HTMLInputElement) input.placeholder = typeof value === "number" ? String(Number(value.toPrecision(6))) : shown;
      else if (input.options[0]) input.options[0].textContent = `(${shown.replaceAll("_", " ")})`;
    }
    const batch = this.#inputs.get("batch");
    if (batch instanceof HTMLInputElement) batch.placeholder = String(options.batch);
  }
}
