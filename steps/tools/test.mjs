// SPDX-License-Identifier: Apache-2.0
// @ts-check
/** Runs every `*.test.ts` of the workspace with Node's own test runner, against what `npm run build` made. */
import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * @param {string} directory
 * @returns {Promise<string[]>}
 */
async function tests(directory) {
  const found = [];
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory() && entry.name !== "node_modules") found.push(...(await tests(path)));
    if (entry.isFile() && entry.name.endsWith(".test.ts")) found.push(path);
  }
  return found.sort();
}

const entries = (await Promise.all(["sdk", "bootstrapper", "packages"].map((member) => tests(join(root, member))))).flat();
const out = await mkdtemp(join(root, "node_modules", ".tests-"));
try {
  await build({
    absWorkingDir: root,
    entryPoints: Object.fromEntries(entries.map((entry) => [relative(root, entry).replace(/\.ts$/, ""), entry])),
    outdir: out,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    sourcemap: "inline",
    logLevel: "warning",
  });
  const files = entries.map((entry) => join(out, relative(root, entry).replace(/\.ts$/, ".mjs")));
  const result = spawnSync(process.execPath, ["--enable-source-maps", "--test", ...files], { cwd: root, stdio: "inherit" });
  process.exitCode = result.status ?? 1;
} finally {
  await rm(out, { recursive: true, force: true });
}
