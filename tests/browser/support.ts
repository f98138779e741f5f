/** What the browser tests share: a page whose console errors fail the test, its figures, files. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Page, test as base, expect } from "@playwright/test";

export const ROOT = resolve(import.meta.dirname, "../..");

/** The browser of the tests. */
export const CHROMIUM = process.env["SEMIVQ_CHROMIUM"] ?? "/usr/bin/chromium";

/** One without WebGPU, as Debian's is. */
export const FIREFOX = process.env["SEMIVQ_FIREFOX"] ?? "/usr/bin/firefox-esr";

/** Headless, as root too, and without a word to anyone. */
export const QUIET_FLAGS = [
  "--headless", "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

/** Screenshots are kept here. */
export const SHOTS = join(ROOT, "target/browser/screenshots");

export const test = base.extend<{ quiet: string[] }>({
  // Every test hears the console; those that expect an error clear the list.
  quiet: [
    async ({ page }, use) => {
      const errors: string[] = [];
      listen(page, errors);
      await use(errors);
      expect(errors, "the console's errors").toEqual([]);
    },
    { auto: true },
  ],
});
export { expect };

export function listen(page: Page, errors: string[]) {
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
  });
  page.on("pageerror", (error) => errors.push(String(error)));
}

/** Small enough that a software adapter does some steps a second. */
export const SMALL = "num_codes=64&feature_size=16&batch=8";

export async function open(page: Page, hash = SMALL, steps = 1) {
  await page.goto(`/#${hash}`);
  await stepped(page, steps);
}

/** Waits for the first shown side to have done so many steps. */
export async function stepped(page: Page, steps: number, side = "A") {
  await page.waitForFunction(
    ([name, least]) => Number(document.body.dataset[`steps${name}`] ?? 0) >= Number(least),
    [side, steps] as const,
    { timeout: 120_000 },
  );
}

export const stepOf = (page: Page, side = "A") =>
  page.evaluate((name) => Number(document.body.dataset[`steps${name}`] ?? 0), side);

export async function pause(page: Page) {
  await page.getByRole("button", { name: "Pause", exact: true }).click();
  await expect(page.locator("#status")).toHaveText("paused");
}

/** Opens the settings, unless they are. */
export async function openSettings(page: Page) {
  if (await page.locator("#drawer").isHidden()) await page.locator("#open-settings").click();
}

/** Types a setting. */
export async function set(page: Page, name: string, value: string) {
  await openSettings(page);
  await page.locator(`#set-${name}`).fill(value);
  await page.locator(`#set-${name}`).press("Tab");
}

/** The curves' export: a line a step, by column. */
export async function csv(page: Page): Promise<Record<string, number>[]> {
  const downloading = page.waitForEvent("download");
  await page.getByRole("button", { name: "CSV", exact: true }).click();
  const text = readFileSync(await (await downloading).path(), "utf8").trim();
  const [head = "", ...lines] = text.split("\n");
  const names = head.split(",");
  return lines.map((line) => Object.fromEntries(line.split(",").map((v, i) => [names[i] ?? "", v === "" ? NaN : Number(v)])));
}

export async function shot(page: Page, name: string, fullPage = true) {
  mkdirSync(SHOTS, { recursive: true });
  await page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage });
}

/** A picture that the page draws, as text. */
export const pixels = (page: Page, selector: string) =>
  page.locator(selector).first().evaluate((canvas) => (canvas as HTMLCanvasElement).toDataURL());

export interface Dropped {
  name: string;
  bytes: Buffer;
}

/** Drops files on the page. */
export async function drop(page: Page, files: Dropped[]) {
  await page.evaluate(
    (list) => {
      const transfer = new DataTransfer();
      for (const { name, base64 } of list) {
        const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
        transfer.items.add(new File([bytes], name));
      }
      document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
    },
    files.map(({ name, bytes }) => ({ name, base64: bytes.toString("base64") })),
  );
}

/** Runs the command line in a new folder and returns that. */
export function semivq(args: string[], folder = mkdtempSync(join(tmpdir(), "semivq-")), environment = {}): string {
  const program = process.env["SEMIVQ_BIN"] ?? join(ROOT, "target/debug/semivq");
  execFileSync(program, args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...environment } });
  return folder;
}
