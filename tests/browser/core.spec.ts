/** The op and quantiser tests of the core, compiled to wasm. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT, expect, test } from "./support.js";

/** How many tests of a file run anywhere, as the file itself lists them. */
function listed(name: string): number {
  const text = execFileSync("cargo", ["test", "--quiet", "--package", "semivq", "--test", name, "--", "--list"], {
    cwd: ROOT, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"],
  });
  return text.split("\n").filter((line) => line.endsWith(": test") && !line.endsWith(" (native): test")).length;
}

for (const name of ["gradients", "vq_layer"]) {
  test(`core: ${name}`, async ({ page }) => {
    // The file may have to be compiled.
    test.setTimeout(600_000);
    const wanted = listed(name);
    await page.route("**/core-tests/*", (route) => {
      const file = new URL(route.request().url()).pathname.split("/").at(-1) ?? "";
      if (file === "") return route.fulfill({ contentType: "text/html", body: "<title>core tests</title><link rel=icon href=data:,>" });
      const contentType = file.endsWith(".wasm") ? "application/wasm" : "text/javascript";
      return route.fulfill({ contentType, body: readFileSync(join(ROOT, "tests/browser/core", file)) });
    });
    await page.goto("/core-tests/");
    const lines: string[] = [];
    const finished = new Promise<string>((resolve) => {
      page.on("console", (message) => {
        lines.push(message.text());
        if (message.text().startsWith("test result")) resolve(message.text());
      });
    });
    await page.evaluate(async (module) => {
      const core = await import(/* @vite-ignore */ `/core-tests/${module}.js`);
      await core.default();
      core.run_tests();
    }, name);
    const result = await finished;
    console.log(`  ${name}: ${result}`);
    expect(lines.filter((line) => line.startsWith("test ")).slice(0, -1)).toEqual([]);
    expect(result).toBe(`test result: ok. ${wanted} passed; 0 failed`);
    expect(wanted).toBeGreaterThan(100);
  });
}
