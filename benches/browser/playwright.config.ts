import { resolve } from "node:path";
import { defineConfig } from "@playwright/test";
import base from "../../tests/browser/playwright.config.js";

const PORT = 4318;
const HERE = import.meta.dirname;

export default defineConfig({
  ...base,
  testDir: HERE,
  outputDir: resolve(HERE, "../../target/browser-bench"),
  webServer: { command: `npx vite ${HERE} --port ${PORT} --strictPort`, cwd: HERE, port: PORT, reuseExistingServer: false },
  use: { ...base.use, baseURL: `http://localhost:${PORT}` },
});
