/**
 * Times training steps of all contenders in turns, in one page. Query: `batch` (16), `seconds` of a turn (5),
 * `rounds` (5).
 */
import manifest from "./package.json";
import { jax } from "./jax.js";
import type { Contender } from "./model.js";
import { semivq } from "./semivq.js";
import { tfjs } from "./tfjs.js";

const query = new URLSearchParams(location.search);
const number = (name: string, otherwise: number) => Number(query.get(name) ?? otherwise);
const batch = number("batch", 16);
const seconds = number("seconds", 5);
const rounds = number("rounds", 5);

const report = document.getElementById("report") as HTMLElement;
function say(line: string) {
  report.textContent += `\n${line}`;
  console.log(line);
}
const median = (values: number[]) => {
  const sorted = [...values].sort((p, q) => p - q);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
};

/** Steps that all contenders do first, whose losses must agree. */
const CHECKED = 5;

/** Milliseconds a step over a turn; at least two steps, waited for in the end. */
async function turn(contender: Contender): Promise<number> {
  const start = performance.now();
  let steps = 0;
  while (steps < 2 || performance.now() - start < seconds * 1000) {
    for (let i = 0; i < 2; i++, steps++) await contender.step();
    // None may run ahead of the GPU for long: each waits every few steps, as a page that shows a curve does.
    await contender.loss();
  }
  return (performance.now() - start) / steps;
}

async function main() {
  report.textContent = "";
  const [ours, setup] = await semivq(batch);
  const contenders = [ours, await tfjs(setup), await jax(setup, manifest.dependencies["@jax-js/jax"])];
  const info = (await navigator.gpu.requestAdapter())?.info;
  say(`adapter: ${[info?.vendor, info?.architecture, info?.device, info?.description].filter(Boolean).join(" ")}`);
  say(`simple, vq, K ${setup.codes}, F ${setup.features}, batch ${batch}; ${rounds} rounds of ${seconds} s each in turns`);
  const checked: number[][] = [];
  for (const contender of contenders) {
    const losses: number[] = [];
    for (let i = 0; i < CHECKED; i++) {
      await contender.step();
      losses.push(await contender.loss());
    }
    say(`${contender.name}: losses ${losses.map((v) => v.toFixed(5)).join(" ")}`);
    checked.push(losses);
  }
  for (const losses of checked) {
    losses.forEach((loss, i) => {
      const own = checked[0]?.[i] ?? NaN;
      if (!(Math.abs(loss - own) < 1e-3 * own)) throw new Error(`the contenders do not train the same: ${loss} and ${own} in step ${i + 1}`);
    });
  }
  const times = contenders.map(() => [] as number[]);
  for (let round = 0; round < rounds; round++) {
    for (const [i, contender] of contenders.entries()) times[i]?.push(await turn(contender));
  }
  say("");
  say("                                              ms a step: median     min     max   images/s");
  contenders.forEach((contender, i) => {
    const t = times[i] ?? [];
    say(`${contender.name.padEnd(46)}${median(t).toFixed(1).padStart(17)}${Math.min(...t).toFixed(1).padStart(8)}${Math.max(...t).toFixed(1).padStart(8)}${((1000 * batch) / median(t)).toFixed(0).padStart(11)}`);
  });
  const ratios = (times[0] ?? []).map((own, round) => Math.min(...times.slice(1).map((t) => t[round] ?? NaN)) / own);
  say(`semivq against the better of the others, round by round: ${ratios.map((r) => r.toFixed(2)).join(" ")}, median ${median(ratios).toFixed(2)} times as fast`);
  for (const contender of contenders) await contender.free();
  return { ratio: median(ratios) };
}

main().then(
  (result) => Object.assign(globalThis, { result }),
  (error) => {
    say(`failed: ${error?.stack ?? error}`);
    Object.assign(globalThis, { result: { error: String(error) } });
  },
);
