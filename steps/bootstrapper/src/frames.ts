// SPDX-License-Identifier: Apache-2.0
/**
 * Frame protocol v1 on the side of the step: reads `init`, `ack` and `cancel`, writes everything else.
 * One JSON object per line; see waybill/steps/protocol.py for the host's side and tests/vectors/step-protocol-v1 for both.
 */
import type { Json } from "@waybill/step-sdk";

export const PROTOCOL_VERSION = 1;
export const MAX_FRAME_BYTES = 1024 * 1024;
export const MAX_INIT_BYTES = 8 * 1024 * 1024;

export interface PackageFrame {
  readonly id: string;
  readonly version: string;
  readonly filename: string;
  readonly packagePath: string;
  readonly hash: string;
}

export interface InitFrame {
  readonly t: "init";
  readonly v: number;
  readonly n: string;
  readonly runId: string;
  readonly package: { readonly dir: string; readonly id: string; readonly version: string; readonly apiVersions: Readonly<Record<string, string>> };
  readonly command: string;
  readonly inputs: Json;
  readonly target: Json;
  readonly variables: Readonly<Record<string, string>>;
  readonly packages: Readonly<Record<string, PackageFrame>>;
  readonly deployment: Readonly<Record<string, Json>>;
  readonly deadline: string | null;
  readonly attempt: number;
  readonly idempotencyKey: string;
}
export interface AckFrame {
  readonly t: "ack";
  readonly seq: number;
}
export interface CancelFrame {
  readonly t: "cancel";
  readonly reason: string;
  readonly graceMs: number;
}
export type HostFrame = InitFrame | AckFrame | CancelFrame;

export type Level = "verbose" | "info" | "highlight" | "wait" | "warning" | "error";
export type DoneStatus = "succeeded" | "failed" | "errored" | "cancelled";

/** What the step sends, before the nonce is added. */
export type StepFrame =
  | { t: "hello"; v: number[]; node: string; pid: number }
  | { t: "log"; lvl: Level; msg: string }
  | { t: "progress"; pct: number; msg: string }
  | { t: "output"; name: string; value: string; sensitive: boolean }
  | { t: "mask"; value: string; seq: number }
  | { t: "summary"; md: string }
  | { t: "heartbeat" }
  | { t: "done"; status: DoneStatus; error?: { message: string; code?: string; retryable: boolean } };

/** The line of a frame. Throws RangeError above the limit: the host would throw such a line away. */
export function encodeFrame(frame: StepFrame, nonce: string): Buffer {
  const { t, ...members } = frame;
  const line = Buffer.from(`${JSON.stringify({ t, n: nonce, ...members })}\n`, "utf8");
  if (line.length > MAX_FRAME_BYTES) throw new RangeError(`a ${t} frame of ${line.length} bytes is over the limit of ${MAX_FRAME_BYTES}`);
  return line;
}

/** The frame in one line of the host. Throws when it is none: the host is ours, so that is a fault and not an attack. */
export function decodeFrame(line: string): HostFrame {
  const value: unknown = JSON.parse(line);
  if (typeof value !== "object" || value === null || !("t" in value)) throw new Error("a frame of the host is not an object with a type");
  if (value.t === "init" && "v" in value && value.v === PROTOCOL_VERSION && "n" in value && typeof value.n === "string") return value as InitFrame;
  if (value.t === "ack" && "seq" in value && typeof value.seq === "number") return value as AckFrame;
  if (value.t === "cancel" && "reason" in value && "graceMs" in value && typeof value.graceMs === "number") return value as CancelFrame;
  throw new Error(`the host sent a frame that version ${PROTOCOL_VERSION} of the protocol does not have`);
}

/** Joins chunks into lines. */
export class Lines {
  #parts: Buffer[] = [];
  #length = 0;

  /** The lines that `chunk` completes. Throws RangeError when one grows over the limit. */
  feed(chunk: Buffer): string[] {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      this.#append(chunk.subarray(start, end));
      lines.push(Buffer.concat(this.#parts).toString("utf8"));
      this.#parts = [];
      this.#length = 0;
      start = end + 1;
    }
    this.#append(chunk.subarray(start));
    return lines.filter((line) => line.trim() !== "");
  }

  #append(part: Buffer): void {
    this.#length += part.length;
    if (this.#length > MAX_INIT_BYTES) throw new RangeError("a line of the host is over the limit");
    if (part.length > 0) this.#parts.push(Buffer.from(part));
  }
}
