import { defineConfig } from "vite";

// The page is index.html of the repository; all paths in dist/ are relative.
export default defineConfig({
  root: "..",
  base: "./",
  publicDir: false,
  build: { outDir: "dist", emptyOutDir: true, target: "es2022", assetsInlineLimit: 0, reportCompressedSize: true },
  worker: { format: "es" },
});
