// SPDX-License-Identifier: Apache-2.0
/** Starts an interpreter with the program on descriptor 3 and its words to us on descriptor 4; output goes straight to the step's own. */
import { spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { StepFailure } from "@waybill/step-sdk";

const MAX_MESSAGE_BYTES = 1024 * 1024;
/** How long a child that the script left behind may hold the descriptors after the script itself has ended. */
const DRAIN_MS = 1_000;
const FIELDS = 4;

export interface Run {
  readonly command: readonly [string, ...string[]];
  readonly text: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  onOutput(name: string, value: string, sensitive: boolean): void;
  onMask(value: string): Promise<void>;
}

export interface Ended {
  readonly exitCode: number | null;
  readonly signal: string | null;
}

/** How the interpreter ended. Throws StepFailure when it cannot be started or breaks the agreement on descriptor 4. */
export async function run(order: Run): Promise<Ended> {
  const [program, ...rest] = order.command;
  const child = spawn(program, rest, { env: order.environment, stdio: ["ignore", "inherit", "inherit", "pipe", "pipe"] });
  const abort = (): void => void child.kill("SIGTERM");
  order.signal.addEventListener("abort", abort);
  const toScript = child.stdio[3] as Writable;
  toScript.on("error", () => undefined); // an interpreter that ends early says so by its exit code
  toScript.end(order.text);
  const words = child.stdio[4] as Readable;
  const told = listen(words, order);
  told.catch(() => child.kill("SIGTERM"));
  try {
    const ended = await new Promise<Ended>((resolve, reject) => {
      child.on("error", (error) => reject(new StepFailure(`${program} cannot be started: ${error.message}`, { code: "RunScript-Interpreter-Missing" })));
      child.on("exit", (exitCode, signal) => resolve({ exitCode, signal }));
    });
    const drain = setTimeout(() => words.destroy(), DRAIN_MS);
    await told;
    clearTimeout(drain);
    return ended;
  } finally {
    order.signal.removeEventListener("abort", abort);
    words.destroy();
    toScript.destroy();
  }
}

/** Groups of four NUL-ended fields: what, name, value, flag. */
async function listen(words: Readable, order: Run): Promise<void> {
  let rest: Buffer = Buffer.alloc(0);
  try {
    for await (const chunk of words) {
      rest = Buffer.concat([rest, chunk as Buffer]);
      for (let fields = take(rest); fields !== undefined; fields = take(rest)) {
        rest = rest.subarray(fields.size);
        const [what, first, second, flag] = fields.texts;
        if (what === "output") order.onOutput(first ?? "", second ?? "", flag === "sensitive");
        else if (what === "mask") await order.onMask(first ?? "");
        else throw new StepFailure("The script wrote something else than a helper's message to descriptor 4", { code: "RunScript-Helper-Malformed" });
      }
      if (rest.length > MAX_MESSAGE_BYTES) throw new StepFailure("A helper's message is too large", { code: "RunScript-Helper-TooLarge" });
    }
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ERR_STREAM_PREMATURE_CLOSE")) throw error;
  }
}

function take(data: Buffer): { texts: string[]; size: number } | undefined {
  const texts: string[] = [];
  let at = 0;
  while (texts.length < FIELDS) {
    const end = data.indexOf(0, at);
    if (end < 0) return undefined;
    texts.push(data.subarray(at, end).toString("utf8"));
    at = end + 1;
  }
  return { texts, size: at };
}
