/** Images to train on. */
/// <reference lib="esnext.disposable" preserve="true" />
import { Data } from "../core/semivq.js";
import type { PartialOptions } from "../options.js";
import { load, owned } from "./core.js";
import { type Picture, type Skip, decodePictures } from "./pictures.js";
import type { Bytes } from "./types.js";

/** How {@link TrainingData.from} takes pictures. */
export interface FromOptions<P extends Picture = Picture> {
  /** Height and width that they are resized to; models want multiples of 4. Default: 32. */
  size?: number;
  /** Three channels, or one. Default: false. */
  colour?: boolean;
  /** Which of them are held out. Default: 0. */
  seed?: number;
  /** What the data is called in checkpoints. */
  name?: string;
  /** Hears of each that cannot be decoded, which is left out; without it that is an error. */
  skip?: Skip<P>;
}

/** Images to train on and to test with. */
export class TrainingData {
  readonly name: string;
  /** Channels, height, width. */
  readonly shape: [number, number, number];
  /** Numbers of images. */
  readonly train: number;
  readonly test: number;

  private constructor(readonly inner: Data) {
    const { name, shape, train, test } = JSON.parse(inner.describe());
    this.name = name;
    this.shape = shape;
    this.train = train;
    this.test = test;
  }

  /** The built-in images, a function of the seed. */
  static async glyphs(seed = 0): Promise<TrainingData> {
    await load();
    return new TrainingData(Data.glyphs(seed));
  }

  /** Built-in images by name: grey glyphs of 28 pixels, or scenes in colour of 32 or 64; a function of the seed. */
  static async builtIn(name: "glyphs" | "scenes", seed = 0, size = name === "glyphs" ? 28 : 32): Promise<TrainingData> {
    await load();
    return new TrainingData(Data.built_in(name, seed, size));
  }

  /** An IDX file of images (plain or gzip), the test images held out or in a file of their own. */
  static async idx(
    name: string,
    bytes: Uint8Array,
    test?: { name: string; bytes: Uint8Array },
    seed = 0,
  ): Promise<TrainingData> {
    await load();
    const data = test
      ? Data.idx_pair(name, bytes, test.name, test.bytes)
      : Data.idx(name, bytes, seed);
    return new TrainingData(data);
  }

  /** CIFAR's binary form, test images held out. */
  static async cifar(name: string, bytes: Uint8Array, seed = 0): Promise<TrainingData> {
    await load();
    return new TrainingData(Data.cifar(name, bytes, seed));
  }

  /** Bytes of images of `shape` [C, H, W], one after the other; test images are held out. */
  static async images(
    name: string,
    bytes: Uint8Array,
    shape: [number, number, number],
    seed = 0,
  ): Promise<TrainingData> {
    await load();
    return new TrainingData(Data.images(name, bytes, ...shape, seed));
  }

  /**
   * Pictures of any size, each cropped to its centred square and resized; some are held out for testing. In browsers,
   * where they are decoded.
   */
  static async from<P extends Picture>(pictures: ArrayLike<P> | Iterable<P>, options: FromOptions<P> = {}): Promise<TrainingData> {
    const { size = 32, colour = false, seed = 0, skip, name } = options;
    const shape: [number, number, number] = [colour ? 3 : 1, size, size];
    const { pixels, count } = await decodePictures(pictures, shape, skip);
    return TrainingData.images(name ?? `${count} images`, pixels, shape, seed);
  }

  /** The two parts of a set as {@link part} gave them. */
  static async parts(
    name: string,
    train: Uint8Array,
    test: Uint8Array,
    shape: [number, number, number],
  ): Promise<TrainingData> {
    await load();
    return new TrainingData(Data.parts(name, train, test, ...shape));
  }

  /** Throws where the options' model does not take images of this size. */
  checkSize(options: PartialOptions = {}): void {
    this.inner.check_size(JSON.stringify(options));
  }

  /** All bytes of one part. */
  part(which: "train" | "test"): Bytes {
    return owned(this.inner.part(which === "test"));
  }

  /** `count` test images from `start`, as far as there are any. */
  testImages(start: number, count: number): Bytes {
    return owned(this.inner.test_images(start, count));
  }

  /** Frees this side's hold on the memory; trainers keep what they train on. */
  free(): void {
    this.inner.free();
  }

  [Symbol.dispose](): void {
    this.free();
  }
}
