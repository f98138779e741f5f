/** Drives the bench's page and prints its report. */
import { expect, test } from "@playwright/test";

test("semivq beside TensorFlow.js and jax-js", async ({ page }) => {
  test.setTimeout(1_800_000);
  page.on("console", (message) => {
    if (message.type() === "log") console.log(message.text());
  });
  await page.goto(`/?${process.env["SEMIVQ_BENCH"] ?? ""}`);
  const result = await page.waitForFunction(() => (globalThis as never as { result?: { ratio?: number; error?: string } }).result, null, { timeout: 0 });
  const { ratio, error } = (await result.jsonValue()) ?? {};
  expect(error).toBeUndefined();
  expect(ratio).toBeGreaterThan(0);
});
