/** The GPU. */
/// <reference lib="esnext.disposable" preserve="true" />
import { Device } from "../core/semivq.js";
import type { PartialOptions } from "../options.js";
import { load } from "./core.js";
import type { Cost } from "./types.js";

/** What is known of a GPU. */
export interface Gpu {
  /** The adapter's name, as far as the browser tells it. */
  readonly name: string;
  /** Whether the arithmetic runs on the CPU. */
  readonly software: boolean;
  /** Why the device is gone, if it is. */
  readonly lost: string | undefined;
}

/** The browser's GPU, for any number of trainers. */
export class GpuDevice implements Gpu {
  private constructor(readonly inner: Device) {}

  /** Opens the adapter; throws where there is none. */
  static async open(): Promise<GpuDevice> {
    if (typeof navigator === "undefined" || !("gpu" in navigator)) {
      throw new Error("there is no WebGPU here: it needs a current browser, and a page that is opened over https:// or from localhost; Node.js has none of its own");
    }
    await load();
    return new GpuDevice(await Device.open());
  }

  get name(): string {
    return this.inner.name();
  }

  get software(): boolean {
    return this.inner.software();
  }

  get lost(): string | undefined {
    return this.inner.lost();
  }

  /** What a run of these options on `images` training images of `shape` [C, H, W] would cost; throws where it cannot be. */
  cost(options: PartialOptions, shape: [number, number, number], images: number): Cost {
    return JSON.parse(this.inner.cost(JSON.stringify(options), images, ...shape));
  }

  /** Gives the device up, and with it all trainers on it. */
  destroy(): void {
    this.inner.destroy();
  }

  [Symbol.dispose](): void {
    this.destroy();
  }
}
