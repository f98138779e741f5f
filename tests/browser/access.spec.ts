/** For everybody: axe-core in both themes, keys, phones. */
import AxeBuilder from "@axe-core/playwright";
import { SMALL, expect, open, pause, shot, stepped, test } from "./support.js";

for (const colorScheme of ["light", "dark"] as const) {
  test(`axe finds nothing, ${colorScheme}`, async ({ page }) => {
    await page.emulateMedia({ colorScheme });
    await open(page, SMALL, 3);
    await stepped(page, 3, "B");
    await pause(page);
    for (const state of ["page", "settings", "dialog"]) {
      if (state === "settings") {
        await page.locator("#open-settings").click();
        await page.locator("#more").click();
        await page.locator("#set-lr").focus();
      }
      if (state === "dialog") {
        await page.locator("#close-settings").click();
        await page.locator("#choose").click();
        await expect(page.locator("#dialog .choices button")).toHaveCount(64);
      }
      const { violations } = await new AxeBuilder({ page }).analyze();
      expect(violations.map(({ id, nodes }) => `${state}: ${id}: ${nodes.map((n) => n.html.slice(0, 100)).join(" | ")}`)).toEqual([]);
      await shot(page, `axe-${state}-${colorScheme}`, state === "page");
    }
  });
}

test("which pictures are shown can be chosen", async ({ page }) => {
  await open(page, `show=a&${SMALL}`, 2);
  await pause(page);
  const row = () => page.locator("#row-originals canvas").evaluate((c) => (c as HTMLCanvasElement).toDataURL());
  const before = await row();
  await page.locator("#choose").click();
  await page.locator("#dialog .choices button").nth(20).click();
  await expect.poll(row).not.toBe(before);
});

test("everything by keyboard: settings, pictures, tiles, keys", async ({ page }) => {
  await open(page, SMALL, 3);
  await stepped(page, 3, "B");
  await pause(page);
  await page.keyboard.press("s");
  await expect(page.locator("#drawer")).toBeVisible();
  await expect(page.locator("#close-settings")).toBeFocused();
  await page.locator("#set-b-method").focus();
  await expect(page.locator("#help")).toContainText("replace: vq, and codes unused for 20 steps");
  await page.keyboard.press("Escape");
  await expect(page.locator("#drawer")).toBeHidden();
  await expect(page.locator("#open-settings")).toBeFocused();
  await page.locator("#studio").scrollIntoViewIfNeeded();
  await expect(page.locator("#studio [data-side='a'] .palette button").first()).toBeVisible();
  for (const [canvas, said] of [["#row-a canvas", /A's pictures: picture 2 of 8/], ["#tiles-a canvas", /^code 1/], ["#studio [data-side='a'] .grid", /^cell 1: code \d+/]] as const) {
    await page.locator(canvas).focus();
    await page.keyboard.press("ArrowRight");
    await expect(page.locator(canvas)).toHaveAttribute("aria-valuetext", said);
  }
  await page.locator("#headline").click();
  await page.keyboard.press("?");
  await expect(page.locator("#dialog")).toContainText("undo the reset");
});

test("a phone's settings are a sheet at the bottom", async ({ page }) => {
  await page.setViewportSize({ width: 360, height: 740 });
  await page.emulateMedia({ reducedMotion: "reduce" });
  await open(page, SMALL, 2);
  await page.locator("#open-settings").click();
  const box = await page.locator("#drawer").boundingBox();
  expect(box && box.y > 100 && box.y + box.height <= 741 && box.width >= 359).toBe(true);
  await shot(page, "phone-settings", false);
  await page.locator("#close-settings").click();
  expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
  await shot(page, "phone", true);
});
