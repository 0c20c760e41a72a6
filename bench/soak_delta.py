# SPDX-License-Identifier: Apache-2.0
"""``make soak``: 100,000 corrupted deltas against the receiver; none is accepted, none hangs, none crashes, none takes much memory.

``python -m bench.soak_delta [--count 100000] [--first 0] [--seconds 20] [--mebibytes 1024] [--pairs DIR] [--real ID,…]``

The corruptions are those of ``tests.delta_corruptions``; each has a number, and the same number is the same corruption. They run in batches in child
processes, so that even a crash of a library is seen and named by the numbers of its batch. Beside the small subjects there are true packages,
when they were fetched (``bench.fetch_pairs``). A corruption after which the true file still comes out, proven by SHA-256, changed nothing that matters,
and is counted apart. Exit status 1 when anything happened that must not.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Final

from bench.fetch_pairs import HOME, chosen_pairs

_BATCH: Final = 1000
_ROOT: Final = Path(__file__).resolve().parent.parent
_REAL: Final = "orjson"


def main() -> int:
    """Prints the progress, then the table of what became of the corruptions."""
    arguments = _arguments()
    if arguments.batch:
        print(json.dumps(_batch(arguments)))
        return 0
    outcomes: Counter[str] = Counter()
    wrong: list[str] = []
    slowest, largest, started = 0.0, 0, time.monotonic()
    for first in range(arguments.first, arguments.first + arguments.count, _BATCH):
        count = min(_BATCH, arguments.first + arguments.count - first)
        found = _in_child(arguments, first, count)
        outcomes.update(found["outcomes"])
        wrong += found["wrong"]
        slowest, largest = max(slowest, found["slowest"]), max(largest, found["largest"])
        done = first + count - arguments.first
        print(
            f"[{done:,}/{arguments.count:,}] {done / (time.monotonic() - started):.0f} a second, slowest {slowest:.2f} s, "
            f"largest {largest / 2**20:.0f} MiB, wrong {len(wrong)}",
            flush=True,
        )
        for text in found["wrong"]:
            print(f"WRONG  {text}", flush=True)
    print(f"\nwhat became of {arguments.count:,} corruptions")
    for outcome, number in outcomes.most_common():
        print(f"  {outcome:28} {number:>8,}")
    print(f"{len(wrong)} accepted, hung, crashed or too large")
    return 1 if wrong else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first corruption")
    parser.add_argument("--seconds", type=float, default=20, help="what takes longer hangs")
    parser.add_argument("--mebibytes", type=int, default=1024, help="what grows by more is too large")
    parser.add_argument("--pairs", type=Path, default=HOME)
    parser.add_argument("--real", default=_REAL, help="ids of small pairs to use beside the made subjects")
    parser.add_argument("--batch", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _in_child(arguments: argparse.Namespace, first: int, count: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.soak_delta", "--batch", "--first", str(first), "--count", str(count)]
    for name in ("seconds", "mebibytes", "pairs", "real"):
        command += [f"--{name}", str(getattr(arguments, name))]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT, timeout=60 + count * arguments.seconds / 4)
    except subprocess.TimeoutExpired:
        return _all_wrong(first, count, "a library hung, and no timer could end it")
    if done.returncode:
        return _all_wrong(first, count, f"the process ended with {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _all_wrong(first: int, count: int, reason: str) -> dict[str, Any]:
    return {"outcomes": {"BATCH LOST": count}, "wrong": [f"{first} to {first + count - 1}: {reason}"], "slowest": 0.0, "largest": 0}


def _batch(arguments: argparse.Namespace) -> dict[str, Any]:
    """One batch in this process, with scratch on disk as in a real run."""
    from adapters.delta_files import FileSpool
    from tests.delta_corruptions import corrupted, judge
    from tests.delta_subjects import subject_of, subjects, tools

    among = [*subjects(), *subjects()]
    for pair in chosen_pairs(arguments.real):
        if all(pair.path(arguments.pairs, side).exists() for side in ("old", "new")):
            among.append(subject_of(pair.id, pair.path(arguments.pairs, "old"), pair.path(arguments.pairs, "new")))
    outcomes: Counter[str] = Counter()
    wrong, slowest, largest = [], 0.0, 0
    for number in range(arguments.first, arguments.first + arguments.count):
        subject, kind, data = corrupted(number, among)
        with ExitStack() as stack:

            def spool(stack: ExitStack = stack) -> FileSpool:
                file: IO[bytes] = stack.enter_context(tempfile.TemporaryFile(buffering=0))
                return FileSpool(file)

            verdict = judge(subject, data, with_tools=replace(tools(), spool=spool), seconds=arguments.seconds)
        outcomes[verdict.outcome] += 1
        slowest, largest = max(slowest, verdict.seconds), max(largest, verdict.grown_bytes)
        if verdict.is_bad or verdict.grown_bytes > arguments.mebibytes << 20:
            wrong.append(f"{number}, {kind} of {subject.name}: {verdict}")
    return {"outcomes": dict(outcomes), "wrong": wrong, "slowest": slowest, "largest": largest}


if __name__ == "__main__":
    sys.exit(main())
