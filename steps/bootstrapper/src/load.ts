// SPDX-License-Identifier: Apache-2.0
/** Loads `executor.js` of an unpacked step package and calls it in the way that its execution API wants. */
import { createRequire } from "node:module";
import { join } from "node:path";
import { StepFailure, type Json, type Outputs, type StepContext } from "@waybill/step-sdk";
import type { InitFrame } from "./frames.ts";

type Named = (args: { inputs: Json; target: Json; context: StepContext }) => Promise<Outputs | void>;
type Positional = (inputs: Json, target: Json, context: StepContext) => Promise<Outputs | void>;

/** A package that could not be loaded; the step never began. */
export class LoadError extends Error {
  override readonly name = "LoadError";
}

/** The executor, ready to run. Throws LoadError when a module is missing, module scope throws, or nothing callable is exported. */
export function loadExecutor(init: InitFrame, context: StepContext): () => Promise<Outputs | void> {
  if (init.command !== "execute") throw new StepFailure(`This host does not run the command ${init.command}`, { code: "StepPackage-Command-Unsupported" });
  const file = join(init.package.dir, "executor.js");
  let module: unknown;
  try {
    module = createRequire(file)(file);
  } catch (error) {
    throw new LoadError(`The step package could not be loaded: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  const executor = typeof module === "function" ? module : typeof module === "object" && module !== null && "default" in module ? module.default : undefined;
  if (typeof executor !== "function") throw new LoadError("The step package exports no executor");
  if ((init.package.apiVersions["Execution"] ?? "1.0.0").startsWith("0.")) {
    return async () => (executor as Positional)(init.inputs, init.target, context);
  }
  return async () => (executor as Named)({ inputs: init.inputs, target: init.target, context });
}
