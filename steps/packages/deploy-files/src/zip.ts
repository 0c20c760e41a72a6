// SPDX-License-Identifier: Apache-2.0
/** Reads zip by its central directory, with ZIP64; stored and deflated members; every size and CRC-32 is checked. */
import type { FileHandle } from "node:fs/promises";
import { Readable } from "node:stream";
import { crc32, createInflateRaw } from "node:zlib";
import { forbidden, unreadable, type Member } from "./archive.ts";

const END = 0x06054b50;
const END64 = 0x06064b50;
const END64_LOCATOR = 0x07064b50;
const ENTRY = 0x02014b50;
const LOCAL = 0x04034b50;
const MAX_DIRECTORY_BYTES = 256 * 1024 * 1024;
const PIECE_BYTES = 256 * 1024;
const UNKNOWN_32 = 0xffffffff;

interface Entry {
  readonly path: string;
  readonly mode: number;
  readonly method: number;
  readonly crc: number;
  readonly packedSize: number;
  readonly size: number;
  readonly offset: number;
}

/** The members in the order of the central directory. Throws StepFailure for damage and for what is refused. */
export async function* readZip(file: FileHandle): AsyncGenerator<Member> {
  for (const entry of await entries(file)) {
    const type = entry.mode & 0o170000;
    if (type !== 0 && type !== 0o100000 && type !== 0o040000) throw forbidden(entry.path, type === 0o120000 ? "a link" : "a special file");
    const kind = entry.path.endsWith("/") || type === 0o040000 ? "directory" : "file";
    yield { path: entry.path, kind, executable: (entry.mode & 0o111) !== 0, content: content(file, entry) };
  }
}

async function* content(file: FileHandle, entry: Entry): AsyncGenerator<Uint8Array> {
  const header = await bytes(file, entry.offset, 30);
  if (header.readUInt32LE(0) !== LOCAL) throw unreadable("a member does not begin where the directory says");
  const start = entry.offset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
  let crc = 0;
  let size = 0;
  for await (const chunk of unpacked(file, entry, start)) {
    size += chunk.length;
    if (size > entry.size) throw unreadable("a member is larger than the directory says");
    crc = crc32(chunk, crc);
    yield chunk;
  }
  if (size !== entry.size || crc !== entry.crc) throw unreadable("a member is not what the directory says");
}

async function* unpacked(file: FileHandle, entry: Entry, start: number): AsyncGenerator<Buffer> {
  if (entry.packedSize === 0) return;
  if (entry.method === 0) {
    yield* range(file, start, entry.packedSize);
    return;
  }
  const packed = Readable.from(range(file, start, entry.packedSize));
  const inflate = createInflateRaw();
  packed.on("error", (error) => inflate.destroy(error));
  for await (const chunk of packed.pipe(inflate)) yield chunk as Buffer;
}

/** The bytes from `start`, read by position: a stream of the handle for each of a thousand members would leave a listener on it each time. */
async function* range(file: FileHandle, start: number, size: number): AsyncGenerator<Buffer> {
  for (let done = 0; done < size; ) {
    const piece = Buffer.alloc(Math.min(PIECE_BYTES, size - done));
    const { bytesRead } = await file.read(piece, 0, piece.length, start + done);
    if (bytesRead === 0) throw unreadable("it ends in the middle of a member");
    yield piece.subarray(0, bytesRead);
    done += bytesRead;
  }
}

async function entries(file: FileHandle): Promise<Entry[]> {
  const { offset, size, count } = await directory(file);
  if (size > MAX_DIRECTORY_BYTES) throw unreadable("its directory is too large");
  const data = await bytes(file, offset, size);
  const found: Entry[] = [];
  let at = 0;
  while (found.length < count) {
    if (at + 46 > data.length || data.readUInt32LE(at) !== ENTRY) throw unreadable("its directory is damaged");
    const nameLength = data.readUInt16LE(at + 28);
    const extraLength = data.readUInt16LE(at + 30);
    const next = at + 46 + nameLength + extraLength + data.readUInt16LE(at + 32);
    if (next > data.length) throw unreadable("its directory is damaged");
    found.push(entry(data, at, nameLength, data.subarray(at + 46 + nameLength, at + 46 + nameLength + extraLength)));
    at = next;
  }
  return found;
}

function entry(data: Buffer, at: number, nameLength: number, extra: Buffer): Entry {
  const path = data.subarray(at + 46, at + 46 + nameLength).toString("utf8");
  const method = data.readUInt16LE(at + 10);
  if ((data.readUInt16LE(at + 8) & 1) !== 0) throw forbidden(path, "an encrypted file");
  if (method !== 0 && method !== 8) throw unreadable(`a member is compressed by method ${method}`);
  const madeByUnix = data.readUInt8(at + 5) === 3;
  const large = wide(extra, [data.readUInt32LE(at + 24), data.readUInt32LE(at + 20), data.readUInt32LE(at + 42)]);
  return {
    path,
    method,
    mode: madeByUnix ? data.readUInt32LE(at + 38) >>> 16 : 0,
    crc: data.readUInt32LE(at + 16),
    size: large[0],
    packedSize: large[1],
    offset: large[2],
  };
}

/** Unpacked size, packed size and offset, from the ZIP64 field where 32 bits do not hold them. */
function wide(extra: Buffer, narrow: [number, number, number]): [number, number, number] {
  if (!narrow.includes(UNKNOWN_32)) return narrow;
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) !== 1) continue;
    let from = at + 4;
    const take = (value: number): number => {
      if (value !== UNKNOWN_32) return value;
      const large = Number(extra.readBigUInt64LE(from));
      from += 8;
      return large;
    };
    return [take(narrow[0]), take(narrow[1]), take(narrow[2])];
  }
  throw unreadable("a ZIP64 field is missing");
}

async function directory(file: FileHandle): Promise<{ offset: number; size: number; count: number }> {
  const { size: total } = await file.stat();
  const tailLength = Math.min(total, 22 + 0xffff);
  const tail = await bytes(file, total - tailLength, tailLength);
  let at = tail.length - 22;
  while (at >= 0 && !(tail.readUInt32LE(at) === END && at + 22 + tail.readUInt16LE(at + 20) === tail.length)) at--;
  if (at < 0) throw unreadable("the zip file is cut off");
  const end = { offset: tail.readUInt32LE(at + 16), size: tail.readUInt32LE(at + 12), count: tail.readUInt16LE(at + 10) };
  if (at < 20 || tail.readUInt32LE(at - 20) !== END64_LOCATOR) return end;
  const large = await bytes(file, Number(tail.readBigUInt64LE(at - 12)), 56);
  if (large.readUInt32LE(0) !== END64) throw unreadable("its ZIP64 end is damaged");
  return { offset: Number(large.readBigUInt64LE(48)), size: Number(large.readBigUInt64LE(40)), count: Number(large.readBigUInt64LE(32)) };
}

async function bytes(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const data = Buffer.alloc(Math.min(length, MAX_DIRECTORY_BYTES));
  const { bytesRead } = position >= 0 && Number.isSafeInteger(position) ? await file.read(data, 0, data.length, position) : { bytesRead: 0 };
  if (bytesRead !== length) throw unreadable("the zip file is cut off");
  return data;
}
