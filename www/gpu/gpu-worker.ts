/** A module of tests, off the page's thread. */
import type { FromWorker, Module, Suite, ToWorker } from "./protocol.js";

const post = (message: FromWorker) => self.postMessage(message);
const text = (error: unknown) => (error instanceof Error ? error.message : String(error));

let suite: Suite | undefined;

/** The last that was printed: of a panic the exception says "unreachable", and the console the rest. */
let printed = "";
const print = console.error;
console.error = (...parts: unknown[]) => {
  printed = String(parts[0]);
  print(...parts);
};

// A panic in the middle of a test ends no promise.
self.addEventListener("error", (event) => {
  event.preventDefault();
  const [first = ""] = (printed || event.message).split("\n\nStack:");
  post({ kind: "failed", message: first.trim(), dead: true });
});

async function answer(message: ToWorker): Promise<FromWorker> {
  if (message.kind === "open") {
    const module = await import(/* @vite-ignore */ message.url) as Module;
    await module.default();
    suite = module.open(message.onPurpose);
    return { kind: "opened", version: module.version(), names: suite.names() };
  }
  return { kind: "passed", measured: await suite?.run(message.index) };
}

self.addEventListener("message", (event: MessageEvent<ToWorker>) => {
  answer(event.data).then(post, (error: unknown) => {
    post({ kind: "failed", message: text(error), dead: suite === undefined || suite.lost() !== undefined });
  });
});
