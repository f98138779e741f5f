import { resolve } from "node:path";
import { defineConfig } from "vite";

const root = resolve(import.meta.dirname, "..");

// The page is index.html of the repository; all paths in dist/ are relative.
export default defineConfig({
  root,
  base: "./",
  publicDir: false,
  build: { outDir: resolve(root, "dist"), emptyOutDir: true, target: "es2022", assetsInlineLimit: 0, reportCompressedSize: true },
  worker: { format: "es" },
});
