// SPDX-License-Identifier: Apache-2.0
/**
 * A deployed directory: a link `<directory>` to one of the versions in `.<name>.waybill` beside it.
 *
 * Replacing the link is one step of the file system: whoever reads sees all of the old files or all of the new ones, also after a crash.
 * A directory that something else made is not replaced unless its files are kept.
 */
import { createHash } from "node:crypto";
import { constants, type Dirent, type Stats } from "node:fs";
import { chmod, copyFile, link, lstat, mkdir, open, readdir, readlink, realpath, rename, rm, rmdir, stat, symlink, unlink, utimes, writeFile } from "node:fs/promises";
import { basename, dirname, join, normalize } from "node:path";
import { isStepFailure, StepFailure } from "@waybill/step-sdk";
import { readArchive, safePath, type Member } from "./archive.ts";

const STALE_MS = 24 * 3_600_000;

export interface Listed {
  readonly count: number;
  /** `<sha256>  <path>` per line, sorted by path. */
  readonly text: string;
  readonly sha256: string;
}

export class Site {
  readonly directory: string;
  readonly #versions: string;
  readonly #version: string;
  readonly #staging: string;
  readonly #folders = new Set<string>();

  private constructor(directory: string, runId: string) {
    this.directory = directory;
    this.#versions = join(dirname(directory), `.${basename(directory)}.waybill`);
    this.#version = `v-${createHash("sha256").update(`${runId} ${process.pid} ${process.hrtime.bigint()}`).digest("hex").slice(0, 16)}`;
    this.#staging = join(this.#versions, this.#version);
  }

  get listPath(): string {
    return `${this.#staging}.sha256`;
  }

  /** The site at an absolute path, ready for a new version. Throws StepFailure when the path may not be used. */
  static async at(path: string, runId: string): Promise<Site> {
    const directory = normalize(path).replace(/\/+$/, "");
    if (!path.startsWith("/") || /[\0-\x1f]/.test(path) || path.split("/").includes("..") || path.includes("#{")) {
      throw refusal("Path-Invalid", `The directory must be an absolute path without .. or unresolved bindings: ${JSON.stringify(path.slice(0, 200))}`);
    }
    if (directory.split("/").length < 3) throw refusal("Path-TooHigh", `${directory || "/"} is too near to the root of the file system to be replaced`);
    const site = new Site(directory, runId);
    try {
      await mkdir(site.#staging, { recursive: true, mode: 0o755 });
    } catch (error) {
      throw refusal("Path-NotWritable", `${dirname(directory)} cannot be written: ${reason(error)}`);
    }
    return site;
  }

  /** The files that are there now are in the new version too, until the package replaces them. */
  async keepCurrent(): Promise<void> {
    const current = await stat(this.directory).catch(absent);
    if (current === undefined) return;
    if (!current.isDirectory()) throw refusal("Path-NotADirectory", `${this.directory} is no directory`);
    await copyTree(await realpath(this.directory), this.#staging);
  }

  /** All files of the package are in the new version, on disk. */
  async extract(archive: string, strip: number, signal: AbortSignal): Promise<Listed> {
    const found = new Map<string, string>();
    const spelled = new Map<string, string>();
    for await (const member of readArchive(archive)) {
      signal.throwIfAborted();
      const path = safePath(member.path, strip);
      if (path === null) continue;
      if (member.kind === "directory") {
        await this.#folder(path);
        continue;
      }
      const other = spelled.get(path.toLowerCase());
      if (other !== undefined) throw twice(path);
      spelled.set(path.toLowerCase(), path);
      await this.#folder(dirname(path));
      found.set(path, await write(join(this.#staging, path), member, signal));
    }
    if (found.size === 0) throw refusal("Archive-Empty", `The package holds no file${strip > 0 ? ` below ${strip} folders` : ""}`);
    const text = [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([path, sha256]) => `${sha256}  ${path}\n`).join("");
    return { count: found.size, text, sha256: createHash("sha256").update(text).digest("hex") };
  }

  /** The directory shows the new version. */
  async publish(list: string): Promise<void> {
    await writeFile(this.listPath, list, { mode: 0o644 });
    const next = `${this.#staging}.link`;
    await symlink(join(basename(this.#versions), this.#version), next);
    const current = await lstat(this.directory).catch(absent);
    if (current?.isDirectory() === true) await this.#giveWay();
    if (current !== undefined && !current.isDirectory() && !(await this.#isOurs())) throw foreign(this.directory);
    await rename(next, join(this.#versions, "next"));
    await rename(join(this.#versions, "next"), this.directory);
    await flush(dirname(this.directory));
    await rm(`${this.#staging}.before`, { recursive: true, force: true });
  }

  /** What no version needs any more is gone: earlier versions when this one is shown, this one when it is not. */
  async tidy(): Promise<void> {
    const shown = basename(await readlink(this.directory).catch(() => ""));
    for (const entry of await readdir(this.#versions).catch((): string[] => [])) {
      const version = entry.split(".")[0] ?? entry;
      if (version === shown) continue;
      const path = join(this.#versions, entry);
      const finished = version === this.#version || (shown === this.#version && (await exists(join(this.#versions, `${version}.sha256`))));
      const age = Date.now() - ((await lstat(path).catch(absent))?.mtimeMs ?? Date.now());
      if (finished || age > STALE_MS) await rm(path, { recursive: true, force: true });
    }
    await rmdir(this.#versions).catch(() => undefined); // stays unless it is empty
  }

  async #folder(path: string): Promise<void> {
    if (this.#folders.has(path)) return;
    try {
      await mkdir(join(this.#staging, path), { recursive: true, mode: 0o755 });
    } catch (error) {
      if (!["EEXIST", "ENOTDIR"].includes(codeOf(error))) throw error;
      throw twice(path);
    }
    // a link among the kept files would lead out of the new version
    const place = await realpath(join(this.#staging, path));
    const inside = await realpath(this.#staging);
    if (place !== inside && !place.startsWith(`${inside}/`)) throw refusal("Path-LeadsOut", `A link in ${this.directory} leads out of it: ${JSON.stringify(path)}`);
    this.#folders.add(path);
  }

  async #isOurs(): Promise<boolean> {
    const target = await readlink(this.directory).catch(() => "");
    return dirname(target) === basename(this.#versions);
  }

  /** A real directory stands in the way: it may go when it is empty or when all its files were kept. */
  async #giveWay(): Promise<void> {
    try {
      await rmdir(this.directory);
      return;
    } catch (error) {
      if (!["ENOTEMPTY", "EEXIST"].includes(codeOf(error))) throw foreign(this.directory);
    }
    const kept = await readdir(this.directory, { withFileTypes: true });
    for (const entry of kept) if (!(await exists(join(this.#staging, entry.name)))) throw foreign(this.directory);
    if (!(await sameTree(kept, this.directory, this.#staging))) throw foreign(this.directory);
    await rename(this.directory, `${this.#staging}.before`);
  }
}

async function write(path: string, member: Member, signal: AbortSignal): Promise<string> {
  // a kept file is a link to the old one, which must not change
  await unlink(path).catch((error: unknown) => {
    if (["EISDIR", "EPERM"].includes(codeOf(error))) throw twice(member.path);
    if (codeOf(error) !== "ENOENT") throw error;
  });
  const hash = createHash("sha256");
  const file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o644).catch((error: unknown) => {
    throw ["EEXIST", "EISDIR"].includes(codeOf(error)) ? twice(member.path) : error;
  });
  try {
    for await (const chunk of member.content) {
      signal.throwIfAborted();
      hash.update(chunk);
      for (let at = 0; at < chunk.length; ) at += (await file.write(chunk, at)).bytesWritten;
    }
    await file.chmod(member.executable ? 0o755 : 0o644);
    await file.datasync();
  } finally {
    await file.close();
  }
  return hash.digest("hex");
}

/** Files are linked, not copied, where the file system can. */
async function copyTree(from: string, to: string): Promise<void> {
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    const found = await lstat(source);
    if (entry.isDirectory()) {
      await mkdir(target, { recursive: true });
      await copyTree(source, target);
      await chmod(target, found.mode & 0o7777);
    } else if (entry.isSymbolicLink()) {
      await symlink(await readlink(source), target);
    } else if (entry.isFile()) {
      await link(source, target).catch(async () => {
        await copyFile(source, target, constants.COPYFILE_EXCL);
        await utimes(target, found.atime, found.mtime);
      });
    }
  }
}

async function sameTree(entries: readonly Dirent[], from: string, to: string): Promise<boolean> {
  for (const entry of entries) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (!(await exists(target))) return false;
    if (entry.isDirectory() && !(await sameTree(await readdir(source, { withFileTypes: true }), source, target))) return false;
  }
  return true;
}

async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(absent)) !== undefined;
}

async function flush(directory: string): Promise<void> {
  const handle = await open(directory, constants.O_RDONLY);
  await handle.sync().catch(() => undefined); // not every file system can
  await handle.close();
}

function absent(error: unknown): Stats | undefined {
  if (codeOf(error) === "ENOENT") return undefined;
  throw error;
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

function reason(error: unknown): string {
  return isStepFailure(error) || error instanceof Error ? error.message : String(error);
}

function twice(path: string): StepFailure {
  return refusal("Archive-DoubledPath", `The package holds a path twice, as file and folder or in another case: ${JSON.stringify(path.slice(0, 200))}`);
}

function foreign(directory: string): StepFailure {
  return refusal("Path-Foreign", `${directory} exists and was not made by this step; move it away, or deploy with purge off to keep its files`);
}

function refusal(code: string, message: string): StepFailure {
  return new StepFailure(message, { code: `DeployFiles-${code}` });
}
