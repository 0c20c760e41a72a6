// SPDX-License-Identifier: Apache-2.0
/** The built bootstrapper runs executors of every shape and says once how they ended. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { runStep, type TestResult, type TestRun } from "@waybill/step-sdk/testing";

const bootstrapper = join(process.cwd(), "dist", "bootstrap.cjs");
let directory = "";
before(async () => void (directory = await mkdtemp(join(tmpdir(), "waybill-package-"))));
after(() => rm(directory, { recursive: true, force: true }));

async function run(executor: string, more: Partial<TestRun> = {}, execution = "1.0.0"): Promise<TestResult> {
  await writeFile(join(directory, "metadata.json"), JSON.stringify({ id: "tried", version: "1.0.0", apiVersions: { Execution: execution } }));
  await writeFile(join(directory, "executor.js"), executor);
  const result = await runStep({ bootstrapper, directory, inputs: { name: "world" }, ...more });
  assert.ok(result.frames.filter((frame) => frame["t"] === "done").length <= 1, "one terminal frame at most");
  assert.equal(result.frames.at(0)?.["t"] ?? "hello", "hello");
  return result;
}

test("an executor is the module itself, its default, or a positional one before version 1", async () => {
  const greet = "({ inputs, context }) => { context.print('hello ' + inputs.name); }";
  for (const [source, execution] of [
    [`module.exports = async ${greet}`, "1.0.0"],
    [`exports.default = async ${greet}`, "4.0.0"],
    ["module.exports = async (inputs, target, context) => { context.print('hello ' + inputs.name); }", "0.0.7"],
  ] as const) {
    const result = await run(source, {}, execution);
    assert.equal(result.status, "succeeded", source);
    assert.deepEqual(result.logs, [{ level: "info", message: "hello world" }]);
    assert.equal(result.exitCode, 0);
  }
});

test("every method of the context reaches the host, under our names and the Octopus ones", async () => {
  const result = await run(
    `module.exports = async ({ context }) => {
      for (const name of ["Verbose", "Highlight", "Wait", "Warning", "Error"]) context["print" + name](name);
      context.updateProgress(40, "some");
      await context.mask("hidden");
      context.setOutput("A", "1"); context.setOctopusVariable("B", context.getOctopusVariable("Token") + context.getVariable("Token"), true);
      if (context.getVariable("toString") !== undefined) throw new Error("inherited");
      context.summary("# Summary");
      context.print("x".repeat(100000));
      return { C: "3" };
    };`,
    { variables: { Token: "t" } },
  );
  assert.deepEqual(result.logs.slice(0, 5).map((line) => line.level), ["verbose", "highlight", "wait", "warning", "error"]);
  assert.equal(result.logs.slice(5).map((line) => line.message).join("").length, 100_000);
  assert.deepEqual(result.outputs, { A: { value: "1", sensitive: false }, B: { value: "tt", sensitive: true }, C: { value: "3", sensitive: false } });
  assert.deepEqual(result.masks, ["hidden"]);
  assert.equal(result.summary, "# Summary");
});

test("each way to end has its status", async () => {
  const ends: [string, TestResult["status"], string | undefined][] = [
    ["module.exports = async ({ context }) => context.failStep('no', { code: 'A-B-C', retryable: true })", "failed", "A-B-C"],
    ["class StepFailure extends Error { name = 'StepFailure' } module.exports = async () => { throw new StepFailure('no'); }", "failed", undefined],
    ["module.exports = async () => { throw new TypeError('broke'); }", "errored", undefined],
    ["module.exports = async () => { throw undefined; }", "errored", undefined],
    ["module.exports = async () => { setTimeout(() => { throw new Error('late') }); await new Promise(() => {}); }", "errored", undefined],
    ["throw new Error('scope')", "errored", "StepPackage-Load-Failed"],
    ["module.exports = {}", "errored", "StepPackage-Load-Failed"],
    ["module.exports = async () => { await new Promise(() => {}); }", "none", undefined],
    ["module.exports = async () => { process.exit(4); }", "none", undefined],
    ["module.exports = async ({ context }) => { context.setOutput('no such name', 'x'); }", "failed", "Step-Output-NameInvalid"],
    ["module.exports = async ({ context }) => { for (let at = 0; at < 9; at++) context.setOutput('n' + at, 'x'.repeat(128 * 1024)); }", "failed", "Step-Output-TooLarge"],
    ["module.exports = async ({ context }) => { await context.createArtifact('x'); }", "failed", "Step-Artifact-Unsupported"],
  ];
  for (const [source, status, code] of ends) {
    const result = await run(source);
    assert.equal(result.status, status, source);
    assert.equal(result.error?.code, code, source);
  }
});

test("a cancel frame aborts the signal, and the step ends as cancelled whether it throws or returns", async () => {
  for (const end of ["return {}", "context.signal.throwIfAborted()", "context.failStep('x')"]) {
    const source = `module.exports = async ({ context }) => { await new Promise((go) => { const alive = setInterval(() => {}, 1e6); context.signal.addEventListener("abort", () => { clearInterval(alive); go(); }); }); ${end}; }`;
    assert.equal((await run(source, { cancelAfterMs: 300 })).status, "cancelled", end);
  }
});

test("a step that waits long for a mask to be acknowledged stays alive, and the descriptors are not in the environment", async () => {
  const result = await run("module.exports = async ({ context }) => { await context.mask('secret'); return { names: Object.keys(process.env).join(' ') }; }");
  assert.equal(result.status, "succeeded");
  assert.doesNotMatch(result.outputs["names"]?.value ?? "", /STEP_PROTOCOL/);
});

test("without its host the program says who starts it", () => {
  for (const environment of [{}, { STEP_PROTOCOL_IN: "3", STEP_PROTOCOL_OUT: "11" }, { STEP_PROTOCOL_IN: "0", STEP_PROTOCOL_OUT: "1" }]) {
    const result = spawnSync(process.execPath, [bootstrapper], { env: environment, encoding: "utf8" });
    assert.equal(result.status, 70);
    assert.match(result.stderr, /started by a Waybill worker/);
  }
});
