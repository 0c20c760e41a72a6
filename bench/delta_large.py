# SPDX-License-Identifier: Apache-2.0
"""Memory with a package past every 32-bit limit: 6 GiB beside 600 MiB, made here, so that nothing of that size need be downloaded.

Each package is a zip: one stored member of three quarters of it (4.5 GiB in the large one), stored members of 32 MiB, and compressed text.
In the new version a thousand bytes were inserted into the large member and every 64th MiB of it is another one, every tenth of the others is new, one
has another name, and every fourth text was edited. Everything is written below ``var/bench`` and removed at the end, however it ends.
"""

import hashlib
import random
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from bench.measure import CommandError, Cost, measure

SIZES_MIB: Final = (600, 6144)
_MIB: Final = 1 << 20
_PART_MIB: Final = 32
_TEXT_MIB: Final = 8
_ROOM: Final = 7
"""Free bytes needed for each byte of the package: both versions, the rebuilt one, and scratch for what is opened."""
_TIMEOUT_SECONDS: Final = 4 * 3600
_ROOT: Final = Path(__file__).resolve().parent.parent
_GOAL_BYTES: Final = 1 << 30
Version = Literal["old", "new"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    size: int
    wire: int
    make: Cost
    apply: Cost


def main(sizes_mib: tuple[int, ...] = SIZES_MIB, tier: str = "online") -> int:
    """Makes and applies a delta of each size; 0 when the rebuilt files are right and memory stays below 1 GiB."""
    home = Path("var/bench")
    home.mkdir(parents=True, exist_ok=True)
    free, needed = shutil.disk_usage(home).free, max(sizes_mib) * _MIB * _ROOM
    if free < needed:
        print(f"this needs {needed / 2**30:.0f} GiB of free disk below {home}, and there are {free / 2**30:.0f}", file=sys.stderr)
        return 1
    runs = []
    for size_mib in sizes_mib:
        with tempfile.TemporaryDirectory(dir=home, prefix="large-") as made:
            try:
                runs.append(_run(size_mib, Path(made).resolve(), tier))
            except CommandError as error:
                print(f"WRONG  {size_mib} MiB: {error}")
                return 1
    return _report(runs)


def _run(size_mib: int, home: Path, tier: str) -> _Run:
    old, new, delta, made = (home / name for name in ("old.zip", "new.zip", "delta", "made.zip"))
    for path, version in ((old, "old"), (new, "new")):
        print(f"{size_mib} MiB: writing the {version} package", flush=True)
        _write(path, size_mib, "old" if version == "old" else "new")
    command = (sys.executable, "-m", "cli", "delta")
    print(f"{size_mib} MiB: delta make --tier {tier}", flush=True)
    making = measure([*command, "make", old, new, delta, "--tier", tier, "--scratch", home], timeout_seconds=_TIMEOUT_SECONDS, cwd=_ROOT)
    print(f"{size_mib} MiB: delta apply", flush=True)
    applying = measure([*command, "apply", old, delta, made, "--scratch", home], timeout_seconds=_TIMEOUT_SECONDS, cwd=_ROOT)
    if _sha256(made) != _sha256(new):
        raise CommandError("the rebuilt file differs")
    return _Run(size=new.stat().st_size, wire=delta.stat().st_size, make=making, apply=applying)


def _report(runs: list[_Run]) -> int:
    print(f"\n{'package':>12} {'delta':>14} {'%':>7}   {'make: CPU s':>12} {'s':>7} {'MiB':>6}   {'apply: CPU s':>12} {'s':>7} {'MiB':>6}")
    for run in runs:
        costs = "   ".join(f"{one.cpu_seconds:12.1f} {one.seconds:7.1f} {one.tree_bytes / _MIB:6.0f}" for one in (run.make, run.apply))
        print(f"{run.size / _MIB:8.0f} MiB {run.wire:>14,} {100 * run.wire / run.size:7.3f}   {costs}")
    first, last = runs[0], runs[-1]
    for name, small, large in (("make", first.make, last.make), ("apply", first.apply, last.apply)):
        print(
            f"memory of {name}: {large.tree_bytes / small.tree_bytes:.2f}× for {last.size / first.size:.1f}× the package (goal: at most 1 GiB)"
        )
    return 0 if all(cost.tree_bytes <= _GOAL_BYTES for run in runs for cost in (run.make, run.apply)) else 1


def _write(path: Path, size_mib: int, version: Version) -> None:
    large, text = size_mib * 3 // 4, max(1, size_mib // 32 // _TEXT_MIB)
    parts = (size_mib - large - text * _TEXT_MIB // 2) // _PART_MIB
    with zipfile.ZipFile(path, "w", allowZip64=True) as file:
        _member(file, "data/large.bin", _large(large, version), zipfile.ZIP_STORED)
        for number in range(parts):
            other = version == "new" and number % 10 == 9
            name = f"data/part-{number}{'-b' if version == 'new' and number == 3 else ''}.bin"
            _member(file, name, (_block(f"part {number} {other}", at) for at in range(_PART_MIB)), zipfile.ZIP_STORED)
        for number in range(text):
            edited = version == "new" and number % 4 == 3
            _member(file, f"text/{number}.txt", _text(number, edited), zipfile.ZIP_DEFLATED)


def _member(file: zipfile.ZipFile, name: str, content: Iterator[bytes], method: int) -> None:
    info = zipfile.ZipInfo(name)
    info.compress_type = method
    with file.open(info, "w", force_zip64=True) as member:
        for data in content:
            member.write(data)


def _block(name: str, at: int) -> bytes:
    """A MiB that no compressor makes smaller, the same in every run."""
    return random.Random(f"{name} {at}").randbytes(_MIB)


def _large(size_mib: int, version: Version) -> Iterator[bytes]:
    for at in range(size_mib):
        if version == "new" and at == size_mib // 3:
            yield _block("inserted", 0)[:1000]
        yield _block("large new" if version == "new" and at % 64 == 63 else "large", at)


def _text(number: int, edited: bool) -> Iterator[bytes]:
    for at in range(_TEXT_MIB):
        data = _block(f"text {number}", at)[: _MIB // 2].hex().encode()
        yield b"edited\n" + data[7:] if edited and at % 3 == 1 else data


def _sha256(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
