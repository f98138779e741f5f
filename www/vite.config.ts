import { resolve } from "node:path";
import compression from "compression";
import { type Connect, defineConfig } from "vite";

const root = resolve(import.meta.dirname, "..");

// The page is index.html of the repository; all paths in dist/ are relative.
export default defineConfig({
  root,
  base: "./",
  publicDir: false,
  build: { outDir: resolve(root, "dist"), emptyOutDir: true, target: "es2022", assetsInlineLimit: 0, reportCompressedSize: true },
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
