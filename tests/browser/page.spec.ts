/** The page as its users drive it. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import type { Page } from "@playwright/test";
import { SMALL, csv, drop, expect, open, pause, pixels, shot, stepOf, stepped, test } from "./support.js";

test("starts by itself, learns, and leaves the page's thread alone", async ({ page }) => {
  await page.addInitScript(() => {
    const tasks: number[] = [];
    Object.assign(globalThis, { longTasks: tasks });
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) tasks.push(entry.duration);
    }).observe({ type: "longtask" });
  });
  const start = Date.now();
  await open(page, "");
  const first = (Date.now() - start) / 1000;
  console.log(`  first step after ${first.toFixed(1)} s`);
  await expect(page.locator("#intro")).toHaveAttribute("open", "");
  await stepped(page, 3, "B");
  await page.evaluate(() => ((globalThis as never as { longTasks: number[] }).longTasks.length = 0));
  const before = await stepOf(page);
  await stepped(page, before + 25);
  const long = await page.evaluate(() => (globalThis as never as { longTasks: number[] }).longTasks);
  console.log(`  tasks above 50 ms in ${(await stepOf(page)) - before} steps: ${long.length}`);
  expect(long).toEqual([]);
  await shot(page, "training");
  await pause(page);
  const lines = await csv(page);
  const losses = lines.map((m) => m["a.rec_loss"] ?? NaN);
  const mean = (values: number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;
  expect(losses.length).toBeGreaterThan(25);
  expect(mean(losses.slice(-5))).toBeLessThan(0.7 * mean(losses.slice(0, 3)));
});

test("pause, step, reset, by button and by key", async ({ page }) => {
  await open(page, `show=a&${SMALL}`);
  await pause(page);
  const at = await stepOf(page);
  await page.waitForTimeout(1500);
  expect(await stepOf(page)).toBe(at);
  await page.getByRole("button", { name: "Step" }).click();
  await stepped(page, at + 1);
  await page.locator("h1").click();
  await page.keyboard.press("ArrowRight");
  await stepped(page, at + 2);
  await page.waitForTimeout(500);
  expect(await stepOf(page)).toBe(at + 2);
  await page.keyboard.press("Space");
  await stepped(page, at + 4);
  await page.keyboard.press("Space");
  await expect(page.locator("#status")).toHaveText("paused");
  await page.keyboard.press("r");
  await expect(page.locator("#figures-a")).toContainText("parameters");
});

test("A beside B: the same batches, and A as if it were alone", async ({ page }) => {
  const settings = `${SMALL}&a.method=vq&b.method=approach1`;
  await open(page, `show=both&${settings}`, 6);
  await stepped(page, 6, "B");
  await pause(page);
  const both = await csv(page);
  await page.goto("about:blank");
  await page.goto(`/#show=a&${settings}`);
  await page.getByRole("button", { name: "Start afresh" }).click();
  await stepped(page, 6);
  await pause(page);
  const alone = await csv(page);
  for (let i = 0; i < 6; i++) {
    expect(both[i]?.["a.rec_loss"]).toBe(alone[i]?.["a.rec_loss"]);
    expect(both[i]?.["b.rec_loss"]).not.toBeNaN();
  }
  expect(both[5]?.["b.cmt_loss"]).not.toBe(both[5]?.["a.cmt_loss"]);
  await expect(page.locator("#side-b")).toBeHidden();
});

test("the address holds every setting", async ({ page }) => {
  await open(page, `show=a&${SMALL}`);
  await page.getByLabel("Learning rate").fill("0.002");
  await page.getByLabel("Learning rate").press("Tab");
  await page.locator("#set-a-method").selectOption("approach1");
  await page.locator("#set-a-replace_freq").fill("30");
  await page.locator("#set-a-replace_freq").press("Tab");
  await expect(page.locator("#pending")).toBeVisible();
  await page.getByLabel("Seed", { exact: true }).fill("7");
  await page.getByLabel("Seed", { exact: true }).press("Tab");
  const address = page.url();
  for (const part of ["lr=0.002", "a.method=approach1", "a.replace_freq=30", "seed=7", "num_codes=64"]) expect(address).toContain(part);
  await page.getByRole("button", { name: "Reset" }).click();
  await expect(page.locator("#pending")).toBeHidden();
  await expect(page.locator("#title-a")).toHaveText("A: approach1");
  const reset = await stepOf(page);
  expect(reset).toBeLessThan(200);
  await page.goto("about:blank");
  await page.goto(address);
  await expect(page.getByLabel("Learning rate")).toHaveValue("0.002");
  await expect(page.locator("#set-a-method")).toHaveValue("approach1");
  await expect(page.locator("#set-a-replace_freq")).toHaveValue("30");
  await expect(page.getByLabel("Seed", { exact: true })).toHaveValue("7");
  expect(page.url()).toBe(address);
  // Wrong values are said and not taken.
  await page.goto("about:blank");
  await page.goto("/#lr=fast&colour=red&what=1");
  await expect(page.locator("#problems")).toContainText("what");
  await page.getByLabel("Codes (K)").fill("-3");
  await page.getByLabel("Codes (K)").press("Tab");
  await expect(page.locator("#set-num_codes-error")).toContainText("whole number from 1");
});

test("settings change a run under way; impossible ones are refused", async ({ page }) => {
  await open(page, `show=a&${SMALL}`);
  // What a checkpoint holds is what the run trains with.
  const live = { beta: 0.5, sync_nu: 1, replace_freq: 7 };
  for (const [key, value] of Object.entries(live)) {
    await page.locator(`#set-a-${key}`).fill(String(value));
    await page.locator(`#set-a-${key}`).press("Tab");
  }
  await stepped(page, (await stepOf(page)) + 4);
  await expect(page.locator("#pending")).toBeHidden();
  await expect(page.locator("#problems")).toBeEmpty();
  const downloading = page.waitForEvent("download");
  await page.locator("#save-a").click();
  const checkpoint = readFileSync(await (await downloading).path());
  const head = JSON.parse(checkpoint.subarray(8, 8 + Number(checkpoint.readBigUInt64LE(0))).toString());
  expect(JSON.parse(head.__metadata__.semivq).options.vq).toMatchObject(live);
  // Replacement would go on at any learning rate.
  await page.locator("#set-a-replace_freq").fill("0");
  await page.locator("#set-a-replace_freq").press("Tab");
  await page.getByLabel("Learning rate").fill("1e-9");
  await page.getByLabel("Learning rate").press("Tab");
  await page.waitForTimeout(1000);
  await pause(page);
  const picture = await pixels(page, "#images-a canvas");
  const at = await stepOf(page);
  // With next to no learning rate the pictures stay: the baseline has no running statistics.
  for (const key of [1, 2]) {
    await page.getByRole("button", { name: "Step" }).click();
    await stepped(page, at + key);
  }
  await page.waitForTimeout(500);
  expect(await pixels(page, "#images-a canvas")).toBe(picture);
  await page.locator("#controls-a summary").click();
  await page.locator("#set-a-ema_decay").fill("0.9");
  await page.locator("#set-a-ema_decay").press("Tab");
  await page.locator("#set-a-simvq").selectOption("yes");
  await page.getByRole("button", { name: "Reset" }).click();
  await expect(page.locator("#problems")).toContainText("These options do not work");
  await shot(page, "refused");
});

test("another code changes the picture; a whole image from codes", async ({ page }) => {
  await open(page, `show=a&${SMALL}&a.method=vq&a.replace_freq=3&lr=0.003`, 25);
  await pause(page);
  const map = page.locator("#codemap");
  const cell = map.locator("[data-cell='24']");
  await cell.click();
  await expect(map.locator(".palette button").first()).toBeVisible();
  const before = await pixels(page, "#codemap .codemap canvas");
  const code = await cell.textContent();
  const other = map.locator(".palette button").filter({ hasNotText: new RegExp(`^${code}$`) }).nth(1);
  const chosen = await other.textContent();
  await other.click();
  await expect(cell).toHaveText(chosen ?? "");
  await expect.poll(() => pixels(page, "#codemap .codemap canvas")).not.toBe(before);
  await shot(page, "codemap");
  const edited = await pixels(page, "#codemap .codemap canvas");
  await map.getByRole("button", { name: "Fill" }).click();
  await expect.poll(() => pixels(page, "#codemap .codemap canvas")).not.toBe(edited);
  // Painting: a stroke over three cells.
  await map.locator(".palette button").nth(3).click();
  const [from, to] = [await map.locator("[data-cell='7']").boundingBox(), await map.locator("[data-cell='9']").boundingBox()];
  if (!from || !to) throw new Error("no cells");
  await page.mouse.move(from.x + 5, from.y + 5);
  await page.mouse.down();
  await page.mouse.move(to.x + 5, to.y + 5, { steps: 8 });
  await page.mouse.up();
  const painted = (await map.locator(".palette button").nth(3).textContent()) ?? "";
  for (const index of [7, 8, 9]) await expect(map.locator(`[data-cell='${index}']`)).toHaveText(painted);
  await map.getByRole("button", { name: "Image's codes" }).click();
  await expect.poll(() => pixels(page, "#codemap .codemap canvas")).toBe(before);
});

/** An IDX file of `count` images of 12 by 16 pixels. */
function idx(count: number): Buffer {
  const head = Buffer.alloc(16);
  [0x0803, count, 12, 16].forEach((v, i) => head.writeUInt32BE(v, 4 * i));
  return Buffer.concat([head, Buffer.from(Array.from({ length: count * 192 }, (_, i) => (i * 37 + (i >> 5) * 11) % 256))]);
}

test("five whole CIFAR batches, more than a buffer binds", async ({ page }, info) => {
  await open(page, `show=a&${SMALL}`);
  // 10,000 records a file, as the data set has them.
  const record = Buffer.from(Array.from({ length: 3073 }, (_, i) => (i === 0 ? 3 : (i * 7) % 256)));
  const batch = Buffer.concat(Array.from({ length: 10_000 }, () => record));
  const files = [1, 2, 3, 4, 5].map((i) => info.outputPath(`data_batch_${i}.bin`));
  for (const file of files) writeFileSync(file, batch);
  await page.locator("#files").setInputFiles(files);
  await expect(page.locator("#data-name")).toContainText("5 CIFAR batches: 49,000 images to train, 1,000 to test");
  await stepped(page, 3);
  for (const file of files) rmSync(file);
});

test("files: IDX, CIFAR, a pile of images, and what is no image", async ({ page }) => {
  await open(page, `show=a&${SMALL}`);
  await drop(page, [{ name: "train-images-idx3-ubyte.gz", bytes: gzipSync(idx(60)) }]);
  await expect(page.locator("#data-name")).toContainText("12 × 16 grey");
  await stepped(page, 2);

  const cifar = Buffer.from(Array.from({ length: 40 * 3073 }, (_, i) => (i % 3073 === 0 ? 3 : (i * 7) % 256)));
  await drop(page, [{ name: "data_batch_1.bin", bytes: cifar }, { name: "data_batch_2.bin", bytes: cifar }]);
  await expect(page.locator("#data-name")).toContainText("2 CIFAR batches: 72 images to train, 8 to test, 32 × 32 colour");
  await stepped(page, 2);

  // CIFAR-100: records of 3074 bytes, a coarse and a fine label before the pixels.
  const fine = Buffer.from(Array.from({ length: 30 * 3074 }, (_, i) => (i % 3074 === 0 ? 19 : i % 3074 === 1 ? 99 : (i * 7) % 256)));
  await drop(page, [{ name: "test.bin", bytes: fine }]);
  await expect(page.locator("#data-name")).toContainText("test.bin: 27 images to train, 3 to test, 32 × 32 colour");
  await stepped(page, 2);
  await drop(page, [{ name: "test.bin", bytes: fine }, { name: "data_batch_1.bin", bytes: cifar }]);
  await expect(page.locator("#problems")).toContainText("data_batch_1.bin is no CIFAR-100 batch");

  // A pair as EMNIST names it, padded with zeros as tapes and some downloads are.
  const letters = (part: string, count: number) => ({
    name: `emnist-letters-${part}-images-idx3-ubyte.gz`,
    bytes: Buffer.concat([gzipSync(idx(count)), Buffer.alloc(512)]),
  });
  await drop(page, [letters("test", 11), letters("train", 50)]);
  await expect(page.locator("#data-name")).toContainText("50 images to train, 11 to test, 12 × 16 grey");
  await stepped(page, 2);

  // Images of any size, grey then colour, one of them none.
  const encoded = await page.evaluate(async () => {
    const out: string[] = [];
    for (let i = 0; i < 20; i++) {
      const canvas = new OffscreenCanvas(30 + 3 * i, 60 - i);
      const context = canvas.getContext("2d");
      if (!context) continue;
      context.fillStyle = `hsl(${i * 18} 80% 50%)`;
      context.fillRect(0, 0, 100, 30);
      const bytes = new Uint8Array(await (await canvas.convertToBlob({ type: i % 2 ? "image/png" : "image/jpeg" })).arrayBuffer());
      out.push(btoa(String.fromCharCode(...bytes)));
    }
    return out;
  });
  const pile = encoded.map((text, i) => ({ name: `${i}.img`, bytes: Buffer.from(text, "base64") }));
  await page.locator("#set-colour").selectOption("colour");
  await drop(page, [...pile, { name: "notes.txt", bytes: Buffer.from("no image") }]);
  await expect(page.locator("#problems")).toContainText("notes.txt");
  await expect(page.locator("#data-name")).toContainText("32 × 32 colour");
  await stepped(page, 2);
  await shot(page, "own-images");

  await drop(page, [{ name: "notes.txt", bytes: Buffer.from("no image at all") }]);
  await expect(page.locator("#problems")).toContainText("drop IDX files");
  // The run that there was goes on.
  const at = await stepOf(page);
  await stepped(page, at + 2);
});

test("a lost device is opened again and the run goes on from the last save", async ({ page, quiet }) => {
  await open(page, `show=both&${SMALL}`, 6);
  await stepped(page, 6, "B");
  await pause(page);
  await expect(page.locator("#kept")).toContainText("saved at step");
  const saved = Number(/\d+/.exec((await page.locator("#kept").textContent()) ?? "")?.[0]);
  await page.getByRole("button", { name: "Run" }).click();
  await stepped(page, saved + 4);
  const [worker] = page.workers();
  await worker?.evaluate(() => (globalThis as never as { semivq: { device: { destroy(): void } } }).semivq.device.destroy());
  await expect(page.locator("#problems")).toContainText(`went on from the save at step ${saved}`);
  await stepped(page, saved + 8);
  await stepped(page, saved + 8, "B");
  await shot(page, "device-lost");
  await pause(page);
  // The curve is whole, and goes on as an undisturbed run would.
  const steps = (await csv(page)).map((m) => m["step"]);
  expect(steps).toEqual(steps.map((_, i) => i + 1));
  quiet.length = 0;
});

test("after a reload the page offers to go on", async ({ page }) => {
  await open(page, `show=a&${SMALL}&a.method=approach1`, 5);
  await pause(page);
  await expect(page.locator("#kept")).toContainText("saved at step");
  const at = await stepOf(page);
  await page.reload();
  await expect(page.locator("#offer")).toContainText(`at step ${at}`);
  await shot(page, "offer", false);
  await page.getByRole("button", { name: "Go on with it" }).click();
  await stepped(page, at + 2);
  await expect(page.locator("#title-a")).toHaveText("A: approach1");
  await pause(page);
  const steps = (await csv(page)).map((m) => m["step"]);
  expect(steps[0]).toBe(1);
  expect(steps).toEqual(steps.map((_, i) => i + 1));
  await page.reload();
  await page.getByRole("button", { name: "Start afresh" }).click();
  await stepped(page, 1);
});

/** Tells the page that its tab was hidden or shown. */
const hide = (page: Page, hidden: boolean) =>
  page.evaluate((value) => {
    Object.defineProperty(document, "hidden", { value, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);

test("a hidden tab goes on, or pauses where it was told to", async ({ page }) => {
  await open(page, `show=a&${SMALL}`);
  await hide(page, true);
  await stepped(page, (await stepOf(page)) + 5);
  await hide(page, false);
  await page.locator("#set-hidden").selectOption("pause");
  await hide(page, true);
  await expect(page.locator("#status")).toHaveText("paused");
  const at = await stepOf(page);
  await page.waitForTimeout(1000);
  expect(await stepOf(page)).toBe(at);
  await hide(page, false);
  await stepped(page, at + 2);
});

test("a tab that was put to sleep says so and goes on", async ({ page, browser }) => {
  await open(page, `show=a&${SMALL}`, 3);
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  const renderers = processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id);
  expect(renderers.length).toBeGreaterThan(0);
  for (const id of renderers) process.kill(id, "SIGSTOP");
  await new Promise((resolve) => setTimeout(resolve, 21_000));
  for (const id of renderers) process.kill(id, "SIGCONT");
  await expect(page.locator("#problems")).toContainText("put this tab to sleep");
  await stepped(page, (await stepOf(page)) + 3);
});

test("a second tab leaves the first one's autosave alone", async ({ page, context }) => {
  await open(page, `show=a&${SMALL}`, 4);
  await pause(page);
  await expect(page.locator("#kept")).toContainText("saved at step");
  const at = await stepOf(page);
  const second = await context.newPage();
  await second.goto(`/#show=a&${SMALL}&seed=5`);
  await expect(second.locator("#problems")).toContainText("Another tab");
  await stepped(second, 2);
  await pause(second);
  await second.close();
  await page.reload();
  await expect(page.locator("#offer")).toContainText(`at step ${at}`);
});

test("phones, dark, and the export as PNG", async ({ page }) => {
  await page.setViewportSize({ width: 360, height: 740 });
  await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
  await open(page, SMALL, 8);
  await stepped(page, 8, "B");
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(wider).toBeLessThanOrEqual(0);
  await shot(page, "phone-dark");
  await pause(page);
  await page.setViewportSize({ width: 1280, height: 900 });
  await shot(page, "desktop-dark");
  await page.locator("#set-scale").selectOption("log");
  await page.waitForTimeout(400);
  const downloading = page.waitForEvent("download");
  await page.getByRole("button", { name: "PNG" }).click();
  const png = await (await downloading).createReadStream();
  const head: Buffer = await new Promise((resolve) => png.once("data", (chunk) => resolve(chunk as Buffer)));
  expect(head.subarray(1, 4).toString()).toBe("PNG");
  // Every control has a name and a sentence.
  const nameless = await page.evaluate(() =>
    [...document.querySelectorAll<HTMLElement>("input, select, button, canvas")].filter((e) => {
      if (e instanceof HTMLInputElement || e instanceof HTMLSelectElement) return e.labels?.length === 0;
      return !(e.textContent || e.getAttribute("aria-label"));
    }).map((e) => e.outerHTML.slice(0, 80)));
  // The charts' canvases stand in a named image.
  expect(nameless.filter((html) => !html.startsWith("<canvas width"))).toEqual([]);
});
