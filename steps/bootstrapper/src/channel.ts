// SPDX-License-Identifier: Apache-2.0
/**
 * The two private pipes to the host. Their numbers come by environment, which is emptied of them before any code of the package runs.
 * Writing is synchronous, so that frames keep their order and none is lost when the process ends at once.
 */
import { fstatSync, writeSync } from "node:fs";
import { Socket } from "node:net";
import { decodeFrame, encodeFrame, Lines, type HostFrame, type StepFrame } from "./frames.ts";

/** Node closes inherited descriptors for its children only up to the first gap after 15. */
const HIGHEST_DESCRIPTOR = 10;

export class Channel {
  readonly #output: number;
  readonly #input: Socket;
  #nonce = "";
  #closed = false;

  constructor(input: number, output: number, onFrame: (frame: HostFrame) => void, onBroken: (error: unknown) => void) {
    this.#output = output;
    this.#input = new Socket({ fd: input, readable: true, writable: false });
    const lines = new Lines();
    this.#input.on("data", (chunk: Buffer) => {
      try {
        for (const line of lines.feed(chunk)) onFrame(decodeFrame(line));
      } catch (error) {
        onBroken(error);
      }
    });
    this.#input.on("error", onBroken);
    this.#input.on("end", () => onBroken(new Error("the host has closed its pipe")));
  }

  /** From now on frames carry `nonce`, and the open pipe no longer keeps the process alive. */
  greet(nonce: string): void {
    this.#nonce = nonce;
    this.#input.unref();
  }

  /** Keeps the process alive while the host owes an answer. */
  expectAnswer(expected: boolean): void {
    if (expected) this.#input.ref();
    else this.#input.unref();
  }

  /** The frame is written, unless the terminal frame was. */
  send(frame: StepFrame): void {
    if (this.#closed) return;
    const line = encodeFrame(frame, this.#nonce);
    if (frame.t === "done") this.#closed = true;
    for (let at = 0; at < line.length; ) at += writeSync(this.#output, line, at);
  }

  get closed(): boolean {
    return this.#closed;
  }
}

/** The pipes named by `STEP_PROTOCOL_IN` and `STEP_PROTOCOL_OUT`, which are removed. Throws when they are absent, too high or no pipes. */
export function takeDescriptors(environment: NodeJS.ProcessEnv): { input: number; output: number } {
  const take = (name: string): number => {
    const text = environment[name];
    delete environment[name];
    const descriptor = Number(text);
    if (text === undefined || !Number.isInteger(descriptor) || descriptor < 3 || descriptor > HIGHEST_DESCRIPTOR) {
      throw new Error(`${name} must be a descriptor from 3 to ${HIGHEST_DESCRIPTOR}`);
    }
    const kind = fstatSync(descriptor);
    if (!kind.isFIFO() && !kind.isSocket()) throw new Error(`${name} is not a pipe`);
    return descriptor;
  };
  return { input: take("STEP_PROTOCOL_IN"), output: take("STEP_PROTOCOL_OUT") };
}
