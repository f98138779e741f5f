/** All tests of operations and quantiser that a browser can run, as the page that tests a GPU runs them. */
import { execFileSync } from "node:child_process";
import type { Result } from "../../www/gpu/result.js";
import { ROOT, expect, test } from "./support.js";

/** How many tests of a file run anywhere, as the file itself lists them. */
function listed(name: string): number {
  const text = execFileSync("cargo", ["test", "--quiet", "--package", "semivq", "--test", name, "--", "--list"], {
    cwd: ROOT, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"],
  });
  return text.split("\n").filter((line) => line.endsWith(": test") && !line.endsWith(" (native): test")).length;
}

test("core: gradients and vq_layer", async ({ page }) => {
  // The files may have to be compiled.
  test.setTimeout(1_500_000);
  const wanted = ["gradients", "vq_layer"].map(listed);
  await page.goto("/gpu.html#bench=none");
  await page.getByRole("button", { name: "Test this GPU" }).click();
  await expect(page.locator("#result")).toBeVisible({ timeout: 900_000 });
  const { ended, seconds, tests } = JSON.parse(await page.locator("#json").textContent() ?? "") as Result;
  console.log(`  ${tests.passed} tests passed in ${seconds.toFixed(0)} s`);
  expect(tests.failed).toEqual([]);
  expect({ ended, total: tests.total, passed: tests.passed }).toEqual({
    ended: "complete", total: wanted.reduce((a, b) => a + b), passed: tests.total,
  });
  for (const count of wanted) expect(count).toBeGreaterThan(100);
});
