/** The page beside the command line: the same numbers, and each goes on with the other's run. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { csv, expect, open, pause, semivq, stepOf, stepped, test } from "./support.js";

const OPTIONS = "show=a&a.method=approach1&a.replace_freq=5&batch=16&lr=0.001&seed=3&num_codes=64";
const FLAGS = ["--method", "approach1", "--replace-freq", "5", "--batch", "16", "--lr", "1e-3", "--seed", "3", "--num-codes", "64"];

/**
 * The software adapter of Debian's Chromium, for native programs. A replacement hangs on which codes
 * were used, so on another adapter one near tie changes the run; on one adapter nothing does.
 */
const SWIFTSHADER = "/usr/lib/chromium/vk_swiftshader_icd.json";
const SAME_ADAPTER = { VK_DRIVER_FILES: SWIFTSHADER };
const other = !existsSync(SWIFTSHADER);
const OTHER = `native programs have no ${SWIFTSHADER}: they would run on another adapter than the page`;

interface Line {
  [name: string]: number;
}

const metrics = (folder: string, run: string): Line[] =>
  readFileSync(join(folder, run, "metrics.jsonl"), "utf8").trim().split("\n").map((line) => JSON.parse(line));

/** Largest relative difference over all metrics of the steps of one side. */
function difference(page: Line[], side: string, native: Line[]): number {
  let largest = 0;
  expect(native.length).toBeGreaterThan(0);
  for (const line of native) {
    const other = page.find((m) => m["step"] === line["step"]);
    for (const [name, value] of Object.entries(line)) {
      if (name === "step") continue;
      const got = other?.[`${side}.${name}`] ?? NaN;
      const relative = Math.abs(got - value) / Math.max(Math.abs(value), 1e-6);
      expect(relative, `${name} of step ${line["step"]}: page ${got}, native ${value}`).toBeLessThanOrEqual(1e-4);
      largest = Math.max(largest, relative);
    }
  }
  return largest;
}

/** Steps, the command line's after the page's, on `adapter`; the largest relative difference of any metric. */
function nativeDifference(lines: Line[], side: string, flags: string[], environment = {}): number {
  const folder = semivq(["train", ...flags, "--steps", "20", "--out", "run"], undefined, environment);
  return difference(lines, side, metrics(folder, "run"));
}

test("20 steps of the page as it opens are 20 native steps", async ({ page }) => {
  await open(page, "batch=16", 20);
  await stepped(page, 20, "B");
  await pause(page);
  const lines = await csv(page);
  const flags = ["--batch", "16", "--lr", "1e-3", "--seed", "0"];
  const a = nativeDifference(lines, "a", ["--method", "vq", ...flags]);
  const b = nativeDifference(lines, "b", ["--method", "replace", ...flags]);
  console.log(`  largest relative difference of any metric over 20 steps: A ${a.toExponential(1)}, B ${b.toExponential(1)}`);
});

test("and where codes are replaced all the time, on one adapter", async ({ page }) => {
  test.skip(other, OTHER);
  await open(page, OPTIONS, 20);
  await pause(page);
  const largest = nativeDifference(await csv(page), "a", FLAGS, SAME_ADAPTER);
  console.log(`  largest relative difference of any metric over 20 steps: ${largest.toExponential(1)}`);
});

test("each side goes on with the other's checkpoint", async ({ page }) => {
  test.skip(other, OTHER);
  const folder = semivq(["train", ...FLAGS, "--steps", "12", "--out", "whole"], undefined, SAME_ADAPTER);
  semivq(["train", ...FLAGS, "--steps", "6", "--out", "start"], folder, SAME_ADAPTER);
  // The command line's run, on the page, which had another seed and so other images.
  await open(page, OPTIONS.replace("seed=3", "seed=4"));
  await pause(page);
  // The model alone does not do: its training state is a file of its own there.
  const files = ["checkpoint.safetensors", "training-6.safetensors"].map((name) => join(folder, "start", name));
  await page.locator("#load-a").setInputFiles(files[0]!);
  await expect(page.locator("#problems")).toContainText("training-6.safetensors is needed too");
  await page.locator("#load-a").setInputFiles(files);
  await expect(page.locator("#status")).toContainText("step 6");
  for (let step = 7; step <= 9; step++) {
    await page.getByRole("button", { name: "Step", exact: true }).click();
    await stepped(page, step);
  }
  expect(await stepOf(page)).toBe(9);
  difference(await csv(page), "a", metrics(folder, "whole").filter((m) => m["step"]! > 6 && m["step"]! <= 9));
  // The page's run, on the command line.
  const downloading = page.waitForEvent("download");
  await page.locator("#save-a").click();
  const file = await downloading;
  expect(file.suggestedFilename()).toBe("semivq-a-9.safetensors");
  await file.saveAs(join(folder, "page.safetensors"));
  semivq(["train", "--resume", "page.safetensors", "--steps", "12", "--out", "end"], folder, SAME_ADAPTER);
  const end = metrics(folder, "end");
  expect(end.map((m) => m["step"])).toEqual([10, 11, 12]);
  const named = end.map((m) => Object.fromEntries(Object.entries(m).map(([k, v]) => [k === "step" ? k : `a.${k}`, v])));
  difference(named, "a", metrics(folder, "whole").slice(9));
  // A file that is none is said to be none, and the run stands.
  await page.locator("#load-a").setInputFiles({ name: "broken.safetensors", mimeType: "", buffer: Buffer.from("not one") });
  await expect(page.locator("#problems")).toContainText("broken.safetensors");
  await page.getByRole("button", { name: "Step", exact: true }).click();
  await stepped(page, 10);
});
