# SPDX-License-Identifier: Apache-2.0
"""One supervised step process and its pipes, on the running event loop.

The supervisor (step_supervisor.py) ends the whole tree below it; here its orders are given and its words are read.
Nothing is buffered without bound: what comes is handed on at once, and a reader that is gone ends the writing.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from waybill.errors import UnavailableError

_SUPERVISOR: Final = Path(__file__).with_name("step_supervisor.py")
_SWEEP_S: Final = 15.0
_DRAIN_S: Final = 2.0

Take = Callable[[bytes], None]


class _Reader(asyncio.Protocol):
    """Hands on what comes; ``ended`` is set at the end of the stream."""

    def __init__(self, take: Take) -> None:
        self._take = take
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self._take(data)

    def connection_lost(self, _exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


class _Writer(asyncio.BaseProtocol):
    """Only writes."""


class StepProcess:
    """A running step. Made by ``start``; ``close`` must be awaited, whatever happened."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[int | None] = loop.create_future()
        self.swept = False
        self._status = b""
        self._pid: int | None = None
        self._readers: list[tuple[asyncio.ReadTransport, _Reader]] = []
        self._writers: list[asyncio.WriteTransport] = []
        self._supervisor: asyncio.subprocess.Process | None = None

    @classmethod
    async def start(
        cls, command: Sequence[str], *, environment: Mapping[str, str], directory: Path, data_limit_bytes: int,
        on_frames: Take, on_stdout: Take, on_stderr: Take,
    ) -> "StepProcess":  # fmt: skip
        """The step runs, with nothing but ``environment`` and its two protocol pipes.

        Raises:
            UnavailableError: node.unavailable, when the supervisor cannot be started.
        """
        self = cls()
        ours, theirs = _pipes()
        try:
            self._supervisor = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", str(_SUPERVISOR), *(str(theirs[name]) for name in ("in", "out", "control", "status")),
                str(data_limit_bytes), "--", *command,
                stdin=asyncio.subprocess.DEVNULL, stdout=theirs["stdout"], stderr=theirs["stderr"],
                pass_fds=[theirs[name] for name in ("in", "out", "control", "status")],
                env=dict(environment), cwd=directory, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            for descriptor in ours.values():
                os.close(descriptor)
            raise UnavailableError("node.unavailable", "the step's supervisor cannot be started") from error
        finally:
            for descriptor in theirs.values():
                os.close(descriptor)
        await self._connect(ours, {"out": on_frames, "stdout": on_stdout, "stderr": on_stderr, "status": self._on_status})
        return self

    def write(self, line: bytes) -> None:
        """``line`` is on its way to the step, if it still listens."""
        if self._writers and not self._writers[0].is_closing():
            self._writers[0].write(line)

    def terminate(self) -> None:
        """Every process of the tree is asked to end."""
        self._order(b"T")

    def kill(self) -> None:
        """Every process of the tree is ended."""
        self._order(b"K")

    async def close(self) -> bool:
        """True when nothing of the tree is left and all pipes are closed; the step is ended first if it still runs."""
        self.kill()
        if self._supervisor is not None:
            try:
                await asyncio.wait_for(self._supervisor.wait(), _SWEEP_S)
            except TimeoutError:
                self._supervisor.kill()
                await self._supervisor.wait()
        if not self.swept and self._pid is not None:
            # the supervisor itself was killed: the step's own group is all that can be found
            try:
                os.killpg(self._pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        if self._readers:
            await asyncio.wait([reader.ended for _, reader in self._readers], timeout=_DRAIN_S)
        for transport, _ in self._readers:
            if not transport.is_closing():
                transport.close()
        for writer in self._writers:
            if not writer.is_closing():
                writer.abort()
        await asyncio.sleep(0)
        if not self.ended.done():
            self.ended.set_result(None)
        return self.swept

    async def _connect(self, ours: Mapping[str, int], takes: Mapping[str, Take]) -> None:
        loop = asyncio.get_running_loop()
        for name in ("in", "control"):
            transport, _ = await loop.connect_write_pipe(_Writer, os.fdopen(ours[name], "wb", buffering=0))
            self._writers.append(transport)
        for name, take in takes.items():
            reader = _Reader(take)
            read_transport, _ = await loop.connect_read_pipe(lambda reader=reader: reader, os.fdopen(ours[name], "rb", buffering=0))  # type: ignore[misc]
            self._readers.append((read_transport, reader))
            if name == "status":
                reader.ended.add_done_callback(lambda _: self._on_supervisor_gone())

    def _order(self, letter: bytes) -> None:
        if len(self._writers) > 1 and not self._writers[1].is_closing():
            self._writers[1].write(letter)

    def _on_status(self, data: bytes) -> None:
        *lines, self._status = (self._status + data).split(b"\n")
        for line in lines:
            told = json.loads(line)
            if told["event"] == "started":
                self._pid = int(told["pid"])
            elif told["event"] == "ended" and not self.ended.done():
                self.ended.set_result(int(told["exit"]))
            elif told["event"] == "swept":
                self.swept = bool(told["complete"])

    def _on_supervisor_gone(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


def _pipes() -> tuple[dict[str, int], dict[str, int]]:
    """Our ends and the step's ends of six pipes."""
    ours, theirs = {}, {}
    for name in ("in", "control"):
        theirs[name], ours[name] = os.pipe()
    for name in ("out", "stdout", "stderr", "status"):
        ours[name], theirs[name] = os.pipe()
    return ours, theirs
