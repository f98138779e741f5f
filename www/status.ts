/** What the bar says: what is being done, how fast, and for some seconds what has just been done. */
import type { FromWorker } from "./protocol.js";
import { at } from "./views/pixels.js";

/** How long something is said, ms. */
const FLASH = 5000;

export class Status {
  running = false;
  #base = "";
  #flashing = 0;
  #lock: WakeLockSentinel | undefined;
  #locking = false;

  /** Says something for some seconds, whatever comes. */
  flash(text: string) {
    at("status").textContent = text;
    clearTimeout(this.#flashing);
    this.#flashing = setTimeout(() => {
      this.#flashing = 0;
      at("status").textContent = this.#base;
    }, FLASH);
  }

  say(text: string) {
    this.#base = text;
    if (this.#flashing === 0 && at("status").textContent !== text) at("status").textContent = text;
  }

  /** The worker's state, at `step`. */
  take({ running, busy, stepsPerSecond, imagesPerSecond }: Extract<FromWorker, { kind: "state" }>, step: number) {
    this.running = running;
    document.body.dataset["running"] = String(running);
    at("run").textContent = running ? "Pause" : "Run";
    at("speed").textContent = running && stepsPerSecond > 0
      ? `· step ${step.toLocaleString()} · ${stepsPerSecond.toFixed(stepsPerSecond < 10 ? 1 : 0)} steps/s · ${Math.round(imagesPerSecond).toLocaleString()} images/s` : "";
    this.say(busy ? `${busy} ..` : running ? "training" : "paused");
    void this.stayAwake();
  }

  /** A screen that turns off stops the training on a phone. */
  async stayAwake() {
    if (this.#locking) return;
    if (this.running && !document.hidden && (!this.#lock || this.#lock.released)) {
      this.#locking = true;
      this.#lock = await navigator.wakeLock?.request("screen").catch(() => undefined);
      this.#locking = false;
    }
    if (!this.running) await this.#lock?.release();
  }
}
