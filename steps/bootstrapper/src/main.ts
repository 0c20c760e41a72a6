// SPDX-License-Identifier: Apache-2.0
/**
 * The process of one run: reads `init`, runs one executor, says exactly once how it ended.
 * stdout and stderr belong to the package and its children; nothing that they print is a command.
 * It trusts its host, and hides nothing from the package but the nonce and the descriptors.
 */
import { isStepFailure } from "@waybill/step-sdk";
import { Channel, takeDescriptors } from "./channel.ts";
import { HostContext } from "./context.ts";
import { PROTOCOL_VERSION, type DoneStatus, type HostFrame, type InitFrame } from "./frames.ts";
import { loadExecutor, LoadError } from "./load.ts";

const HEARTBEAT_MS = 5_000;
/** The exit code when the protocol itself cannot be spoken. */
const EXIT_NO_PROTOCOL = 70;

let run: HostContext | undefined;

function begin(): void {
  for (const stream of [process.stdout, process.stderr]) {
    // without this process.exit() loses most of what was just printed into a pipe
    (stream as { _handle?: { setBlocking?: (blocking: boolean) => void } })._handle?.setBlocking?.(true);
  }
  const { input, output } = takeDescriptors(process.env);
  const channel = new Channel(input, output, (frame) => receive(channel, frame), (error) => lost(channel, error));
  process.on("uncaughtException", (error) => crash(channel, error));
  process.on("unhandledRejection", (reason) => crash(channel, reason));
}

function receive(channel: Channel, frame: HostFrame): void {
  if (frame.t === "init") {
    if (run === undefined) void start(channel, frame);
  } else if (frame.t === "ack") {
    run?.acknowledge(frame.seq);
  } else {
    run?.cancel(frame.reason);
  }
}

async function start(channel: Channel, init: InitFrame): Promise<void> {
  channel.greet(init.n);
  channel.send({ t: "hello", v: [PROTOCOL_VERSION], node: process.version, pid: process.pid });
  setInterval(() => channel.send({ t: "heartbeat" }), HEARTBEAT_MS).unref();
  const host = new HostContext(channel, init);
  run = host;
  try {
    host.setOutputs(await loadExecutor(init, host.context)());
    done(channel, host.context.signal.aborted ? "cancelled" : "succeeded", host.context.signal.aborted ? host.context.signal.reason : undefined);
  } catch (error) {
    end(channel, host, error);
  }
}

/** Says why the executor threw. */
function end(channel: Channel, host: HostContext | undefined, error: unknown): void {
  if (host?.context.signal.aborted) {
    done(channel, "cancelled", error);
  } else if (isStepFailure(error)) {
    done(channel, "failed", error);
  } else {
    host?.log("verbose", error instanceof Error ? (error.stack ?? error.message) : `Thrown: ${String(error)}`);
    if (error instanceof Error && error.cause instanceof Error) host?.log("verbose", `Caused by: ${error.cause.stack ?? error.cause.message}`);
    done(channel, "errored", error);
  }
}

function done(channel: Channel, status: DoneStatus, error?: unknown): void {
  if (error === undefined) {
    channel.send({ t: "done", status });
    return;
  }
  const message = (error instanceof Error ? error.message || error.name : String(error)).slice(0, 10_000);
  const code = isStepFailure(error) ? error.code : error instanceof LoadError ? "StepPackage-Load-Failed" : undefined;
  const retryable = isStepFailure(error) && error.retryable;
  channel.send({ t: "done", status, error: code === undefined ? { message, retryable } : { message, code: code.slice(0, 200), retryable } });
}

function crash(channel: Channel, error: unknown): void {
  end(channel, run, error);
  process.exit(0);
}

function lost(channel: Channel, error: unknown): void {
  if (channel.closed) return;
  process.stderr.write(`The host of this step is gone: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(EXIT_NO_PROTOCOL);
}

try {
  begin();
} catch (error) {
  process.stderr.write(`This program is started by a Waybill worker: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = EXIT_NO_PROTOCOL;
}
