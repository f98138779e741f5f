/** Stochastic quantisation on the page: what shows its self-annealing. */
import { SMALL, csv, expect, open, pause, shot, stepped, test } from "./support.js";

const TITLES = ["Mean entropy of a posterior, nats", "Mean variance (vmf: 1 / concentration)"];

for (const [name, width, scheme] of [["light", 1280, "light"], ["dark", 1280, "dark"], ["narrow", 360, "light"]] as const) {
  test(`entropy and variance have curves, ${name}`, async ({ page }) => {
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize({ width, height: 900 });
    await open(page, `a.method=vmf&b.method=sqvae&${SMALL}`, 12);
    await stepped(page, 12, "B");
    for (const title of TITLES) await expect(page.getByRole("img", { name: title })).toBeVisible();
    await expect(page.locator("#curves .note")).toContainText("Self-annealing");
    await pause(page);
    await page.locator("#curves").scrollIntoViewIfNeeded();
    await shot(page, `stochastic-${name}`);
    expect(await page.evaluate(() => document.documentElement.scrollWidth), "nothing is wider than the page").toBeLessThanOrEqual(width);
    const last = (await csv(page)).at(-1) ?? {};
    for (const side of ["a", "b"]) {
      // At most that of 64 codes alike.
      expect(last[`${side}.posterior_entropy`]).toBeGreaterThan(0);
      expect(last[`${side}.posterior_entropy`]).toBeLessThan(1.0001 * Math.log(64));
      expect(last[`${side}.variance_mean`]).toBeGreaterThan(0);
    }
  });
}

test("methods without a posterior have no such curves", async ({ page }) => {
  await open(page, `a.method=vq&b.method=fsq&${SMALL}`, 3);
  await stepped(page, 3, "B");
  await expect(page.getByRole("img", { name: "Reconstruction loss" })).toBeVisible();
  for (const title of TITLES) await expect(page.getByRole("img", { name: title })).toBeHidden();
  await expect(page.locator("#curves .note")).toBeHidden();
});
