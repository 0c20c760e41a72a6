// SPDX-License-Identifier: Apache-2.0
/** The step's side of frame protocol v1, against the vectors that the host's side is tested with too. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { decodeFrame, encodeFrame, Lines, MAX_FRAME_BYTES, type StepFrame } from "../src/frames.ts";

interface Vectors {
  nonce: string;
  cases: { name: string; line: string; frame: StepFrame }[];
  refused: string[];
}
const read = (name: string): Vectors => JSON.parse(readFileSync(join(process.cwd(), "..", "tests", "vectors", "step-protocol-v1", name), "utf8")) as Vectors;

test("what the step writes is exactly the line of the vectors", () => {
  const { nonce, cases } = read("step-to-host.json");
  for (const { name, frame, line } of cases) assert.equal(encodeFrame(frame, nonce).toString("utf8"), `${line}\n`, name);
});

test("what the host writes is read, and anything else is a fault", () => {
  const { cases, refused } = read("host-to-step.json");
  for (const { name, line } of cases) assert.deepEqual(decodeFrame(line), JSON.parse(line), name);
  for (const line of refused) assert.throws(() => decodeFrame(line), line);
});

test("lines are joined from bytes, whatever their borders", () => {
  const { cases } = read("host-to-step.json");
  const data = Buffer.from(cases.map(({ line }) => `${line}\n\n`).join(""), "utf8");
  for (const size of [1, 5, data.length]) {
    const lines = new Lines();
    const found: string[] = [];
    for (let at = 0; at < data.length; at += size) found.push(...lines.feed(data.subarray(at, at + size)));
    assert.deepEqual(found, cases.map(({ line }) => line));
  }
});

test("a frame that the host would throw away is not written", () => {
  assert.throws(() => encodeFrame({ t: "log", lvl: "info", msg: "x".repeat(MAX_FRAME_BYTES) }, "n"), RangeError);
});
