/** Projects outside the repository that have installed the package as npm would. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Page } from "@playwright/test";
import { preview } from "vite";
import { ROOT } from "./support.js";

/** `npm pack` of dist/, with what else it is given. */
export function pack(...args: string[]): { filename: string; version: string; files: { path: string }[] } {
  const options = { cwd: join(ROOT, "dist"), encoding: "utf8", shell: process.platform === "win32" } as const;
  const [packed] = JSON.parse(execFileSync("npm", ["pack", "--json", "--silent", ...args], options));
  return packed;
}

/** A new project of these files, with the package in its node_modules. */
export function project(files: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), "semivq-project-"));
  const installed = join(folder, "node_modules/semivq");
  mkdirSync(installed, { recursive: true });
  const { filename } = pack("--pack-destination", folder);
  execFileSync("tar", ["-xzf", filename, "--strip-components=1", "-C", installed], { cwd: folder });
  const all = { "package.json": JSON.stringify({ name: "project", private: true, type: "module" }), ...files };
  for (const [name, text] of Object.entries(all)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

/** Runs Node.js in a folder; what it prints. */
export function node(folder: string, ...args: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: "utf8", env: { ...process.env, FORCE_COLOR: "0" } });
  return { status, output: stdout + stderr };
}

/** The compiler's complaints about a project's files. */
export function complaints(folder: string, compilerOptions: object, files: string[]): string {
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files }));
  return node(folder, join(ROOT, "node_modules/typescript/bin/tsc"), "--project", ".").output;
}

/** Serves what a project has built while `use` looks at it. */
export async function serve(folder: string, outDir: string, use: (address: string) => Promise<void>): Promise<void> {
  const server = await preview({ root: folder, configFile: false, logLevel: "error", build: { outDir }, preview: { port: 4400 } });
  try {
    const [address] = server.resolvedUrls?.local ?? [];
    if (!address) throw new Error("the project is not served");
    await use(address);
  } finally {
    await server.close();
  }
}

/** What a page has put into `globalThis.result`. */
export async function resultOf<T>(page: Page): Promise<T> {
  const there = await page.waitForFunction(() => (globalThis as { result?: unknown }).result, undefined, { timeout: 120_000 });
  return (await there.jsonValue()) as T;
}
