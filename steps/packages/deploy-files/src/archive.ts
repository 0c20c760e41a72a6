// SPDX-License-Identifier: Apache-2.0
/**
 * The members of a package file, one after the other, streamed. Refuses names that leave the directory, links and special files.
 * The kind is told by the first bytes, never by the file name, which a package chooses itself.
 */
import { open } from "node:fs/promises";
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { StepFailure } from "@waybill/step-sdk";
import { readTar } from "./tar.ts";
import { readZip } from "./zip.ts";

/** One file or folder. `content` must be read to its end, or left alone, before the next member is asked for. */
export interface Member {
  readonly path: string;
  readonly kind: "file" | "directory";
  readonly executable: boolean;
  readonly content: AsyncIterable<Uint8Array>;
}

/** Members of the zip (wheels too), gzip-compressed tar (npm packages too) or plain tar at `path`. Throws StepFailure for anything else. */
export async function* readArchive(path: string): AsyncGenerator<Member> {
  const file = await open(path, "r");
  try {
    const head = Buffer.alloc(512);
    const { bytesRead } = await file.read(head, 0, head.length, 0);
    if (head.subarray(0, 4).equals(Buffer.from("PK\x03\x04", "latin1")) || head.subarray(0, 4).equals(Buffer.from("PK\x05\x06", "latin1"))) {
      yield* readZip(file);
    } else if (head[0] === 0x1f && head[1] === 0x8b) {
      const packed = file.createReadStream({ start: 0, autoClose: false });
      const unpacked = packed.pipe(createGunzip());
      packed.on("error", (error) => unpacked.destroy(error));
      yield* readTar(unpacked);
    } else if (bytesRead === 512 && head.subarray(257, 262).toString("latin1") === "ustar") {
      yield* readTar(file.createReadStream({ start: 0, autoClose: false }));
    } else {
      throw unreadable("it is neither a zip nor a tar file");
    }
  } catch (error) {
    throw isDamage(error) ? unreadable(error.message) : error;
  } finally {
    await file.close();
  }
}

/** The relative path of a member below the target, without its first `strip` folders; null when nothing is left. Throws StepFailure. */
export function safePath(name: string, strip: number): string | null {
  const refused = (why: string): StepFailure =>
    new StepFailure(`The package holds a path that is not allowed (${why}): ${JSON.stringify(name.slice(0, 200))}`, { code: "DeployFiles-Archive-UnsafePath" });
  if (name === "" || name.length > 4_096) throw refused("empty or too long");
  if (/[\0-\x1f\x7f\\]/.test(name)) throw refused("control characters or backslashes");
  if (name.startsWith("/") || /^[A-Za-z]:/.test(name)) throw refused("absolute");
  const parts = name.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) throw refused("leaves the directory");
  if (parts.some((part) => Buffer.byteLength(part, "utf8") > 255)) throw refused("a part is too long");
  const rest = parts.slice(strip);
  return rest.length === 0 ? null : rest.join("/");
}

/** The package file is damaged or of a kind that is not understood. */
export function unreadable(why: string): StepFailure {
  return new StepFailure(`The package cannot be read: ${why}`, { code: "DeployFiles-Archive-Unreadable" });
}

/** The package holds a link or a special file. */
export function forbidden(name: string, what: string): StepFailure {
  return new StepFailure(`The package holds ${what}, which is not deployed: ${JSON.stringify(name.slice(0, 200))}`, { code: "DeployFiles-Archive-ForbiddenEntry" });
}

function isDamage(error: unknown): error is Error {
  return error instanceof Error && "code" in error && typeof error.code === "string" && (error.code.startsWith("Z_") || error.code === "ERR_BUFFER_OUT_OF_BOUNDS");
}

/** Bytes taken from a stream in the amounts that a reader wants. */
export class Source {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #left: Buffer = Buffer.alloc(0);

  constructor(stream: Readable) {
    this.#chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  }

  /** At most `most` bytes; null at the end of the stream. */
  async some(most: number): Promise<Buffer | null> {
    while (this.#left.length === 0) {
      const next = await this.#chunks.next();
      if (next.done === true) return null;
      this.#left = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
    }
    const taken = this.#left.subarray(0, most);
    this.#left = this.#left.subarray(taken.length);
    return taken;
  }

  /** Exactly `size` bytes; null when the stream ended right before them. Throws when it ends within them. */
  async exactly(size: number): Promise<Buffer | null> {
    const parts: Buffer[] = [];
    for (let left = size; left > 0; ) {
      const part = await this.some(left);
      if (part === null) {
        if (left === size) return null;
        throw unreadable("it is cut off");
      }
      parts.push(part);
      left -= part.length;
    }
    return Buffer.concat(parts);
  }
}
