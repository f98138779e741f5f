/** What becomes of a run when its device, its page or its tab goes away. */
import type { Page } from "@playwright/test";
import { SMALL, csv, expect, open, openSettings, pause, shot, stepOf, stepped, test } from "./support.js";

test("a lost device is opened again and the run goes on from the last save", async ({ page, quiet }) => {
  await open(page, `show=both&${SMALL}`, 6);
  await stepped(page, 6, "B");
  await pause(page);
  await expect(page.locator("#kept")).toContainText("saved at step");
  const saved = Number(/\d+/.exec((await page.locator("#kept").textContent()) ?? "")?.[0]);
  await page.getByRole("button", { name: "Run", exact: true }).click();
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

test("a second visit takes the run up by itself, and the one before can be gone back to", async ({ page }) => {
  await open(page, `show=a&${SMALL}&a.method=approach1`, 5);
  await pause(page);
  await expect(page.locator("#kept")).toContainText("saved at step");
  const at = await stepOf(page);
  await page.reload();
  await stepped(page, at);
  await expect(page.locator("#status")).toHaveText("paused");
  await expect(page.locator("#title-a")).toHaveText("approach1");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await stepped(page, at + 2);
  await pause(page);
  const steps = (await csv(page)).map((m) => m["step"]);
  expect(steps[0]).toBe(1);
  expect(steps).toEqual(steps.map((_, i) => i + 1));
  // Another address is followed, and the saved run is not lost.
  await page.goto("about:blank");
  await page.goto(`/#show=a&${SMALL}&a.method=vq&seed=9`);
  await stepped(page, 1);
  await expect(page.locator("#title-a")).toHaveText("vq");
  await page.getByRole("button", { name: "Undo reset" }).click();
  await expect(page.locator("#title-a")).toHaveText("approach1");
  await stepped(page, at + 2);
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
  await openSettings(page);
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
  // Once the first one is closed, the second one's turn has come.
  await page.close();
  await second.getByRole("button", { name: "Run", exact: true }).click();
  await expect(second.locator("#kept")).toContainText("saved at step");
  expect(at).toBeGreaterThan(3);
});
