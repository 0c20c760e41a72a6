// SPDX-License-Identifier: Apache-2.0
/** deploy-files: the files of one package appear in a directory, all at once. */
import { defineStep, StepFailure, type StepContext, type StepPackageFile } from "@waybill/step-sdk";
import { Site } from "./site.ts";

export interface Inputs {
  package: string;
  directory: string;
  purge?: boolean;
  stripComponents?: number;
}

export default defineStep<Inputs>({
  async execute({ inputs, context }) {
    const file = chosen(inputs, context);
    const site = await Site.at(inputs.directory, context.runId);
    context.print(`Deploying ${file.id} ${file.version} to ${site.directory}`);
    try {
      if (inputs.purge === false) await site.keepCurrent();
      const listed = await site.extract(file.packagePath, inputs.stripComponents ?? 0, context.signal);
      context.printVerbose(`${listed.count} files extracted, the list of them has SHA-256 ${listed.sha256}`);
      context.signal.throwIfAborted();
      await site.publish(listed.text);
      context.printHighlight(`${listed.count} files of ${file.id} ${file.version} are in ${site.directory}`);
      context.setOutput("FileCount", String(listed.count));
      context.setOutput("FilesSha256", listed.sha256);
      context.setOutput("FileListPath", site.listPath);
      context.setOutput("Directory", site.directory);
    } finally {
      await site.tidy();
    }
  },
});

function chosen(inputs: Inputs, context: StepContext): StepPackageFile {
  const file = Object.hasOwn(context.packages, inputs.package) ? context.packages[inputs.package] : undefined;
  if (file === undefined) {
    const known = Object.keys(context.packages).join(", ") || "none";
    throw new StepFailure(`The step has no package under the name ${JSON.stringify(inputs.package)}; it has: ${known}`, { code: "DeployFiles-Package-Unknown" });
  }
  return file;
}
