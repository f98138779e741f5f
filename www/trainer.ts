/** The npm package, as the page takes it. */
export * from "./package/index.js";
