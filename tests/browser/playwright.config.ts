import { resolve } from "node:path";
import { defineConfig } from "@playwright/test";
import { CHROMIUM, QUIET_FLAGS, ROOT } from "./support.js";

const PORT = 4317;

export default defineConfig({
  testDir: ".",
  outputDir: resolve(ROOT, "target/browser"),
  // One GPU, and here it is the processor.
  workers: 1,
  fullyParallel: false,
  timeout: 240_000,
  // A test that fails now and then is a fault to be found.
  retries: 0,
  expect: { timeout: 60_000 },
  reporter: [["list"]],
  webServer: {
    command: `npm run --silent preview -- --port ${PORT}`,
    cwd: ROOT,
    port: PORT,
    reuseExistingServer: false,
  },
  use: {
    baseURL: `http://localhost:${PORT}`,
    viewport: { width: 1280, height: 900 },
    launchOptions: {
      executablePath: CHROMIUM,
      args: [
        ...QUIET_FLAGS, "--enable-unsafe-webgpu",
        `--use-webgpu-adapter=${process.env["SEMIVQ_WEBGPU_ADAPTER"] ?? "swiftshader"}`,
      ],
    },
  },
});
