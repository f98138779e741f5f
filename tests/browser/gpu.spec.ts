/** The page that tests a GPU, with few tests and stages of the bench. */
import { readFileSync } from "node:fs";
import { AxeBuilder } from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import type { Kernel, Result } from "../../www/gpu/result.js";
import { expect, shot, test } from "./support.js";

const button = (page: Page) => page.locator("#run");
const status = (page: Page) => page.locator("#status");

async function start(page: Page, hash: string) {
  await page.goto(`/gpu.html#${hash}`);
  await button(page).click();
}

async function result(page: Page, ended: RegExp): Promise<Result> {
  await expect(status(page)).toHaveText(ended, { timeout: 180_000 });
  return JSON.parse(await page.locator("#json").textContent() ?? "") as Result;
}

function isKernel(kernel: Kernel) {
  expect(kernel).toEqual({
    label: expect.any(String), kernel: expect.stringMatching(/^\w+::\w+$/), operations: expect.any(Number),
    least_bytes: expect.any(Number), seconds: expect.any(Number), share: expect.any(Number),
    of_gflops: expect.any(Number), of_gb_per_second: expect.any(Number),
  });
  expect(kernel.least_bytes).toBeGreaterThan(0);
  // Browsers round timestamps.
  expect(kernel.seconds).toBeGreaterThanOrEqual(0);
  expect(kernel.share).toBeLessThanOrEqual(1);
}

test("chosen tests and stages, and their result as JSON", async ({ page, context }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await start(page, "tests=relu&tests=usage over&bench=search");
  await expect(page.locator("#progress")).toBeVisible();
  await expect(page.locator("#doing")).toHaveText(/^\d+ of \d+(; about \d+ s left)?: .*/);
  const { adapter, limits, features, tests, bench, ...rest } = await result(page, /^All is well: \d+ of \d+ tests passed, 0 failed\.$/);
  expect(rest).toEqual({
    schema: "semivq-gpu-test/1", semivq: expect.stringMatching(/^\d+\.\d+\.\d+/), date: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    user_agent: await page.evaluate(() => navigator.userAgent), ended: "complete", seconds: expect.any(Number),
  });
  expect(adapter).toEqual({
    vendor: expect.any(String), architecture: expect.any(String), device: expect.any(String), description: expect.any(String),
    software: expect.any(Boolean),
  });
  expect(limits["maxComputeInvocationsPerWorkgroup"]).toBeGreaterThanOrEqual(256);
  expect(features).toContain("core-features-and-limits");
  // Of both modules.
  expect(tests.total).toBeGreaterThanOrEqual(3);
  expect(tests).toEqual({ total: tests.total, passed: tests.total, failed: [] });
  expect(bench).toMatchObject({ failed: [], clock: expect.stringMatching(/^(timestamps|host)$/), steps: [] });
  expect(bench.ceilings?.gflops).toBeGreaterThan(0);
  expect(bench.ceilings?.gb_per_second).toBeGreaterThan(0);
  const [search] = bench.searches ?? [];
  expect(search?.time.median).toBeGreaterThan(0);
  const kernels = search?.kernels ?? [];
  kernels.forEach(isKernel);
  expect(kernels.reduce((sum, kernel) => sum + kernel.share, 0)).toBeCloseTo(1);
  await expect(page.getByRole("table").getByRole("row")).toHaveCount(kernels.length + 1);
  await expect(page.getByRole("rowheader").first()).toHaveText(kernels[0]?.label ?? "none");
  expect(await page.locator(".bar").first().evaluate((bar) => getComputedStyle(bar).backgroundImage)).toContain("gradient");

  await page.getByText("Show JSON").click();
  const shown = await page.locator("#json").textContent();
  await page.getByRole("button", { name: "Copy JSON" }).click();
  await expect(page.locator("#copied")).toHaveText("copied");
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(shown);
  const downloading = page.waitForEvent("download");
  await page.getByRole("button", { name: "Download JSON" }).click();
  const download = await downloading;
  expect(download.suggestedFilename()).toMatch(/^semivq-gpu-[\dT-]+\.json$/);
  expect(readFileSync(await download.path(), "utf8")).toBe(shown);
});

test("without timestamps the kernels are timed by the host", async ({ page }) => {
  const hidden = `const { has } = GPUSupportedFeatures.prototype;
    GPUSupportedFeatures.prototype.has = function (name) { return name !== "timestamp-query" && has.call(this, name); };`;
  await page.route("**/gpu-worker-*.js", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: `${hidden}${await response.text()}` });
  });
  await start(page, "tests=none&bench=search");
  const { bench } = await result(page, /^All is well/);
  expect(bench.clock).toBe("host");
  const [search] = bench.searches ?? [];
  search?.kernels.forEach(isKernel);
  // The whole is about its parts.
  const seconds = search?.kernels.reduce((sum, kernel) => sum + kernel.seconds, 0) ?? 0;
  expect(seconds / (search?.time.median ?? 0)).toBeGreaterThan(0.2);
  expect(seconds / (search?.time.median ?? 0)).toBeLessThan(5);
  await expect(page.locator("#tables")).toContainText("This adapter has no timestamps");
});

test("the step's kernels", async ({ page }) => {
  await start(page, "tests=none&bench=step of simple, vq");
  const { bench, tests } = await result(page, /^All is well/);
  expect(tests.total).toBe(0);
  const [step] = bench.steps ?? [];
  expect(step).toMatchObject({ method: "vq", dispatches: step?.kernels.length });
  step?.kernels.forEach(isKernel);
  const operations = step?.kernels.reduce((sum, kernel) => sum + kernel.operations, 0) ?? 0;
  expect(1e-9 * operations).toBeCloseTo(step?.gflop ?? 0, 6);
});

test("it can be stopped, and started again", async ({ page }) => {
  await start(page, "");
  // Somewhere in the middle, the page answering all the time.
  await expect(page.locator("#doing")).toHaveText(/^[3-9]\d* of \d+; about/);
  await page.keyboard.press("Enter");
  const stopped = await result(page, /^Stopped at "/);
  expect(stopped).toMatchObject({ ended: "stopped", ended_at: expect.any(String) });
  expect(stopped.tests.passed).toBeGreaterThan(0);
  expect(stopped.tests.passed).toBeLessThan(stopped.tests.total);
  await page.goto("/gpu.html#tests=relu&bench=none");
  await page.reload();
  await button(page).click();
  expect((await result(page, /^All is well/)).ended).toBe("complete");
});

test("failures are listed, and what comes after a panic runs", async ({ page, quiet }) => {
  await start(page, "tests=usage over&bench=none&fail");
  const { tests } = await result(page, /^Something is wrong: 1 of 3 tests passed, 2 failed\.$/);
  expect(tests.failed).toEqual([
    { module: "gradients", name: "on purpose: panics", message: expect.stringContaining("a test that panics") },
    { module: "gradients", name: "on purpose: fails", message: "1 is not 2" },
  ]);
  await expect(page.locator("#failed li")).toHaveCount(2);
  await expect(page.locator("#failed")).toContainText("1 is not 2");
  expect(quiet.splice(0).join("\n")).toContain("a test that panics");
});

test("a module that cannot be loaded", async ({ page, quiet }) => {
  await page.route("**/gpu/vq_layer.js", (route) => route.abort());
  await start(page, "tests=relu");
  const { ended, ended_at, error } = await result(page, /^Ended at "loading vq_layer": /);
  expect({ ended, ended_at }).toEqual({ ended: "error", ended_at: "loading vq_layer" });
  expect(error).toContain("vq_layer.js");
  quiet.splice(0);
});

test("without WebGPU it says what to do", async ({ page, baseURL }) => {
  // A page that is not secure has none.
  await page.route("http://semivq.example/**", async (route) => {
    const url = route.request().url().replace("http://semivq.example", baseURL ?? "");
    await route.fulfill({ response: await route.fetch({ url }) });
  });
  await page.goto("http://semivq.example/gpu.html");
  await expect(page.locator("#problems")).toContainText("This browser has no WebGPU");
  await expect(page.locator("#problems")).toContainText("open this one over https://");
  await expect(button(page)).toBeDisabled();
});

test("nothing is loaded before the button is pressed; from the page and back", async ({ page }) => {
  const asked: string[] = [];
  page.on("request", (request) => asked.push(request.url()));
  await page.goto("/gpu.html");
  await expect(button(page)).toBeEnabled();
  expect(asked.filter((url) => /\.wasm|\/gpu\//.test(url))).toEqual([]);
  await page.getByRole("link", { name: "Back to training" }).click();
  await page.getByRole("link", { name: "Test my GPU" }).click();
  await expect(page).toHaveTitle("semivq: test my GPU");
});

for (const colorScheme of ["light", "dark"] as const) {
  test(`accessible and narrow, ${colorScheme}`, async ({ page, quiet }) => {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width: 360, height: 740 });
    const check = async () => {
      expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
      const sizes = await page.evaluate(() => [...document.querySelectorAll("body *")].map((e) => parseFloat(getComputedStyle(e).fontSize)));
      expect(Math.min(...sizes)).toBeGreaterThanOrEqual(13);
    };
    await page.goto("/gpu.html#tests=usage over&bench=search&fail");
    await expect(button(page)).toBeEnabled();
    await check();
    await button(page).click();
    await expect(page.locator("#failed li")).toHaveCount(2);
    await check();
    await result(page, /^Something is wrong/);
    await page.getByText("Show JSON").click();
    await check();
    await shot(page, `gpu-${colorScheme}`);
    quiet.splice(0);
  });
}
