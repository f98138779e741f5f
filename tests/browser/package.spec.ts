/** The npm package: the example of its README as it stands there, and the sizes of what is loaded. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { ROOT, expect, test } from "./support.js";

function example(): string {
  const readme = readFileSync(join(ROOT, "www/README.md"), "utf8");
  const [, code] = /```js\n([\s\S]*?)```/.exec(readme) ?? [];
  if (!code) throw new Error("www/README.md has no example");
  return code;
}

test("the README's example", async ({ page }) => {
  const manifest = JSON.parse(readFileSync(join(ROOT, "dist/package.json"), "utf8"));
  const entry = new URL(manifest.exports["."].import, "http://package/").pathname;
  const body = `<title>example</title><link rel="icon" href="data:,">
    <script type="importmap">{"imports": {"semivq": "${entry}"}}</script>
    <script type="module">${example()}; Object.assign(globalThis, { example: { step, rec_loss, metrics: other.metrics(), reconstructions } });</script>`;
  await page.route("/example/", (route) => route.fulfill({ contentType: "text/html", body }));
  const lines: string[] = [];
  page.on("console", (message) => lines.push(message.text()));
  await page.goto("/example/");
  const result = await page.waitForFunction(() => {
    const { example } = globalThis as never as { example?: { step: number; rec_loss: number; metrics: { step: number; rec_loss: number }; reconstructions: Uint8Array } };
    return example && { ...example, reconstructions: example.reconstructions.length };
  });
  const { step, rec_loss, metrics, reconstructions } = await result.jsonValue() ?? {};
  expect(step).toBe(10);
  expect(rec_loss).toBeGreaterThan(0);
  expect(metrics?.step).toBe(20);
  expect(reconstructions).toBe(8 * 28 * 28);
  // A line a step, then what the last statement prints.
  expect(lines.filter((line) => /^\d+ [\d.]+ [\d.]+$/.test(line))).toHaveLength(10);
  expect(example().trim().split("\n").filter((line) => line && !line.startsWith("//")).length).toBeLessThanOrEqual(20);
});

test("types come with the package: the example in a strict TypeScript project", () => {
  const project = mkdtempSync(join(tmpdir(), "semivq-types-"));
  writeFileSync(join(project, "main.ts"), example());
  const compilerOptions = {
    strict: true, noEmit: true, target: "ES2022", module: "ESNext", moduleResolution: "Bundler", lib: ["ES2022", "DOM"], types: [],
    paths: { semivq: [join(ROOT, "dist/trainer.d.ts")] },
  };
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["main.ts"] }));
  const { status, stdout } = spawnSync(process.execPath, [join(ROOT, "node_modules/typescript/bin/tsc"), "--project", project], { encoding: "utf8" });
  expect(stdout).toBe("");
  expect(status).toBe(0);
});

test("what a visitor loads", () => {
  const dist = join(ROOT, "dist");
  // gpu.html and what it alone loads are a page of their own.
  const names = readdirSync(join(dist, "assets")).filter((name) => !name.startsWith("gpu-"));
  const assets = names.map((name) => join(dist, "assets", name));
  const kilobytes = (paths: string[]) => paths.reduce((sum, path) => sum + gzipSync(readFileSync(path), { level: 9 }).length, 0) / 1000;
  const wasm = kilobytes(assets.filter((path) => path.endsWith(".wasm")));
  const rest = kilobytes([join(dist, "index.html"), ...assets.filter((path) => !path.endsWith(".wasm"))]);
  console.log(`  compressed: wasm ${wasm.toFixed(0)} kB, the rest of the page ${rest.toFixed(0)} kB`);
  // What the page may weigh: with residual models, scenes and all options of training the core needs 389. The rest has a
  // tenth more than it needs.
  expect(wasm).toBeLessThanOrEqual(400);
  expect(rest).toBeLessThanOrEqual(63);
});
