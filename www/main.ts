/** The page: wires the controls, the worker and the views; holds no state of its own but the table's. */
import "./style.css";
import { Charts } from "./charts.js";
import { Controls } from "./controls.js";
import { Problems } from "./problems.js";
import type { FromWorker, Kept, Sides, ToWorker } from "./protocol.js";
import { SIDES, type Setting, type Side, type State, fromHash, initialState, optionsOf, sidesOf, toHash } from "./settings.js";
import type { PartialOptions, Quantizer, TrainOptions } from "./trainer.js";
import { CodeMap } from "./views/codemap.js";
import { Codebook } from "./views/codebook.js";
import { Images } from "./views/images.js";
import { element } from "./views/pixels.js";

const at = <T extends HTMLElement = HTMLElement>(id: string): T => {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as T;
};

const problems = new Problems(at("problems"));
const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
const send = (message: ToWorker) => worker.postMessage(message);

const { state: given, problems: inAddress } = fromHash(location.hash);
let state: State = given;
let running = false;
let ready = false;
/** Whether the user's own data is loaded. */
let ownData = false;
let kept: Kept | null = null;
const last: Partial<Record<Side, Quantizer>> = {};
const numCodes: Record<Side, number> = { a: 256, b: 256 };
const stepsOf: Record<Side, number> = { a: 0, b: 0 };

// ------------------------------------------------------------------------------------------ views

const charts = new Charts(at("curves"));
const images = Object.fromEntries(SIDES.map((side) => [side, new Images(at(`images-${side}`), (index) => {
  mapSide.value = side;
  takeMap();
  codeMap.pick(index);
  codeMap.open();
  at("codemap").scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
})])) as Record<Side, Images>;
const codebooks = Object.fromEntries(SIDES.map((side) => [side, new Codebook(at(`codebook-${side}`), side)])) as Record<Side, Codebook>;

const mapSide = at<HTMLSelectElement>("map-side");
const shown: Partial<Record<Side, Parameters<CodeMap["update"]>[0]>> = {};
const decodes = new Map<number, (image: Uint8Array) => void>();
let request = 0;
const codeMap = new CodeMap(at("codemap"), {
  decode: (codes, cells) => new Promise((resolve) => {
    decodes.set(++request, resolve);
    send({ kind: "decode", side: mapSide.value as Side, codes, cells, request });
  }),
  numCodes: () => numCodes[mapSide.value as Side],
  counts: () => last[mapSide.value as Side]?.counts,
});
at("codemap").addEventListener("pointerdown", () => codeMap.open(), { once: true });

function takeMap() {
  codeMap.reset();
  const of = shown[mapSide.value as Side];
  if (of) codeMap.update(of);
}
mapSide.addEventListener("change", takeMap);

// --------------------------------------------------------------------------------------- controls

/** Whether settings wait for a reset. */
function pending(on: boolean) {
  at("pending").hidden = !on;
}

function sides(): Sides {
  return Object.fromEntries(sidesOf(state).map((side) => [side, optionsOf(state, side)]));
}

function writeHash() {
  history.replaceState(null, "", toHash(state));
}

function showSides(visible: readonly Side[]) {
  for (const side of SIDES) {
    at(`side-${side}`).hidden = !visible.includes(side);
    at(`controls-${side}`).hidden = !visible.includes(side);
  }
  document.body.classList.toggle("alone", visible.length === 1);
}

function reset(run: boolean) {
  if (!ready) return;
  pending(false);
  problems.clear("options");
  if (state["data"] === "own" && !ownData) {
    problems.show("file", "This link's run used files of its owner's: drop your own below. Until then the built-in glyphs stand in.");
  }
  for (const side of SIDES) {
    charts.set(side, []);
    codebooks[side].reset();
    delete shown[side];
  }
  showSides(sidesOf(state));
  if (!sidesOf(state).includes(mapSide.value as Side)) mapSide.value = sidesOf(state)[0] ?? "a";
  codeMap.reset();
  offer(null);
  send({ kind: "reset", sides: sides(), hash: toHash(state), builtIn: !(state["data"] === "own" && ownData), run });
}

function onChange(name: string, setting: Setting) {
  writeHash();
  if (name === "scale") charts.log = state["scale"] === "log";
  if (setting.scope === "page") return;
  if (setting.live) send({ kind: "change", sides: sides(), hash: toHash(state) });
  else pending(true);
}

const controls = new Controls(
  { shared: at("controls-shared"), a: at("controls-a"), b: at("controls-b"), page: at("controls-page") },
  state,
  onChange,
);

function adopt(next: State) {
  state = next;
  controls.refresh(state);
  charts.log = state["scale"] === "log";
  writeHash();
}

const runButton = at<HTMLButtonElement>("run");
runButton.addEventListener("click", () => {
  if (kept) return forget(), reset(true);
  send({ kind: running ? "pause" : "run" });
});
at("step").addEventListener("click", () => (kept ? (forget(), reset(false)) : send({ kind: "step" })));
at("reset").addEventListener("click", () => {
  if (kept) forget();
  reset(running || stepsOf.a + stepsOf.b === 0);
});
at("defaults").addEventListener("click", () => {
  adopt(initialState());
  reset(true);
});
at("evaluate").addEventListener("click", () => send({ kind: "evaluate" }));
at("link").addEventListener("click", async () => {
  writeHash();
  try {
    await navigator.clipboard.writeText(location.href);
    say("The link to this experiment is in the clipboard.");
  } catch {
    say("The address bar holds the link to this experiment.");
  }
});

window.addEventListener("hashchange", () => {
  const next = fromHash(location.hash);
  for (const message of next.problems) problems.show("options", message);
  adopt(next.state);
  reset(running);
});

window.addEventListener("keydown", (event) => {
  const target = event.target as HTMLElement;
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName)) return;
  if (event.key === " " && !/^(BUTTON|SUMMARY|A)$/.test(target.tagName)) runButton.click();
  else if (event.key === "ArrowRight") at("step").click();
  else if (event.key === "r" || event.key === "R") at("reset").click();
  else return;
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
  } else if (pausedByHiding) {
    pausedByHiding = false;
    send({ kind: "run" });
  }
});

// ------------------------------------------------------------------------------------------ files

function download(name: string, content: Blob) {
  const link = element("a", { href: URL.createObjectURL(content), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

at("csv").addEventListener("click", () => download("semivq.csv", new Blob([charts.csv()], { type: "text/csv" })));
at("png").addEventListener("click", async () => {
  const blob = await charts.png();
  if (blob) download("semivq.png", blob);
});
for (const side of SIDES) {
  at(`save-${side}`).addEventListener("click", () => send({ kind: "save", side }));
  const picker = at<HTMLInputElement>(`load-${side}`);
  picker.addEventListener("change", () => {
    const files = [...(picker.files ?? [])];
    if (files.length > 0) send({ kind: "load", side, files });
    picker.value = "";
  });
}

function takeFiles(files: File[]) {
  if (files.length === 0) return;
  problems.clear("file");
  const checkpoint = files.filter((file) => file.name.endsWith(".safetensors"));
  if (checkpoint.length > 0) return send({ kind: "load", side: sidesOf(state)[0] ?? "a", files: checkpoint });
  send({
    kind: "data", files, colour: state["colour"] === "colour",
    size: state["size"] as number, seed: state["seed"] as number,
  });
}
const picker = at<HTMLInputElement>("files");
picker.addEventListener("change", () => {
  takeFiles([...(picker.files ?? [])]);
  picker.value = "";
});
window.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
window.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
window.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  takeFiles([...(event.dataTransfer?.files ?? [])]);
});

// ------------------------------------------------------------------------------------ an old run

function offer(run: Kept | null) {
  kept = run;
  at("offer").hidden = run === null;
  if (!run) return;
  const minutes = Math.round((Date.now() - run.time) / 60_000);
  const ago = minutes < 1 ? "a moment ago" : minutes < 60 ? `${minutes} min ago` : `on ${new Date(run.time).toLocaleString()}`;
  at("offer-text").textContent = `There is a run that was saved here ${ago}, at step ${run.step}.`;
}

function forget() {
  offer(null);
  send({ kind: "forget" });
}
at("go-on").addEventListener("click", () => {
  offer(null);
  send({ kind: "go-on" });
});
at("afresh").addEventListener("click", () => {
  forget();
  reset(true);
});

// --------------------------------------------------------------------------------------- messages

function say(text: string) {
  at("status").textContent = text;
}

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
  adopt(next);
}

worker.onmessage = ({ data: message }: MessageEvent<FromWorker>) => {
  switch (message.kind) {
    case "ready":
      ready = true;
      controls.methods = message.methods;
      controls.granularity = message.granularity;
      at("adapter").textContent = message.software ? `${message.adapter || "software adapter"} (runs on the processor: slow)` : message.adapter || "GPU";
      if (message.kept) {
        offer(message.kept);
        say("Go on with the saved run, or start afresh.");
      } else {
        reset(true);
      }
      break;
    case "built":
      numCodes[message.side] = message.built.options.vq.num_codes;
      stepsOf[message.side] = message.built.step;
      controls.showEffective(message.side, message.built.options);
      charts.set(message.side, message.history);
      codebooks[message.side].reset();
      at(`title-${message.side}`).textContent = `${message.side.toUpperCase()}: ${message.built.options.method}`;
      at(`figures-${message.side}`).textContent = `${message.built.parameters.toLocaleString()} parameters`;
      at("data-name").textContent = `${message.data.name}: ${message.data.train.toLocaleString()} images to train, ${message.data.test.toLocaleString()} to test, ${message.data.shape.slice(1).join(" × ")} ${message.data.shape[0] === 1 ? "grey" : "colour"}`;
      break;
    case "metrics": {
      charts.add(message.side, message.metrics);
      const newest = message.metrics.at(-1);
      if (!newest) break;
      stepsOf[message.side] = newest.step;
      document.body.dataset[`steps${message.side.toUpperCase()}`] = String(newest.step);
      const parts = [`step ${newest.step.toLocaleString()}`, `rec loss ${newest.rec_loss.toFixed(4)}`];
      if (newest.perplexity !== undefined) parts.push(`perplexity ${newest.perplexity.toFixed(1)}`);
      if (newest.active_ratio !== undefined) parts.push(`active ${newest.active_ratio.toFixed(1)} %`);
      at(`figures-${message.side}`).textContent = parts.join(" · ");
      break;
    }
    case "shown":
      shown[message.side] = message.shown;
      images[message.side].draw(message.shown);
      if (message.side === mapSide.value) codeMap.update(message.shown);
      break;
    case "quantizer":
      last[message.side] = message.quantizer;
      codebooks[message.side].draw(message.quantizer, message.step);
      break;
    case "evaluation": {
      const { l1, mse, perplexity, images: count } = message.evaluation;
      at(`evaluation-${message.side}`).textContent = `all ${count.toLocaleString()} test images: l1 ${l1.toFixed(4)}, mse ${mse.toFixed(4)}${perplexity === null ? "" : `, perplexity ${perplexity.toFixed(2)}`}`;
      break;
    }
    case "state":
      running = message.running;
      document.body.dataset["running"] = String(running);
      runButton.textContent = running ? "Pause" : "Run";
      runButton.setAttribute("aria-pressed", String(running));
      at("speed").textContent = running && message.imagesPerSecond > 0 ? `${Math.round(message.imagesPerSecond).toLocaleString()} images/s` : "";
      say(message.busy ? `${message.busy} ..` : running ? "training" : "paused");
      break;
    case "decoded":
      decodes.get(message.request)?.(message.image);
      decodes.delete(message.request);
      break;
    case "saved":
      download(`semivq-${message.side}-${message.step}.safetensors`, new Blob([message.bytes as Uint8Array<ArrayBuffer>]));
      break;
    case "went-on": {
      const next = fromHash(message.hash);
      adopt(next.state);
      ownData = state["data"] === "own";
      showSides(SIDES.filter((side) => message.options[side]));
      break;
    }
    case "loaded":
      adoptOptions(message.side, message.options);
      send({ kind: "address", hash: toHash(state) });
      say(`the checkpoint is at step ${message.step}; Run goes on with it`);
      break;
    case "data":
      ownData = true;
      state["data"] = "own";
      controls.refresh(state);
      writeHash();
      if (message.skipped.length > 0) problems.show("file", `Left out: ${message.skipped.slice(0, 8).join("; ")}${message.skipped.length > 8 ? `; and ${message.skipped.length - 8} more` : ""}.`);
      reset(true);
      break;
    case "kept":
      at("kept").textContent = `saved at step ${message.step}`;
      break;
    case "problem":
      problems.show(message.problem, message.message);
      if (message.problem === "no-webgpu" || message.problem === "no-adapter") {
        document.body.classList.add("stopped");
        say("stopped");
      }
      break;
  }
};
worker.onerror = (event) => problems.show("other", event.message || "the worker could not be loaded; serve the page over http, not from a file");

for (const message of inAddress) problems.show("options", message);
adopt(state);
showSides(sidesOf(state));
