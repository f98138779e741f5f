import { resolve } from "node:path";
import { defineConfig } from "vite";

export default defineConfig({
  root: import.meta.dirname,
  // The core stands in www/core.
  server: { fs: { allow: [resolve(import.meta.dirname, "../..")] } },
  optimizeDeps: { include: ["@tensorflow/tfjs-core", "@tensorflow/tfjs-core/dist/register_all_gradients", "@tensorflow/tfjs-backend-webgpu", "@jax-js/jax"] },
});
