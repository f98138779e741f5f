/** The kernels of what was measured, as tables. */
import { element } from "../views/pixels.js";
import type { Bench, Kernel } from "./result.js";

const percent = (share: number) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
const duration = (seconds: number) => (seconds < 1e-3 ? `${(1e6 * seconds).toFixed(0)} µs` : `${(1e3 * seconds).toFixed(seconds < 0.01 ? 2 : 1)} ms`);

const COLUMNS = ["time", "share of it", "of multiply-adds", "of copy", "kernel"];

function row(kernel: Kernel): HTMLTableRowElement {
  const bar = element("span", { className: "bar" });
  bar.style.setProperty("--share", `${100 * kernel.share}%`);
  const label = element("th", { scope: "row", textContent: kernel.label, title: kernel.kernel });
  return element("tr", {},
    element("td", { textContent: duration(kernel.seconds) }),
    element("td", {}, bar, percent(kernel.share)),
    element("td", { textContent: kernel.operations > 0 ? percent(kernel.of_gflops) : "" }),
    element("td", { textContent: percent(kernel.of_gb_per_second) }),
    label);
}

function table(caption: string, kernels: Kernel[]): HTMLElement {
  const head = element("tr", {}, ...COLUMNS.map((name) => element("th", { scope: "col", textContent: name })));
  const made = element("table", {},
    element("caption", { textContent: caption }), element("thead", {}, head), element("tbody", {}, ...kernels.map(row)));
  // Where it is wider than the screen it scrolls, by keyboard too.
  const region = element("div", { className: "scroll", tabIndex: 0 }, made);
  region.setAttribute("role", "region");
  region.setAttribute("aria-label", caption);
  return region;
}

export function tables({ clock, ceilings, steps, searches }: Bench): HTMLElement[] {
  const timed = clock === "timestamps"
    ? "Times are the GPU's own timestamps, means over many steps, since browsers round them."
    : "This adapter has no timestamps: each kernel was repeated and timed as a whole, with the cost of starting it.";
  const intro = `At most this GPU does ${ceilings.gflops.toFixed(0)} GFLOP/s of multiply-adds in registers and copies ${ceilings.gb_per_second.toFixed(1)} GB/s, `
    + `measured just now; a kernel is bound by the one that it has more of, and caches may lift it above the copy. ${timed}`;
  return [
    element("p", { className: "note", textContent: intro }),
    ...steps.map((step) => table(`Step of simple, ${step.method}, batch ${step.batch}: ${duration(step.step.median)}`, step.kernels)),
    ...searches.map(({ vectors, features, codes, time, kernels }) =>
      table(`Search of ${codes} codes for ${vectors} vectors of ${features} features: ${duration(time.median)}`, kernels)),
  ];
}
