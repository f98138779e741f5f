/**
 * The table of state: the options' controls (`options.ts`, made of the core's table) and the page's own. The address's
 * hash and reset are made from it, too.
 */
import { experimentOf } from "./experiments.js";
import { CONTROLS, type Method, type PartialOptions, type QuantizerOptions, type TrainOptions } from "./options.js";

/** A side of the comparison. */
export type Side = "a" | "b";
export const SIDES: readonly Side[] = ["a", "b"];

interface Common {
  key: string;
  label: string;
  /** What it is, in a sentence. */
  help: string;
  /** `shared` by both sides, or each `side`'s own; `page` settings touch no run. */
  scope: "shared" | "side" | "page";
  /** Whether it changes a run under way; the others apply on reset. */
  live?: true;
  /** Hidden among the further options. */
  more?: true;
}

interface NumberSetting extends Common {
  type: "number";
  initial: number | null;
  min: number;
  max: number;
  step: number | "any";
  whole?: true;
  /** A multiple of what the model's strides ask for. */
  granular?: true;
}

interface ChoiceSetting extends Common {
  type: "choice";
  initial: string | null;
  choices: readonly string[];
  /** Yes or no, a boolean in the options. */
  flag?: true;
}

export type Setting = NumberSetting | ChoiceSetting;

/** A value; null leaves it to the method. */
export type Value = number | string | null;

/** The built-in images, by the name that the address has; and the user's. */
export const DATA: Readonly<Record<string, string>> = {
  glyphs: "glyphs, 28 × 28 grey",
  scenes: "scenes, 32 × 32 colour",
  scenes64: "scenes, 64 × 64 colour",
  own: "your own files",
};

export const SETTINGS: readonly Setting[] = [
  { key: "show", label: "Show", scope: "shared", type: "choice", initial: "both", choices: ["both", "a", "b"], help: "Two methods side by side on the same batches, or one alone, which then trains twice as fast." },
  { key: "data", label: "Images", scope: "shared", type: "choice", initial: "glyphs", choices: Object.keys(DATA), help: "What is learned: built-in images, or your own files, which stay on this machine; drop them anywhere." },
  ...CONTROLS,
  { key: "colour", label: "Read files as", scope: "page", type: "choice", initial: "grey", choices: ["grey", "colour"], help: "How image files that you drop are read; what has been read is read again." },
  { key: "size", label: "Image size", scope: "page", type: "number", initial: 32, min: 8, max: 256, step: 1, whole: true, granular: true, help: "Image files that you drop are cropped to a centred square and resized to this many pixels." },
  { key: "scale", label: "Curves", scope: "page", type: "choice", initial: "linear", choices: ["linear", "log"], help: "Scale of the losses." },
  { key: "hidden", label: "When hidden", scope: "page", type: "choice", initial: "go on", choices: ["go on", "pause"], help: "What training does while another tab is in front." },
];

/** All values: `seed`, `a.method`, ... */
export type State = Record<string, Value>;

/** The names under which a setting's values stand in the state. */
export function namesOf(setting: Setting): string[] {
  return setting.scope === "side" ? SIDES.map((side) => `${side}.${setting.key}`) : [setting.key];
}

const BY_NAME = new Map(SETTINGS.flatMap((s) => namesOf(s).map((name) => [name, s] as const)));

export function settingOf(name: string): Setting | undefined {
  return BY_NAME.get(name);
}

/** A message of the core, its options named as the controls are. */
export function inLabels(text: string): string {
  const labels = new Map(SETTINGS.map((s) => [s.key, s.label]));
  const named = (whole: string, key: string) => labels.get(key) ?? whole;
  return text
    .replace(/`(\w+)`/g, named)
    .replace(/^(?:vq\.|optimizer\.)?(\w+)(?= must be )/, named)
    // A name with an underscore is no other word.
    .replace(/\b(?:vq\.)?([a-z]+(?:_[a-z]+)+)\b/g, named);
}

/** What a fresh page shows: the baseline, which collapses, beside a remedy. */
export function initialState(): State {
  const state: State = {};
  for (const [name, setting] of BY_NAME) state[name] = setting.initial;
  state["b.method"] = "replace";
  return state;
}

/** A fresh page's state with an experiment's settings. */
export function stateOf(settings: Partial<State>): State {
  return { ...initialState(), ...settings } as State;
}

/** Names of the settings in which two states differ, without the page's own. */
export function differences(from: State, to: State): string[] {
  return [...BY_NAME.keys()].filter((name) => settingOf(name)?.scope !== "page" && (from[name] ?? null) !== (to[name] ?? null));
}

/** A value in words. */
export function inWords(name: string, value: Value | undefined): string {
  if (value === null || value === undefined) return name[1] === "." ? "by method" : "by itself";
  if (name === "data") return DATA[String(value)] ?? String(value);
  return String(value).replaceAll("_", " ");
}

/** What is other in a state than in the one before, in words: "Beta .97 -> .5". */
export function describeDifference(from: State, to: State): string {
  const one = (name: string) => {
    const side = name[1] === "." ? `${name[0]?.toUpperCase()}: ` : "";
    return `${side}${settingOf(name)?.label} ${inWords(name, from[name])} → ${inWords(name, to[name])}`;
  };
  return differences(from, to).map(one).join(", ") || "the same settings";
}

/** What a side is: its method, and what is set besides. */
export function nameOf(state: State, side: Side): string {
  const own = SETTINGS.filter((s) => s.scope === "side" && s.key !== "method" && (state[`${side}.${s.key}`] ?? null) !== null);
  const said = own.map((s) => `${s.label.toLowerCase()} ${inWords(s.key, state[`${side}.${s.key}`])}`);
  return [String(state[`${side}.method`]), ...said].join(", ");
}

/** A text as a value, or why it is none; `granularity` is the model's, 1 until the core has told it. */
export function parseValue(setting: Setting, text: string, granularity = 1): { value: Value } | { error: string } {
  const trimmed = text.trim();
  if (trimmed === "") {
    return setting.initial === null
      ? { value: null }
      : { error: `${setting.label} must not be empty` };
  }
  if (setting.type === "choice") {
    return setting.choices.includes(trimmed)
      ? { value: trimmed }
      : { error: `${setting.label} must be one of ${setting.choices.join(", ")}` };
  }
  const number = Number(trimmed);
  const fits =
    Number.isFinite(number) && number >= setting.min && number <= setting.max &&
    (!setting.whole || Number.isInteger(number)) &&
    (!setting.granular || number % granularity === 0);
  return fits
    ? { value: number }
    : { error: `${setting.label} must be a ${setting.whole ? "whole " : ""}number from ${setting.min} to ${setting.max}${setting.granular ? `, a multiple of ${granularity}` : ""}` };
}

/** The state as the address's hash: all settings, those left to the method left out. */
export function toHash(state: State): string {
  const search = new URLSearchParams();
  for (const name of BY_NAME.keys()) {
    const value = state[name];
    if (value !== null && value !== undefined) search.set(name, String(value));
  }
  return `#${search}`;
}

/** The hash as a state, and what could not be used of it. */
export function fromHash(hash: string): { state: State; problems: string[] } {
  const problems: string[] = [];
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const id = given.get("experiment");
  const experiment = experimentOf(id);
  if (id !== null && !experiment) problems.push(`the address names the experiment "${id}", which there is not`);
  given.delete("experiment");
  const state = stateOf(experiment?.settings ?? {});
  // A link that says anything of a side says all of it.
  for (const side of SIDES) {
    if (!given.has(`${side}.method`)) continue;
    for (const name of BY_NAME.keys()) if (name.startsWith(`${side}.`)) state[name] = null;
  }
  for (const [name, text] of given) {
    const setting = BY_NAME.get(name);
    if (!setting) {
      problems.push(`the address names "${name}", which is no setting`);
      continue;
    }
    const parsed = parseValue(setting, text);
    if ("error" in parsed) problems.push(`in the address: ${parsed.error}, not "${text}"`);
    else state[name] = parsed.value;
  }
  for (const side of SIDES) state[`${side}.method`] ??= "vq";
  return { state, problems };
}

/** The sides that are shown. */
export function sidesOf(state: State): Side[] {
  return SIDES.filter((side) => state["show"] === "both" || state["show"] === side);
}

/** The options of one side's run. */
export function optionsOf(state: State, side: Side): PartialOptions {
  const vq: Record<string, unknown> = {
    feature_size: state["feature_size"],
    num_codes: state["num_codes"],
  };
  for (const setting of SETTINGS) {
    if (setting.scope !== "side" || setting.key === "method") continue;
    const value = state[`${side}.${setting.key}`];
    if (value === null || value === undefined) continue;
    if (setting.key === "inplace_lr") vq["inplace_optimizer"] = Number(value) > 0 ? [value, 0.9] : null;
    else if (setting.key === "ema_decay") vq["ema_decay"] = Number(value) > 0 ? value : null;
    else vq[setting.key] = setting.type === "choice" && setting.flag ? value === "yes" : value;
  }
  const options: PartialOptions = {
    method: state[`${side}.method`] as Method,
    lr: state["lr"] as number,
    seed: state["seed"] as number,
    model: state["model"] as TrainOptions["model"],
    vq: vq as NonNullable<PartialOptions["vq"]>,
  };
  for (const name of ["batch", "blocks", "commitment_weight"] as const) {
    const value = state[name];
    if (typeof value === "number") options[name] = value;
  }
  return options;
}

/** The quantiser's option behind a setting: of the in-place step the control has the rate alone. */
export const optionOf = (key: string) => (key === "inplace_lr" ? "inplace_optimizer" : key) as keyof QuantizerOptions;

/** The value of a setting in the quantiser's options; null where it is off. */
export function valueIn(vq: QuantizerOptions, key: string): Value {
  const option = vq[optionOf(key)] ?? null;
  const value = key === "inplace_lr" ? (vq.inplace_optimizer?.[0] ?? null) : option;
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "number" ? Number(value.toPrecision(6)) : value === null ? null : String(value);
}

/** The options of a checkpoint as settings of one side; what its method says anyway (`usual`) is left to the method. */
export function withOptions(state: State, side: Side, options: TrainOptions, usual: QuantizerOptions | undefined): State {
  const next: State = { ...state, [`${side}.method`]: options.method };
  for (const name of ["lr", "seed", "batch", "commitment_weight"] as const) next[name] = Number(options[name].toPrecision(6));
  Object.assign(next, { model: options.model, blocks: options.blocks ?? null });
  for (const name of ["num_codes", "feature_size"] as const) next[name] = options.vq[name];
  for (const { scope, key } of SETTINGS) {
    if (scope !== "side" || key === "method") continue;
    const same = usual && JSON.stringify(options.vq[optionOf(key)]) === JSON.stringify(usual[optionOf(key)]);
    next[`${side}.${key}`] = same ? null : valueIn(options.vq, key);
  }
  return next;
}
