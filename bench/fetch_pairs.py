# SPDX-License-Identifier: Apache-2.0
"""Download the pairs of ``bench/delta_pairs.json``: two releases of each package, by exact name and version, checked by SHA-256.

``python -m bench.fetch_pairs [DEST] [--only ID[,ID...]] [--group open|unseen]``; DEST is ``var/bench/pairs`` unless said otherwise.

A file lands in ``DEST/<id>/old/`` or ``DEST/<id>/new/``. Only the ordinary clients of the registries are used, as they are set up on this machine:
pip, npm, apt-get (Debian 12, main and security) and mvn. A file that is there already with the right digest is kept.
Registries drop old releases in time: what cannot be had is named, the rest is fetched all the same, and the exit status is 1.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

HOME: Final = Path("var/bench/pairs")
Side = Literal["old", "new"]
_TIMEOUT_SECONDS: Final = 1800


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One release of a package, as a file."""

    version: str
    file: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two releases of one package.

    ``group``: ``open`` pairs were known while the engine was built; ``unseen`` ones were chosen before any of them was measured, and all of them stay.
    ``step``: ``patch | minor``, how far the releases are apart. ``reference``: wire bytes of others' attempts, by method, where they are known.
    """

    id: str
    group: str
    registry: str
    package: str
    format: str
    kind: str
    step: str
    why: str
    old: File
    new: File
    reference: dict[str, int]

    def path(self, home: Path, side: Side) -> Path:
        """Where the file of that side lies, fetched or not."""
        return home / self.id / side / (self.old if side == "old" else self.new).file


def load_pairs() -> list[Pair]:
    """All pairs, in the order of the list."""
    rows: list[dict[str, Any]] = json.loads(Path(__file__).with_name("delta_pairs.json").read_text())
    return [
        Pair(
            **{key: row[key] for key in ("id", "group", "registry", "package", "format", "kind", "step", "why")},
            old=File(**row["old"]),
            new=File(**row["new"]),
            reference=row.get("reference", {}),
        )
        for row in rows
    ]


def chosen_pairs(only: str | None, group: str | None = None) -> list[Pair]:
    """The pairs that ``only`` (ids with commas) and ``group`` name; raises ValueError for an id that does not exist."""
    pairs = load_pairs()
    wanted = set(only.split(",")) if only else {pair.id for pair in pairs}
    if unknown := wanted - {pair.id for pair in pairs}:
        raise ValueError(f"unknown pair: {', '.join(sorted(unknown))}")
    return [pair for pair in pairs if pair.id in wanted and group in (None, pair.group)]


def fetch(pair: Pair, side: Side, home: Path) -> Path:
    """The file of that side is in place; raises ValueError when what came is not what was asked for."""
    want, target = pair.old if side == "old" else pair.new, pair.path(home, side)
    if target.exists() and _sha256(target) == want.sha256:
        return target
    with tempfile.TemporaryDirectory() as made:
        got = _download(_command(pair, want, made), Path(made))
        if (digest := _sha256(got)) != want.sha256:
            raise ValueError(f"{got.name}: expected SHA-256 {want.sha256}, found {digest}")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(got, target)  # apt writes some characters of versions its own way; the listed name wins
    return target


def _download(command: Sequence[str], into: Path) -> Path:
    done = subprocess.run(command, cwd=into, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS)
    if done.returncode:
        raise ValueError(f"{command[0]} exited with {done.returncode}: {(done.stderr or done.stdout).strip()[-400:]}")
    got = list(into.iterdir())
    if len(got) != 1:
        raise ValueError(f"expected one file, got {sorted(path.name for path in got)}")
    return got[0]


def _command(pair: Pair, want: File, into: str) -> list[str]:
    """The client's call that puts exactly one file into the empty directory ``into``, which is its working directory too."""
    version = want.version
    match pair.registry:
        case "pypi":
            kind = [f"--no-binary={pair.package}"] if pair.format == "sdist" else _wheel_options(want.file)
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
            return [*pip, *kind, "--dest", into, f"{pair.package}=={version}"]
        case "npm":
            return ["npm", "pack", "--silent", "--pack-destination", into, f"{pair.package}@{version}"]
        case "debian":
            return ["apt-get", "download", "-q", f"{pair.package}={version}"]
        case "maven":
            return [
                "mvn",
                "--quiet",
                "--batch-mode",
                "dependency:copy",
                f"-Dartifact={pair.package}:{version}",
                f"-DoutputDirectory={into}",
            ]
    raise ValueError(f"unknown registry {pair.registry!r}")


def _wheel_options(file: str) -> list[str]:
    """CPython 3.12, whatever Python runs this, and the platform of just this wheel: a version may have several that would do."""
    platforms = [option for tag in file.removesuffix(".whl").rsplit("-", 1)[1].split(".") for option in ("--platform", tag)]
    return ["--only-binary=:all:", "--python-version", "3.12", "--implementation", "cp", *platforms]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> int:
    """Fetches what is missing; 0 when everything is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dest", type=Path, nargs="?", default=HOME)
    parser.add_argument("--only", help="ids with commas")
    parser.add_argument("--group", choices=("open", "unseen"))
    arguments = parser.parse_args()
    try:
        pairs = chosen_pairs(arguments.only, arguments.group)
    except ValueError as error:
        parser.error(str(error))
    failed = 0
    for number, (pair, side) in enumerate([(pair, side) for pair in pairs for side in _SIDES], 1):
        try:
            path = fetch(pair, side, arguments.dest)
            line = f"ok    {path.stat().st_size:>11,}  {path.name}"
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            failed += 1
            line = f"FAIL  {error}"
        print(f"[{number}/{2 * len(pairs)}] {pair.id} {side}  {line}", flush=True)
    return 1 if failed else 0


_SIDES: Final[tuple[Side, Side]] = ("old", "new")

if __name__ == "__main__":
    sys.exit(main())
