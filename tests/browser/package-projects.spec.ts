/** The npm package where it is used: projects of Vite, of esbuild, of TypeScript, in Node.js, and without a bundler. */
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { complaints, node, pack, project, resultOf, serve } from "./project.js";
import { ROOT, expect, test } from "./support.js";

/** The examples of the package's README. */
function examples(): string[] {
  const readme = readFileSync(join(ROOT, "www/npm/README.md"), "utf8");
  return [...readme.matchAll(/```js\n([\s\S]*?)```/g)].map(([, code]) => code ?? "");
}

const example = examples()[0] ?? "";

/** Trains three steps here and in a worker, which are the same. */
const TRAINS = `
import { Trainer } from "semivq";
import { WorkerTrainer } from "semivq/worker";
const losses = [];
for (const kind of [Trainer, WorkerTrainer]) {
  await using trainer = await kind.create({ batch: 4, vq: { num_codes: 16, feature_size: 8 } });
  losses.push((await trainer.step(3)).rec_loss);
}
globalThis.result = losses;
`;

const HTML = `<!doctype html><title>project</title><link rel="icon" href="data:,"><script type="module" src="./main.js"></script>`;

function expectSame(losses: number[]) {
  expect(losses).toHaveLength(2);
  expect(losses[0]).toBeGreaterThan(0);
  expect(losses[1]).toBe(losses[0]);
}

test("what npm packs", () => {
  const { version, files } = pack("--dry-run");
  const crate = /^\[package\][^[]*?^version = "([^"]*)"/m.exec(readFileSync(join(ROOT, "Cargo.toml"), "utf8"))?.[1];
  expect(version).toBe(crate);
  const core = readFileSync(join(ROOT, "dist/core/semivq_bg.wasm"), "latin1");
  expect(core, "the version that the core reports").toContain(version);
  const modules = readdirSync(join(ROOT, "www/package")).map((name) => name.replace(/\.ts$/, ""));
  const want = [
    "LICENSE-APACHE", "LICENSE-MIT", "README.md", "core.wasm.d.ts", "options.d.ts", "package.json",
    ...["semivq.d.ts", "semivq.js", "semivq_bg.wasm"].map((name) => `core/${name}`),
    ...modules.flatMap((name) => [`package/${name}.d.ts`, `package/${name}.js`]),
  ];
  expect(files.map(({ path }) => path).sort()).toEqual(want.sort());
  const { exports } = JSON.parse(readFileSync(join(ROOT, "dist/package.json"), "utf8")) as { exports: Record<string, string | Record<string, string>> };
  const named = Object.values(exports).flatMap((target) => Object.values(typeof target === "string" ? [target] : target));
  expect(want).toEqual(expect.arrayContaining(named.map((path) => path.replace("./", ""))));
});

test("the README's example, without a bundler", async ({ page }) => {
  const imports = JSON.stringify({ imports: { semivq: "/package/index.js" } });
  const body = `<title>example</title><link rel="icon" href="data:,"><script type="importmap">${imports}</script><script type="module">${example}
    globalThis.result = { step, rec_loss, other: other.metrics(), data: noise.data.shape, same: String(reconstructions) === String(decoded), bytes: decoded.length };</script>`;
  await page.route("/example/", (route) => route.fulfill({ contentType: "text/html", body }));
  const lines: string[] = [];
  page.on("console", (message) => lines.push(message.text()));
  await page.goto("/example/");
  const result = await resultOf<{ step: number; rec_loss: number; other: { step: number } }>(page);
  expect(result).toMatchObject({ step: 10, other: { step: 20 }, data: [1, 16, 16], same: true, bytes: 8 * 28 * 28 });
  expect(result.rec_loss).toBeGreaterThan(0);
  // A line a step, then what the last statement prints.
  expect(lines.filter((line) => /^\d+ [\d.]+ [\d.]+$/.test(line))).toHaveLength(10);
  expect(example.trim().split("\n").filter((line) => line && !line.startsWith("//")).length).toBeLessThanOrEqual(20);
});

test("strict TypeScript projects", () => {
  const [, pictures = "", worker = ""] = examples();
  const folder = project({
    "example.ts": example,
    "pictures.ts": `import { Trainer, TrainingData, toImageData } from "semivq";
      declare const input: { files: FileList }, canvas: HTMLCanvasElement, context: CanvasRenderingContext2D;
      ${pictures}
      await trainer.reconstruct([new ImageData(1, 1), await createImageBitmap(canvas), new Blob(), canvas]);`,
    "worker.ts": `${worker}
      import { type Codes, type Evaluation, GpuDevice, Trainer, load } from "semivq";
      import address from "semivq/core.wasm";
      const module: WebAssembly.Module = await load(new URL(address, import.meta.url));
      new Worker("").postMessage(module);
      using device = await GpuDevice.open();
      await using here = await Trainer.create({ device });
      const both: (Trainer | WorkerTrainer)[] = [trainer, here];
      for (const one of both) {
        const { codes } = await one.view(one.data.testImages(0, 1));
        const image = await one.decode(codes);
        const map: Codes = codes;
        const evaluation: Evaluation = await one.evaluate({ signal: AbortSignal.timeout(1), onProgress: (done, total) => done / total });
        new Blob([image, await one.save(), map, String(evaluation.psnr)]);
        one.on("metrics", ({ step }) => step)();
        // @ts-expect-error: there is no such event
        one.on("steps", () => undefined);
        // @ts-expect-error: nor such a method
        await WorkerTrainer.create({ method: "none" });
      }`,
  });
  const options = { strict: true, noEmit: true, skipLibCheck: false, target: "ES2022", lib: ["ES2022", "DOM"], types: [] };
  for (const module of [{ module: "ESNext", moduleResolution: "Bundler" }, { module: "NodeNext" }]) {
    expect(complaints(folder, { ...options, ...module }, ["example.ts", "pictures.ts", "worker.ts"])).toBe("");
  }
  const types = join(folder, "node_modules/semivq/package");
  for (const name of readdirSync(types).filter((name) => name.endsWith(".d.ts"))) {
    const code = readFileSync(join(types, name), "utf8").replace(/\/\*[\s\S]*?\*\//g, "");
    expect(code, name).not.toMatch(/\bany\b/);
  }
});

test("a project of Vite", async ({ page }) => {
  const folder = project({ "index.html": HTML, "main.js": TRAINS });
  const { status, output } = node(folder, join(ROOT, "node_modules/vite/bin/vite.js"), "build", "--logLevel", "warn");
  expect(output, "warnings").toBe("");
  expect(status).toBe(0);
  await serve(folder, "dist", async (address) => {
    await page.goto(address);
    expectSame(await resultOf(page));
  });
});

test("a project of Vite that names the wasm file", () => {
  const source = `import { load } from "semivq"; import address from "semivq/core.wasm?url"; await load(address);`;
  const folder = project({ "index.html": HTML, "main.js": source });
  expect(node(folder, join(ROOT, "node_modules/vite/bin/vite.js"), "build", "--logLevel", "warn")).toEqual({ status: 0, output: "" });
  const files = readdirSync(join(folder, "dist/assets"));
  expect(files.filter((name) => name.endsWith(".wasm")), "the core, once").toHaveLength(1);
});

test("a project of esbuild", async ({ page }) => {
  const source = `import { load } from "semivq"; import wasm from "semivq/core.wasm"; await load(new URL(wasm, import.meta.url));${TRAINS}`;
  const folder = project({ "main.js": source });
  const { warnings } = await build({
    absWorkingDir: folder, entryPoints: { main: "main.js", thread: "semivq/thread" }, outdir: "out", bundle: true, format: "esm",
    target: "es2022", loader: { ".wasm": "file" }, logLevel: "silent",
  });
  expect(warnings).toEqual([]);
  writeFileSync(join(folder, "out/index.html"), HTML);
  await serve(folder, "out", async (address) => {
    await page.goto(address);
    expectSame(await resultOf(page));
  });
});

test("Node.js, without a GPU", () => {
  const folder = project({
    "main.js": `
      import { GpuDevice, Trainer, TrainingData, completeOptions, describeCheckpoint, listMethods, load } from "semivq";
      const methods = await listMethods();
      console.log(methods.some(({ name }) => name === "best"));
      console.log((await completeOptions({ method: "vq", vq: { num_codes: 64 } })).vq.num_codes);
      console.log((await TrainingData.builtIn("scenes")).shape.join());
      const data = await TrainingData.images("noise", new Uint8Array(32 * 256), [1, 16, 16]);
      console.log(data.train + data.test);
      for (const refused of [
        () => describeCheckpoint(new Uint8Array(100)), () => completeOptions({ lr: -1 }), () => GpuDevice.open(),
        () => Trainer.create(), () => TrainingData.from([new Blob()]), () => load("https://semivq.example/core.wasm"),
      ]) await refused().then(() => console.log("taken"), (error) => console.log(error.message));
    `,
    "bytes.js": `
      import { readFile } from "node:fs/promises";
      import { listMethods, load } from "semivq";
      await load(readFile(new URL(import.meta.resolve("semivq/core.wasm"))).then((bytes) => new Response(bytes)));
      console.log((await listMethods()).length > 10);
    `,
    "nowhere.js": `
      import { load } from "semivq";
      await load(new URL("nowhere.wasm", import.meta.url)).catch((error) => console.log(error.message));
      console.log(await load() instanceof WebAssembly.Module);
    `,
  });
  const { status, output } = node(folder, "main.js");
  const lines = output.trim().split("\n");
  expect(lines.slice(0, 4)).toEqual(["true", "64", "3,32,32", "32"]);
  expect(lines[4]).toContain("the checkpoint");
  expect(lines[5]).toContain("lr must be");
  expect(lines[6]).toContain("there is no WebGPU here");
  expect(lines[7]).toContain("there is no WebGPU here");
  expect(lines[8]).toContain("give their bytes to TrainingData.images");
  expect(lines[9]).toContain("loaded already, from another source");
  expect(lines).toHaveLength(10);
  expect(status).toBe(0);
  expect(node(folder, "bytes.js")).toEqual({ status: 0, output: "true\n" });
  const retried = node(folder, "nowhere.js").output.trim().split("\n");
  expect(retried[0]).toMatch(/could not be loaded from file:.*nowhere\.wasm .*ENOENT.*give load\(\) the address of semivq\/core\.wasm/);
  expect(retried[1]).toBe("true");
});
