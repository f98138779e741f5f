/**
 * The table of state: the options' controls (`options.ts`, made of the core's table) and the page's own. The address's
 * hash and reset are made from it, too.
 */
import { CONTROLS, type Method, type PartialOptions } from "./options.js";

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

export const SETTINGS: readonly Setting[] = [
  { key: "show", label: "Show", scope: "shared", type: "choice", initial: "both", choices: ["both", "a", "b"], help: "Two methods side by side on the same batches, or one alone, which then trains twice as fast." },
  ...CONTROLS,
  { key: "data", label: "Data", scope: "shared", type: "choice", initial: "glyphs", choices: ["glyphs", "own"], help: "The images: built-in glyphs, or your own files, which stay on this machine." },
  { key: "colour", label: "Images as", scope: "page", type: "choice", initial: "grey", choices: ["grey", "colour"], help: "How image files that you drop are read; also fixes the model's channels." },
  { key: "size", label: "Image size", scope: "page", type: "number", initial: 32, min: 8, max: 256, step: 1, whole: true, granular: true, help: "Image files that you drop are cropped to a centred square and resized to this many pixels." },
  { key: "scale", label: "Curves", scope: "page", type: "choice", initial: "linear", choices: ["linear", "log"], help: "Scale of the losses and the perplexity." },
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
  state["b.method"] = "approach1++";
  state["b.replace_freq"] = 20;
  return state;
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
  const state = initialState();
  const problems: string[] = [];
  const given = new URLSearchParams(hash.replace(/^#/, ""));
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
    commitment_weight: state["commitment_weight"] as number,
    vq: vq as NonNullable<PartialOptions["vq"]>,
  };
  if (typeof state["batch"] === "number") options.batch = state["batch"];
  return options;
}
