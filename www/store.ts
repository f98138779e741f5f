/** The autosave, in IndexedDB: one session, and the images that it trains on if they are the user's. */
import { clear, createStore, get, set, setMany } from "idb-keyval";
import type { Side } from "./settings.js";
import type { Metrics } from "./trainer.js";

export interface SavedSide {
  checkpoint: Uint8Array;
  history: Metrics[];
}

export interface SavedSession {
  hash: string;
  /** Milliseconds since 1970. */
  time: number;
  step: number;
  builtIn: boolean;
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

export const readSession = () => get<SavedSession>("session", store());
export const readData = () => get<SavedData>("data", store());

/** Writes both in one transaction, so that they always fit each other. */
export function writeSession(session: SavedSession, data: SavedData | undefined): Promise<void> {
  return data
    ? setMany([["session", session], ["data", data]], store())
    : set("session", session, store());
}

export const forget = () => clear(store());

/**
 * Whether this tab is the one that keeps its run here; it stays so until it is closed. A tab that is
 * being reloaded may take a moment to let go.
 */
export function claim(): Promise<boolean> {
  return new Promise((resolve) => {
    const held = navigator.locks.request("semivq autosave", { signal: AbortSignal.timeout(1500) }, () => {
      resolve(true);
      return new Promise(() => undefined);
    });
    held.catch(() => resolve(false));
  });
}
