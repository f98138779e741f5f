/** New pictures, drawn from the codes in use. */
import type { Page } from "@playwright/test";
import { SMALL, expect, open, pause, pixels, shot, stepOf, stepped, test } from "./support.js";

const rows = (page: Page) => Promise.all(["#row-a canvas", "#row-b canvas"].map((row) => pixels(page, row)));

test("both sides draw while they train, anew each time, and the same for a seed and a step", async ({ page }) => {
  const steps = 4;
  // After a few steps a codebook may have one code in use, all of whose pictures are alike; finite scalars have many.
  await open(page, `a.method=replace&b.method=fsq&${SMALL}`, 2);
  await stepped(page, 2, "B");
  await page.keyboard.press("d");
  await expect(page.locator("#drawn")).toContainText(/New pictures: each code drawn by itself from the histogram .* Seed 0, step \d+\./);
  const before = await stepOf(page);
  await stepped(page, before + 2);
  await expect(page.locator("#drawn"), "what was drawn stays").toContainText("Seed 0");
  await shot(page, "drawn", false);
  await page.keyboard.press("Escape");
  await expect(page.locator("#drawn")).toBeHidden();
  await expect(page.locator("#row-originals canvas")).toBeVisible();

  const drawnAt = async () => {
    await page.locator("#reset").click();
    await page.waitForFunction(() => document.body.dataset["stepsA"] === "0" && document.body.dataset["stepsB"] === "0");
    for (let at = await stepOf(page); at < steps; at++) {
      await page.locator("#step").click();
      await stepped(page, at + 1);
      await stepped(page, at + 1, "B");
    }
    await page.locator("#draw").click();
    await expect(page.locator("#drawn")).toContainText(`Seed 0, step ${steps}.`);
    const first = await rows(page);
    await page.locator("#draw").click();
    await expect(page.locator("#drawn")).toContainText(`Seed 1, step ${steps}.`);
    return [first, await rows(page)] as const;
  };
  await pause(page);
  const once = await drawnAt();
  expect(once[0]).not.toEqual(once[1]);
  expect(await drawnAt(), "the same seeds and steps").toEqual(once);
  const reconstructed = await rows(page);
  await page.locator("#undraw").click();
  expect(await rows(page)).not.toEqual(reconstructed);
});

test("a side without codes says so; finite scalars are drawn too", async ({ page }) => {
  await open(page, `a.method=vq&a.no_vq=yes&b.method=fsq&${SMALL}`, 2);
  await stepped(page, 2, "B");
  await page.locator("#draw").click();
  await expect(page.locator("#drawn")).toContainText("A has no codes to draw from.");
  await expect(page.locator("#drawn")).toContainText("Seed 0");
  const [, b] = await rows(page);
  await page.locator("#draw").click();
  await expect(page.locator("#drawn")).toContainText("Seed 1");
  expect((await rows(page))[1]).not.toBe(b);
});

for (const [name, width, scheme] of [["dark", 1280, "dark"], ["narrow", 360, "light"]] as const) {
  test(`stochastic methods draw, ${name}`, async ({ page }) => {
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize({ width, height: 800 });
    await open(page, `a.method=vmf&b.method=sqvae-3&${SMALL}`, 2);
    await stepped(page, 2, "B");
    const top = () => page.locator("#books").evaluate((books) => books.getBoundingClientRect().top);
    const before = await top();
    await page.keyboard.press("d");
    await expect(page.locator("#drawn")).toContainText("Seed 0");
    expect(await top(), "nothing moves").toBe(before);
    const [said, cut] = await page.locator("#drawn").evaluate((p) => [p.scrollHeight, p.clientHeight]);
    expect(said, "all of it can be read").toBeLessThanOrEqual(cut ?? 0);
    await shot(page, `drawn-${name}`, false);
    const step = await stepOf(page);
    await stepped(page, step + 1);
  });
}
