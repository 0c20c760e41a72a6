// SPDX-License-Identifier: Apache-2.0
/** One HTTP request with a deadline for everything, a bounded answer, and no redirect, cookie, proxy or reused connection. */
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";

const MAX_BODY_BYTES = 1024 * 1024;

export interface Question {
  readonly url: URL;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  readonly caPem: string | undefined;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly body: string;
  /** Only the first part of the body was read. */
  readonly truncated: boolean;
  readonly durationMs: number;
}

/** The answer. Throws Error with a message for people when there is none in time, and the abort reason when aborted. */
export async function ask(question: Question): Promise<Answer> {
  const began = performance.now();
  const deadline = AbortSignal.timeout(question.timeoutMs);
  try {
    const response = await answered(question, AbortSignal.any([question.signal, deadline]));
    const { body, truncated } = await text(response);
    return { status: response.statusCode ?? 0, body, truncated, durationMs: Math.round(performance.now() - began) };
  } catch (error) {
    question.signal.throwIfAborted();
    if (deadline.aborted) throw new Error(`no complete answer within ${question.timeoutMs / 1_000} seconds`, { cause: error });
    throw error;
  }
}

function answered(question: Question, signal: AbortSignal): Promise<IncomingMessage> {
  const send = question.url.protocol === "https:" ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const outgoing = send(question.url, {
      method: question.method,
      headers: { "user-agent": "waybill-http-check/1", ...question.headers },
      agent: false,
      signal,
      ...(question.caPem === undefined ? {} : { ca: question.caPem }),
    });
    outgoing.on("error", reject);
    outgoing.on("response", resolve);
    outgoing.end(question.body);
  });
}

async function text(response: IncomingMessage): Promise<{ body: string; truncated: boolean }> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const chunk of response) {
    const part = chunk as Buffer;
    parts.push(part.subarray(0, MAX_BODY_BYTES - size));
    size += part.length;
    if (size > MAX_BODY_BYTES) break;
  }
  return { body: Buffer.concat(parts).toString("utf8"), truncated: size > MAX_BODY_BYTES };
}
