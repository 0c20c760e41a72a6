// SPDX-License-Identifier: Apache-2.0
/**
 * How each language is started. The script and its variables arrive on descriptor 3, in memory of the interpreter only:
 * the command line holds nothing but a fixed text, and children of the script inherit neither the descriptor nor the variables.
 * Helpers: `get_variable NAME`, `set_output NAME VALUE [sensitive]`, `mask VALUE`, answered over descriptor 4.
 */

export type Syntax = "bash" | "python" | "node";

export interface Language {
  /** Program and arguments. */
  readonly command: readonly [string, ...string[]];
  /** What is written to descriptor 3. */
  program(script: string, variables: Readonly<Record<string, string>>): string;
}

const BASH_START = `__waybill_text="$(cat <&3; printf x)"; exec 3<&-; eval "unset __waybill_text; \${__waybill_text%x}"`;

const PYTHON_START = `
import json, linecache, os, sys
with os.fdopen(3, encoding="utf-8") as _pipe:
    _told = json.load(_pipe)
os.set_inheritable(4, False)
def get_variable(name, default=None):
    return _told["variables"].get(name, default)
def _tell(*parts):
    data = b"".join(str(part).encode("utf-8") + b"\\0" for part in parts)
    while data:
        data = data[os.write(4, data):]
def set_output(name, value, sensitive=False):
    _tell("output", name, value, "sensitive" if sensitive else "")
def mask(value):
    _tell("mask", value, "", "")
_names = {"__name__": "__main__", "__builtins__": __builtins__, "__file__": "script.py", "get_variable": get_variable, "set_output": set_output, "mask": mask}
linecache.cache["script.py"] = (len(_told["script"]), None, _told["script"].splitlines(True), "script.py")
sys.argv = ["script.py"]
exec(compile(_told["script"], "script.py", "exec"), _names)
`;

const NODE_START = `
const fs = require("node:fs"), path = require("node:path"), Module = require("node:module");
const told = JSON.parse(fs.readFileSync(3, "utf8"));
fs.closeSync(3);
const tell = (...parts) => { const data = Buffer.from(parts.map((part) => String(part) + "\\0").join("")); for (let at = 0; at < data.length; ) at += fs.writeSync(4, data, at); };
globalThis.getVariable = globalThis.get_variable = (name) => Object.hasOwn(told.variables, name) ? told.variables[name] : undefined;
globalThis.setOutput = globalThis.set_output = (name, value, sensitive) => tell("output", name, value, sensitive ? "sensitive" : "");
globalThis.mask = (value) => tell("mask", value, "", "");
const file = path.join(process.cwd(), "script.cjs"), script = new Module(file, undefined);
script.filename = file; script.paths = Module._nodeModulePaths(process.cwd());
process.argv = [process.argv[0], file];
script._compile(told.script, file);
`;

export const languages: Readonly<Record<Syntax, Language>> = {
  bash: { command: ["bash", "--noprofile", "--norc", "-c", BASH_START, "script"], program: bashProgram },
  python: { command: ["python3", "-B", "-u", "-c", PYTHON_START], program: (script, variables) => JSON.stringify({ script, variables }) },
  node: { command: [process.execPath, "-e", NODE_START], program: (script, variables) => JSON.stringify({ script, variables }) },
};

/** The helpers and then the script; on the first line alone, so that bash counts lines as the author does. */
function bashProgram(script: string, variables: Readonly<Record<string, string>>): string {
  const cases = Object.entries(variables).map(([name, value]) => `${quoted(name)}) printf %s ${quoted(value)};;`);
  const helpers = [
    `get_variable() { case "$1" in ${cases.join(" ")} *) return 1;; esac; }`,
    `get_octopusvariable() { get_variable "$@"; }`,
    `set_output() { printf '%s\\0' output "$1" "$2" "\${3:+sensitive}" >&4; }`,
    `set_octopusvariable() { set_output "$@"; }`,
    `mask() { printf '%s\\0' mask "$1" '' '' >&4; }`,
  ];
  return `${helpers.join("; ")}; ${script}`;
}

/** A bash word that is exactly `text`. Line ends are written as escapes, so that it stays on one line. */
function quoted(text: string): string {
  if (!/[\n\r]/.test(text)) return `'${text.replace(/'/g, `'\\''`)}'`;
  const escaped = text.replace(/[\\']/g, "\\$&").replace(/\n/g, "\\n").replace(/\r/g, "\\r");
  return `$'${escaped}'`;
}
