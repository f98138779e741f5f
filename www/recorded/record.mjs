/**
 * Records the run that visitors without WebGPU see, `collapse.run`: `cargo xtask web && npm run record`. It trains the
 * page's first experiment in headless Chromium and keeps what the page showed.
 */
import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { chromium } from "@playwright/test";
import { preview } from "vite";

const STEPS = 300;
/** Moments of the file, and its bytes, at most. */
const MOMENTS = 44;
const MOST = 300_000;

const here = import.meta.dirname;
const server = await preview({ configFile: resolve(here, "../vite.config.ts"), preview: { port: 4320, strictPort: true } });
const browser = await chromium.launch({
  executablePath: process.env["SEMIVQ_CHROMIUM"] ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--enable-unsafe-webgpu", `--use-webgpu-adapter=${process.env["SEMIVQ_WEBGPU_ADAPTER"] ?? "swiftshader"}`],
});
try {
  const page = await browser.newPage();
  await page.goto("http://localhost:4320/#experiment=collapse");
  await page.waitForFunction((steps) => ["stepsA", "stepsB"].every((side) => Number(document.body.dataset[side] ?? 0) >= steps), STEPS, { timeout: 3_600_000 });
  const text = await page.evaluate(([moments]) => globalThis.semivq.record(moments), [MOMENTS]);
  const bytes = Buffer.from(text, "base64");
  if (bytes.length > MOST) throw new Error(`${bytes.length} bytes are more than ${MOST}`);
  writeFileSync(resolve(here, "collapse.run"), bytes);
  console.log(`collapse.run: ${bytes.length} bytes`);
} finally {
  await browser.close();
  await server.close();
}
