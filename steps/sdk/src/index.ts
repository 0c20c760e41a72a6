// SPDX-License-Identifier: Apache-2.0
/**
 * What an author of a step package sees: the executor's arguments, `defineStep` and `StepFailure`.
 * Nothing here reaches outside; the bootstrapper supplies the context.
 */

/** Anything that JSON can hold. */
export type Json = boolean | number | string | null | Json[] | { [name: string]: Json };

/** Named results of a step. Set a secret one with `context.setOutput(name, value, { sensitive: true })` instead. */
export type Outputs = Record<string, string>;

/** A package that the host has fetched and verified. `packagePath` is read-only. */
export interface StepPackageFile {
  readonly id: string;
  readonly version: string;
  /** The name under which its ecosystem knows the file, such as `web-1.0-py3-none-any.whl`. */
  readonly filename: string;
  readonly packagePath: string;
  /** SHA-256 in lower-case hexadecimal. */
  readonly hash: string;
}

/** Options of `StepContext.failStep` and of `StepFailure`. `code` has the form `Step-Area-Identifier`. */
export interface FailureOptions {
  readonly code?: string;
  readonly retryable?: boolean;
}

/** What a running step may ask of its host. The Octopus names are kept beside ours. */
export interface StepContext {
  print(message: string): void;
  printVerbose(message: string): void;
  printHighlight(message: string): void;
  printWait(message: string): void;
  printWarning(message: string): void;
  printError(message: string): void;
  /** 0 to 100. */
  updateProgress(percent: number, message?: string): void;
  /** The step says no: it ends as failed, not as errored. */
  failStep(message: string, options?: FailureOptions): never;
  getVariable(name: string): string | undefined;
  getOctopusVariable(name: string): string | undefined;
  /** A text of at most 128 KiB under a name; all outputs together hold at most 1 MiB. */
  setOutput(name: string, value: string, options?: { sensitive?: boolean }): void;
  setOctopusVariable(name: string, value: string, sensitive?: boolean): void;
  /** Always refused in this version of the host, with a failure that says so. */
  createArtifact(path: string, name?: string): Promise<void>;
  /** Resolves once the host hides `value` in everything that comes after. */
  mask(value: string): Promise<void>;
  /** What people should read at the end, in Markdown. */
  summary(markdown: string): void;
  /** Aborted when the run is cancelled or out of time; the step then has the grace that the host gives. */
  readonly signal: AbortSignal;
  readonly deadline: Date | undefined;
  readonly attempt: number;
  readonly runId: string;
  /** Equal for every attempt of one action of one deployment on one machine. */
  readonly idempotencyKey: string;
  /** Private to this run, and removed after it. */
  readonly workdir: string;
  /** By the name under which the inputs refer to them. */
  readonly packages: Readonly<Record<string, StepPackageFile>>;
  /** Facts about the deployment: project, release, environment, tenant, action. No secret. */
  readonly deployment: Readonly<Record<string, Json>>;
}

export interface StepArguments<Inputs, Target = undefined> {
  readonly inputs: Inputs;
  readonly target: Target;
  readonly context: StepContext;
}

export type StepExecutor<Inputs, Target = undefined> = (args: StepArguments<Inputs, Target>) => Promise<Outputs | void>;

/** The step says no, in words for people. Any other exception means that the step broke. */
export class StepFailure extends Error {
  override readonly name = "StepFailure";
  readonly code: string | undefined;
  readonly retryable: boolean;

  constructor(message: string, options: FailureOptions = {}) {
    super(message);
    this.code = options.code;
    this.retryable = options.retryable ?? false;
  }
}

/** True for a `StepFailure`, also for one from another copy of this module. */
export function isStepFailure(error: unknown): error is StepFailure {
  return error instanceof Error && error.name === "StepFailure";
}

/** The executor as the bootstrapper loads it: `export default defineStep<Inputs>({ execute })`. */
export function defineStep<Inputs, Target = undefined>(step: { execute: StepExecutor<Inputs, Target> }): StepExecutor<Inputs, Target> {
  return step.execute;
}
