/**
 * A run as a file: its moments and curves, small enough to be loaded by everybody. Pictures and tiles are kept as 16
 * levels, each as the difference from the moment before, and all of it is gzip.
 */
import type { Moment, Originals, SideMoment } from "./protocol.js";
import { SIDES, type Side, type State } from "./settings.js";
import type { Metrics } from "./package/index.js";

export interface Recording {
  /** What it was recorded on, and when. */
  adapter: string;
  date: string;
  state: State;
  codes: Record<Side, number>;
  originals: Originals;
  moments: Moment[];
  histories: Record<Side, Metrics[]>;
}

/** Everything but the bytes. */
interface Head extends Omit<Recording, "originals" | "moments"> {
  shape: Originals["shape"];
  count: number;
  steps: number[];
  sides: Partial<Record<Side, { cells: [number, number]; tile: number; sizes: { images: number; codes: number; tiles: number; ages: number } }>>;
}

const LEVELS = 16;
/** Ages above this are all one: dead. */
const OLD = 255;

const quantised = (bytes: Uint8Array) => bytes.map((v) => Math.round((v * (LEVELS - 1)) / 255));
const restored = (levels: Uint8Array) => levels.map((v) => Math.round((v * 255) / (LEVELS - 1)));

/** The parts of a moment's side as levels, in the order of the file. */
function levelsOf(side: SideMoment): Uint8Array[] {
  const codes = new Uint8Array(side.codes.length * 2);
  side.codes.forEach((code, i) => codes.set([code & 255, code >> 8], 2 * i));
  return [quantised(side.images), codes, quantised(side.tiles), Uint8Array.from(side.ages, (age) => Math.min(OLD, age))];
}

async function piped(bytes: Uint8Array, through: GenericTransformStream): Promise<Uint8Array> {
  const stream = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeThrough(through as ReadableWritablePair<Uint8Array, Uint8Array>);
  return new Uint8Array(await new Response(stream as ReadableStream<Uint8Array<ArrayBuffer>>).arrayBuffer());
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, p) => sum + p.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The file of a recording. */
export async function encode(recording: Recording): Promise<Uint8Array> {
  const { originals, moments, ...rest } = recording;
  const sides: Head["sides"] = {};
  const body: Uint8Array[] = [quantised(originals.images)];
  for (const side of SIDES) {
    const first = moments[0]?.sides[side];
    if (!first) continue;
    const { images, codes, tiles, ages } = first;
    sides[side] = { cells: first.cells, tile: first.tile, sizes: { images: images.length, codes: 2 * codes.length, tiles: tiles.length, ages: ages.length } };
    let before: Uint8Array[] = levelsOf(first).map((part) => new Uint8Array(part.length));
    for (const moment of moments) {
      const here = moment.sides[side];
      if (!here) continue;
      const levels = levelsOf(here);
      body.push(...levels.map((part, i) => part.map((v, j) => v - (before[i]?.[j] ?? 0))));
      before = levels;
    }
  }
  const head: Head = { ...rest, shape: originals.shape, count: originals.count, steps: moments.map((m) => m.step), sides };
  const text = new TextEncoder().encode(JSON.stringify(head));
  const length = new Uint8Array(new Uint32Array([text.length]).buffer);
  return piped(joined([length, text, ...body]), new CompressionStream("gzip"));
}

export async function decode(file: Uint8Array): Promise<Recording> {
  const bytes = await piped(file, new DecompressionStream("gzip"));
  const length = new DataView(bytes.buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length))) as Head;
  let at = 4 + length;
  const take = (count: number) => bytes.slice(at, (at += count));
  const { shape, count, steps, sides, ...rest } = head;
  const originals: Originals = { shape, count, images: restored(take(count * shape[0] * shape[1] * shape[2])) };
  const moments: Moment[] = steps.map((step) => ({ step, sides: {} }));
  for (const side of SIDES) {
    const kept = sides[side];
    if (!kept) continue;
    const sizes = [kept.sizes.images, kept.sizes.codes, kept.sizes.tiles, kept.sizes.ages];
    let before = sizes.map((size) => new Uint8Array(size));
    for (const moment of moments) {
      const levels = sizes.map((size, i) => take(size).map((v, j) => v + (before[i]?.[j] ?? 0)));
      before = levels;
      const [images, codes, tiles, ages] = levels as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
      moment.sides[side] = {
        images: restored(images), tiles: restored(tiles), cells: kept.cells, tile: kept.tile,
        codes: Uint32Array.from({ length: codes.length / 2 }, (_, i) => (codes[2 * i] ?? 0) + 256 * (codes[2 * i + 1] ?? 0)),
        ages: Float32Array.from(ages), counts: new Float32Array(ages.length),
      };
    }
  }
  return { ...rest, originals, moments };
}
