/** The npm package's calls, here and in a worker; and the sizes of what is loaded. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Page } from "@playwright/test";
import type * as Package from "../../www/package/index.js";
import type * as PackageWorker from "../../www/package/worker.js";
import { ROOT, expect, test } from "./support.js";

/** What the tests' pages find. */
type Found = typeof Package & typeof PackageWorker & { create(kind: Kind, options?: Package.CreateOptions): Promise<Package.Trainer | PackageWorker.WorkerTrainer> };
type Kind = "Trainer" | "WorkerTrainer";
declare const semivq: Found;

const KINDS: Kind[] = ["Trainer", "WorkerTrainer"];

/** A page with the package, and small models on noise of 16 pixels a side: 300 images to test with. */
const PAGE = `<title>package</title><link rel="icon" href="data:,"><script type="module">
  import * as main from "/package/index.js";
  import * as worker from "/package/worker.js";
  const noise = async () => {
    const random = (count) => Uint8Array.from({ length: count * 256 }, (_, i) => (i * 2654435761) >>> 24);
    return main.TrainingData.parts("noise", random(64), random(300), [1, 16, 16]);
  };
  const create = async (kind, options) =>
    ({ ...main, ...worker })[kind].create({ batch: 4, vq: { num_codes: 16, feature_size: 8 }, data: await noise(), ...options });
  globalThis.semivq = { ...main, ...worker, create };
</script>`;

async function open(page: Page) {
  await page.route("/calls/", (route) => route.fulfill({ contentType: "text/html", body: PAGE }));
  await page.goto("/calls/");
  await page.waitForFunction(() => "semivq" in globalThis);
}

test.beforeEach(({ page }) => open(page));

test("the core is loaded from what it is given, once", async ({ page }) => {
  const loaded = (from: string) => page.evaluate(async (from) => {
    const url = "/core/semivq_bg.wasm";
    const bytes = async () => (await fetch(url)).arrayBuffer();
    const sources: Record<string, () => Package.CoreSource | Promise<Package.CoreSource>> = {
      string: () => url,
      url: () => new URL(url, location.href),
      buffer: bytes,
      bytes: async () => new Uint8Array(await bytes()),
      response: () => fetch(url).then((response) => response.clone()),
      module: async () => WebAssembly.compile(await bytes()),
      other: async () => new Response(await bytes()),
    };
    const source = await sources[from]?.();
    const module = await semivq.load(source);
    const again = await semivq.load(source) === module && await semivq.load() === module;
    const refused = await semivq.load("/elsewhere.wasm").catch((error: Error) => error.message);
    return { again, refused, methods: (await semivq.listMethods()).length > 10 };
  }, from);
  for (const from of ["string", "url", "buffer", "bytes", "response", "module", "other"]) {
    expect(await loaded(from), from).toEqual({ again: true, refused: expect.stringContaining("loaded already, from another source"), methods: true });
    await open(page);
  }
});

test("a core that is not there", async ({ page, quiet }) => {
  const messages = await page.evaluate(async () => {
    const tell = (error: Error) => error.message;
    // A promise of a response, as fetch gives it.
    const missing = await semivq.load(fetch("/missing.wasm").then(() => new Response("", { status: 404, statusText: "Not Found" }))).then(String, tell);
    const page = await semivq.load("/index.html").then(String, tell);
    const wrong = await semivq.load(7 as never).then(String, tell);
    return { missing, page, wrong, then: await semivq.load() instanceof WebAssembly.Module };
  });
  quiet.length = 0;
  expect(messages.missing).toContain("404 Not Found");
  expect(messages.page).toMatch(/could not be loaded from \/index\.html .*give load\(\) the address/);
  expect(messages.wrong).toContain("load takes a URL, bytes, a Response or a WebAssembly.Module, not [object Number]");
  expect(messages.then).toBe(true);
});

test("a trainer that is freed leaves no memory on the GPU", async ({ page }) => {
  const live = await page.evaluate(async () => {
    let bytes = 0;
    const { createBuffer } = GPUDevice.prototype;
    GPUDevice.prototype.createBuffer = function (descriptor) {
      const buffer = createBuffer.call(this, descriptor);
      bytes += descriptor.size;
      const { destroy } = buffer;
      buffer.destroy = () => {
        bytes -= descriptor.size;
        return destroy.call(buffer);
      };
      return buffer;
    };
    const device = await semivq.GpuDevice.open();
    const used = async (options: Package.CreateOptions) => {
      const trainer = await semivq.create("Trainer", { ...options, device });
      await trainer.step(2);
      await trainer.view(trainer.data.testImages(0, 3));
      await trainer.quantizer(10);
      await trainer.change({ vq: { beta: 0.5 } });
      await trainer.step(1);
      const during = bytes;
      await trainer.free();
      return [during, bytes];
    };
    return [await used({}), await used({ method: "best" }), await used({ method: "approach1" })];
  });
  for (const [during, after] of live) {
    expect(during).toBeGreaterThan(20_000);
    expect(after).toBe(0);
  }
});

for (const kind of KINDS) {
  test(`${kind}: steps, aborted and gone on with`, async ({ page }) => {
    const { straight, aborted } = await page.evaluate(async (kind) => {
      const trainer = await semivq.create(kind);
      const start = await trainer.save();
      const losses: number[] = [];
      const controller = new AbortController();
      trainer.on("metrics", ({ step, rec_loss }) => {
        losses.push(rec_loss);
        if (step === 3) controller.abort(new Error("enough"));
      });
      const reason = await trainer.step(1000, { signal: controller.signal }).catch((error: Error) => error.message);
      const { step } = trainer.describe();
      const heard = losses.length;
      const never = await trainer.step(1, { signal: AbortSignal.abort("at once") }).catch(String);
      const refused = await trainer.step(0).catch(String);
      const last = await trainer.step(2);
      const aborted = { reason, never, refused, step, heard, last: last.step, losses: losses.splice(0) };
      await trainer.load(start);
      await trainer.step(step + 2);
      return { straight: losses, aborted };
    }, kind);
    expect(aborted).toMatchObject({ reason: "enough", never: "at once", refused: expect.stringContaining("at least 1, not 0") });
    expect(aborted.step).toBeGreaterThanOrEqual(3);
    expect(aborted.step, "not far beyond the abort").toBeLessThan(12);
    expect(aborted.heard).toBe(aborted.step);
    expect(aborted.last).toBe(aborted.step + 2);
    expect(aborted.losses).toEqual(straight);
  });

  test(`${kind}: steps as an iterator`, async ({ page }) => {
    const seen = await page.evaluate(async (kind) => {
      const trainer = await semivq.create(kind);
      const heard: number[] = [];
      trainer.on("metrics", ({ step }) => heard.push(step));
      const all: number[] = [];
      for await (const { step } of trainer.run({ steps: 7 })) {
        all.push(step);
        // What is in flight reports to others too.
        if (step === 2) await trainer.save();
      }
      let ahead = 0;
      for await (const { step } of trainer.run()) {
        await new Promise((resolve) => setTimeout(resolve, 200));
        ahead = Math.max(ahead, trainer.describe().step - step);
        if (step === 12) break;
      }
      const broken = trainer.describe().step;
      const settled = heard.length;
      const controller = new AbortController();
      const aborted = await (async () => {
        for await (const _ of trainer.run({ signal: controller.signal })) controller.abort(new Error("enough"));
        return "it ran on";
      })().catch((error: Error) => error.message);
      const after = trainer.describe().step;
      const { step } = await trainer.step();
      const freed = await (async () => {
        for await (const _ of trainer.run()) {
          await trainer.free();
          break;
        }
        return "freed in the loop";
      })().catch(String);
      return { heard: heard.slice(0, step), all, ahead, broken, settled, aborted, after, step, freed };
    }, kind);
    expect(seen.all).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(seen.heard).toEqual(Array.from({ length: seen.step }, (_, i) => i + 1));
    expect(seen.ahead, "never more than a few").toBeLessThanOrEqual(8);
    expect(seen.broken).toBeGreaterThanOrEqual(12);
    expect(seen.settled, "the end waits for what is in flight").toBe(seen.broken);
    expect(seen.aborted).toBe("enough");
    expect(seen.step).toBe(seen.after + 1);
    expect(seen.freed).toBe("freed in the loop");
  });

  test(`${kind}: an evaluation, watched and aborted`, async ({ page }) => {
    const seen = await page.evaluate(async (kind) => {
      const trainer = await semivq.create(kind);
      await trainer.step(2);
      const progress: [number, number][] = [];
      const whole = await trainer.evaluate({ onProgress: (...now) => progress.push(now) });
      const controller = new AbortController();
      let batches = 0;
      const aborted = await trainer.evaluate({
        signal: controller.signal,
        onProgress: () => {
          batches++;
          controller.abort(new Error("enough"));
        },
      }).then(() => "it ran on", (error: Error) => error.message);
      return { progress, whole, aborted, batches, again: await trainer.evaluate() };
    }, kind);
    expect(seen.progress).toEqual([[256, 300], [300, 300]]);
    expect(seen.whole).toMatchObject({ images: 300, l1: expect.any(Number), perplexity: expect.any(Number) });
    expect(seen).toMatchObject({ aborted: "enough", batches: 1 });
    expect(seen.again).toEqual(seen.whole);
  });

  test(`${kind}: images and codes, changes, checkpoints, the end`, async ({ page }) => {
    const seen = await page.evaluate(async (kind) => {
      const trainer = await semivq.create(kind);
      await trainer.step(2);
      const originals = trainer.data.testImages(0, 3);
      const { images, codes } = await trainer.view(originals);
      const same = (a: Uint8Array, b: Uint8Array) => a.length === b.length && a.every((value, i) => value === b[i]);
      const decoded = await trainer.decode(codes);
      const other = await trainer.decode(codes.subarray(0, 16), 2, 8);
      const unknown = await trainer.decode(Uint32Array.of(99), 1, 1).catch((error: Error) => error.message);
      const canvas = new OffscreenCanvas(32, 20);
      canvas.getContext("2d")?.fillRect(0, 0, 9, 9);
      const pictures = await trainer.reconstruct([canvas, await createImageBitmap(canvas)]);
      const { counts, codes: plane } = await trainer.quantizer();
      await trainer.change({ lr: 0.25, vq: { beta: 0.5 } });
      const { lr, vq: { beta, num_codes } } = trainer.options;
      const refused = await trainer.change({ vq: { num_codes: 32 } }).then(() => "taken", () => trainer.options.vq.num_codes);
      const checkpoint = await trainer.save();
      const next = await trainer.step();
      const described = await semivq.describeCheckpoint(checkpoint);
      await trainer.load(checkpoint);
      const { step, cells } = trainer.describe();
      const replayed = await trainer.step();
      const pending = trainer.step();
      await trainer[Symbol.asyncDispose]();
      await trainer.free();
      return {
        images: images.length, decoded: same(images, decoded), other: other.length, unknown, pictures: same(pictures.subarray(0, 256), pictures.subarray(256)),
        codes: codes.length, counts: counts.length, plane: plane.length, lr, beta, num_codes, refused, described: described.step, step, cells,
        replayed: replayed.rec_loss === next.rec_loss, pending: (await pending).step,
        freed: await trainer.step().catch((error: Error) => error.message), software: trainer.device.software,
      };
    }, kind);
    expect(seen).toEqual({
      images: 3 * 256, decoded: true, other: 256, unknown: expect.stringContaining("code 99 does not exist"), pictures: true, codes: 3 * 16,
      counts: 16, plane: 32, lr: 0.25, beta: 0.5, num_codes: 16, refused: 16, described: 2, step: 2, cells: [4, 4], replayed: true, pending: 4,
      freed: "this trainer has been freed", software: true,
    });
  });
}

test("a worker that fails says so", async ({ page, quiet }) => {
  const messages = await page.evaluate(async () => {
    const failing = (script: string) => new Worker(script, { type: "module" });
    const throwing = URL.createObjectURL(new Blob(["throw new Error('of its own')"], { type: "text/javascript" }));
    const create = (options: PackageWorker.WorkerOptions) => semivq.WorkerTrainer.create(options).then(() => "made", (error: Error) => error.message);
    return [await create({ worker: failing("/missing.js") }), await create({ worker: failing(throwing) }), await create({ lr: -1 })];
  });
  quiet.length = 0;
  expect(messages[0]).toContain("build semivq/thread, and pass it as the option `worker`");
  expect(messages[1]).toContain("of its own");
  expect(messages[2]).toContain("lr must be");
});

test("listeners", async ({ page, quiet }) => {
  const heard = await page.evaluate(async () => {
    const trainer = await semivq.create("Trainer");
    const heard: Record<string, number> = { first: 0, twice: 0, thrower: 0 };
    const count = (name: string) => () => {
      heard[name] = (heard[name] ?? 0) + 1;
    };
    const off = trainer.on("metrics", count("first"));
    const twice = count("twice");
    const offTwice = trainer.on("metrics", twice);
    trainer.on("metrics", twice);
    trainer.on("metrics", () => {
      count("thrower")();
      throw new Error("a listener's own");
    });
    await trainer.step(2);
    off();
    offTwice();
    await trainer.step(3);
    return heard;
  });
  expect(heard).toEqual({ first: 2, twice: 2 + 2 + 3, thrower: 5 });
  await expect.poll(() => quiet.filter((line) => line.includes("a listener's own")).length).toBe(5);
  quiet.length = 0;
});

test("devices are shared and given up", async ({ page }) => {
  const seen = await page.evaluate(async () => {
    const device = await semivq.GpuDevice.open();
    const [one, two] = [await semivq.create("Trainer", { device }), await semivq.create("Trainer", { device })];
    await one.free();
    const { step } = await two.step();
    device[Symbol.dispose]();
    return { step, same: two.device === device, gone: await two.step(20).then(() => "it goes on", () => "an error") };
  });
  expect(seen).toEqual({ step: 1, same: true, gone: "an error" });
});

test("pictures of every kind are the same images", async ({ page }) => {
  const seen = await page.evaluate(async () => {
    const image = new ImageData(Uint8ClampedArray.from({ length: 4 * 64 }, (_, i) => (i % 4 === 3 ? 255 : (i * 37) % 256)), 8, 8);
    const canvas = new OffscreenCanvas(8, 8);
    canvas.getContext("2d")?.putImageData(image, 0, 0);
    const onPage = Object.assign(document.createElement("canvas"), { width: 8, height: 8 });
    onPage.getContext("2d")?.putImageData(image, 0, 0);
    const blob = await canvas.convertToBlob();
    const element = new Image();
    element.src = URL.createObjectURL(blob);
    await element.decode();
    const bitmap = await createImageBitmap(image);
    const pictures = [image, canvas, onPage, blob, new File([blob], "a.png"), element, bitmap, image, bitmap];
    const bytes = async (options: Package.FromOptions) => {
      const data = await semivq.TrainingData.from(pictures, { size: 8, ...options });
      const all = [...data.part("train"), ...data.part("test")];
      const length = data.shape[0] * 64;
      const one = all.slice(0, length);
      return { name: data.name, shape: data.shape, one, alike: all.length === 9 * length && all.every((value, i) => value === one[i % length]) };
    };
    const broken = [image, new File(["no image"], "notes.txt"), image, new Blob(["nor this"])];
    const skipped: number[] = [];
    const rest = await semivq.TrainingData.from(broken, { size: 8, name: "some", skip: (_, index) => skipped.push(index) });
    const back = semivq.toImageData(Uint8Array.from((await bytes({ colour: true })).one), [3, 8, 8]);
    return {
      grey: await bytes({}), colour: await bytes({ colour: true }), rgba: [...image.data], back: [...back.data],
      refused: await semivq.TrainingData.from(broken).then(() => "taken", (error: Error) => error.message),
      skipped, name: rest.name, rest: rest.train + rest.test,
      cropped: await (async () => {
        const wide = new OffscreenCanvas(24, 8);
        wide.getContext("2d")?.putImageData(image, 8, 0);
        const data = await semivq.TrainingData.from([wide, wide], { size: 8, colour: true });
        return [...data.part("test")];
      })(),
    };
  });
  const plane = (k: number) => seen.rgba.filter((_, i) => i % 4 === k);
  expect(seen.colour).toMatchObject({ shape: [3, 8, 8], alike: true, name: "9 images", one: [...plane(0), ...plane(1), ...plane(2)] });
  const grey = plane(0).map((r, i) => (19_595 * r + 38_470 * (plane(1)[i] ?? 0) + 7_471 * (plane(2)[i] ?? 0) + 0x8000) >> 16);
  expect(seen.grey).toMatchObject({ shape: [1, 8, 8], alike: true, one: grey });
  expect(seen.back).toEqual(seen.rgba);
  expect(seen.cropped, "the centred square").toEqual(seen.colour.one);
  expect(seen).toMatchObject({ refused: "notes.txt cannot be decoded", skipped: [1, 3], name: "some", rest: 2 });
});

test("what a visitor loads", () => {
  const dist = join(ROOT, "dist");
  // gpu.html and what it alone loads are a page of their own.
  const names = readdirSync(join(dist, "assets")).filter((name) => !name.startsWith("gpu-"));
  const assets = names.map((name) => join(dist, "assets", name));
  const kilobytes = (paths: string[]) => paths.reduce((sum, path) => sum + gzipSync(readFileSync(path), { level: 9 }).length, 0) / 1000;
  const wasm = kilobytes(assets.filter((path) => path.endsWith(".wasm")));
  const recorded = kilobytes(assets.filter((path) => path.endsWith(".run")));
  const rest = kilobytes(["index.html", "offline.js"].map((name) => join(dist, name)).concat(assets.filter((path) => !/\.(wasm|run)$/.test(path))));
  console.log(`  compressed: wasm ${wasm.toFixed(0)} kB, the rest of the page ${rest.toFixed(0)} kB, its recorded run ${recorded.toFixed(0)} kB`);
  // What the page may weigh: with residual models, scenes and all options of training the core needs 358. The rest has a
  // tenth more than it needs.
  expect(wasm).toBeLessThanOrEqual(400);
  expect(rest).toBeLessThanOrEqual(87);
  expect(recorded).toBeLessThanOrEqual(300);
});
