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
    name: "compressed",
    // What `serve` sends is as small as what a web server would send.
    configurePreviewServer(server) {
      // Its types are Express's, which the server is not.
      server.middlewares.use(compression() as unknown as Connect.NextHandleFunction);
    },
  }],
});
