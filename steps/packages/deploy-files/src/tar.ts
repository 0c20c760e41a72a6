// SPDX-License-Identifier: Apache-2.0
/** Reads tar: ustar, with pax and GNU long names. Sparse files, links and devices are refused. */
import type { Readable } from "node:stream";
import { forbidden, Source, unreadable, type Member } from "./archive.ts";

const BLOCK = 512;
const MAX_EXTENSION_BYTES = 1024 * 1024;

/** The members in the order of the stream. Throws StepFailure for damage and for what is refused. */
export async function* readTar(stream: Readable): AsyncGenerator<Member> {
  const source = new Source(stream);
  let extension: Record<string, string> = {};
  for (;;) {
    const header = await source.exactly(BLOCK);
    if (header === null) throw unreadable("the tar file has no end mark");
    if (header.every((byte) => byte === 0)) return;
    checkSum(header);
    const size = extension["size"] === undefined ? number(header, 124, 12) : Number(extension["size"]);
    if (!Number.isSafeInteger(size) || size < 0) throw unreadable("a size is wrong");
    const type = String.fromCharCode(header[156] ?? 0);
    if (type === "x" || type === "L" || type === "g") {
      if (size > MAX_EXTENSION_BYTES) throw unreadable("an extended header is too large");
      const data = (await source.exactly(size)) ?? Buffer.alloc(0);
      await source.exactly(padding(size));
      if (type === "x") extension = { ...extension, ...pax(data) };
      if (type === "L") extension = { ...extension, path: data.toString("utf8").replace(/\0.*$/s, "") };
      continue;
    }
    const path = extension["path"] ?? name(header);
    if (Object.keys(extension).some((key) => key.startsWith("GNU.sparse"))) throw forbidden(path, "a sparse file");
    extension = {};
    if (type !== "0" && type !== "\0" && type !== "7" && type !== "5") throw forbidden(path, type === "1" || type === "2" ? "a link" : "a special file");
    const body = new Body(source, size);
    const directory = type === "5" || path.endsWith("/");
    yield { path, kind: directory ? "directory" : "file", executable: (number(header, 100, 8) & 0o111) !== 0, content: body };
    await body.skip();
    await source.exactly(padding(size));
  }
}

class Body implements AsyncIterable<Uint8Array> {
  #left: number;
  readonly #source: Source;

  constructor(source: Source, size: number) {
    this.#source = source;
    this.#left = size;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    while (this.#left > 0) {
      const part = await this.#source.some(this.#left);
      if (part === null) throw unreadable("it is cut off");
      this.#left -= part.length;
      yield part;
    }
  }

  async skip(): Promise<void> {
    const rest = this[Symbol.asyncIterator]();
    while ((await rest.next()).done !== true);
  }
}

function padding(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}

function text(header: Buffer, at: number, length: number): string {
  return header.subarray(at, at + length).toString("utf8").replace(/\0.*$/s, "");
}

function name(header: Buffer): string {
  const prefix = header.subarray(257, 263).toString("latin1") === "ustar\0" ? text(header, 345, 155) : "";
  const last = text(header, 0, 100);
  return prefix === "" ? last : `${prefix}/${last}`;
}

function number(header: Buffer, at: number, length: number): number {
  const first = header[at] ?? 0;
  if ((first & 0x80) !== 0) {
    // base-256, for sizes that octal digits cannot hold
    let value = first & 0x7f;
    for (let index = at + 1; index < at + length; index++) value = value * 256 + (header[index] ?? 0);
    return value;
  }
  const digits = text(header, at, length).trim();
  if (digits !== "" && !/^[0-7]+$/.test(digits)) throw unreadable("a number in a header is wrong");
  return digits === "" ? 0 : parseInt(digits, 8);
}

function checkSum(header: Buffer): void {
  let sum = 0;
  for (let index = 0; index < BLOCK; index++) sum += index >= 148 && index < 156 ? 32 : (header[index] ?? 0);
  if (sum !== number(header, 148, 8)) throw unreadable("the checksum of a header does not fit");
}

function pax(data: Buffer): Record<string, string> {
  const found: Record<string, string> = Object.create(null) as Record<string, string>;
  for (let at = 0; at < data.length; ) {
    const space = data.indexOf(32, at);
    const length = Number(data.subarray(at, space).toString("latin1"));
    if (space < 0 || !Number.isInteger(length) || length < 5 || at + length > data.length) throw unreadable("an extended header is wrong");
    const record = data.subarray(space + 1, at + length - 1).toString("utf8");
    const equals = record.indexOf("=");
    found[record.slice(0, equals)] = record.slice(equals + 1);
    at += length;
  }
  return found;
}
