/** The story in numbers: the headline, the large figures, the tab's title and icon. */
import { usedCodes } from "../experiments.js";
import { SIDES, type Side } from "../settings.js";
import type { Metrics } from "../package/index.js";
import { at, colourOf, element } from "./pixels.js";

/** What is told of a side. */
export interface Told {
  /** K; 0 without a quantiser. */
  codes: number;
  metrics: Metrics | undefined;
}

export class Headline {
  #icon = "";

  draw(sides: Partial<Record<Side, Told>>, running: boolean) {
    const shown = SIDES.filter((side) => sides[side]);
    const used = (side: Side) => usedCodes(sides[side]?.metrics ?? { step: 0, rec_loss: 0 }, sides[side]?.codes ?? 0);
    const same = new Set(shown.map((side) => sides[side]?.codes)).size === 1;
    const all = sides[shown[0] ?? "a"]?.codes ?? 0;
    const say = (side: Side) => {
      const codes = sides[side]?.codes ?? 0;
      if (codes === 0) return `${side.toUpperCase()} has no codes`;
      return `${side.toUpperCase()} uses ${used(side).toLocaleString()}${same ? "" : ` of ${codes.toLocaleString()}`}`;
    };
    const known = shown.every((side) => sides[side]?.metrics);
    const parts: (Node | string)[] = [same && all > 0 ? `${all.toLocaleString()} codes. ` : ""];
    if (known) shown.forEach((side, i) => parts.push(i > 0 ? ", " : "", element("span", { className: `side-${side}`, textContent: say(side) })));
    else parts.push(element("span", { textContent: "Which of them will be used?" }));
    parts.push(known ? "." : "");
    at("headline").replaceChildren(...parts);
    for (const side of SIDES) {
      const perplexity = sides[side]?.metrics?.perplexity;
      at(`perplexity-${side}`).textContent = perplexity === undefined ? "–" : perplexity.toFixed(perplexity < 99.95 ? 1 : 0);
      const m = sides[side]?.metrics;
      at(`figures-${side}`).textContent = m ? [
        `${side.toUpperCase()} at step ${m.step.toLocaleString()}: loss ${m.rec_loss.toFixed(4)}`,
        m.perplexity === undefined ? "" : `perplexity ${m.perplexity.toFixed(1)}`,
        m.active_ratio === undefined ? "" : `a batch uses ${m.active_ratio.toFixed(1)} % of the codes`,
      ].filter(Boolean).join(" · ") : "";
    }
    const figures = shown.filter((side) => (sides[side]?.codes ?? 0) > 0).map((side) => `${side.toUpperCase()} ${used(side)}`).join(" · ");
    document.title = known && figures ? `${running ? "▶" : "❚❚"} ${figures}${same ? ` of ${all}` : ""} codes – semivq` : "semivq: see a codebook collapse, and recover";
    this.#drawIcon(shown.map((side) => [side, sides[side]?.codes ? used(side) / (sides[side]?.codes ?? 1) : 0] as const));
  }

  /** Two bars in the tab: the share of the codes that each side uses. */
  #drawIcon(shares: readonly (readonly [Side, number])[]) {
    const bars = shares.map(([side, share], i) => {
      const height = Math.max(1, Math.round(14 * share));
      return `<rect x='${1 + i * 8}' y='${15 - height}' width='6' height='${height}' fill='${colourOf(`--${side}`)}'/>`;
    });
    const icon = `data:image/svg+xml,${encodeURIComponent(`<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><rect width='16' height='16' fill='${colourOf("--card")}'/>${bars.join("")}</svg>`)}`;
    if (icon === this.#icon) return;
    this.#icon = icon;
    at<HTMLLinkElement & HTMLElement>("icon").setAttribute("href", icon);
  }
}
