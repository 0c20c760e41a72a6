// SPDX-License-Identifier: Apache-2.0
// @ts-check
/**
 * Makes `dist/bootstrap.cjs` and `dist/packages/<id>.<version>.zip`; equal sources give equal bytes wherever this runs.
 * Refuses a package whose metadata is incomplete, or whose bundle would need a module that does not travel with it.
 */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { builtinModules } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { zip } from "./zip.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const apiVersions = { API: "1.0.0", UI: "1.0.0", Migration: "1.0.0", Validation: "1.0.0", InputSchema: "1.0.0", Execution: "1.0.0" };
const builtins = new Set(builtinModules.flatMap((name) => [name, `node:${name}`]));

/**
 * One self-contained CommonJS file.
 * @param {string} directory of the workspace member, so that paths in the output do not depend on where this runs
 * @param {string} entry relative to it
 * @returns {Promise<Buffer>}
 */
async function bundle(directory, entry) {
  const result = await build({
    absWorkingDir: directory,
    entryPoints: [entry],
    bundle: true,
    write: false,
    platform: "node",
    format: "cjs",
    target: "node20",
    charset: "utf8",
    legalComments: "inline",
    logLevel: "warning",
    metafile: true,
  });
  for (const output of Object.values(result.metafile.outputs)) {
    const foreign = output.imports.filter((each) => each.external && !builtins.has(each.path));
    if (foreign.length > 0) throw new Error(`${directory}: ${foreign.map((each) => each.path).join(", ")} would be missing at run time`);
  }
  const file = result.outputFiles[0];
  if (file === undefined) throw new Error(`${directory}: nothing was built`);
  return Buffer.from(file.contents);
}

/**
 * The files of one step package, contents.json included.
 * @param {string} directory
 */
async function packageFiles(directory) {
  const { version } = JSON.parse(await readFile(join(directory, "package.json"), "utf8"));
  const authored = JSON.parse(await readFile(join(directory, "src", "metadata.json"), "utf8"));
  for (const name of ["schemaVersion", "type", "id", "name", "description", "categories", "launcher", "permissions", "outputs", "timeouts", "idempotent"]) {
    if (!(name in authored)) throw new Error(`${directory}: metadata.json lacks ${name}`);
  }
  const metadata = { ...authored, version, apiVersions, dependencies: {} };
  const schema = JSON.parse(await readFile(join(directory, "src", "inputs.json"), "utf8"));
  /** @type {Record<string, Buffer>} */
  const files = {
    "metadata.json": asFile(metadata),
    "inputs.json": asFile(schema),
    "README.md": await readFile(join(directory, "README.md")),
    "executor.js": await bundle(directory, "src/executor.ts"),
  };
  /** @type {Record<string, {size: number, sha256: string}>} */
  const contents = {};
  for (const name of Object.keys(files).sort()) {
    const content = /** @type {Buffer} */ (files[name]);
    contents[name] = { size: content.length, sha256: createHash("sha256").update(content).digest("hex") };
  }
  files["contents.json"] = asFile(contents);
  return { name: `${metadata.id}.${version}.zip`, files };
}

/** @param {unknown} value */
function asFile(value) {
  return Buffer.from(`${JSON.stringify(value, undefined, 2)}\n`, "utf8");
}

const made = join(root, "node_modules", `.dist-${process.pid}`);
const unpackedRoot = join(root, "build"); // for the tests of the packages themselves
await rm(made, { recursive: true, force: true });
await rm(unpackedRoot, { recursive: true, force: true });
await mkdir(join(made, "packages"), { recursive: true });
await writeFile(join(made, "bootstrap.cjs"), await bundle(join(root, "bootstrapper"), "src/main.ts"));
for (const member of (await readdir(join(root, "packages"))).sort()) {
  const { name, files } = await packageFiles(join(root, "packages", member));
  await writeFile(join(made, "packages", name), zip(files));
  const unpacked = join(unpackedRoot, member);
  await mkdir(unpacked, { recursive: true });
  for (const [file, content] of Object.entries(files)) await writeFile(join(unpacked, file), content);
}
// replaced as one, so that nobody who reads at this moment finds half of it
const old = `${made}.old`;
await rename(join(root, "dist"), old).catch((/** @type {NodeJS.ErrnoException} */ error) => {
  if (error.code !== "ENOENT") throw error;
});
await rename(made, join(root, "dist"));
await rm(old, { recursive: true, force: true });
