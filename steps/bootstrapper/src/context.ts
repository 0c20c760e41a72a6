// SPDX-License-Identifier: Apache-2.0
/** The context of a running step: our names and the ten Octopus ones, over frames. */
import { StepFailure, type FailureOptions, type Outputs, type StepContext } from "@waybill/step-sdk";
import type { Channel } from "./channel.ts";
import type { InitFrame, Level } from "./frames.ts";

const MAX_OUTPUT_BYTES = 128 * 1024;
const MAX_OUTPUTS_BYTES = 1024 * 1024;
const MAX_TEXT_BYTES = 256 * 1024;
/** A summary is one frame; its limit leaves room for the escapes of JSON. */
const MAX_SUMMARY_BYTES = 150 * 1024;
const OUTPUT_NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,99}$/;

export class HostContext {
  readonly #channel: Channel;
  readonly #waiting = new Map<number, () => void>();
  readonly #outputs = new Map<string, number>();
  readonly #abort = new AbortController();
  #sequence = 0;
  readonly context: StepContext;

  constructor(channel: Channel, init: InitFrame) {
    this.#channel = channel;
    this.context = this.#build(init);
  }

  /** The step was told to end. */
  cancel(reason: string): void {
    this.#abort.abort(new Error(reason));
  }

  /** The host has done what frame `sequence` asked. */
  acknowledge(sequence: number): void {
    this.#waiting.get(sequence)?.();
    this.#waiting.delete(sequence);
    if (this.#waiting.size === 0) this.#channel.expectAnswer(false);
  }

  /** What an executor returned becomes outputs too. */
  setOutputs(outputs: Outputs | void): void {
    for (const [name, value] of Object.entries(outputs ?? {})) this.#setOutput(name, String(value), false);
  }

  /** One log line, or several, cut where a frame would be too long. */
  log(level: Level, message: unknown): void {
    const text = String(message);
    for (let at = 0; at === 0 || at < text.length; at += MAX_TEXT_BYTES / 4) {
      this.#channel.send({ t: "log", lvl: level, msg: text.slice(at, at + MAX_TEXT_BYTES / 4) });
    }
  }

  #setOutput(name: string, value: string, sensitive: boolean): void {
    if (!OUTPUT_NAME.test(name)) throw new StepFailure(`An output may not be called ${JSON.stringify(name.slice(0, 100))}`, { code: "Step-Output-NameInvalid" });
    const size = Buffer.byteLength(value, "utf8");
    const others = [...this.#outputs].reduce((sum, [other, bytes]) => (other === name ? sum : sum + bytes), 0);
    if (size > MAX_OUTPUT_BYTES || others + size > MAX_OUTPUTS_BYTES) {
      throw new StepFailure(`The output ${name} is too large: ${size} bytes, at most ${MAX_OUTPUT_BYTES} each and ${MAX_OUTPUTS_BYTES} together`, {
        code: "Step-Output-TooLarge",
      });
    }
    this.#outputs.set(name, size);
    this.#channel.send({ t: "output", name, value, sensitive });
  }

  #mask(value: string): Promise<void> {
    const seq = ++this.#sequence;
    return new Promise((resolve) => {
      this.#waiting.set(seq, resolve);
      this.#channel.expectAnswer(true);
      this.#channel.send({ t: "mask", value, seq });
    });
  }

  #build(init: InitFrame): StepContext {
    const getVariable = (name: string): string | undefined => (Object.hasOwn(init.variables, name) ? init.variables[name] : undefined);
    return {
      print: (message) => this.log("info", message),
      printVerbose: (message) => this.log("verbose", message),
      printHighlight: (message) => this.log("highlight", message),
      printWait: (message) => this.log("wait", message),
      printWarning: (message) => this.log("warning", message),
      printError: (message) => this.log("error", message),
      updateProgress: (percent, message = "") => this.#channel.send({ t: "progress", pct: Number.isFinite(percent) ? percent : 0, msg: message.slice(0, 500) }),
      failStep: (message: string, options?: FailureOptions): never => {
        throw new StepFailure(message, options);
      },
      getVariable,
      getOctopusVariable: getVariable,
      setOutput: (name, value, options) => this.#setOutput(name, value, options?.sensitive ?? false),
      setOctopusVariable: (name, value, sensitive) => this.#setOutput(name, value, sensitive ?? false),
      createArtifact: () => Promise.reject(new StepFailure("This host keeps no artifacts", { code: "Step-Artifact-Unsupported" })),
      mask: (value) => this.#mask(value),
      summary: (markdown) => {
        if (Buffer.byteLength(markdown, "utf8") > MAX_SUMMARY_BYTES) throw new StepFailure("The summary is too large", { code: "Step-Summary-TooLarge" });
        this.#channel.send({ t: "summary", md: markdown });
      },
      signal: this.#abort.signal,
      deadline: init.deadline === null ? undefined : new Date(init.deadline),
      attempt: init.attempt,
      runId: init.runId,
      idempotencyKey: init.idempotencyKey,
      workdir: process.cwd(),
      packages: init.packages,
      deployment: init.deployment,
    };
  }
}
