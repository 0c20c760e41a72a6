// SPDX-License-Identifier: Apache-2.0
/** http-check: an address answers as expected within the allowed tries, or the step fails and says what it answered. */
import { setTimeout as pause } from "node:timers/promises";
import { defineStep, StepFailure } from "@waybill/step-sdk";
import { ask, type Answer } from "./request.ts";

export interface Inputs {
  url: string;
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  expectedStatus?: number[];
  expectedText?: string;
  expectedPattern?: string;
  retries?: number;
  intervalSeconds?: number;
  timeoutSeconds?: number;
  caPem?: string;
}

export default defineStep<Inputs>({
  async execute({ inputs, context }) {
    const url = address(inputs.url);
    const pattern = compiled(inputs.expectedPattern);
    const method = inputs.method ?? "GET";
    const tries = (inputs.retries ?? 0) + 1;
    context.print(`Asking ${method} ${shown(url)}, up to ${tries} ${tries === 1 ? "time" : "times"}`);
    let why = "";
    for (let attempt = 1; attempt <= tries; attempt++) {
      if (attempt > 1) await pause((inputs.intervalSeconds ?? 5) * 1_000, undefined, { signal: context.signal });
      try {
        const answer = await ask({
          url, method, headers: inputs.headers ?? {}, body: inputs.body, caPem: inputs.caPem,
          timeoutMs: (inputs.timeoutSeconds ?? 30) * 1_000, signal: context.signal,
        });
        why = fault(answer, inputs, pattern);
        if (why === "") {
          context.printHighlight(`${shown(url)} answered ${answer.status} in ${answer.durationMs} ms`);
          context.setOutput("StatusCode", String(answer.status));
          context.setOutput("DurationMs", String(answer.durationMs));
          context.setOutput("Tries", String(attempt));
          return;
        }
      } catch (error) {
        context.signal.throwIfAborted();
        why = error instanceof Error ? error.message || error.name : String(error);
      }
      context.print(`Try ${attempt} of ${tries}: ${why}`);
    }
    throw new StepFailure(`${shown(url)} did not answer as expected: ${why}`, { code: "HttpCheck-Answer-Unexpected", retryable: true });
  },
});

/** Why the answer is not the expected one; empty when it is. The body is not repeated: it may hold anything. */
function fault(answer: Answer, inputs: Inputs, pattern: RegExp | undefined): string {
  const wanted = inputs.expectedStatus ?? [200];
  if (!wanted.includes(answer.status)) return `status ${answer.status} instead of ${wanted.join(" or ")}`;
  const cut = answer.truncated ? `the first ${answer.body.length} characters of the answer` : "the answer";
  if (inputs.expectedText !== undefined && !answer.body.includes(inputs.expectedText)) return `${cut} does not hold the expected text`;
  if (pattern !== undefined && !pattern.test(answer.body)) return `${cut} does not match the expected pattern`;
  return "";
}

function address(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !["http:", "https:"].includes(url.protocol)) throw new StepFailure("The address is not an http or https URL", { code: "HttpCheck-Url-Invalid" });
  if (url.username !== "" || url.password !== "") throw new StepFailure("The address holds a user name or password; use a header", { code: "HttpCheck-Url-Credentials" });
  return url;
}

/** Without the query, which often holds a token. */
function shown(url: URL): string {
  return `${url.origin}${url.pathname}`;
}

function compiled(pattern: string | undefined): RegExp | undefined {
  try {
    return pattern === undefined ? undefined : new RegExp(pattern, "su");
  } catch (error) {
    throw new StepFailure(`The expected pattern is not a regular expression: ${error instanceof Error ? error.message : String(error)}`, { code: "HttpCheck-Pattern-Invalid" });
  }
}
