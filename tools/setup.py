# SPDX-License-Identifier: Apache-2.0
"""Set-up on a bare machine: what is missing is named first, then each part is made once, with progress.

Usage: python3 tools/setup.py PART [PART ...], where PART is ``python``, ``steps``, ``servers``, ``native`` or ``wheel``.
Standard library only: it runs before anything is installed.
A part that is up to date takes no time; a stamp beside its result holds the digest of its sources.
It writes only inside the clone: .venv, .tools, steps, dist, var/setup.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / "var" / "setup"
TOOLS = ROOT / ".tools"
VENV = ROOT / ".venv"
STEPS_STAMP = LOGS / "steps.stamp"
"""Not in steps/dist: everything there goes into the wheel, and is the same bytes for the same sources."""

NEEDS = {
    "python": ("python3", (3, 11), ["python3", "--version"], "Python 3.11 or newer is needed; install it from your distribution."),
    "node": (
        "node",
        (20, 0),
        ["node", "--version"],
        "Node.js 20 or newer is needed to build and run step packages; install it from your distribution.",
    ),
    "npm": ("npm", (9, 0), ["npm", "--version"], "npm is needed to fetch the step packages' build tools; it comes with Node.js."),
    "git": ("git", (2, 0), ["git", "--version"], "git is needed; install it from your distribution."),
    "go": (
        "go",
        (1, 21),
        ["go", "version"],
        "The Temporal dev server and the versitygw S3 server are neither on PATH nor in .tools/, and Go 1.21 or newer is needed to build them: "
        "install Go, or put both programs on PATH, or run them by docker compose.",
    ),
}
SERVERS = ("temporal", "versitygw")


def main(parts: list[str]) -> int:
    """Every part in ``parts`` is in place; 0, or 1 with what is missing or failed in words."""
    missing = _missing(parts)
    if missing:
        print("This machine lacks something that Waybill needs:", file=sys.stderr)
        for sentence in missing:
            print(f"  - {sentence}", file=sys.stderr)
        return 1
    makers = {"python": _python, "steps": _steps, "servers": _servers, "native": _native, "wheel": _wheel}
    started = time.monotonic()
    for number, part in enumerate(parts, 1):
        if not _run_part(f"[{number}/{len(parts)}]", part, makers[part]):
            return 1
    print(f"set-up complete in {time.monotonic() - started:.1f} s", flush=True)
    return 0


def _missing(parts: list[str]) -> list[str]:
    wanted = ["python", "git"]
    if "steps" in parts or "wheel" in parts:
        wanted += ["node", "npm"]
    if "servers" in parts and not all(_server(name) for name in SERVERS):
        wanted.append("go")
    return [sentence for need in wanted if (sentence := _lacking(need))]


def _lacking(need: str) -> str | None:
    program, least, command, sentence = NEEDS[need]
    if shutil.which(program) is None:
        return sentence
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"(\d+)\.(\d+)", said.stdout + said.stderr)
    if not found:
        return f"{sentence} ({program} does not say its version)"
    version = (int(found[1]), int(found[2]))
    return None if version >= least else f"{sentence} (found {found[0]})"


def _run_part(place: str, part: str, make) -> bool:  # type: ignore[no-untyped-def]
    started = time.monotonic()
    outcome = make()
    seconds = time.monotonic() - started
    if outcome is None:
        print(f"{place} {part}: up to date", flush=True)
        return True
    print(f"{place} {part}: {'ready' if outcome else 'FAILED'} after {seconds:.1f} s", flush=True)
    return bool(outcome)


def _python() -> bool | None:
    """The virtual environment from hashed locks."""
    lock = ROOT / "requirements" / "dev.txt"
    stamp = VENV / "waybill.stamp"
    if _fresh(stamp, [lock, ROOT / "pyproject.toml"]):
        return None
    good = _step("virtual environment", [sys.executable, "-m", "venv", str(VENV)])
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--require-hashes", "-r", str(lock)]
    good = good and _step("Python packages by hash", pip)
    clone = [
        str(VENV / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-build-isolation",
        "-e",
        str(ROOT),
    ]
    (ROOT / "steps" / "dist").mkdir(exist_ok=True)  # the build refuses to start without what the wheel will include
    good = good and _step("the clone itself", clone)
    return good and _stamp(stamp, [lock, ROOT / "pyproject.toml"])


def _steps() -> bool | None:
    """The bootstrapper and the first-party step packages, built by npm from a lock with hashes."""
    home = ROOT / "steps"
    sources = _sources(home, exclude=("node_modules", "dist", "build"))
    stamp = STEPS_STAMP
    if _fresh(stamp, sources) and (home / "dist" / "bootstrap.cjs").exists():
        return None
    lock_stamp = home / "node_modules" / "waybill.stamp"
    lock = [home / "package-lock.json"]
    good = _fresh(lock_stamp, lock) or (
        _step("npm packages", ["npm", "ci", "--no-audit", "--no-fund"], cwd=home) and _stamp(lock_stamp, lock)
    )
    good = good and _step("step packages", ["npm", "run", "build"], cwd=home)
    return good and _stamp(stamp, sources)


def _servers() -> bool | None:
    """The Temporal dev server and the S3 server, from PATH or built once from tools/go.mod."""
    if all(_server(name) for name in SERVERS):
        return None
    environment = {**os.environ, "GOBIN": str(TOOLS), "CGO_ENABLED": "0", "GOTOOLCHAIN": "auto", "GOFLAGS": "-mod=readonly"}
    print("      building the Temporal and S3 servers once: about four minutes on two cores", flush=True)
    return _step("servers", ["go", "install", "-trimpath", "-ldflags=-s -w", "tool"], cwd=ROOT / "tools", environment=environment)


def _native() -> bool | None:
    """The delta engine's helper. It makes deltas of programs smaller, and nothing needs it: without Go it is left out."""
    sources, stamp, made = _sources(ROOT / "tools" / "native"), LOGS / "native.stamp", TOOLS / "waybill-native"
    if _fresh(stamp, sources) and made.exists():
        return None
    if lacking := _lacking("go"):
        print(f"      native helper left out, deltas of programs will be larger: {lacking.rpartition(': ')[2]}", flush=True)
        return None
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}
    TOOLS.mkdir(exist_ok=True)
    build = ["go", "build", "-trimpath", "-ldflags=-s -w", "-o", str(made), "."]
    return _step("native helper", build, cwd=ROOT / "tools" / "native", environment=environment) and _stamp(stamp, sources)


def _wheel() -> bool | None:
    """dist/waybill-*.whl with the step packages inside."""
    sources = [
        *(
            path
            for package in ("waybill", "adapters", "activities", "workflows", "worker", "api", "web", "cli", "sites")
            for path in _sources(ROOT / package)
        ),
        ROOT / "pyproject.toml",
        ROOT / "README.md",
        STEPS_STAMP,
    ]
    stamp = ROOT / "dist" / "waybill.stamp"
    if _fresh(stamp, sources) and list((ROOT / "dist").glob("*.whl")):
        return None
    for old in (ROOT / "dist").glob("*.whl"):
        old.unlink()
    build = [str(VENV / "bin" / "python"), "-m", "build", "--wheel", "--no-isolation", "--outdir", str(ROOT / "dist"), str(ROOT)]
    return _step("wheel", build) and _stamp(stamp, sources)


def _server(name: str) -> str | None:
    return shutil.which(name) or (str(TOOLS / name) if (TOOLS / name).exists() else None)


def _sources(home: Path, *, exclude: tuple[str, ...] = ()) -> list[Path]:
    skip = {*exclude, "__pycache__"}
    return sorted(path for path in home.rglob("*") if path.is_file() and not skip.intersection(path.relative_to(home).parts))


def _digest(sources: list[Path]) -> str:
    total = hashlib.sha256()
    for path in sources:
        total.update(str(path.relative_to(ROOT)).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _fresh(stamp: Path, sources: list[Path]) -> bool:
    return stamp.exists() and all(path.exists() for path in sources) and stamp.read_text() == _digest(sources)


def _stamp(stamp: Path, sources: list[Path]) -> bool:
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(_digest(sources))
    return True


def _step(title: str, command: list[str], *, cwd: Path = ROOT, environment: dict[str, str] | None = None) -> bool:
    """``command`` run with its output in a log, and a line of progress every few seconds; the log's end is shown when it fails."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{title.replace(' ', '-')}.log"
    started = time.monotonic()
    live = sys.stdout.isatty()
    print(f"      {title} ...", flush=True)
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        shown = started
        while process.poll() is None:
            time.sleep(0.2)
            now = time.monotonic()
            if now - shown >= (1 if live else 20):
                shown = now
                last = _last_line(log)[:90]
                print(f"      {title} ... {now - started:4.0f} s  {last}", end="\r\x1b[K" if live else "\n", flush=True)
    if process.returncode != 0:
        print(f"      {title} failed; the end of {log.relative_to(ROOT)}:", file=sys.stderr)
        print("\n".join(log.read_text(errors="replace").splitlines()[-25:]), file=sys.stderr)
    return process.returncode == 0


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return lines[-1].strip() if lines else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["python", "steps", "servers"]))
