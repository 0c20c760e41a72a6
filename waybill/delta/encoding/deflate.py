# SPDX-License-Identifier: Apache-2.0
"""Raw deflate streams as zlib and zlib-ng make them.

zlib makes the same bytes however its input is cut into writes. zlib-ng does not on some levels, so the size of a write is part of its name.
A writer that flushes before it finishes leaves an empty stored block and an empty last block: with that ending only such writers are tried,
without it only the others.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from zlib_ng import zlib_ng

from waybill.delta.encoding.writes import GATHERED_MOST, WHOLE, refuse_corrections, writes
from waybill.delta.io import View

CODEC: Final = "deflate"
_SYNC_END: Final = bytes.fromhex("0000ffff0300")
_NG_WRITE: Final = 1 << 16
_PROBE: Final = 1 << 18
"""Plain bytes from which most streams have a block."""
_WRITE_SIZES: Final = (WHOLE, 8192, 16384, 32768, 65536, 81920)
"""81920 is what copying a stream in .NET writes, 8192 what copying one in Rust does."""
_NG_BY_WRITE: Final = (6, 1, 5)
"""Levels on which zlib-ng's output depends on the writes."""
_LEVELS: Final = (6, 9, 1, 8, 7, 5, 4, 3, 2)


def flushed_before_the_end(coded: View) -> bool:
    """Whether the writer of this deflate stream flushed and then finished without further bytes."""
    return coded.length >= len(_SYNC_END) and coded.read_at(coded.length - len(_SYNC_END), len(_SYNC_END)) == _SYNC_END


@dataclass(frozen=True, slots=True)
class Zlib:
    """zlib with the largest window. ``flushes``: the stream is flushed before it is finished."""

    level: int
    memory: int = 8
    flushes: bool = False
    codec: str = CODEC

    @property
    def name(self) -> str:
        """``zlib:LEVEL:MEMORY``, then ``:sync`` for one that flushes."""
        return f"zlib:{self.level}:{self.memory}" + ":sync" * self.flushes

    def frame(self, plain: View, coded: View) -> bytes | None:  # noqa: ARG002 - the port has it
        """Nothing to tell; None when the end of ``coded`` is not as this one leaves it."""
        return b"" if flushed_before_the_end(coded) == self.flushes else None

    def encode(self, plain: Iterable[bytes], corrections: bytes = b"") -> Iterator[bytes]:
        """The raw deflate stream of ``plain``; takes no corrections."""
        refuse_corrections(corrections, self.name)
        engine = zlib.compressobj(self.level, zlib.DEFLATED, -15, self.memory)
        for data in plain:
            if made := engine.compress(data):
                yield made
        if self.flushes:
            yield engine.flush(zlib.Z_SYNC_FLUSH)
        yield engine.flush()


@dataclass(frozen=True, slots=True)
class ZlibNg:
    """zlib-ng, given ``write`` bytes at a time. ``flushes``: the stream is flushed before it is finished."""

    level: int
    write: int = _NG_WRITE
    flushes: bool = False
    codec: str = CODEC

    @property
    def name(self) -> str:
        """``zlib-ng:LEVEL:8:WRITE`` with WRITE in bytes or ``whole``, then ``:sync`` for one that flushes."""
        return f"zlib-ng:{self.level}:8:{self.write or 'whole'}" + ":sync" * self.flushes

    def frame(self, plain: View, coded: View) -> bytes | None:
        """Nothing to tell; None when the end of ``coded`` is not as this one leaves it, or its beginning, or ``plain`` is too long for it."""
        if flushed_before_the_end(coded) != self.flushes:
            return None
        fits = self.write != WHOLE or (plain.length <= GATHERED_MOST and self._begins(plain, coded))
        return b"" if fits else None

    def _begins(self, plain: View, coded: View) -> bool:
        """Whether the first blocks are as this one makes them. A stream that is no longer than those is made at once instead."""
        if plain.length <= _PROBE:
            return True
        made = zlib_ng.compressobj(self.level, zlib_ng.DEFLATED, -15, 8).compress(plain.read_at(0, _PROBE))
        return len(made) <= coded.length and coded.read_at(0, len(made)) == made

    def encode(self, plain: Iterable[bytes], corrections: bytes = b"") -> Iterator[bytes]:
        """The raw deflate stream of ``plain``; takes no corrections."""
        refuse_corrections(corrections, self.name)
        engine = zlib_ng.compressobj(self.level, zlib_ng.DEFLATED, -15, 8)
        for data in writes(plain, self.write):
            if made := engine.compress(data):
                yield made
        if self.flushes:
            yield engine.flush(zlib_ng.Z_SYNC_FLUSH)
        yield engine.flush()


DEFLATE_ENCODERS: Final[tuple[Zlib | ZlibNg, ...]] = (
    *(Zlib(level) for level in _LEVELS),
    *(ZlibNg(6, write) for write in _WRITE_SIZES),
    *(ZlibNg(level, write, flushes=True) for level in (6, 9, 1) for write in (_WRITE_SIZES if level in _NG_BY_WRITE else (_NG_WRITE,))),
    *(Zlib(level, flushes=True) for level in _LEVELS),
    *(Zlib(level, 9) for level in _LEVELS),
    *(ZlibNg(level) for level in _LEVELS if level not in _NG_BY_WRITE),
    *(ZlibNg(level, write) for level in (1, 5) for write in _WRITE_SIZES),
)
