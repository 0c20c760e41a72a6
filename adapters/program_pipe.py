# SPDX-License-Identifier: Apache-2.0
"""A helper program that reads bytes and writes bytes: fixed arguments, no shell, an empty environment, bounded output, never a hang.

Both pipes are served by the caller's own thread, so that whatever makes the input may itself be the output of another program.
Such a program ends by itself when its input ends or nobody reads its output, hence with this process. One that computes for long between the two gets
a bounded time of computing, where the system knows such bounds; that it must not outlive its parent, it has to tell the system itself. Nothing of ours
runs between fork and exec: then a process with much memory would be copied for each program that it starts.
"""

import contextlib
import os
import resource
import selectors
import subprocess
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from waybill.errors import UnavailableError

STALL_SECONDS: Final = 60.0
"""A program that neither reads nor writes for so long is ended."""
_READ_BYTES: Final = 1 << 18
_SLACK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Program:
    """An executable file as it was found: one that is replaced is another program, and its encoders show anew who they are."""

    path: str
    size: int
    changed_ns: int


class ProgramPipe:
    """One running program.

    Args:
        command: an absolute program and its arguments.
        stall_seconds: time without reading or writing after which it has failed.
        cpu_seconds: time of computing after which the system ends it; None for a program that reads or writes all the time.
    Raises:
        UnavailableError: delta.tool_failed, when it does not start.
    """

    def __init__(self, command: Sequence[str], *, stall_seconds: float = STALL_SECONDS, cpu_seconds: int | None = None) -> None:
        self._name = Path(command[0]).name
        self._stall_seconds = stall_seconds
        self._pending = memoryview(b"")
        self.fed = False
        """It was given everything."""
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise tool_failed(self._name, "does not start") from error
        assert self._process.stdin is not None  # noqa: S101 - asked for above
        assert self._process.stdout is not None  # noqa: S101
        self._in, self._out = self._process.stdin, self._process.stdout
        if cpu_seconds is not None and hasattr(resource, "prlimit"):
            with contextlib.suppress(ProcessLookupError):  # it has ended already
                resource.prlimit(self._process.pid, resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
        for end in (self._in, self._out):
            os.set_blocking(end.fileno(), False)

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def talk(self, source: Iterator[bytes], *, then_close: bool) -> Iterator[bytes]:
        """What the program writes while ``source`` is given to it.

        Ends when it closes its output, whether it has read everything or not; a caller that knows the end otherwise just stops, and may talk again later.

        Args:
            then_close: its input ends when ``source`` does.
        Raises:
            UnavailableError: delta.tool_failed, when it neither read nor wrote for long.
        """
        with selectors.DefaultSelector() as selector:
            selector.register(self._out, selectors.EVENT_READ)
            selector.register(self._in, selectors.EVENT_WRITE)
            while True:
                ready = selector.select(self._stall_seconds)
                if not ready:
                    raise tool_failed(self._name, "stands still")
                for key, _ in ready:
                    if key.fileobj is self._in:
                        if not self._write(source):
                            selector.unregister(self._in)
                            if then_close:
                                self._in.close()
                    else:
                        data = os.read(self._out.fileno(), _READ_BYTES)
                        if not data:
                            self.fed = self.fed or (not self._pending and not next(source, b""))
                            return
                        yield data

    def ended(self) -> int:
        """Its exit code, once it has closed its output; a program that lingers is ended."""
        try:
            return self._process.wait(self._stall_seconds)
        except subprocess.TimeoutExpired:
            self.close()
            return self._process.wait()

    def close(self) -> None:
        """It does not run any more, and nothing of it is left."""
        if self.alive:
            self._process.kill()
        self._process.wait()
        self._in.close()
        self._out.close()

    def _write(self, source: Iterator[bytes]) -> bool:
        """Whether there is more to be written; as much as goes of what is left of the last piece, or of the next one, was."""
        while not self._pending:
            data = next(source, None)
            if data is None:
                self.fed = True
                return False
            self._pending = memoryview(data)
        try:
            self._pending = self._pending[os.write(self._in.fileno(), self._pending) :]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            return False  # what it wrote before may still be read
        return True


class RefusedError(Exception):
    """A program ended with the exit code that means no."""


class Counted:
    """The bytes of ``plain``, counted, and the bound on what a program may make of them: an encoder never makes much more than it gets."""

    def __init__(self, plain: Iterable[bytes]) -> None:
        self._plain = plain
        self._taken = 0
        self._made = 0

    def __iter__(self) -> Iterator[bytes]:
        for data in self._plain:
            self._taken += len(data)
            yield data

    def check_output(self, length: int, name: str) -> None:
        """``length`` more bytes came out."""
        self._made += length
        if self._made > 2 * self._taken + _SLACK_BYTES:
            raise tool_failed(name, "writes far more than it reads")


def run_program(
    command: Sequence[str],
    source: Counted,
    *,
    refusals: Collection[int] = (),
    stall_seconds: float = STALL_SECONDS,
    cpu_seconds: int | None = None,
) -> Iterator[bytes]:
    """What a program makes of ``source``; it has ended well when this has. Arguments as those of ``ProgramPipe``.

    Raises:
        UnavailableError: delta.tool_failed.
        RefusedError: it ended with one of the exit codes ``refusals``.
    """
    pipe = ProgramPipe(command, stall_seconds=stall_seconds, cpu_seconds=cpu_seconds)
    try:
        for data in pipe.talk(iter(source), then_close=True):
            source.check_output(len(data), command[0])
            yield data
        code = pipe.ended()
        if code in refusals:
            raise RefusedError
        if code or not pipe.fed:
            raise tool_failed(command[0], f"ended with {code}" + (" before it had read everything" if not pipe.fed else ""))
    finally:
        pipe.close()


def tool_failed(name: str, what: str) -> UnavailableError:
    """The error for the program ``name``, whatever directory it is in."""
    return UnavailableError("delta.tool_failed", f"{Path(name).name} {what}", field=Path(name).name)


def find_program(places: Iterable[Path | None], ask: str, answer: bytes) -> Program | None:
    """The first of ``places`` that is a program and answers ``ask`` with ``answer`` in its first line."""
    for place in places:
        if place is None or not place.is_file():
            continue
        try:
            said = subprocess.run(
                [str(place), ask],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                timeout=20,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            continue
        if answer in said.stdout.split(b"\n", 1)[0]:
            facts = place.stat()
            return Program(str(place), facts.st_size, facts.st_mtime_ns)
    return None
