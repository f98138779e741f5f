/** Browsers that cannot train see a recorded run, and what to do; and a page without a network. */
import { chromium } from "@playwright/test";
import puppeteer from "puppeteer-core";
import { webGpuAdvice } from "../../www/problems.js";
import { inLabels } from "../../www/settings.js";
import { CHROMIUM, FIREFOX, QUIET_FLAGS, SHOTS, SMALL, expect, open, pause, shot, stepOf, stepped, test } from "./support.js";

test("without WebGPU a recorded run plays, with one line of advice", async ({ page, baseURL, quiet }) => {
  // A page that is not secure has none.
  await page.route("http://semivq.example/**", async (route) => {
    const url = route.request().url().replace("http://semivq.example", baseURL ?? "");
    await route.fulfill({ response: await route.fetch({ url }) });
  });
  const start = Date.now();
  await page.goto("http://semivq.example/");
  await expect(page.locator("#recorded")).toContainText("This is a recorded run: this browser has no WebGPU. WebGPU works on secure pages only");
  await expect(page.locator("#headline")).toHaveText(/^256 codes\. A uses \d+, B uses \d+\.$/);
  console.log(`  the recorded run's first picture after ${Date.now() - start} ms`);
  await expect(page.locator("#problems")).toBeEmpty();
  // It comes to its end, and one can go back in it.
  await expect.poll(async () => Number(await page.locator("#scrubber").getAttribute("max")), { timeout: 60_000 }).toBeGreaterThan(250);
  await expect.poll(async () => Number(/B uses (\d+)/.exec((await page.locator("#headline").textContent()) ?? "")?.[1])).toBeGreaterThan(60);
  await page.locator("#scrubber").fill("2");
  await expect(page.locator("#figures-b")).toContainText("at step 2:");
  await expect(page.getByRole("button", { name: "Run", exact: true })).toBeDisabled();
  await shot(page, "no-webgpu", false);
  quiet.length = 0;
});

test("no adapter", async ({ baseURL }) => {
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: [...QUIET_FLAGS, "--disable-gpu", "--disable-features=WebGPUService", "--disable-software-rasterizer"],
  });
  const page = await browser.newPage();
  await page.goto(baseURL ?? "");
  await expect(page.locator("#recorded")).toContainText("no GPU could be opened");
  await expect(page.locator("#recorded")).toContainText("Update the browser");
  await expect(page.locator("#headline")).toHaveText(/B uses \d+/);
  await shot(page, "no-adapter", false);
  await browser.close();
});

test("Firefox without WebGPU plays the recorded run", async ({ baseURL }) => {
  const browser = await puppeteer.launch({ browser: "firefox", executablePath: FIREFOX, headless: true });
  try {
    const page = await browser.newPage();
    await page.setViewport({ width: 1280, height: 800 });
    const errors: string[] = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    await page.goto(baseURL ?? "");
    await page.waitForFunction(() => /B uses \d\d+/.test(document.querySelector("#headline")?.textContent ?? ""), { timeout: 60_000 });
    expect(await page.$eval("#recorded", (e) => e.textContent)).toContain("about:config");
    await page.screenshot({ path: `${SHOTS}/firefox.png` });
    expect(errors).toEqual([]);
  } finally {
    await browser.close();
  }
});

test("after a first visit it works offline", async ({ page, context }) => {
  await open(page, `show=a&${SMALL}`, 3);
  await expect.poll(() => page.evaluate(async () => (await navigator.serviceWorker.getRegistration())?.active?.state)).toBe("activated");
  await pause(page);
  await expect(page.locator("#kept")).toContainText("saved at step");
  const at = await stepOf(page);
  await context.setOffline(true);
  await page.reload();
  await stepped(page, at);
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await stepped(page, at + 2);
});

test("what to do, by browser", () => {
  const agents = {
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0": "about:config",
    "Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0": "Chrome 121",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:130.0) Gecko/20100101 Firefox/130.0": "Update Firefox",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36": "chrome://flags",
    "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36": "121",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 Edg/120.0.0.0": "hardware acceleration",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Safari/605.1.15": "Safari 26",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1": "iOS",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15": "Use a current",
    "Lynx/2.9": "Use a current",
  };
  for (const [agent, advice] of Object.entries(agents)) expect(webGpuAdvice(agent, true), agent).toContain(advice);
});

test("the core's messages name the controls", () => {
  const messages = {
    "lower `lr` (now 1e0) or `penalty_weight`: it": "lower Learning rate (now 1e0) or Penalty: it",
    "vq.beta must be in [0, 1], not 2": "Beta must be in [0, 1], not 2",
    "optimizer.beta1 must be in [0, 1), not 2": "optimizer.beta1 must be in [0, 1), not 2",
    "replace_freq and norm: tensor `x` of data_batch_1.bin": "Replace after and norm: tensor `x` of data_batch_1.bin",
  };
  for (const [message, shown] of Object.entries(messages)) expect(inLabels(message)).toBe(shown);
});
