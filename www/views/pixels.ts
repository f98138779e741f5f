/** What the views draw with: elements, images of bytes [C, H, W], canvases that keys and fingers walk over. */
import { toImageData, toPlanes } from "../package/pictures.js";

export { toImageData, toPlanes };

export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Partial<HTMLElementTagNameMap[K]> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** A button of a text, and what it does. */
export function button(text: string, onClick: () => void, properties: Partial<HTMLButtonElement> = {}): HTMLButtonElement {
  const made = element("button", { type: "button", textContent: text, ...properties });
  made.addEventListener("click", onClick);
  return made;
}

/** The element of this id, which the page has. */
export function at<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as T;
}

export interface Picture {
  canvas: HTMLCanvasElement;
  context: CanvasRenderingContext2D;
}

/** A canvas with an image's role and name, and its context. */
export function picture(label: string, settings?: CanvasRenderingContext2DSettings): Picture {
  const canvas = element("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  const context = canvas.getContext("2d", settings);
  if (!context) throw new Error("this browser gives no canvas to draw on");
  return { canvas, context };
}

/** `count` images side by side, a pixel a pixel. */
export function drawRow({ canvas, context }: Picture, bytes: Uint8Array, shape: [number, number, number], count: number) {
  const [, h, w] = shape;
  if (canvas.width !== count * w || canvas.height !== h) [canvas.width, canvas.height] = [count * w, h];
  for (let i = 0; i < count; i++) context.putImageData(toImageData(bytes, shape, i), i * w, 0);
}

/** Fits a canvas to its box in device pixels, at `height`; the size in CSS pixels. */
export function fit(canvas: HTMLCanvasElement, context: CanvasRenderingContext2D, height: number): [number, number] {
  const width = Math.max(120, canvas.parentElement?.clientWidth ?? 300);
  const ratio = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = `${height}px`;
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return [width, height];
}

/** A colour of the style sheet. */
export const colourOf = (name: string) =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** What a canvas of things in rows says of itself, and does. */
export interface Walk {
  label: string;
  /** How many things there are, and how many stand in a row. */
  size(): { count: number; columns: number };
  /** Which thing is at this place, as shares of width and height. */
  at?(x: number, y: number): number | undefined;
  /** What is said of one. */
  say(index: number): string;
  /** One is pointed at; none any more. */
  point?(index: number | undefined): void;
  /** One is chosen, by click or Enter. */
  pick?(index: number): void;
}

/**
 * Lets pointer and keys walk over a canvas. For those who hear the page it is a slider whose value is the thing under
 * the cursor.
 */
export function walkable(canvas: HTMLCanvasElement, walk: Walk) {
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "slider");
  canvas.setAttribute("aria-label", walk.label);
  let now = 0;
  const tell = (index: number | undefined) => {
    const { count } = walk.size();
    now = Math.max(0, Math.min(count - 1, index ?? now));
    canvas.setAttribute("aria-valuemin", "0");
    canvas.setAttribute("aria-valuemax", String(Math.max(0, count - 1)));
    canvas.setAttribute("aria-valuenow", String(now));
    canvas.setAttribute("aria-valuetext", count > 0 ? walk.say(now) : "nothing yet");
    walk.point?.(index === undefined || count === 0 ? undefined : now);
  };
  const under = (event: PointerEvent | MouseEvent): number | undefined => {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    if (walk.at) return walk.at(x, y);
    const { count, columns } = walk.size();
    const rows = Math.ceil(count / columns);
    const index = Math.floor(y * rows) * columns + Math.floor(x * columns);
    return index >= 0 && index < count ? index : undefined;
  };
  canvas.addEventListener("pointermove", (event) => tell(under(event)));
  // A finger does not move before it presses.
  canvas.addEventListener("pointerdown", (event) => tell(under(event)));
  canvas.addEventListener("pointerleave", () => document.activeElement === canvas || tell(undefined));
  canvas.addEventListener("focus", () => canvas.matches(":focus-visible") && tell(now));
  canvas.addEventListener("blur", () => tell(undefined));
  canvas.addEventListener("click", (event) => {
    const index = under(event);
    if (index !== undefined) walk.pick?.(index);
  });
  canvas.addEventListener("keydown", (event) => {
    const { count, columns } = walk.size();
    const moves: Record<string, number> = { ArrowLeft: now - 1, ArrowRight: now + 1, ArrowUp: now - columns, ArrowDown: now + columns, Home: 0, End: count - 1 };
    const to = moves[event.key];
    if (to !== undefined) {
      if (to >= 0 && to < count) tell(to);
    } else if (event.key === "Enter" || event.key === " ") walk.pick?.(now);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  tell(undefined);
}
