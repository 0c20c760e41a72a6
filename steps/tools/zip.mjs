// SPDX-License-Identifier: Apache-2.0
// @ts-check
/** Writes zip files whose bytes depend on their content only: entries sorted, one fixed time, stored and not compressed. */
import { crc32 } from "node:zlib";

/** 1980-01-01 00:00, the first moment that a zip file can hold. */
const DATE = (1 << 5) | 1;
const VERSION = 20;
const UNIX = 3 << 8;
const PLAIN_FILE = (0o100644 << 16) >>> 0;

/**
 * The bytes of a zip file with these files, by name.
 * @param {Record<string, Buffer>} files
 * @returns {Buffer}
 */
export function zip(files) {
  /** @type {Buffer[]} */
  const parts = [];
  /** @type {Buffer[]} */
  const directory = [];
  let offset = 0;
  for (const name of Object.keys(files).sort()) {
    const content = /** @type {Buffer} */ (files[name]);
    const encoded = Buffer.from(name, "utf8");
    const shared = Buffer.alloc(26); // what the local header and the directory entry have in common
    shared.writeUInt16LE(VERSION, 0);
    shared.writeUInt16LE(0, 2);
    shared.writeUInt16LE(0, 4);
    shared.writeUInt16LE(0, 6);
    shared.writeUInt16LE(DATE, 8);
    shared.writeUInt32LE(crc32(content), 10);
    shared.writeUInt32LE(content.length, 14);
    shared.writeUInt32LE(content.length, 18);
    shared.writeUInt16LE(encoded.length, 22);
    const local = Buffer.concat([Buffer.from("PK\x03\x04", "latin1"), shared, encoded, content]);
    const entry = Buffer.alloc(14);
    entry.writeUInt32LE(PLAIN_FILE, 6);
    entry.writeUInt32LE(offset, 10);
    const madeBy = Buffer.alloc(2);
    madeBy.writeUInt16LE(UNIX | VERSION, 0);
    directory.push(Buffer.concat([Buffer.from("PK\x01\x02", "latin1"), madeBy, shared, entry, encoded]));
    parts.push(local);
    offset += local.length;
  }
  const listed = Buffer.concat(directory);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(parts.length, 4);
  end.writeUInt16LE(parts.length, 6);
  end.writeUInt32LE(listed.length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...parts, listed, Buffer.from("PK\x05\x06", "latin1"), end]);
}
