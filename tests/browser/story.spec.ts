/** The story on the first screen: what a newcomer sees without a click or a scroll. */
import type { Page } from "@playwright/test";
import { SMALL, expect, open, pause, pixels, shot, stepOf, stepped, test } from "./support.js";

/** What must be in sight. */
const STORY = ["#headline", "#line", "#row-a", "#row-originals", "#row-b", "#perplexity-a", "#perplexity-b", "#tiles-a .field", "#tiles-b .field", "#timeline-chart", "#scrubber"];

for (const [name, width, height, colorScheme] of [["desktop", 1280, 800, "light"], ["large", 1600, 1200, "light"], ["phone", 360, 740, "dark"]] as const) {
  test(`the first screen, ${name}`, async ({ page }) => {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme });
    await page.addInitScript(() => {
      let shift = 0;
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries() as unknown as { value: number; hadRecentInput: boolean }[]) if (!entry.hadRecentInput) shift += entry.value;
        Object.assign(globalThis, { shift });
      }).observe({ type: "layout-shift", buffered: true });
    });
    await page.goto("/");
    await stepped(page, 24);
    await stepped(page, 24, "B");
    await expect(page.locator("#headline")).toHaveText(/^256 codes\. A uses \d+, B uses \d+\.$/);
    expect(await page.evaluate(() => scrollY)).toBe(0);
    for (const part of STORY) {
      const box = await page.locator(part).boundingBox();
      expect(box, part).not.toBeNull();
      if (!box) continue;
      expect(box.y, part).toBeGreaterThanOrEqual(0);
      expect(box.y + box.height, part).toBeLessThanOrEqual(height);
      expect(box.x + box.width, part).toBeLessThanOrEqual(width);
    }
    expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
    // Text that is shown is 13 px or more.
    const small = await page.evaluate(() => [...document.querySelectorAll<HTMLElement>("body *")].filter((e) =>
      e.checkVisibility() && [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.textContent?.trim()) && parseFloat(getComputedStyle(e).fontSize) < 12.99).map((e) => e.outerHTML.slice(0, 80)));
    expect(small).toEqual([]);
    const shift = await page.evaluate(() => (globalThis as never as { shift?: number }).shift ?? 0);
    console.log(`  ${name}: cumulative layout shift ${shift.toFixed(4)}`);
    expect(shift).toBeLessThan(0.05);
    await shot(page, `first-${name}`, false);
    await expect(page).toHaveTitle(/^▶ A \d+ · B \d+ of 256 codes – semivq$/);
  });
}

const brightTiles = (page: Page, side: string) =>
  page.locator(`#tiles-${side} canvas`).getAttribute("aria-valuetext");

test("back in time: the scrubber shows pictures, tiles and numbers of its step", async ({ page }) => {
  await open(page, `${SMALL}&a.method=vq&b.method=replace`, 40);
  await stepped(page, 40, "B");
  await pause(page);
  await page.waitForTimeout(500);
  const now = { a: await pixels(page, "#row-a canvas"), headline: await page.locator("#headline").textContent() };
  const scrubber = page.locator("#scrubber");
  await scrubber.fill("1");
  await expect(page.locator("#live")).toBeVisible();
  await expect(page.locator("#figures-a")).toContainText("at step 1:");
  await expect.poll(() => pixels(page, "#row-a canvas")).not.toBe(now.a);
  // By keyboard, too; then back to now.
  await scrubber.focus();
  await page.keyboard.press("ArrowRight");
  await expect(page.locator("#figures-a")).toContainText("at step 2:");
  await page.locator("#live").click();
  await expect(page.locator("#headline")).toHaveText(now.headline ?? "");
  await expect.poll(() => pixels(page, "#row-a canvas")).toBe(now.a);
  // Pointing at the timeline does the same while it lasts.
  const box = await page.locator("#timeline-chart").boundingBox();
  if (!box) throw new Error("no timeline");
  await page.mouse.move(box.x + 80, box.y + 40);
  await expect(page.locator("#figures-a")).not.toContainText(`at step ${await stepOf(page)}:`);
  await page.mouse.move(box.x + 80, box.y - 300);
  await expect(page.locator("#headline")).toHaveText(now.headline ?? "");
  // Tiles tell what is under the cursor, by keyboard.
  await page.locator("#tiles-b canvas").focus();
  await page.keyboard.press("ArrowRight");
  expect(await brightTiles(page, "b")).toMatch(/^code 1: /);
  await expect(page.locator("#tiles-note-b")).toContainText("code 1: ");
});

test("a finger on the timeline scrubs it, and leaves it again", async ({ browser }) => {
  const context = await browser.newContext({ hasTouch: true, isMobile: true, viewport: { width: 360, height: 740 } });
  const page = await context.newPage();
  await page.goto(`/#show=a&${SMALL}`);
  await stepped(page, 20);
  // No mouse was ever here.
  await page.getByRole("button", { name: "Pause", exact: true }).tap();
  await expect(page.locator("#status")).toHaveText("paused");
  const now = await page.locator("#figures-a").textContent();
  const box = await page.locator("#timeline-chart").boundingBox();
  if (!box) throw new Error("no timeline");
  await page.touchscreen.tap(box.x + box.width / 3, box.y + box.height / 2);
  await expect(page.locator("#figures-a")).not.toHaveText(now ?? "");
  // Somewhere else.
  await page.locator("#headline").tap();
  await expect(page.locator("#figures-a")).toHaveText(now ?? "");
  await context.close();
});

test("an experiment in one click, with its claim", async ({ page }) => {
  await page.goto("/#experiment=fsq");
  await stepped(page, 3, "B");
  await expect(page.locator("#title-b")).toHaveText("fsq");
  await expect(page.locator("#experiments [aria-pressed='true']")).toHaveText("No codebook at all: FSQ");
  await expect(page.locator("#line")).toHaveAttribute("data-claim", "open");
  await page.getByRole("button", { name: "Watch 256 codes die" }).click();
  await expect(page.locator("#title-b")).toHaveText("replace");
  expect(page.url()).toMatch(/#experiment=collapse$/);
  await expect(page.locator("#line")).toHaveAttribute("data-claim", "holds", { timeout: 220_000 });
  await expect(page.locator("#line")).toContainText(/After 150 steps: \d+ codes against \d+, as claimed/);
  await expect(page.locator("#past-runs")).not.toBeEmpty();
  await shot(page, "claim", false);
});

test("curves as PNG: what A and B are stands on them", async ({ page }) => {
  await open(page, SMALL, 4);
  const downloading = page.waitForEvent("download");
  await page.getByRole("button", { name: "PNG", exact: true }).click();
  const png = await (await downloading).createReadStream();
  const head: Buffer = await new Promise((resolve) => png.once("data", (chunk) => resolve(chunk as Buffer)));
  expect(head.subarray(1, 4).toString()).toBe("PNG");
  // Twice as fine as a screen: two charts beside each other.
  expect(head.readUInt32BE(16)).toBeGreaterThan(1600);
});
