# SPDX-License-Identifier: Apache-2.0
"""``waybill delta``: make, apply and inspect deltas of packages. Works on files alone, without a server."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any, Literal

from cyclopts import App, Parameter

from adapters.delta_files import FileReader, workshop
from cli.output import human_bytes, printable, say, show_one
from cli.waiting import byte_progress
from waybill.delta.apply import apply
from waybill.delta.inspect import inspect
from waybill.delta.io import Progress
from waybill.delta.limits import Limits
from waybill.delta.make import make
from waybill.errors import WaybillError

delta_app = App(name="delta", help="Make, apply and inspect deltas between two versions of a package, without a server.")

Memory = Annotated[int, Parameter(help="Bound of memory in MiB; a smaller one makes larger deltas.")]
_LEAST_MEMORY = 128


@delta_app.command(name="make")
def make_delta(
    old: Path,
    new: Path,
    out: Path,
    /,
    *,
    tier: Literal["online", "best"] = "online",
    max_memory: Memory = 1024,
    scratch: Path | None = None,
) -> None:
    """Write the delta that turns OLD into NEW to OUT; it is proven before OUT appears.

    Example: waybill delta make numpy-2.4.5.whl numpy-2.4.6.whl numpy.wbd --tier best

    Args:
        old: The file that the other side holds.
        new: The file that it shall have.
        out: Where the delta goes.
        tier: online is quick; best takes about ten times as long for a fraction of the bytes.
        scratch: A directory with room for both files opened; the system's if not given.
    """
    limits = _limits(max_memory)
    started = time.monotonic()
    with (
        _opened(old) as base,
        _opened(new) as target,
        _written(out) as sink,
        _bar() as progress,
        workshop(scratch, limits=limits, progress=progress) as tools,
    ):
        made = make(FileReader(base), FileReader(target), sink, tools=tools, tier=tier)
    show_one(
        {
            "delta": str(out),
            "size": made.size,
            "new_size": made.new_size,
            "share": f"{100 * made.size / max(1, made.new_size):.2f} %",
            "base_sha256": made.base_sha256.hex(),
            "result_sha256": made.new_sha256.hex(),
            "way": made.way,
            "streams": made.streams,
            "streams_kept": made.streams_kept,
            "copied": made.copied,
            "encoders": [one.name for one in made.encoders],
        },
        fields=(
            "delta",
            "size",
            "new_size",
            "share",
            "base_sha256",
            "result_sha256",
            "way",
            "streams",
            "streams_kept",
            "copied",
            "encoders",
        ),
        name="delta",
    )
    say(f"{human_bytes(made.new_size)} told in {human_bytes(made.size)}, {time.monotonic() - started:.1f} s")


@delta_app.command(name="apply")
def apply_delta(old: Path, delta: Path, out: Path, /, *, scratch: Path | None = None) -> None:
    """Rebuild the new file from OLD and DELTA at OUT, which appears only when its SHA-256 is the one that the delta names.

    Example: waybill delta apply numpy-2.4.5.whl numpy.wbd numpy-2.4.6.whl

    Args:
        old: The file against which the delta was made.
        delta: The delta.
        out: Where the new file goes.
        scratch: A directory with room for the opened content; the system's if not given.
    """
    started = time.monotonic()
    with (
        _opened(old) as base,
        _opened(delta) as told,
        _written(out) as sink,
        _bar() as progress,
        workshop(scratch, progress=progress) as tools,
    ):
        digest = apply(FileReader(base), FileReader(told), sink, tools=tools)
    size = out.stat().st_size
    show_one({"file": str(out), "size": size, "sha256": digest.hex()}, fields=("file", "size", "sha256"), name="file")
    say(f"{human_bytes(size)} rebuilt in {time.monotonic() - started:.1f} s")


@delta_app.command(name="inspect")
def inspect_delta(delta: Path, /) -> None:
    """Show what DELTA says about itself: digests, sizes, encoders, parts. Nothing of it is proven before it is applied.

    Example: waybill delta inspect numpy.wbd

    Args:
        delta: The delta.
    """
    with _opened(delta) as told:
        found = inspect(FileReader(told), Limits())
    show_one(
        found,
        fields=(
            "base_sha256", "base_size", "result_sha256", "result_size", "delta_size", "share", "recipe_size", "content_size", "copied", "segments",
            "opened", "streams", "encoders", "blocks",
        ),
        name="result_sha256",
    )  # fmt: skip


def _limits(mebibytes: int) -> Limits:
    if mebibytes < _LEAST_MEMORY:
        raise WaybillError(
            "cli.usage", "the bound of memory is too low", field="--max-memory", expected=f"{_LEAST_MEMORY} MiB or more", found=mebibytes
        )
    return Limits(block_bytes=min(1 << 27, (mebibytes << 20) // 8))


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise WaybillError("cli.usage", f"{path} cannot be read: {error.strerror}", field="file") from error
    with file:
        yield file


class _Sink:
    def __init__(self, file: IO[bytes]) -> None:
        self.append: Callable[[bytes], Any] = file.write


@contextmanager
def _written(path: Path) -> Iterator[_Sink]:
    """A file under a temporary name beside ``path`` that takes its place when everything went well, and is gone otherwise."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        file = part.open("xb")
    except OSError as error:
        raise WaybillError("cli.usage", f"{path} cannot be written: {error.strerror}", field="out") from error
    try:
        with file:
            yield _Sink(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _bar() -> Iterator[Progress]:
    with byte_progress() as live:
        rows: dict[str, Any] = {}

        def heard(stage: str, done: int, total: int) -> None:
            if stage not in rows:
                rows[stage] = live.add_task(printable(stage), total=total or None)
            live.update(rows[stage], completed=done, total=total or None)

        yield heard
