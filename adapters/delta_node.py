# SPDX-License-Identifier: Apache-2.0
"""The zlib inside of Node as an encoder. Children live on between streams; what they run is delta_node.cjs, which says how they are spoken to."""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Final

from adapters.program_pipe import Counted, Program, ProgramPipe, tool_failed
from waybill.delta.encoding.deflate import flushed_before_the_end
from waybill.delta.encoding.writes import refuse_corrections
from waybill.delta.io import View
from waybill.errors import UnavailableError

_SCRIPT: Final = Path(__file__).resolve().with_name("delta_node.cjs")
_END: Final = bytes(4)
_ABANDON: Final = b"\xff" * 4


@dataclass(frozen=True, slots=True)
class NodeDeflate:
    """The zlib inside of Node, in a child that serves many streams."""

    program: Program
    level: int
    memory: int
    pool: "NodePool" = field(compare=False, repr=False)
    codec: str = "deflate"

    @property
    def name(self) -> str:
        """``node:LEVEL:MEMORY``."""
        return f"node:{self.level}:{self.memory}"

    def frame(self, plain: View, coded: View) -> bytes | None:  # noqa: ARG002 - the port has it
        """Nothing to tell; None for a stream that was flushed before its end."""
        return None if flushed_before_the_end(coded) else b""

    def encode(self, plain: Iterable[bytes], corrections: bytes = b"") -> Iterator[bytes]:
        """The raw deflate stream of ``plain``; takes no corrections."""
        refuse_corrections(corrections, self.name)
        counted = Counted(plain)
        child = self.pool.take()
        usable = False
        try:
            for data in child.deflate(bytes([self.level, self.memory]), counted):
                counted.check_output(len(data), self.name)
                yield data
            usable = True
        except GeneratorExit:
            usable = child.abandon()
            raise
        finally:
            self.pool.give(child, usable=usable)


class _NodeChild:
    """One Node process, and the frames that it writes."""

    def __init__(self, node: str) -> None:
        self._pipe = ProgramPipe((node, str(_SCRIPT)))
        self._held = bytearray()
        self._ending = False

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._pipe.alive

    def deflate(self, parameters: bytes, plain: Iterable[bytes]) -> Iterator[bytes]:
        """The deflate stream of ``plain``. Left before its end, the child needs ``abandon``."""
        self._ending = False
        yield from self._frames(self._asked(parameters, plain))

    def abandon(self) -> bool:
        """Whether it is ready for another stream, after the one under way was given up."""
        try:
            for _ in self._frames(iter(() if self._ending else (_ABANDON,))):
                pass
        except UnavailableError:
            return False
        return True

    def _asked(self, parameters: bytes, plain: Iterable[bytes]) -> Iterator[bytes]:
        yield parameters
        for data in plain:
            if data:
                yield len(data).to_bytes(4, "little") + data
        self._ending = True
        yield _END

    def _frames(self, source: Iterator[bytes]) -> Iterator[bytes]:
        """What is in the frames that come while ``source`` goes, up to the one that ends the stream."""
        for data in chain([b""], self._pipe.talk(source, then_close=False)):
            self._held += data
            while (made := self._frame()) is not None:
                if not made:
                    return
                yield made
        raise tool_failed("node", "ended early")

    def _frame(self) -> bytes | None:
        """The next frame that is there as a whole."""
        end = 4 + int.from_bytes(self._held[:4], "little")
        if len(self._held) < end:
            return None
        made = bytes(self._held[4:end])
        del self._held[:end]
        return made

    def close(self) -> None:
        """It does not run any more."""
        self._pipe.close()


class NodePool:
    """Node processes that wait for work. Any thread may take one; two streams at once take two."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._idle: list[_NodeChild] = []
        self._closed = False
        self._lock = threading.Lock()

    def take(self) -> _NodeChild:
        """One that is alive; nobody else has it."""
        while True:
            with self._lock:
                child = self._idle.pop() if self._idle else None
            if child is None:
                return _NodeChild(self._node)
            if child.alive:
                return child
            child.close()

    def give(self, child: _NodeChild, *, usable: bool) -> None:
        """The child waits for the next stream, or is ended when it is not usable or the pool is closed."""
        with self._lock:
            if usable and not self._closed:
                self._idle.append(child)
                return
        child.close()

    def close(self) -> None:
        """None waits any more, and those at work end when they are given back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for child in idle:
            child.close()
