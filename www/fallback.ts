/** The recorded run: what plays until there is something live, and where there will not be. */
import { webGpuAdvice } from "./problems.js";
import { decode } from "./recording.js";
import recordedRun from "./recorded/collapse.run?url";
import type { Show } from "./show.js";
import { at } from "./views/pixels.js";

/** Plays it, again and again if nothing else is to come; not if something `came` while it was loaded. */
async function play(show: Show, text: string, again: boolean, came: () => boolean) {
  at("recorded").textContent = text;
  at("recorded").hidden = again ? false : at("recorded").hidden;
  try {
    const answer = await fetch(recordedRun);
    const recording = await decode(new Uint8Array(await answer.arrayBuffer()));
    if (came()) return;
    at("recorded").textContent = `${text} (Recorded on a ${recording.adapter}, ${recording.date}.)`;
    at("recorded").hidden = false;
    show.play(recording, again);
  } catch (error) {
    console.warn("semivq: the recorded run could not be played:", error);
  }
}

export const playUntilLive = (show: Show, live: () => boolean) =>
  play(show, "A recorded run, until the shaders are ready.", false, live);

/** No GPU: it is what there is, with one line of advice; what needs a GPU cannot be pressed. */
export function playInstead(show: Show, problem: "no-webgpu" | "no-adapter") {
  for (const control of document.querySelectorAll<HTMLButtonElement>("#buttons button, #experiments button, #apply, #evaluate, #choose")) control.disabled = true;
  const what = problem === "no-webgpu" ? "This is a recorded run: this browser has no WebGPU." : "This is a recorded run: no GPU could be opened.";
  return play(show, `${what} ${webGpuAdvice(navigator.userAgent, isSecureContext)}`, true, () => false);
}
