# SPDX-License-Identifier: Apache-2.0
"""How few bytes a new version costs, at what price: our two tiers beside the tools that see a package as opaque bytes, in one run.

``python -m bench.delta [--fetch] [--only ID,…] [--group open|unseen] [--tier online|best] [--no-peers] [--quick] [--pairs DIR]``
``python -m bench.delta --large``      memory with a package of 6 GiB beside one of 600 MiB (see ``bench.delta_large``)
``python -m bench.delta --encoders``   what opening and re-making costs (see ``bench.delta_encoders``)

The pairs are those of ``bench/delta_pairs.json``; all weigh equally, and none is left out because it turns out badly. Every method runs as commands of
their own, one at a time; every rebuilt file is compared with its SHA-256. CPU seconds of ours are without what starting the command costs, which is
measured first and printed. Everything is written to ``var/bench/delta.json`` after each method, too; ``--no-peers`` keeps the peers' figures of the run before.
Exit status 1 when a rebuilt file differs, a method of ours fails, or a pair needs more than 100.1 % of its file.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from bench import delta_encoders, delta_large
from bench.delta_peers import OURS, PEERS, Method, run_commands
from bench.delta_report import Results, report
from bench.fetch_pairs import HOME, Pair, chosen_pairs, fetch
from bench.measure import CommandError, measure

_RESULT: Final = Path("var/bench/delta.json")
_QUICK_BYTES: Final = 6_000_000
_TIMEOUT_SECONDS: Final = 3600
_ROOT: Final = Path(__file__).resolve().parent.parent


def main() -> int:
    """Runs what was asked for; 0 when nothing is wrong."""
    arguments = _arguments()
    if arguments.large:
        return delta_large.main()
    if arguments.encoders:
        return delta_encoders.main(arguments.pairs)
    pairs = _present(chosen_pairs(arguments.only, arguments.group), arguments)
    methods = _methods(arguments)
    results = _Results(arguments.result)
    results.start_seconds = _start_seconds()
    print(f"starting the command costs {results.start_seconds:.2f} CPU s, which is not counted below", flush=True)
    total = len(pairs) * len(methods)
    for number, (pair, method) in enumerate([(pair, method) for pair in pairs for method in methods], 1):
        row = _run(pair, method, arguments.pairs)
        results.put(pair, method, row)
        print(f"[{number}/{total}] {pair.id:17} {method.name:11} {_line(pair, row)}", flush=True)
    return report(pairs, results)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, default=HOME, help="where the packages are")
    parser.add_argument("--fetch", action="store_true", help="download what is missing first")
    parser.add_argument("--only", help="ids of pairs, with commas")
    parser.add_argument("--group", choices=("open", "unseen"))
    parser.add_argument("--tier", choices=("online", "best", "none"), help="one of our tiers only, or none")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--quick", action="store_true", help=f"only pairs of at most {_QUICK_BYTES // 10**6} MB")
    parser.add_argument("--result", type=Path, default=_RESULT)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--encoders", action="store_true")
    return parser.parse_args()


def _present(pairs: Sequence[Pair], arguments: argparse.Namespace) -> list[Pair]:
    """The chosen pairs whose files are there, fetched if so asked; the others are named."""
    found = []
    for pair in pairs:
        if arguments.quick and pair.new.size > _QUICK_BYTES:
            continue
        try:
            if arguments.fetch:
                fetch(pair, "old", arguments.pairs)
                fetch(pair, "new", arguments.pairs)
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            print(f"{pair.id}: {error}", file=sys.stderr)
        if all(pair.path(arguments.pairs, side).exists() for side in ("old", "new")):
            found.append(pair)
        else:
            print(f"{pair.id}: not there, and so not in any mean (--fetch downloads it)", flush=True)
    return found


def _methods(arguments: argparse.Namespace) -> list[Method]:
    ours = [method for method in OURS if arguments.tier in (None, method.name)]
    peers = PEERS if arguments.peers else ()
    for method in peers:
        if not method.is_here():
            print(f"{method.program} is not installed, and so not compared", flush=True)
    return [*ours, *(method for method in peers if method.is_here())]


def _start_seconds() -> float:
    return min(measure([sys.executable, "-m", "cli", "delta", "--help"], timeout_seconds=60, cwd=_ROOT).cpu_seconds for _ in range(3))


def _run(pair: Pair, method: Method, home: Path) -> dict[str, Any]:
    """The figures of one method on one pair, or why there are none."""
    Path("var/bench").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir="var/bench", prefix="delta-") as made:
        work = Path(made).resolve()
        paths: dict[str, Any] = {name: work / name for name in ("delta", "more", "made")}
        paths |= {"old": pair.path(home, "old").resolve(), "new": pair.path(home, "new").resolve()}
        paths["window"] = max(1 << 20, 1 << pair.old.size.bit_length())
        try:
            making = run_commands(method.make, paths, timeout_seconds=_TIMEOUT_SECONDS, cwd=_ROOT)
            wire = sum(paths[name].stat().st_size for name in method.wire)
            applying = run_commands(method.apply, paths, timeout_seconds=_TIMEOUT_SECONDS, cwd=_ROOT)
        except (CommandError, OSError) as error:
            return {"error": str(error)}
        with paths["made"].open("rb") as file:
            exact = hashlib.file_digest(file, "sha256").hexdigest() == pair.new.sha256
    row = {"wire": wire, "make": asdict(making), "apply": asdict(applying)}
    return row if exact else {**row, "error": "the rebuilt file differs"}


def _line(pair: Pair, row: dict[str, Any]) -> str:
    if "error" in row:
        return f"FAILED: {row['error']}"
    costs = "   ".join(
        f"{name} {row[name]['cpu_seconds']:7.1f} CPU s {row[name]['tree_bytes'] / 10**6:6.0f} MB" for name in ("make", "apply")
    )
    return f"{row['wire']:>11,} B {100 * row['wire'] / pair.new.size:7.3f} %   {costs}"


class _Results(Results):
    """Results that are written to a file with every new one, so that a run that is stopped has not been in vain."""

    def __init__(self, path: Path) -> None:
        super().__init__(json.loads(path.read_text()) if path.exists() else {})
        self._path = path

    def put(self, pair: Pair, method: Method, row: dict[str, Any]) -> None:
        """Takes the figures of one method on one pair in the place of older ones."""
        of_pair = self.rows.setdefault(pair.id, {})
        if of_pair.get("sha256") != pair.new.sha256:
            of_pair.clear()
        of_pair |= {"sha256": pair.new.sha256, "size": pair.new.size, method.name: row}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps({"start_seconds": self.start_seconds, "pairs": self.rows}, indent=1))
        shutil.move(part, self._path)


if __name__ == "__main__":
    sys.exit(main())
