# SPDX-License-Identifier: Apache-2.0
"""What the delta engine asks of its surroundings: bytes at an offset, scratch room that grows, an aligner, and an ear for progress."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.int64]
Octets = npt.NDArray[np.uint8]
STRIDE: Final = 1 << 18
"""Bytes per read where something is passed through."""


class ReaderAt(Protocol):
    """Bytes that do not change while they are read."""

    @property
    def size(self) -> int:
        """How many bytes there are."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes; raises EOFError past the end, which is a fault of the caller."""


class Spool(ReaderAt, Protocol):
    """Scratch room that grows at its end and lives as long as the work. What is in it is never shown to anybody."""

    def append(self, data: bytes) -> None:
        """Adds ``data`` at the end."""


class Progress(Protocol):
    """Hears how far the work is. Raising from here ends the work: that is how it is cancelled."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """``stage``: ``open | discover | compare | encode | prove | rebuild``; ``done`` and ``total`` in bytes, ``total`` 0 when unknown."""


class Aligner(Protocol):
    """Finds which parts of a new file are nearly parts of an old one."""

    def align(self, old: bytes, new: bytes, mode: Literal["fast", "best"]) -> Array:
        """Records of shape (k, 3): copy length, extra length, position in ``old``.

        The new file is, record by record, ``copy length`` bytes that stand nearly so in ``old`` at the position, then ``extra length`` bytes of its own.
        """


@dataclass(frozen=True, slots=True)
class View:
    """A range of a reader."""

    source: ReaderAt
    offset: int
    length: int

    @property
    def size(self) -> int:
        """The same as ``length``, so that a view is a reader too."""
        return self.length

    def read_at(self, offset: int, length: int) -> bytes:
        """``length`` bytes from ``offset`` of the view."""
        if offset < 0 or length < 0 or offset + length > self.length:
            raise EOFError(f"{offset}+{length} lies outside of {self.length}")
        return self.source.read_at(self.offset + offset, length)

    def read(self) -> bytes:
        """All of it. Only where the caller knows that it is small enough."""
        return self.read_at(0, self.length)

    def sub(self, offset: int, length: int) -> "View":
        """A range of this range."""
        if offset < 0 or length < 0 or offset + length > self.length:
            raise EOFError(f"{offset}+{length} lies outside of {self.length}")
        return View(self.source, self.offset + offset, length)

    def chunks(self, stride: int = STRIDE) -> Iterator[bytes]:
        """The bytes in order, at most ``stride`` at a time."""
        for at in range(0, self.length, stride):
            yield self.read_at(at, min(stride, self.length - at))


class BytesReader:
    """A reader over bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return len(self._data)

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes."""
        if offset < 0 or length < 0 or offset + length > len(self._data):
            raise EOFError(f"{offset}+{length} lies outside of {len(self._data)}")
        return self._data[offset : offset + length]


class MemorySpool:
    """A spool in memory: for small inputs and for tests."""

    def __init__(self) -> None:
        self._data = bytearray()

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return len(self._data)

    def append(self, data: bytes) -> None:
        """Adds ``data`` at the end."""
        self._data += data

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes."""
        if offset < 0 or length < 0 or offset + length > len(self._data):
            raise EOFError(f"{offset}+{length} lies outside of {len(self._data)}")
        return bytes(self._data[offset : offset + length])


def whole(reader: ReaderAt) -> View:
    """All of ``reader`` as a view."""
    return View(reader, 0, reader.size)
