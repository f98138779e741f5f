/** The autosave, in IndexedDB: one session, and the images that it trains on if they are the user's. */
import { clear, createStore, get, set, setMany } from "idb-keyval";
import type { Side } from "./settings.js";
import type { Metrics } from "./package/index.js";

export interface SavedSide {
  checkpoint: Uint8Array;
  history: Metrics[];
}

export interface SavedSession {
  hash: string;
  /** Milliseconds since 1970. */
  time: number;
  step: number;
  /** The images: those built in by name, or `own`. */
  data: string;
  sides: Partial<Record<Side, SavedSide>>;
}

export interface SavedData {
  name: string;
  shape: [number, number, number];
  train: Uint8Array;
  test: Uint8Array;
}

let opened: ReturnType<typeof createStore> | undefined;
const store = () => (opened ??= createStore("semivq", "session"));

/** What former versions wrote had `builtIn` in place of `data`. */
type Read = SavedSession & { builtIn?: boolean };

export async function readSession(): Promise<SavedSession | undefined> {
  const saved = await get<Read>("session", store());
  if (saved) saved.data ??= saved.builtIn === false ? "own" : "glyphs";
  return saved;
}
export const readData = () => get<SavedData>("data", store());

/** Writes both in one transaction, so that they always fit each other. */
export function writeSession(session: SavedSession, data: SavedData | undefined): Promise<void> {
  return data
    ? setMany([["session", session], ["data", data]], store())
    : set("session", session, store());
}

export const forget = () => clear(store());

/** Resolves once this tab is the one that keeps its run here, which it stays until it is closed; others wait. */
export function claim(): Promise<void> {
  return new Promise((resolve, reject) => {
    navigator.locks.request("semivq autosave", () => {
      resolve();
      return new Promise(() => undefined);
    }).catch(reject);
  });
}
