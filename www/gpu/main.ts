/** The page that tests the visitor's GPU. */
import "./gpu.css";
import { Problems } from "../problems.js";
import { element } from "../views/pixels.js";
import { type Result, describeAdapter } from "./result.js";
import { type Progress, Run, fromHash } from "./run.js";
import { tables } from "./tables.js";

const at = <T extends HTMLElement = HTMLElement>(id: string): T => {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as T;
};

const problems = new Problems(at("problems"));
const button = at<HTMLButtonElement>("run");
const bar = at<HTMLProgressElement>("progress");
let run: Run | undefined;
let json = "";

function left(seconds: number): string {
  if (seconds < 90) return `about ${Math.max(1, Math.round(seconds))} s left`;
  return `about ${Math.round(seconds / 60)} min left`;
}

function showProgress({ done, total, name, secondsLeft }: Progress) {
  bar.max = total;
  bar.value = done;
  const time = secondsLeft === undefined ? "" : `; ${left(secondsLeft)}`;
  at("doing").textContent = `${done + 1} of ${total}${time}: ${name}`;
}

function summary({ ended, ended_at, error, tests, bench }: Result): string {
  const failed = tests.failed.length + bench.failed.length;
  const counts = `${tests.passed} of ${tests.total} tests passed, ${tests.failed.length} failed`
    + (bench.failed.length > 0 ? `; ${bench.failed.length} of the bench's stages failed` : "");
  if (ended === "stopped") return `Stopped at "${ended_at}": ${counts}.`;
  if (ended === "error") return `Ended at "${ended_at}": ${error}. ${counts}.`;
  return `${failed === 0 ? "All is well" : "Something is wrong"}: ${counts}.`;
}

/** A new run, from nothing. */
async function start(adapter: ReturnType<typeof describeAdapter>) {
  for (const id of ["failures", "bench", "result"]) at(id).hidden = true;
  at("failed").replaceChildren();
  at("status").textContent = "";
  at("doing").textContent = "loading ..";
  bar.removeAttribute("value");
  bar.hidden = false;
  button.textContent = "Stop";
  run = new Run(fromHash(location.hash), adapter, {
    progress: showProgress,
    failed({ name, message }) {
      at("failures").hidden = false;
      at("failed").append(element("li", {}, element("b", { textContent: name }), element("span", { textContent: message })));
    },
    measured(bench) {
      at("bench").hidden = false;
      at("tables").replaceChildren(...tables(bench));
    },
  });
  const result = await run.run();
  run = undefined;
  json = `${JSON.stringify(result, null, 2)}\n`;
  bar.hidden = true;
  button.textContent = "Test this GPU";
  at("doing").textContent = "";
  at("status").textContent = summary(result);
  at("copied").textContent = "";
  at("json").textContent = json;
  at("result").hidden = false;
}

async function open() {
  if (!("gpu" in navigator)) return problems.show("no-webgpu", "The tests run on the GPU through WebGPU, which is not there.");
  const found = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!found) return problems.show("no-adapter", "The browser offers no GPU.");
  const adapter = describeAdapter(found);
  const { vendor, architecture, description, software } = adapter.adapter;
  const name = description || [vendor, architecture].filter(Boolean).join(" ") || "your GPU";
  at("adapter").textContent = software ? `${name} (runs on the processor: slow)` : name;
  button.addEventListener("click", () => (run ? run.stop() : void start(adapter)));
  button.disabled = false;
}

at("copy").addEventListener("click", () => {
  navigator.clipboard.writeText(json).then(
    () => { at("copied").textContent = "copied"; },
    () => { at("copied").textContent = "the browser does not let the page copy; take it from below"; },
  );
});

at("download").addEventListener("click", () => {
  const url = URL.createObjectURL(new Blob([json], { type: "application/json" }));
  const { date } = JSON.parse(json) as Result;
  element("a", { href: url, download: `semivq-gpu-${date.slice(0, 19).replaceAll(":", "-")}.json` }).click();
  URL.revokeObjectURL(url);
});

open().catch((error: unknown) => problems.show("no-adapter", error instanceof Error ? error.message : String(error)));
