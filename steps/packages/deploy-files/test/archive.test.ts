// SPDX-License-Identifier: Apache-2.0
/** Paths of members, and the archive readers against archives that real tools made. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readArchive, safePath } from "../src/archive.ts";

async function members(path: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for await (const member of readArchive(path)) {
    if (member.kind === "directory") continue;
    const parts: Uint8Array[] = [];
    for await (const part of member.content) parts.push(part);
    found[member.path.replace(/^\.\//, "")] = `${member.executable ? "x" : "-"}${Buffer.concat(parts).length}`;
  }
  return found;
}

test("a path is safe, stripped, or refused", () => {
  assert.equal(safePath("a/./b//c", 0), "a/b/c");
  assert.equal(safePath("package/a", 1), "a");
  assert.equal(safePath("package", 1), null);
  for (const name of ["", "/a", "a/../b", "..", "a\\b", "C:/a", "a\0b", "a\nb", "x".repeat(5000), `${"y".repeat(256)}/a`]) assert.throws(() => safePath(name, 0), name.slice(0, 20));
});

test("tar files of the system's tar and members of every length are read", async () => {
  const root = await mkdtemp(join(tmpdir(), "waybill-archive-"));
  try {
    const long = join("deep".repeat(20), "er".repeat(60), "name".repeat(30));
    await mkdir(join(root, "in", "deep".repeat(20), "er".repeat(60)), { recursive: true });
    await writeFile(join(root, "in", long), "x".repeat(513));
    await writeFile(join(root, "in", "ünï.txt"), "");
    await writeFile(join(root, "in", "big"), Buffer.alloc(3_000_000));
    await writeFile(join(root, "in", "run"), "#!/bin/sh\n");
    await chmod(join(root, "in", "run"), 0o755);
    const split = join("er".repeat(40), "name".repeat(20)); // ustar needs its prefix field for this one
    await mkdir(join(root, "in", "er".repeat(40)));
    await writeFile(join(root, "in", split), "s");
    const wanted = { [long]: "-513", "ünï.txt": "-0", big: "-3000000", run: "x10", [split]: "-1" };
    for (const [format, flag] of [["gnu", "-cf"], ["pax", "-czf"], ["ustar", "-cf"]] as const) {
      const skipped = format === "ustar" ? ["--exclude", "./deep*"] : [];
      execFileSync("tar", [`--format=${format}`, ...skipped, flag, join(root, "out"), "-C", join(root, "in"), "."]);
      const { [long]: _, ...short } = wanted;
      assert.deepEqual(await members(join(root, "out")), format === "ustar" ? short : wanted, format);
    }
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});
