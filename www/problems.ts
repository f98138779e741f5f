/** What goes wrong, with what to do about it. */
import type { ProblemKind } from "./protocol.js";
import { inLabels } from "./settings.js";
import { element } from "./views/pixels.js";

/** How to get WebGPU, by browser. */
export function webGpuAdvice(agent: string, secure: boolean): string {
  if (!secure) return "WebGPU works on secure pages only: open this one over https:// or at http://localhost.";
  if (/Firefox\//.test(agent)) {
    return /Windows/.test(agent) || /Mac OS X/.test(agent)
      ? "Update Firefox (141 or later on Windows, 145 or later on Macs with Apple chips); where it is off, set dom.webgpu.enabled to true in about:config."
      : "In Firefox on this system, set dom.webgpu.enabled to true in about:config of Firefox Nightly, or use Chrome or Edge 113 or later.";
  }
  if (/Edg\/|Chrome\/|Chromium\//.test(agent)) {
    return /Linux/.test(agent) && !/Android/.test(agent)
      ? "Update the browser; on Linux also open chrome://flags and enable \"Unsafe WebGPU Support\" and \"Vulkan\", then restart it."
      : "Update the browser (113 or later; 121 on Android) and switch on hardware acceleration under Settings, System.";
  }
  if (/Safari\//.test(agent)) {
    return "Update to Safari 26 (macOS 26, iOS 26); in earlier ones WebGPU is under Settings, Feature Flags.";
  }
  return "Use a current Chrome, Edge, Firefox or Safari.";
}

const TITLES: Record<ProblemKind, string> = {
  "no-webgpu": "This browser has no WebGPU",
  "no-adapter": "No GPU could be opened",
  lost: "GPU device lost",
  memory: "Out of GPU memory",
  file: "That file could not be used",
  slept: "The tab was asleep",
  options: "These options do not work",
  storage: "The run could not be saved",
  other: "Something went wrong",
};

/** Problems that stand until the page is loaded again. */
const LASTING: readonly ProblemKind[] = ["no-webgpu", "no-adapter"];

export class Problems {
  constructor(private readonly host: HTMLElement) {}

  show(kind: ProblemKind, message: string) {
    // The newest of a kind says it all.
    this.host.querySelector(`[data-kind="${kind}"]`)?.remove();
    const panel = element("section", { className: `problem ${kind}` },
      element("h2", { textContent: TITLES[kind] }),
      element("p", { textContent: inLabels(message) }));
    panel.dataset["kind"] = kind;
    if (LASTING.includes(kind)) {
      panel.append(element("p", { textContent: webGpuAdvice(navigator.userAgent, isSecureContext) }));
      if (kind === "no-adapter") {
        panel.append(element("p", { textContent: "Without a GPU driver the browser finds no adapter; chrome://gpu or about:support tell what it knows." }));
      }
    } else {
      const close = element("button", { type: "button", textContent: "Dismiss" });
      close.addEventListener("click", () => panel.remove());
      panel.append(close);
    }
    this.host.append(panel);
  }

  clear(kind: ProblemKind) {
    this.host.querySelector(`[data-kind="${kind}"]`)?.remove();
  }
}
