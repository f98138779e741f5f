/** Experiments in a sentence each, with a claim that is held against the numbers. */
import table from "./experiments.json" with { type: "json" };
import type { Side, State } from "./settings.js";
import type { Metrics } from "./package/index.js";

/** Figures of a side that a claim can be about. */
export type Figure = "used" | "perplexity" | "rec_loss";

interface Check {
  side: Side;
  figure: Figure;
  least?: number;
  most?: number;
  /** Against the other side: this side's figure is at most, or at least, this multiple of the other's. */
  mostOfOther?: number;
  leastOfOther?: number;
}

export interface Experiment {
  id: string;
  title: string;
  text: string;
  /** Settings that differ from a fresh page's. */
  settings: Partial<State>;
  /** When the claim is checked. */
  steps: number;
  claim: string;
  checks: Check[];
}

export const EXPERIMENTS = table as readonly Experiment[];

/** The experiment of this name. */
export const experimentOf = (id: unknown) => EXPERIMENTS.find((e) => e.id === id);

/** Codes that a batch uses. */
export const usedCodes = (metrics: Metrics, codes: number) => Math.round(((metrics.active_ratio ?? 0) / 100) * codes);

/** What a side reported around a step: the mean of ten, since one batch is not the next. */
export function figureOf(figure: Figure, history: readonly Metrics[], step: number, codes: number): number {
  const around = history.filter((m) => m.step > step - 10 && m.step <= step);
  const value = (m: Metrics) => (figure === "used" ? usedCodes(m, codes) : (m[figure] ?? NaN));
  return around.reduce((sum, m) => sum + value(m), 0) / Math.max(1, around.length);
}

/** Whether the claim holds, and the figures that say so. */
export function judge(experiment: Experiment, histories: Record<Side, readonly Metrics[]>, codes: Record<Side, number>) {
  const other = (side: Side): Side => (side === "a" ? "b" : "a");
  const value = (side: Side, figure: Figure) => figureOf(figure, histories[side], experiment.steps, codes[side]);
  const holds = experiment.checks.every((c) => {
    const here = value(c.side, c.figure);
    const there = value(other(c.side), c.figure);
    return here >= (c.least ?? -Infinity) && here <= (c.most ?? Infinity) &&
      here >= (c.leastOfOther === undefined ? -Infinity : c.leastOfOther * there) &&
      here <= (c.mostOfOther === undefined ? Infinity : c.mostOfOther * there);
  });
  const figures = [...new Set(experiment.checks.map((c) => c.figure))];
  const say = (figure: Figure) => {
    const [a, b] = [value("a", figure), value("b", figure)];
    if (figure === "used") return `${Math.round(a)} codes against ${Math.round(b)}`;
    const name = figure === "rec_loss" ? "loss" : figure;
    const digits = figure === "rec_loss" ? 3 : 1;
    return `${name} ${a.toFixed(digits)} against ${b.toFixed(digits)}`;
  };
  return { holds, figures: figures.map(say).join(", ") };
}
