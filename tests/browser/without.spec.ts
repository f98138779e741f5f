/** Browsers that cannot run the page are told what to do. */
import { chromium } from "@playwright/test";
import { webGpuAdvice } from "../../www/problems.js";
import { inLabels } from "../../www/settings.js";
import { CHROMIUM, QUIET_FLAGS, expect, shot, test } from "./support.js";

test("no WebGPU", async ({ page, baseURL }) => {
  // A page that is not secure has none.
  await page.route("http://semivq.example/**", async (route) => {
    const url = route.request().url().replace("http://semivq.example", baseURL ?? "");
    await route.fulfill({ response: await route.fetch({ url }) });
  });
  await page.goto("http://semivq.example/");
  await expect(page.locator("#problems")).toContainText("This browser has no WebGPU");
  await expect(page.locator("#problems")).toContainText("open this one over https://");
  await shot(page, "no-webgpu", false);
});

test("no adapter", async ({ baseURL }) => {
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: [...QUIET_FLAGS, "--disable-gpu", "--disable-features=WebGPUService", "--disable-software-rasterizer"],
  });
  const page = await browser.newPage();
  await page.goto(baseURL ?? "");
  await expect(page.locator("#problems")).toContainText("No GPU could be opened");
  await expect(page.locator("#problems")).toContainText("Update the browser");
  await shot(page, "no-adapter", false);
  await browser.close();
});

test("what to do, by browser", () => {
  const agents = {
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0": "about:config",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:130.0) Gecko/20100101 Firefox/130.0": "Update Firefox",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36": "chrome://flags",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 Edg/120.0.0.0": "hardware acceleration",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Safari/605.1.15": "Safari 26",
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
