/** The page: wires the settings, the worker and the views; holds no state of its own but the table's. */
import "./style.css";
import { EXPERIMENTS, type Experiment, experimentOf, judge } from "./experiments.js";
import { Exchange } from "./exchange.js";
import { PastRuns } from "./past.js";
import { Problems, webGpuAdvice } from "./problems.js";
import type { FromWorker, Sides, ToWorker } from "./protocol.js";
import { decode as decodeRecording, encode as encodeRecording } from "./recording.js";
import recordedRun from "./recorded/collapse.run?url";
import { SIDES, type Setting, type Side, type State, describeDifference, differences, fromHash, initialState, nameOf, optionsOf, settingOf, sidesOf, stateOf, toHash } from "./settings.js";
import { Show } from "./show.js";
import type { PartialOptions, TrainOptions } from "./package/index.js";
import { Codebook } from "./views/codebook.js";
import { Drawer } from "./views/drawer.js";
import { How } from "./views/how.js";
import { at, button, element } from "./views/pixels.js";
import { Studio } from "./views/studio.js";

const problems = new Problems(at("problems"));
const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
const send = (message: ToWorker) => worker.postMessage(message);

const { state: given, problems: inAddress } = fromHash(location.hash);
let state: State = given;
/** The settings of the run that is shown. */
let applied: State = { ...state };
let experiment: Experiment | undefined;
let running = false;
let ready = false;
/** Whether there is a GPU at all. */
let stopped = false;
/** The run that messages are drawn of, and the one that was asked for last. */
let current = 0;
let wanted = 0;
let judged = false;
let slowest = 0;

// ------------------------------------------------------------------------------------------ views

const show = new Show(
  (index) => {
    studio.take(index);
    how.take(index);
  },
  (side, code) => studio.choose(side, code),
);
const codebooks = Object.fromEntries(SIDES.map((side) => [side, new Codebook(at(`codebook-${side}`), side)])) as Record<Side, Codebook>;
const studio = new Studio(at("studio"), send, show);
const how = new How(at("how"), send, show);
const past = new PastRuns((runs) => (show.curves.past = runs), (to) => {
  adopt(to);
  reset(running);
});
new IntersectionObserver((entries) => send({ kind: "look", plane: entries.some((e) => e.isIntersecting) })).observe(at("planes"));

// --------------------------------------------------------------------------------------- settings

function sides(): Sides {
  return Object.fromEntries(sidesOf(state).map((side) => [side, optionsOf(state, side)]));
}

/** The state as the address has it: an experiment by its name, as long as nothing of it was changed. */
const addressOf = (of: State) =>
  experiment && differences(stateOf(experiment.settings), of).length === 0 ? `#experiment=${experiment.id}` : toHash(of);

function writeHash() {
  history.replaceState(null, "", addressOf(state));
}

/** Says which settings wait for a reset. */
function tellPending() {
  const waiting = differences(applied, state).filter((name) => !(settingOf(name) as Setting).live);
  const text = waiting.map((name) => describeDifference({ ...state, [name]: applied[name] ?? null }, state));
  at("pending").hidden = waiting.length === 0;
  at("pending").textContent = `Waiting for Reset: ${text.join(", ")}.`;
  at("open-settings").textContent = waiting.length > 0 ? `Settings (${waiting.length})` : "Settings";
}

function onChange(name: string, setting: Setting) {
  writeHash();
  tellPending();
  if (name === "scale") show.curves.log = state["scale"] === "log";
  if (name === "size" || name === "colour") exchange.readAgain();
  if (setting.scope === "page") return;
  send({ kind: "check", sides: sides() });
  if (setting.live) {
    applied[name] = state[name] ?? null;
    send({ kind: "change", sides: sides(), hash: addressOf(state) });
    tellLine();
  }
}

const drawer = new Drawer(state, onChange);

function adopt(next: State) {
  state = next;
  drawer.refresh(state);
  show.curves.log = state["scale"] === "log";
  writeHash();
  tellPending();
  if (ready) send({ kind: "check", sides: sides() });
}

function openSettings(open: boolean) {
  at("drawer").hidden = !open;
  at("open-settings").setAttribute("aria-expanded", String(open));
  if (open) at("close-settings").focus();
  else at("open-settings").focus();
}
at("open-settings").addEventListener("click", () => openSettings(at("drawer").hidden === true));
at("close-settings").addEventListener("click", () => openSettings(false));
at("more").addEventListener("click", () => {
  const body = at("settings-more");
  body.hidden = !body.hidden;
  at("more").setAttribute("aria-expanded", String(!body.hidden));
});
at("defaults").addEventListener("click", () => {
  choose(undefined);
  adopt(initialState());
  reset(true);
});

// ------------------------------------------------------------------------------------ experiments

function choose(next: Experiment | undefined) {
  experiment = next;
  for (const chip of at("experiments").querySelectorAll<HTMLButtonElement>("button")) chip.setAttribute("aria-pressed", String(chip.dataset["id"] === next?.id));
}

at("experiments").append(...EXPERIMENTS.map((e) => {
  const chip = button(e.title, () => {
    const own = Object.fromEntries(["scale", "hidden", "size", "colour"].map((name) => [name, state[name] ?? null]));
    choose(e);
    adopt({ ...stateOf(e.settings), ...own });
    reset(true);
  });
  chip.dataset["id"] = e.id;
  return chip;
}));

/** The line under the headline: what A and B are, and what was claimed of them. */
function tellLine() {
  for (const side of SIDES) at(`title-${side}`).textContent = nameOf(applied, side);
  show.curves.names = { a: nameOf(applied, "a"), b: nameOf(applied, "b") };
  const shown = sidesOf(applied);
  if (!experiment) {
    at("line").replaceChildren(...shown.flatMap((side) => [
      element("b", { className: `side-${side}`, textContent: `${side.toUpperCase()}: ${nameOf(applied, side)}` }), ` (${drawer.summaryOf(applied[`${side}.method`])}) `,
    ]));
    return;
  }
  const { steps, claim } = experiment;
  const claimed = judged
    ? judge(experiment, { a: show.curves.historyOf("a"), b: show.curves.historyOf("b") }, { a: show.codesOf("a"), b: show.codesOf("b") })
    : undefined;
  at("line").replaceChildren(`${experiment.text} `, claimed
    ? element("span", { className: claimed.holds ? "holds" : "fails", textContent: `After ${steps} steps: ${claimed.figures}${claimed.holds ? ", as claimed." : `, not as claimed (${claim}).`}` })
    : element("b", { textContent: `After ${steps} steps: ${claim}.` }));
  at("line").dataset["claim"] = claimed ? (claimed.holds ? "holds" : "fails") : "open";
}

function judgeClaim() {
  if (!experiment || judged) return;
  const steps = experiment.steps;
  if (!sidesOf(applied).every((side) => (show.curves.historyOf(side).at(-1)?.step ?? 0) >= steps)) return;
  judged = true;
  tellLine();
}

// ------------------------------------------------------------------------------------------- runs

function reset(go: boolean) {
  if (!ready || stopped) return;
  problems.clear("options");
  problems.clear("diverged");
  let data = String(state["data"]);
  if (data === "own" && !exchange.owns) {
    problems.show("left-out", "This run used files of its owner's: drop your own anywhere. Until then the built-in glyphs stand in.");
    data = "glyphs";
  }
  send({ kind: "reset", run: ++wanted, sides: sides(), hash: addressOf(state), data, go });
}

/** The first message of another run: what was shown becomes a run before. */
function begin(run: number) {
  if (run === current) return;
  past.add(applied, { a: show.curves.historyOf("a"), b: show.curves.historyOf("b") });
  current = run;
  applied = { ...state };
  judged = false;
  slowest = 0;
  at("recorded").hidden = true;
  for (const side of SIDES) {
    at(`evaluation-${side}`).textContent = "";
    codebooks[side].reset();
    delete document.body.dataset[`steps${side.toUpperCase()}`];
  }
  show.clear();
  show.sides = sidesOf(applied);
  studio.reset();
  how.reset();
  tellPending();
  tellLine();
  past.draw(applied);
}

const runButton = at<HTMLButtonElement>("run");
runButton.addEventListener("click", () => send({ kind: running ? "pause" : "run" }));
at("step").addEventListener("click", () => send({ kind: "step" }));
for (const id of ["reset", "apply"]) at(id).addEventListener("click", () => reset(running || show.step === 0));
at("undo").addEventListener("click", () => send({ kind: "undo", run: ++wanted }));
at("evaluate").addEventListener("click", () => send({ kind: at("evaluate").dataset["busy"] ? "stop" : "evaluate" }));
at("link").addEventListener("click", async () => {
  writeHash();
  try {
    await navigator.clipboard.writeText(location.href);
    flash("The link to this experiment is in the clipboard.");
  } catch {
    flash("The address bar holds the link to this experiment.");
  }
});
at("choose").addEventListener("click", () => exchange.preview());

window.addEventListener("hashchange", () => {
  const next = fromHash(location.hash);
  for (const message of next.problems) problems.show("options", message);
  choose(experimentOf(new URLSearchParams(location.hash.slice(1)).get("experiment")));
  adopt(next.state);
  reset(running);
});

const KEYS: readonly [string, string, () => void][] = [
  ["space", "run or pause", () => runButton.click()],
  ["→", "one step", () => at("step").click()],
  ["R", "reset", () => at("reset").click()],
  ["U", "undo the reset", () => at("undo").hidden || at("undo").click()],
  ["S", "settings", () => openSettings(at("drawer").hidden === true)],
  ["?", "these keys", () => tellKeys()],
];
function tellKeys() {
  at("dialog-title").textContent = "Keys";
  at("dialog-body").replaceChildren(...KEYS.map(([key, what]) => element("p", {}, element("kbd", { textContent: key }), ` ${what}`)),
    element("p", { className: "note", textContent: "On pictures, tiles and maps: arrows move, Enter takes what is under the cursor. Escape puts a brush away and closes." }));
  at<HTMLDialogElement>("dialog").showModal();
}
at("keys").addEventListener("click", tellKeys);
window.addEventListener("keydown", (event) => {
  const target = event.target as HTMLElement;
  if (event.key === "Escape" && !at("drawer").hidden) return openSettings(false);
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName)) return;
  if (event.key === " " && /^(BUTTON|SUMMARY|A)$/.test(target.tagName)) return;
  const names: Record<string, string> = { " ": "space", ArrowRight: "→" };
  const key = KEYS.find(([name]) => name === (names[event.key] ?? event.key.toUpperCase()));
  if (!key) return;
  key[2]();
  event.preventDefault();
});

let pausedByHiding = false;
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    send({ kind: "keep" });
    if (running && state["hidden"] === "pause") {
      pausedByHiding = true;
      send({ kind: "pause" });
    }
  } else {
    void stayAwake();
    if (pausedByHiding) {
      pausedByHiding = false;
      send({ kind: "run" });
    }
  }
});

/** A screen that turns off stops the training on a phone. */
let lock: WakeLockSentinel | undefined;
async function stayAwake() {
  if (running && !document.hidden && (!lock || lock.released)) lock = await navigator.wakeLock?.request("screen").catch(() => undefined);
  else if (!running) await lock?.release();
}

// --------------------------------------------------------------------------------------- messages

let base = "";
let flashed = 0;
/** Says something for some seconds, whatever comes. */
function flash(text: string) {
  at("status").textContent = text;
  clearTimeout(flashed);
  flashed = setTimeout(() => {
    flashed = 0;
    at("status").textContent = base;
  }, 5000);
}

function say(text: string) {
  base = text;
  if (flashed === 0 && at("status").textContent !== text) at("status").textContent = text;
}

const exchange = new Exchange({
  send, problems, flash,
  state: () => state,
  curves: show.curves,
  onData: () => {
    choose(undefined);
    adopt({ ...state, data: "own" });
    reset(true);
  },
});

/** Options of a checkpoint as settings of one side. */
function adoptOptions(side: Side, options: TrainOptions | PartialOptions) {
  const next = { ...state };
  for (const name of ["lr", "seed", "batch", "commitment_weight"] as const) {
    const value = options[name];
    if (value !== undefined) next[name] = Number(value.toPrecision(6));
  }
  const vq = options.vq as Record<string, unknown> | undefined;
  if (vq) {
    next["num_codes"] = vq["num_codes"] as number;
    next["feature_size"] = vq["feature_size"] as number;
    for (const name of Object.keys(next)) {
      const key = name.slice(2);
      if (!name.startsWith(`${side}.`) || key === "method") continue;
      const value = key === "inplace_lr" ? (vq["inplace_optimizer"] as number[] | null)?.[0] : vq[key];
      next[name] = value === undefined || value === null ? null : typeof value === "boolean" ? (value ? "yes" : "no") : typeof value === "number" ? Number(value.toPrecision(6)) : String(value);
    }
  }
  if (options.method) next[`${side}.method`] = options.method;
  choose(undefined);
  adopt(next);
  applied = { ...state };
  tellLine();
  tellPending();
}

/** Plays the recorded run until there is something live; for good where there will not be. */
async function playRecorded(text: string, again: boolean) {
  try {
    const answer = await fetch(recordedRun);
    const recording = await decodeRecording(new Uint8Array(await answer.arrayBuffer()));
    if (current > 0) return;
    at("recorded").textContent = `${text} (Recorded on ${recording.adapter}, ${recording.date}.)`;
    at("recorded").hidden = false;
    show.play(recording, again);
  } catch (error) {
    console.warn("semivq: the recorded run could not be played:", error);
  }
}

function onState(message: Extract<FromWorker, { kind: "state" }>) {
  running = message.running;
  document.body.dataset["running"] = String(running);
  runButton.textContent = running ? "Pause" : "Run";
  show.running = running;
  void stayAwake();
  const { stepsPerSecond, imagesPerSecond } = message;
  const digits = stepsPerSecond < 10 ? 1 : 0;
  at("speed").textContent = running && stepsPerSecond > 0
    ? `step ${show.curves.historyOf(sidesOf(applied)[0] ?? "a").at(-1)?.step.toLocaleString() ?? 0} · ${stepsPerSecond.toFixed(digits)} steps/s · ${Math.round(imagesPerSecond).toLocaleString()} images/s` : "";
  say(message.busy ? `${message.busy} ..` : running ? "training" : "paused");
}

worker.onmessage = ({ data: message }: MessageEvent<FromWorker>) => {
  // What an earlier run still had to say.
  if ("run" in message && typeof message.run === "number" && message.run < current) return;
  switch (message.kind) {
    case "ready":
      ready = true;
      drawer.methods = message.methods;
      drawer.granularity = message.granularity;
      at("adapter").textContent = message.software ? `${message.adapter || "software adapter"} (on the processor: slow)` : message.adapter || "your GPU";
      send({ kind: "check", sides: sides() });
      // A visit that comes back goes on; an address that says something else is followed.
      if (message.kept && (location.hash === "" || atStart === message.kept.hash)) send({ kind: "undo", run: ++wanted });
      else reset(true);
      break;
    case "went-on": {
      const next = fromHash(message.hash);
      choose(experimentOf(new URLSearchParams(message.hash.slice(1)).get("experiment")));
      exchange.owns ||= message.own;
      adopt(next.state);
      begin(message.run);
      applied = { ...state };
      tellLine();
      break;
    }
    case "built":
      begin(message.run);
      drawer.showEffective(message.side, message.built.options);
      show.curves.set(message.side, message.history);
      exchange.describe(message.data);
      break;
    case "originals":
      show.originals = message.originals;
      studio.originals = message.originals;
      break;
    case "metrics": {
      show.addMetrics(message.side, message.metrics);
      const newest = message.metrics.at(-1);
      if (newest) document.body.dataset[`steps${message.side.toUpperCase()}`] = String(newest.step);
      judgeClaim();
      break;
    }
    case "moment": {
      const start = performance.now();
      show.add(message.moment);
      studio.update();
      how.update();
      slowest = Math.max(slowest, performance.now() - start);
      document.body.dataset["drawing"] = slowest.toFixed(1);
      break;
    }
    case "plane":
      codebooks[message.side].draw(message.quantizer, message.step);
      break;
    case "evaluation": {
      const { evaluation: e, done, of, side } = message;
      at(`evaluation-${side}`).textContent = e
        ? `${side.toUpperCase()}, all ${e.images.toLocaleString()} test images at step ${show.curves.historyOf(side).at(-1)?.step.toLocaleString() ?? 0}: l1 ${e.l1.toFixed(4)}, mse ${e.mse.toFixed(4)}${e.psnr === null ? "" : `, psnr ${e.psnr.toFixed(2)} dB`}${e.ssim === null ? "" : `, ssim ${e.ssim.toFixed(3)}`}${e.perplexity === null ? "" : `, perplexity ${e.perplexity.toFixed(2)}`}`
        : of > 0 ? `${side.toUpperCase()}: ${done.toLocaleString()} of ${of.toLocaleString()} test images ..` : "";
      at("evaluate").dataset["busy"] = e === null && of > 0 ? "yes" : "";
      at("evaluate").textContent = e === null && of > 0 ? "Stop the evaluation" : "Evaluate on all test images";
      break;
    }
    case "diverged": {
      const loss = Number.isFinite(message.loss) ? message.loss.toPrecision(3) : "no number";
      const text = `${message.side.toUpperCase()} has diverged at step ${message.step.toLocaleString()}: its loss is ${loss}. A lower learning rate helps most.`;
      problems.show("diverged", text, message.back === null ? [] : [{
        text: `Back to step ${message.back.toLocaleString()}`,
        do: () => send({ kind: "back", run: current }),
      }]);
      break;
    }
    case "refused":
      wanted = Math.max(wanted, current);
      problems.show("options", message.message);
      break;
    case "undoable":
      at("undo").hidden = message.step === null;
      at("undo").textContent = message.step === null ? "" : `Back to step ${message.step.toLocaleString()} of the run before`;
      break;
    case "state":
      onState(message);
      break;
    case "checked":
      for (const side of SIDES) {
        const checked = message.sides[side];
        if (checked) drawer.checked(side, checked);
      }
      break;
    case "decoded":
    case "sketched":
      studio.hear(message);
      break;
    case "explained":
      how.hear(message);
      break;
    case "loaded":
      adoptOptions(message.side, message.options);
      send({ kind: "address", hash: addressOf(state) });
      flash(`the checkpoint is at step ${message.step}; Run goes on with it`);
      break;
    case "kept":
      at("kept").textContent = `· saved at step ${message.step}`;
      break;
    case "problem":
      if (message.problem === "no-webgpu" || message.problem === "no-adapter") stop(message.problem, message.message);
      else problems.show(message.problem, message.message);
      break;
    default:
      exchange.hear(message);
  }
};

/** No GPU: the recorded run is what there is. */
function stop(problem: "no-webgpu" | "no-adapter", message: string) {
  if (current > 0) return problems.show(problem, message);
  stopped = true;
  say("stopped");
  for (const control of document.querySelectorAll<HTMLButtonElement>("#buttons button, #experiments button, #apply, #evaluate, #choose")) control.disabled = true;
  const what = problem === "no-webgpu" ? "This is a recorded run: this browser has no WebGPU." : "This is a recorded run: no GPU could be opened.";
  void playRecorded(`${what} ${webGpuAdvice(navigator.userAgent, isSecureContext)}`, true);
}

worker.onerror = (event) => problems.show("other", event.message || "the worker could not be loaded; serve the page over http, not from a file");

// The second visit needs no network. Not in the way of the first one's start.
if (import.meta.env.PROD && "serviceWorker" in navigator) {
  addEventListener("load", () => setTimeout(() => void navigator.serviceWorker.register("./offline.js").catch((error) => console.warn("semivq: it will not work offline:", error)), 3000));
}

/** For the console, and for the script that makes the recorded run: this run as a file's bytes in base64. */
async function record(moments: number): Promise<string> {
  const { originals } = show;
  if (!originals) throw new Error("there is no run");
  const { date, adapter } = { date: new Date().toISOString().slice(0, 10), adapter: (at("adapter").textContent ?? "").replace(/ \(.*/, "") };
  const bytes = await encodeRecording({
    adapter, date, state: applied, originals, moments: show.moments.few(moments),
    codes: { a: show.codesOf("a"), b: show.codesOf("b") },
    histories: { a: show.curves.historyOf("a"), b: show.curves.historyOf("b") },
  });
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}
Object.assign(globalThis, { semivq: { record } });

/** The address that the page was opened with. */
const atStart = location.hash;
for (const message of inAddress) problems.show("options", message);
const named = new URLSearchParams(atStart.slice(1)).get("experiment");
choose(experimentOf(named) ?? (atStart === "" ? EXPERIMENTS[0] : undefined));
adopt(state);
show.sides = sidesOf(state);
tellLine();
if (atStart === "") void playRecorded("A recorded run, until the shaders are ready.", false);
