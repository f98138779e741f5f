/**
 * The one table of state: controls, the address's hash, and reset are all made from it.
 */
import type { Method, PartialOptions } from "./trainer.js";

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
}

export type Setting = NumberSetting | ChoiceSetting;

/** A value; null leaves it to the method. */
export type Value = number | string | null;

export const METHODS: readonly Method[] = [
  "vq", "approach1", "approach1++", "approach2", "approach3", "affine",
  "ste++", "ste++++", "ema", "rotation", "simvq", "fsq",
];

const YES_NO = ["yes", "no"] as const;

export const SETTINGS: readonly Setting[] = [
  { key: "show", label: "Show", scope: "shared", type: "choice", initial: "both", choices: ["both", "a", "b"], help: "Two methods side by side on the same batches, or one alone, which then trains twice as fast." },
  { key: "seed", label: "Seed", scope: "shared", type: "number", initial: 0, min: 0, max: 4294967295, step: 1, whole: true, help: "Fixes the first parameters and the order of the images: the same seed repeats the run." },
  { key: "lr", label: "Learning rate", scope: "shared", live: true, type: "number", initial: 0.001, min: 1e-9, max: 1, step: "any", help: "Length of the optimiser's steps (AdamW); large values learn fast and break early." },
  { key: "batch", label: "Batch", scope: "shared", type: "number", initial: null, min: 1, max: 4096, step: 1, whole: true, help: "Images a step: more make a steadier gradient and a slower step. Empty: 64 on a GPU, 16 on a processor." },
  { key: "num_codes", label: "Codes (K)", scope: "shared", type: "number", initial: 256, min: 1, max: 65536, step: 1, whole: true, help: "Size of the codebook: how many different vectors a cell of the code map can be." },
  { key: "feature_size", label: "Features (F)", scope: "shared", type: "number", initial: 32, min: 1, max: 1024, step: 1, whole: true, help: "Length of each code vector." },
  { key: "commitment_weight", label: "Commitment weight", scope: "shared", live: true, type: "number", initial: 10, min: 0, max: 1000, step: "any", help: "Weight of the commitment loss against the reconstruction." },

  { key: "method", label: "Method", scope: "side", type: "choice", initial: "vq", choices: METHODS, help: "A named remedy: it sets the options below (pale or in brackets), each of which can still be changed." },
  { key: "beta", label: "Beta", scope: "side", live: true, type: "number", initial: null, min: 0, max: 1, step: "any", help: "Who moves: 1 pulls the codes to the vectors, 0 the vectors to the codes." },
  { key: "sync_nu", label: "Sync nu", scope: "side", live: true, type: "number", initial: null, min: 0, max: 100, step: "any", help: "Share of the decoder's gradient that reaches the codes themselves." },
  { key: "penalty_weight", label: "Penalty", scope: "side", live: true, type: "number", initial: null, min: 0, max: 1000, step: "any", help: "Weight of the penalty on alpha (Approach 1); 0 is off." },
  { key: "alter_penalty", label: "Penalty form", scope: "side", live: true, type: "choice", initial: null, choices: ["default", "between1", "small"], help: "What the penalty rewards: a large alpha, an alpha near 1, or an alpha that grows with the steps." },
  { key: "replace_freq", label: "Replace after", scope: "side", live: true, type: "number", initial: null, min: 0, max: 1000000, step: 1, whole: true, help: "A code unused for this many steps is dead and gets replaced; 0 never." },
  { key: "replace_policy", label: "Replace by", scope: "side", live: true, type: "choice", initial: null, choices: ["input_random", "input_kmeans", "self"], help: "What a dead code becomes: a random vector of the batch, a centroid of it, or a copy of a code in use." },
  { key: "kmeans_init", label: "k-means start", scope: "side", type: "choice", initial: null, choices: YES_NO, help: "Places the codes by k-means on the first batch instead of at random." },
  { key: "norm", label: "Norm of vectors", scope: "side", more: true, type: "choice", initial: null, choices: ["none", "l2", "l2c", "bn", "gn", "in"], help: "Normalises the encoder's vectors before the search: l2 unit length, l2c length at most 10, batch, group or instance norm." },
  { key: "cb_norm", label: "Norm of codes", scope: "side", more: true, type: "choice", initial: null, choices: ["none", "l2", "l2c"], help: "Normalises the codes in place: l2 length at most 10, l2c unit length." },
  { key: "dist", label: "Distance", scope: "side", more: true, type: "choice", initial: null, choices: ["euclidean", "cosine"], help: "What nearest means in the codebook search." },
  { key: "estimator", label: "Estimator", scope: "side", more: true, type: "choice", initial: null, choices: ["straight_through", "rotation"], help: "How the gradient passes the quantiser: as it is, or turned and scaled as the vector was." },
  { key: "use_learnable_std", label: "Alpha", scope: "side", more: true, type: "choice", initial: null, choices: YES_NO, help: "Approach 1: learns alpha, the standard deviation of the codebook, for each feature." },
  { key: "use_learnable_gamma", label: "Gamma", scope: "side", more: true, type: "choice", initial: null, choices: YES_NO, help: "Approach 2: learns gamma, an offset of the quantised vectors." },
  { key: "gamma_policy", label: "Gamma for", scope: "side", more: true, type: "choice", initial: null, choices: ["default", "personalize"], help: "One gamma a feature, or (Approach 3) one for each vector and channel." },
  { key: "affine_lr", label: "Affine rate", scope: "side", more: true, type: "number", initial: null, min: 0, max: 100, step: "any", help: "Learns a scale and a bias of the whole codebook, with this factor on the learning rate; 0 is off." },
  { key: "affine_groups", label: "Groups", scope: "side", more: true, type: "number", initial: null, min: 1, max: 65536, step: 1, whole: true, help: "Groups of consecutive codes that have a scale of their own." },
  { key: "using_statistics", label: "By statistics", scope: "side", more: true, type: "choice", initial: null, choices: YES_NO, help: "Scale and bias of the codebook follow running moments of the vectors instead of being learned." },
  { key: "ema_decay", label: "EMA decay", scope: "side", more: true, type: "number", initial: null, min: 0, max: 0.999999, step: "any", help: "Codes follow a moving average of their vectors with this decay instead of a gradient." },
  { key: "inplace_lr", label: "In-place rate", scope: "side", more: true, type: "number", initial: null, min: 0, max: 1000, step: "any", help: "Learning rate of a second, immediate step of the codebook (momentum 0.9); part of VQ-STE++." },
  { key: "simvq", label: "SimVQ", scope: "side", more: true, type: "choice", initial: null, choices: YES_NO, help: "Freezes the codebook and learns one linear map of it." },
  { key: "no_vq", label: "No quantiser", scope: "side", more: true, type: "choice", initial: null, choices: YES_NO, help: "A plain autoencoder: what the reconstruction would be without codes." },

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

const FLAGS = new Set([
  "kmeans_init", "use_learnable_std", "use_learnable_gamma", "using_statistics", "simvq", "no_vq",
]);

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
    else vq[setting.key] = FLAGS.has(setting.key) ? value === "yes" : value;
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
