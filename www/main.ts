/** The page: wires the settings, the worker and the views; holds no state of its own but the table's. */
import "./style.css";
import { Exchange } from "./exchange.js";
import { playInstead, playUntilLive } from "./fallback.js";
import { listenToKeys } from "./keys.js";
import { PastRuns } from "./past.js";
import { Problems } from "./problems.js";
import type { FromWorker, Sides, ToWorker } from "./protocol.js";
import { encode as encodeRecording } from "./recording.js";
import { SIDES, type Setting, type Side, type State, describeDifference, differences, fromHash, initialState, optionsOf, settingOf, sidesOf, stateOf, withOptions } from "./settings.js";
import { Show } from "./show.js";
import { Status } from "./status.js";
import { Story, addressOf } from "./story.js";
import { Codebook } from "./views/codebook.js";
import { Drawer } from "./views/drawer.js";
import { How } from "./views/how.js";
import { at } from "./views/pixels.js";
import { Studio } from "./views/studio.js";

const problems = new Problems(at("problems"));
const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
const send = (message: ToWorker) => worker.postMessage(message);

const { state: given, problems: inAddress } = fromHash(location.hash);
let state: State = given;
/** The settings of the run that is shown. */
let applied: State = { ...state };
let ready = false;
/** Whether there is a GPU at all. */
let stopped = false;
/** The run that messages are drawn of, and the one that was asked for last. */
let current = 0;
let wanted = 0;
/** The settings with which a run was asked for: others may have been made while it was prepared. */
const asked = new Map<number, State>();
let slowest = 0;
/** New pictures that were asked for of this run: the seed of the next ones. */
let draws = 0;

// ------------------------------------------------------------------------------------------ views

const show = new Show(
  (index) => {
    studio.take(index);
    how.take(index);
  },
  (side, code) => studio.choose(side, code),
);
const status = new Status();
const story = new Story(show, (method) => drawer.summaryOf(method), (settings) => {
  adopt(withOwn(stateOf(settings)));
  reset(true);
});
const codebooks = Object.fromEntries(SIDES.map((side) => [side, new Codebook(at(`codebook-${side}`), side)])) as Record<Side, Codebook>;
const studio = new Studio(at("studio"), send, show);
const how = new How(at("how"), send, show);
const past = new PastRuns((runs) => (show.curves.past = runs), (to) => {
  adopt(to);
  reset(null);
});
new IntersectionObserver((entries) => send({ kind: "look", plane: entries.some((e) => e.isIntersecting) })).observe(at("planes"));

// --------------------------------------------------------------------------------------- settings

function sidesIn(of: State): Sides {
  return Object.fromEntries(sidesOf(of).map((side) => [side, optionsOf(of, side)]));
}

/** Asks whether the settings can be, and what they would cost. */
function check() {
  send({ kind: "check", sides: sidesIn(state), data: String(state["data"]) });
}

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
  check();
  if (setting.live) {
    // With nothing of what waits for a reset.
    applied[name] = state[name] ?? null;
    send({ kind: "change", sides: sidesIn(applied), hash: addressOf(applied) });
    story.tell(applied);
  }
}

const drawer = new Drawer(state, onChange);

/** Another state, with the page's own settings as they are. */
function withOwn(next: State): State {
  const own = Object.keys(next).filter((name) => settingOf(name)?.scope === "page");
  return { ...next, ...Object.fromEntries(own.map((name) => [name, state[name] ?? null])) };
}

function adopt(next: State) {
  state = next;
  drawer.refresh(state);
  show.curves.log = state["scale"] === "log";
  writeHash();
  tellPending();
  if (ready) check();
}

function openSettings(open: boolean) {
  at("drawer").hidden = !open;
  at("open-settings").setAttribute("aria-expanded", String(open));
  // With what the adapter has shown by now.
  if (open && ready) check();
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
  adopt(initialState());
  reset(true);
});

// ------------------------------------------------------------------------------------------- runs

function reset(go: boolean | null) {
  if (!ready || stopped) return;
  problems.clear("options");
  problems.clear("diverged");
  let data = String(state["data"]);
  if (data === "own" && !exchange.owns) {
    problems.show("left-out", "This run used files of its owner's: drop your own anywhere. Until then the built-in glyphs stand in.");
    data = "glyphs";
  }
  asked.set(++wanted, { ...state });
  send({ kind: "reset", run: wanted, sides: sidesIn(state), hash: addressOf(state), data, go });
}

function tellEvaluating(busy: boolean) {
  at("evaluate").dataset["busy"] = busy ? "yes" : "";
  at("evaluate").textContent = busy ? "Stop the evaluation" : "Evaluate on all test images";
}

/** The first message of another run: what was shown becomes a run before. */
function begin(run: number) {
  if (run === current) return;
  if (current > 0) past.add(applied, { a: show.curves.historyOf("a"), b: show.curves.historyOf("b") });
  current = run;
  applied = { ...(asked.get(run) ?? state) };
  for (const older of asked.keys()) if (older <= run) asked.delete(older);
  slowest = draws = 0;
  at("recorded").hidden = true;
  tellEvaluating(false);
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
  story.begin(applied);
  past.draw(applied);
}

at("run").addEventListener("click", () => send({ kind: status.running ? "pause" : "run" }));
at("step").addEventListener("click", () => send({ kind: "step" }));
for (const id of ["reset", "apply"]) at(id).addEventListener("click", () => reset(null));
at("undo").addEventListener("click", () => send({ kind: "undo", run: ++wanted }));
at("evaluate").addEventListener("click", () => send({ kind: at("evaluate").dataset["busy"] ? "stop" : "evaluate" }));
at("link").addEventListener("click", async () => {
  writeHash();
  try {
    await navigator.clipboard.writeText(location.href);
    status.flash("The link to this experiment is in the clipboard.");
  } catch {
    status.flash("The address bar holds the link to this experiment.");
  }
});
at("choose").addEventListener("click", () => exchange.preview());
at("draw").addEventListener("click", () => send({ kind: "draw", seed: draws++ }));
at("undraw").addEventListener("click", () => (show.drawn = undefined));

window.addEventListener("hashchange", () => {
  const next = fromHash(location.hash);
  for (const message of next.problems) problems.show("options", message);
  adopt(next.state);
  reset(null);
});

listenToKeys([
  { name: "space", what: "run or pause", do: () => at("run").click() },
  { name: "→", what: "one step", do: () => at("step").click() },
  { name: "R", what: "reset", do: () => at("reset").click() },
  { name: "U", what: "undo the reset", do: () => at("undo").hidden || at("undo").click() },
  { name: "D", what: "new pictures, drawn from the codes in use", do: () => at("draw").click() },
  { name: "S", what: "settings", do: () => openSettings(at("drawer").hidden === true) },
], () => {
  const open = !at("drawer").hidden;
  if (open) openSettings(false);
  else if (show.drawn) show.drawn = undefined;
  else return false;
  return true;
});

let pausedByHiding = false;
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    send({ kind: "keep" });
    if (status.running && state["hidden"] === "pause") {
      pausedByHiding = true;
      send({ kind: "pause" });
    }
  } else {
    void status.stayAwake();
    if (pausedByHiding) {
      pausedByHiding = false;
      send({ kind: "run" });
    }
  }
});

// --------------------------------------------------------------------------------------- messages

const exchange = new Exchange({
  send, problems,
  flash: (text) => status.flash(text),
  state: () => state,
  curves: show.curves,
  onData: () => {
    adopt({ ...state, data: "own" });
    reset(true);
  },
});

worker.onmessage = ({ data: message }: MessageEvent<FromWorker>) => {
  // What an earlier run still had to say.
  if ("run" in message && typeof message.run === "number" && message.run < current) return;
  switch (message.kind) {
    case "ready":
      ready = true;
      drawer.methods = message.methods;
      drawer.granularity = message.granularity;
      at("adapter").textContent = message.software ? `${message.adapter || "software adapter"} (on the processor: slow)` : message.adapter || "your GPU";
      check();
      // A visit that comes back goes on; an address that says something else is followed.
      if (message.kept && (atStart === "" || atStart === message.kept.hash)) send({ kind: "undo", run: ++wanted });
      else reset(true);
      break;
    case "went-on": {
      const next = fromHash(message.hash);
      exchange.owns ||= message.own;
      adopt(withOwn(next.state));
      begin(message.run);
      applied = { ...state };
      story.tell(applied);
      break;
    }
    case "built":
      begin(message.run);
      drawer.showEffective(message.side, message.built.options);
      show.curves.set(message.side, message.history);
      document.body.dataset[`steps${message.side.toUpperCase()}`] = String(message.built.step);
      exchange.describe(message.data);
      at<HTMLButtonElement>("draw").disabled = false;
      break;
    case "drawn":
      show.drawn = message.drawn;
      break;
    case "originals":
      show.originals = message.originals;
      studio.originals = message.originals;
      break;
    case "metrics": {
      show.addMetrics(message.side, message.metrics);
      const newest = message.metrics.at(-1);
      if (newest) document.body.dataset[`steps${message.side.toUpperCase()}`] = String(newest.step);
      story.judge(applied);
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
      tellEvaluating(e === null && of > 0);
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
      problems.show("options", message.message);
      // A saved run that cannot be taken up leaves nothing to go on with.
      if (current === 0) reset(true);
      break;
    case "undoable":
      at("undo").hidden = message.step === null;
      at("undo").title = message.step === null ? "" : `Back to step ${message.step.toLocaleString()} of the run before (U)`;
      break;
    case "state":
      status.take(message, show.curves.historyOf(sidesOf(applied)[0] ?? "a").at(-1)?.step ?? 0);
      show.running = message.running;
      break;
    case "checked":
      drawer.checked(message.sides, message.workPerSecond);
      break;
    case "decoded":
    case "sketched":
      studio.hear(message);
      break;
    case "explained":
      how.hear(message);
      break;
    case "loaded":
      adopt(withOptions(state, message.side, message.options, drawer.optionsOf(message.options.method)));
      applied = { ...state };
      story.tell(applied);
      tellPending();
      send({ kind: "address", hash: addressOf(state) });
      status.flash(`the checkpoint is at step ${message.step}; Run goes on with it`);
      break;
    case "kept":
      problems.clear("storage");
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
  at<HTMLButtonElement>("draw").disabled = true;
  exchange.stopped = true;
  status.say("stopped");
  void playInstead(show, problem);
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
  const bytes = await encodeRecording({
    adapter: (at("adapter").textContent ?? "").replace(/ \(.*/, ""), date: new Date().toISOString().slice(0, 10), state: applied, originals, moments: show.moments.few(moments),
    codes: { a: show.codesOf("a"), b: show.codesOf("b") },
    histories: { a: show.curves.historyOf("a"), b: show.curves.historyOf("b") },
  });
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}
Object.assign(globalThis, { semivq: { record } });

/** The address that the page was opened with. */
const atStart = location.hash;
for (const message of inAddress) problems.show("options", message);
adopt(state);
show.sides = sidesOf(state);
story.tell(applied);
if (atStart === "") void playUntilLive(show, () => current > 0);
