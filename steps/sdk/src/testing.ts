// SPDX-License-Identifier: Apache-2.0
/**
 * Runs a built step package in the real bootstrapper, for tests of step authors.
 * It plays the host's part of the protocol; it masks nothing and ends no process tree, which the worker does.
 */
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import type { Json } from "./index.ts";

export interface TestRun {
  /** Path of the built `bootstrap.cjs`. */
  readonly bootstrapper: string;
  /** Directory of the unpacked step package. */
  readonly directory: string;
  readonly inputs: Json;
  readonly variables?: Readonly<Record<string, string>>;
  /** Files by reference name. */
  readonly packages?: Readonly<Record<string, string>>;
  /** Sends a cancel frame after so many milliseconds. */
  readonly cancelAfterMs?: number;
  /** Ends the process after so many milliseconds, 30,000 unless given. */
  readonly timeoutMs?: number;
  readonly environment?: Readonly<Record<string, string>>;
}

export interface TestResult {
  /** As the terminal frame says; `none` when the process ended without one. */
  readonly status: "succeeded" | "failed" | "errored" | "cancelled" | "none";
  readonly error: { readonly message: string; readonly code?: string; readonly retryable: boolean } | undefined;
  readonly logs: readonly { readonly level: string; readonly message: string }[];
  readonly outputs: Readonly<Record<string, { readonly value: string; readonly sensitive: boolean }>>;
  readonly masks: readonly string[];
  readonly summary: string;
  /** Every frame as it came, without the nonce. */
  readonly frames: readonly Readonly<Record<string, Json>>[];
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number | null;
}

/** How the step ended, and everything that it said. */
export async function runStep(run: TestRun): Promise<TestResult> {
  const workdir = await mkdtemp(join(tmpdir(), "waybill-step-"));
  try {
    return await converse(run, workdir);
  } finally {
    await rm(workdir, { recursive: true, force: true });
  }
}

async function converse(run: TestRun, workdir: string): Promise<TestResult> {
  const nonce = randomBytes(16).toString("hex");
  const init = await initFrame(run, nonce);
  const child = spawn(process.execPath, [run.bootstrapper], {
    cwd: workdir,
    env: { PATH: process.env["PATH"] ?? "", HOME: workdir, TMPDIR: workdir, ...run.environment, STEP_PROTOCOL_IN: "3", STEP_PROTOCOL_OUT: "4" },
    stdio: ["ignore", "pipe", "pipe", "pipe", "pipe"],
  });
  const toStep = child.stdio[3] as Writable;
  const frames: Record<string, Json>[] = [];
  toStep.on("error", () => undefined); // the step may be gone before its answer is written
  createInterface({ input: child.stdio[4] as Readable }).on("line", (line) => {
    const { n, ...frame } = JSON.parse(line) as Record<string, Json>;
    if (n !== nonce) throw new Error("a frame without the nonce");
    frames.push(frame);
    if (frame["t"] === "mask") toStep.write(`${JSON.stringify({ t: "ack", seq: frame["seq"] })}\n`);
  });
  const texts = [collect(child.stdout as Readable), collect(child.stderr as Readable)] as const;
  toStep.write(`${JSON.stringify(init)}\n`);
  const kill = setTimeout(() => child.kill("SIGKILL"), run.timeoutMs ?? 30_000);
  const cancel = run.cancelAfterMs === undefined ? undefined : setTimeout(() => toStep.write(`${JSON.stringify({ t: "cancel", reason: "cancelled", graceMs: 5_000 })}\n`), run.cancelAfterMs);
  const exitCode = await new Promise<number | null>((resolve, reject) => child.on("error", reject).on("close", resolve));
  clearTimeout(kill);
  clearTimeout(cancel);
  return { ...read(frames), frames, stdout: await texts[0], stderr: await texts[1], exitCode };
}

async function initFrame(run: TestRun, nonce: string): Promise<Json> {
  const metadata = JSON.parse(await readFile(join(run.directory, "metadata.json"), "utf8")) as { id: string; version: string; apiVersions?: Record<string, string> };
  const packages: Record<string, Json> = {};
  for (const [name, path] of Object.entries(run.packages ?? {})) {
    packages[name] = { id: name, version: "1.0.0", filename: basename(path), packagePath: path, hash: await sha256(path) };
  }
  return {
    t: "init", v: 1, n: nonce, runId: "run_test", command: "execute", inputs: run.inputs, target: null,
    package: { dir: run.directory, id: metadata.id, version: metadata.version, apiVersions: metadata.apiVersions ?? {} },
    variables: { ...run.variables }, packages, deployment: {}, deadline: null, attempt: 1, idempotencyKey: "test",
  };
}

function read(frames: readonly Record<string, Json>[]): Pick<TestResult, "status" | "error" | "logs" | "outputs" | "masks" | "summary"> {
  const outputs: Record<string, { value: string; sensitive: boolean }> = {};
  for (const frame of frames) if (frame["t"] === "output") outputs[String(frame["name"])] = { value: String(frame["value"]), sensitive: frame["sensitive"] === true };
  const done = frames.find((frame) => frame["t"] === "done");
  return {
    status: (done?.["status"] as TestResult["status"] | undefined) ?? "none",
    error: done?.["error"] as TestResult["error"],
    logs: frames.filter((frame) => frame["t"] === "log").map((frame) => ({ level: String(frame["lvl"]), message: String(frame["msg"]) })),
    outputs,
    masks: frames.filter((frame) => frame["t"] === "mask").map((frame) => String(frame["value"])),
    summary: String(frames.find((frame) => frame["t"] === "summary")?.["md"] ?? ""),
  };
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

async function collect(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}
