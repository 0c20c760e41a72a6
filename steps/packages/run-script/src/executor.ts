// SPDX-License-Identifier: Apache-2.0
/** run-script: an inline script runs in its interpreter; an exit code other than 0 means that the step failed. */
import { defineStep, StepFailure, type StepContext } from "@waybill/step-sdk";
import { run } from "./interpreter.ts";
import { languages, type Syntax } from "./languages.ts";

export interface Inputs {
  syntax: Syntax;
  script: string;
  variables?: Record<string, string>;
  environment?: Record<string, string>;
}

const ENVIRONMENT_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** Names that would change what the interpreter loads before the script says a word. */
const RESERVED_NAME = /^(LD_.*|DYLD_.*|NODE_OPTIONS|NODE_PATH|PYTHON.*|BASH_ENV|ENV|BASH_FUNC_.*|SHELLOPTS|BASHOPTS|STEP_PROTOCOL_.*)$/;

export default defineStep<Inputs>({
  async execute({ inputs, context }) {
    const language = languages[inputs.syntax];
    if (language === undefined) throw new StepFailure(`There is no syntax ${JSON.stringify(inputs.syntax)}`, { code: "RunScript-Syntax-Unknown" });
    const variables = { ...visibleVariables(inputs.variables, context), ...inputs.variables };
    for (const [name, value] of Object.entries(variables)) {
      if (value.includes("\0")) throw new StepFailure(`The variable ${name} holds a NUL character`, { code: "RunScript-Variable-Invalid" });
    }
    const script = inputs.script.replace(/\r\n?/g, "\n");
    if (script.includes("\0")) throw new StepFailure("The script holds a NUL character", { code: "RunScript-Script-Invalid" });
    const ended = await run({
      command: language.command,
      text: language.program(script, variables),
      environment: { ...process.env, ...allowed(inputs.environment ?? {}) },
      signal: context.signal,
      onOutput: (name, value, sensitive) => output(context, name, value, sensitive),
      onMask: (value) => context.mask(value),
    });
    context.signal.throwIfAborted();
    context.setOutput("ExitCode", ended.exitCode === null ? "" : String(ended.exitCode));
    if (ended.exitCode === 0) context.printVerbose("The script ended with exit code 0");
    else if (ended.exitCode === null) throw new StepFailure(`The script was ended by ${ended.signal ?? "a signal"}`, { code: "RunScript-Script-Killed" });
    else throw new StepFailure(`The script ended with exit code ${ended.exitCode}`, { code: "RunScript-Script-ExitCode" });
  },
});

/** What the deployment itself offers under `Waybill.` names, for scripts that want to know where they run. */
function visibleVariables(own: Record<string, string> | undefined, context: StepContext): Record<string, string> {
  const facts: Record<string, string> = {};
  for (const [name, value] of Object.entries(context.deployment)) if (typeof value === "string") facts[`Waybill.${name}`] = value;
  for (const [name, file] of Object.entries(context.packages)) facts[`Waybill.Package[${name}].Path`] = file.packagePath;
  for (const name of Object.keys(own ?? {})) delete facts[name];
  return facts;
}

function allowed(environment: Record<string, string>): Record<string, string> {
  for (const [name, value] of Object.entries(environment)) {
    if (!ENVIRONMENT_NAME.test(name) || RESERVED_NAME.test(name) || value.includes("\0")) {
      throw new StepFailure(`The environment may not hold ${JSON.stringify(name)}`, { code: "RunScript-Environment-Invalid" });
    }
  }
  return environment;
}

function output(context: StepContext, name: string, value: string, sensitive: boolean): void {
  if (name === "ExitCode") context.printWarning("The output ExitCode is set by the step itself; the script's value is ignored");
  else context.setOutput(name, value, { sensitive });
}
