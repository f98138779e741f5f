/** What goes wrong, with what to do about it. */
import type { ProblemKind } from "./protocol.js";
import { inLabels } from "./settings.js";
import { button, element } from "./views/pixels.js";

/** How to get WebGPU, by browser. */
export function webGpuAdvice(agent: string, secure: boolean): string {
  if (!secure) return "WebGPU works on secure pages only: open this one over https:// or at http://localhost.";
  const android = /Android/.test(agent);
  const apple = /iPhone|iPad/.test(agent);
  if (apple) return "Update to iOS or iPadOS 26, whose browsers all have WebGPU.";
  if (/Firefox\//.test(agent)) {
    if (android) return "Use Chrome 121 or later on this device; Firefox for Android has no WebGPU yet.";
    return /Windows/.test(agent) || /Mac OS X/.test(agent)
      ? "Update Firefox (141 or later on Windows, 145 or later on Macs with Apple chips); where it is off, set dom.webgpu.enabled to true in about:config."
      : "In Firefox on this system, set dom.webgpu.enabled to true in about:config of Firefox Nightly, or use Chrome or Edge 113 or later.";
  }
  if (/Edg\/|Chrome\/|Chromium\//.test(agent)) {
    if (android) return "Update the browser: version 121 or later has WebGPU on most devices with Android 12 or later.";
    return /Linux/.test(agent)
      ? "Update the browser; on Linux also open chrome://flags and enable \"Unsafe WebGPU Support\" and \"Vulkan\", then restart it."
      : "Update the browser (113 or later) and switch on hardware acceleration under Settings, System.";
  }
  if (/Macintosh/.test(agent) && /Safari\//.test(agent)) {
    return "Update to Safari 26 (macOS 26); in earlier ones WebGPU is under Settings, Feature Flags.";
  }
  return "Use a current Chrome, Edge, Firefox or Safari.";
}

const TITLES: Record<ProblemKind, string> = {
  "no-webgpu": "This browser has no WebGPU",
  "no-adapter": "No GPU could be opened",
  lost: "GPU device lost",
  memory: "Out of GPU memory",
  file: "That file could not be used",
  "left-out": "Some files were left out",
  slept: "The tab was asleep",
  options: "These options do not work",
  storage: "This run is not being saved",
  diverged: "Training has diverged",
  other: "Something went wrong",
};

/** Problems that stand until the page is loaded again. */
const LASTING: readonly ProblemKind[] = ["no-webgpu", "no-adapter"];
/** What is only good to know: no alarm. */
const NOTICES: readonly ProblemKind[] = ["left-out", "slept", "storage", "lost"];

/** Something that can be done about a problem. */
export interface Action {
  text: string;
  do(): void;
}

export class Problems {
  constructor(private readonly host: HTMLElement) {}

  show(kind: ProblemKind, message: string, actions: readonly Action[] = []) {
    this.clear(kind);
    // After its GPU process was killed a tab has not slept, and the other way round.
    if (kind === "lost") this.clear("slept");
    if (kind === "slept" && this.host.querySelector('[data-kind="lost"]')) return;
    const notice = NOTICES.includes(kind);
    const panel = element("section", { className: `problem ${kind}${notice ? " notice" : ""}` },
      element("h2", { textContent: TITLES[kind] }),
      element("p", { textContent: inLabels(message) }));
    panel.setAttribute("role", notice ? "status" : "alert");
    panel.dataset["kind"] = kind;
    for (const action of actions) {
      panel.append(button(action.text, () => {
        panel.remove();
        action.do();
      }));
    }
    if (LASTING.includes(kind)) {
      panel.append(element("p", { textContent: webGpuAdvice(navigator.userAgent, isSecureContext) }));
    } else {
      panel.append(button("Dismiss", () => panel.remove(), { className: "small" }));
    }
    this.host.append(panel);
  }

  clear(kind: ProblemKind) {
    this.host.querySelector(`[data-kind="${kind}"]`)?.remove();
  }
}
