/** What is shown of the run: of its newest moment, or of the one that was scrubbed to; or of a recorded run. */
import { Moments } from "./moments.js";
import type { Drawn, Moment, Originals } from "./protocol.js";
import type { Recording } from "./recording.js";
import { SIDES, type Side } from "./settings.js";
import type { Metrics } from "./package/index.js";
import { Curves } from "./views/curves.js";
import { Headline } from "./views/headline.js";
import { at } from "./views/pixels.js";
import { Strip } from "./views/strip.js";
import { TileField } from "./views/tiles.js";

/** How long a recorded run plays, and rests before it does so again, ms. */
const PLAY = 12_000;
const REST = 4000;

export class Show {
  readonly moments = new Moments();
  readonly curves: Curves;
  readonly fields: Record<Side, TileField>;
  #strip: Strip;
  #headline = new Headline();
  #originals: Originals | undefined;
  #codes: Record<Side, number> = { a: 0, b: 0 };
  #sides: readonly Side[] = SIDES;
  #newest: Moment | undefined;
  /** The step that is shown; undefined is now. */
  #pinned: number | undefined;
  #hovered: number | undefined;
  #running = false;
  #player = 0;
  #scrubber = at<HTMLInputElement>("scrubber");

  constructor(
    onPicture: (index: number) => void,
    onCode: (side: Side, code: number) => void,
  ) {
    this.curves = new Curves((step) => this.#hover(step));
    this.#strip = new Strip(onPicture);
    this.fields = Object.fromEntries(SIDES.map((side) => [side, new TileField(side, (code) => onCode(side, code))])) as Record<Side, TileField>;
    this.#scrubber.addEventListener("input", () => {
      const step = Number(this.#scrubber.value);
      this.pin(step >= Number(this.#scrubber.max) ? undefined : step);
    });
    at("live").addEventListener("click", () => this.pin(undefined));
    new ResizeObserver(() => this.#place()).observe(at("timeline"));
  }

  // ---------------------------------------------------------------------------------- what comes

  get originals(): Originals | undefined {
    return this.#originals;
  }

  set originals(originals: Originals) {
    const same = this.#originals && this.#originals.shape.join() === originals.shape.join() && this.#originals.images.every((v, i) => v === originals.images[i]);
    // Other pictures than the moments before have.
    if (!same) this.moments.clear();
    this.#originals = originals;
    this.#strip.originals = originals;
  }

  set sides(sides: readonly Side[]) {
    this.#sides = sides;
    for (const side of SIDES) {
      for (const part of document.querySelectorAll<HTMLElement>(`main [data-side="${side}"]`)) part.hidden = !sides.includes(side);
    }
    document.body.classList.toggle("alone", sides.length === 1);
  }

  /** New pictures in the place of the reconstructions; none any more. */
  set drawn(drawn: Drawn | undefined) {
    this.#strip.drawn = drawn;
  }

  get drawn(): Drawn | undefined {
    return this.#strip.drawn;
  }

  set running(running: boolean) {
    this.#running = running;
    this.#tell();
  }

  codesOf(side: Side): number {
    return this.#codes[side];
  }

  get newest(): Moment | undefined {
    return this.#newest;
  }

  add(moment: Moment) {
    this.moments.add(moment);
    this.#newest = moment;
    // The run has gone back to before what is shown.
    if ((this.#pinned ?? 0) > moment.step) this.pin(undefined);
    for (const side of SIDES) if (moment.sides[side]) this.#codes[side] = moment.sides[side].ages.length;
    this.#range();
    if (this.#shownStep === undefined) this.#draw(moment);
  }

  addMetrics(side: Side, metrics: Metrics[]) {
    this.curves.add(side, metrics);
    this.#tell();
  }

  clear() {
    cancelAnimationFrame(this.#player);
    this.drawn = undefined;
    this.moments.clear();
    this.#newest = this.#pinned = this.#hovered = undefined;
    for (const side of SIDES) {
      this.curves.set(side, []);
      this.fields[side].clear();
    }
    this.curves.mark = undefined;
    this.#range();
    this.#tell();
  }

  // --------------------------------------------------------------------------------- back in time

  get #shownStep(): number | undefined {
    return this.#hovered ?? this.#pinned;
  }

  /** The step that is shown; that of now where none was chosen. */
  get step(): number {
    return this.#shownStep ?? Math.max(this.#newest?.step ?? 0, ...this.#sides.map((side) => this.curves.historyOf(side).at(-1)?.step ?? 0));
  }

  /** Shows a step until another is chosen; undefined goes back to now. */
  pin(step: number | undefined) {
    // A finger that has tapped a curve points at it for ever.
    this.#hovered = undefined;
    this.#pinned = step;
    this.#go();
  }

  #hover(step: number | undefined) {
    if (step === this.#hovered) return;
    this.#hovered = step;
    this.#go();
  }

  #go() {
    const step = this.#shownStep;
    this.curves.mark = step;
    at("live").hidden = step === undefined;
    const moment = step === undefined ? this.#newest : this.moments.at(step);
    if (moment) this.#draw(moment);
    this.#tell();
    this.#range();
  }

  #draw(moment: Moment) {
    this.#strip.draw(moment.sides);
    const [channels] = this.#originals?.shape ?? [1];
    for (const side of this.#sides) {
      const shown = moment.sides[side];
      if (shown) this.fields[side].draw(shown, channels);
    }
    this.#tell();
  }

  /** Numbers of the step that is shown. */
  #tell() {
    const step = this.step;
    const told = Object.fromEntries(this.#sides.map((side) => [side, { codes: this.#codes[side], metrics: this.curves.metricsAt(side, step) }]));
    this.#headline.draw(told, this.#running);
  }

  #range() {
    const first = this.moments.all[0]?.step ?? 0;
    const last = this.#newest?.step ?? 0;
    this.#scrubber.min = String(first);
    this.#scrubber.max = String(Math.max(first, last));
    this.#scrubber.value = String(this.#shownStep ?? last);
    this.#scrubber.disabled = this.moments.all.length < 2;
    this.#scrubber.setAttribute("aria-valuetext", `step ${this.step}${this.#shownStep === undefined ? ", now" : ""}`);
  }

  /** Puts the scrubber under the timeline's lines. */
  #place() {
    const [left, right] = this.curves.area;
    const host = at("scrub");
    if (right <= left) return;
    host.style.paddingLeft = `${left}px`;
    host.style.paddingRight = `${Math.max(0, host.clientWidth - right)}px`;
  }

  // ------------------------------------------------------------------------------ a recorded run

  /** Plays a recorded run, again and again if nothing else is to come. */
  play(recording: Recording, again: boolean) {
    this.clear();
    this.#codes = { ...recording.codes };
    this.originals = recording.originals;
    const last = recording.moments.at(-1)?.step ?? 0;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const began = performance.now();
    let next = 0;
    const frame = () => {
      // Early steps tell most: it plays as the root of its time.
      const share = still ? 1 : Math.min(1, (performance.now() - began) / PLAY);
      const step = last * share * share;
      let moved = false;
      for (let moment = recording.moments[next]; moment && moment.step <= step + 1; moment = recording.moments[next]) {
        for (const side of SIDES) {
          const seen = this.curves.historyOf(side).at(-1)?.step ?? 0;
          this.curves.add(side, recording.histories[side].filter((m) => m.step > seen && m.step <= moment.step));
        }
        this.add(moment);
        next++;
        moved = true;
      }
      if (moved) this.#place();
      if (share < 1) this.#player = requestAnimationFrame(frame);
      else if (again && !still) {
        // Who has gone back in time is left alone.
        setTimeout(() => this.#shownStep === undefined && this.#newest === recording.moments.at(-1) && this.play(recording, again), REST);
      }
    };
    frame();
  }
}
