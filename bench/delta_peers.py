# SPDX-License-Identifier: Apache-2.0
"""The ways to move a new version that ``bench.delta`` compares: our two tiers, and the tools that see packages as opaque bytes.

Each is a few commands over the files ``old``, ``new``, ``delta`` and ``made`` of one directory. What counts as wire is every file that must cross,
in either direction: rdiff's signature too.
"""

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.measure import NOTHING, Cost, measure

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """Commands with ``{old}``, ``{new}``, ``{delta}``, ``{more}`` and ``{made}`` for paths, and ``{window}`` for a
    number of bytes that is not below the size of the old file. ``program`` must be on PATH, "" for ours."""

    name: str
    program: str
    make: tuple[Command, ...]
    apply: tuple[Command, ...]
    wire: tuple[str, ...] = ("delta",)

    def is_here(self) -> bool:
        """Whether it can be run on this machine."""
        return not self.program or shutil.which(self.program) is not None


def _ours(tier: str) -> Method:
    command = (sys.executable, "-m", "cli", "delta")
    return Method(
        name=tier,
        program="",
        make=((*command, "make", "{old}", "{new}", "{delta}", "--tier", tier),),
        apply=((*command, "apply", "{old}", "{delta}", "{made}"),),
    )


_ZSTD: Final = ("zstd", "-q", "-f", "--long=31", "--patch-from={old}")
OURS: Final = (_ours("online"), _ours("best"))
PEERS: Final = (
    Method(
        name="zstd -19",
        program="zstd",
        make=((*_ZSTD, "-19", "{new}", "-o", "{delta}"),),
        apply=((*_ZSTD, "-d", "{delta}", "-o", "{made}"),),
    ),
    Method(
        name="xdelta3 -9",
        program="xdelta3",
        # -D: otherwise it decompresses .gz input itself and makes other bytes of it. -B: all of the old file as source.
        make=(("xdelta3", "-q", "-e", "-9", "-D", "-f", "-B", "{window}", "-s", "{old}", "{new}", "{delta}"),),
        apply=(("xdelta3", "-q", "-d", "-D", "-R", "-f", "-B", "{window}", "-s", "{old}", "{delta}", "{made}"),),
    ),
    Method(
        name="bsdiff",
        program="bsdiff",
        make=(("bsdiff", "{old}", "{new}", "{delta}"),),
        apply=(("bspatch", "{old}", "{made}", "{delta}"),),
    ),
    Method(
        name="rdiff",
        program="rdiff",
        make=(("rdiff", "-f", "signature", "{old}", "{more}"), ("rdiff", "-f", "delta", "{more}", "{new}", "{delta}")),
        apply=(("rdiff", "-f", "patch", "{old}", "{delta}", "{made}"),),
        wire=("delta", "more"),
    ),
)


def run_commands(commands: tuple[Command, ...], paths: Mapping[str, object], *, timeout_seconds: float, cwd: Path) -> Cost:
    """All commands, one after the other; raises CommandError."""
    cost = NOTHING
    for command in commands:
        cost = cost.plus(measure([part.format_map(paths) for part in command], timeout_seconds=timeout_seconds, cwd=cwd))
    return cost
