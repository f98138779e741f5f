/** What the settings would cost, in words, before they are trained with. */
import type { Checked } from "../protocol.js";
import type { Side } from "../settings.js";

/** Steps of an experiment. */
const STEPS = 150;
/** A step from which the page is no longer something to watch, s. */
const SLOW = 3;

const rounded = (value: number) => Number(value.toPrecision(2));

/** A number with the unit that suits it. */
function short(value: number, units: readonly string[], by: number): string {
  let at = 0;
  for (; value >= by && at < units.length - 1; at++) value /= by;
  return `${value >= 100 ? Math.round(value) : rounded(value)}${units[at] ?? ""}`;
}

const parameters = (count: number) => short(count, ["", "k", "M", "G"], 1000);
const memory = (bytes: number) => short(bytes, [" B", " KiB", " MiB", " GiB"], 1024);

function time(seconds: number): string {
  if (seconds < 1) return `${rounded(seconds * 1000)} ms`;
  if (seconds < 90) return `${rounded(seconds)} s`;
  return seconds < 5400 ? `${rounded(seconds / 60)} min` : `${rounded(seconds / 3600)} h`;
}

/** Parameters and memory of each side, and the time of both where the adapter's speed is known. */
export function costLine(sides: Partial<Record<Side, Checked>>, workPerSecond: number): string {
  const costs = (Object.entries(sides) as [Side, Checked][]).flatMap(([side, { cost }]) => (cost ? [{ side, ...cost }] : []));
  if (costs.length === 0) return "";
  const each = costs.map((cost) => `${cost.side.toUpperCase()} ${parameters(cost.parameters)} parameters, ${memory(cost.bytes)} of GPU memory`);
  if (!(workPerSecond > 0)) return `${each.join("; ")}.`;
  const seconds = costs.reduce((sum, cost) => sum + cost.work, 0) / workPerSecond;
  const slow = seconds > SLOW ? " That is slow here: fewer blocks, features or images a step help." : "";
  return `${each.join("; ")}; at the speed of this run roughly ${time(seconds)} a step, ${STEPS} steps in ${time(seconds * STEPS)}.${slow}`;
}
