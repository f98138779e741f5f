/** Dropped files as training data. Runs in the worker: decoding hundreds of images takes its time. */
import { TrainingData } from "./package/data.js";
import { decodePictures } from "./package/pictures.js";

export interface FileOptions {
  colour: boolean;
  /** Height and width that images are resized to. */
  size: number;
  seed: number;
}

/** The least number of images: some are held out for testing. */
const LEAST = 8;

const bytesOf = async (file: File) => new Uint8Array(await file.arrayBuffer());

const isIdx = (bytes: Uint8Array, name: string) =>
  (bytes[0] === 0 && bytes[1] === 0 && bytes[2] === 8) ||
  (bytes[0] === 0x1f && bytes[1] === 0x8b) ||
  /idx[0-9]-ubyte/.test(name);

/** Bytes of a record of CIFAR-10 or CIFAR-100; undefined for any other file. */
const cifarRecord = (bytes: Uint8Array, name: string) =>
  name.endsWith(".bin") && bytes.length > 0 ? [3073, 3074].find((record) => bytes.length % record === 0) : undefined;

/** What the files hold, and the names of those that were left out, with the reason. */
export async function readFiles(
  files: File[],
  options: FileOptions,
): Promise<{ data: TrainingData; skipped: string[] }> {
  if (files.length === 0) throw new Error("no files were given");
  // QMNIST's labels are idx2, 32 bits each.
  const labels = files.filter((file) => /labels/.test(file.name) && /idx[12]/.test(file.name));
  const rest = files.filter((file) => !labels.includes(file));
  const skipped = labels.map((file) => `${file.name} (labels are not needed)`);
  const first = rest[0];
  if (!first) throw new Error(`${files[0]?.name} holds labels; drop the file of images`);
  const head = await bytesOf(first);
  if (isIdx(head, first.name)) {
    if (rest.length === 1) return { data: await TrainingData.idx(first.name, head, undefined, options.seed), skipped };
    const test = rest.find((file) => /(^|[-_.])(t10k|test)[-_.]/.test(file.name));
    const train = rest.find((file) => file !== test);
    if (rest.length !== 2 || !test || !train) {
      throw new Error("of IDX files, drop one, or a pair whose test part is named t10k-.. or test-..");
    }
    const part = { name: test.name, bytes: await bytesOf(test) };
    return { data: await TrainingData.idx(train.name, await bytesOf(train), part, options.seed), skipped };
  }
  const record = cifarRecord(head, first.name);
  if (record) {
    const batches = await Promise.all(rest.map(bytesOf));
    const other = rest.find((file, i) => cifarRecord(batches[i] ?? head, file.name) !== record);
    if (other) {
      const kind = record === 3073 ? "CIFAR-10" : "CIFAR-100";
      throw new Error(`${other.name} is no ${kind} batch (a .bin of ${record} bytes an image), as ${first.name} is; drop them apart`);
    }
    const name = rest.length === 1 ? first.name : `${rest.length} CIFAR batches`;
    const bytes = new Uint8Array(await new Blob(batches).arrayBuffer());
    return { data: await TrainingData.cifar(name, bytes, options.seed), skipped };
  }
  return readImages(rest, options, skipped);
}

/** A pile of images of any size, each cropped to its centred square and resized. */
async function readImages(files: File[], { size, colour, seed }: FileOptions, skipped: string[]) {
  const shape: [number, number, number] = [colour ? 3 : 1, size, size];
  const unreadable = (file: File) => skipped.push(`${file.name} (no image that this browser can read)`);
  const { pixels, count } = await decodePictures(files, shape, unreadable);
  if (count === 0) {
    throw new Error(`${skipped.join("; ") || "nothing"}: drop IDX files (plain or .gz), a CIFAR .bin, or images (PNG, JPEG, WebP, ..)`);
  }
  if (count < LEAST) throw new Error(`${count} image${count === 1 ? "" : "s"} could be read, at least ${LEAST} are needed: some are held out for testing`);
  const name = count === 1 ? (files[0]?.name ?? "image") : `${count} images`;
  const data = await TrainingData.images(name, pixels, shape, seed);
  return { data, skipped };
}
