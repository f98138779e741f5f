/** What the views draw with. */
export { toImageData } from "../package/pictures.js";

export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Partial<HTMLElementTagNameMap[K]> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** A canvas with an image's role and name, and its context. */
export function picture(label: string): { canvas: HTMLCanvasElement; context: CanvasRenderingContext2D } {
  const canvas = element("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser gives no canvas to draw on");
  return { canvas, context };
}

/** Fits a canvas to its box in device pixels; the size in CSS pixels. */
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
