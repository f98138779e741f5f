import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import compression from "compression";
import { type Connect, defineConfig } from "vite";

const root = resolve(import.meta.dirname, "..");

// The pages are index.html and gpu.html of the repository; all paths in dist/ are relative. What is in www/public, the
// modules that gpu.html loads when asked to, goes there as it is.
export default defineConfig({
  root,
  base: "./",
  publicDir: resolve(root, "www/public"),
  build: {
    outDir: resolve(root, "dist"), emptyOutDir: true, target: "es2022", assetsInlineLimit: 0, reportCompressedSize: true,
    rolldownOptions: { input: ["index.html", "gpu.html"].map((name) => resolve(root, name)) },
  },
  worker: { format: "es" },
  plugins: [{
    name: "offline",
    // The service worker, told what there is to keep.
    closeBundle() {
      const dist = resolve(root, "dist");
      // What gpu.html loads when asked to is large, and tests a GPU of now.
      const files = ["./", "./index.html", "./gpu.html", ...readdirSync(resolve(dist, "assets")).map((name) => `./assets/${name}`)];
      const text = readFileSync(resolve(root, "www/offline.js"), "utf8");
      const pages = ["index.html", "gpu.html"].map((name) => readFileSync(resolve(dist, name), "utf8"));
      const version = createHash("sha256").update([...files, ...pages, text].join()).digest("hex").slice(0, 12);
      writeFileSync(resolve(dist, "offline.js"), `const FILES = ${JSON.stringify(files)};\nconst VERSION = "${version}";\n${text}`);
    },
  }, {
    name: "compressed",
    // What `serve` sends is as small as what a web server would send.
    configurePreviewServer(server) {
      // Its types are Express's, which the server is not.
      server.middlewares.use(compression() as unknown as Connect.NextHandleFunction);
    },
  }],
});
