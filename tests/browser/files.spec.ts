/** Images of the user's own. */
import { rmSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { SMALL, drop, expect, open, openSettings, shot, stepOf, stepped, test } from "./support.js";

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
  await openSettings(page);
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
