# SPDX-License-Identifier: Apache-2.0
"""What a delta is: a small program over *sources*, which are numbered byte strings.

Source 0 is the base file. Then come the opened sources (a range of an earlier source, decompressed), then the output of each block.
The content of the new file is a list of ranges of sources; streams are nested spans of it that are compressed again.
The receiver never looks for structure in a file: everything that it must open is named here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from waybill.delta.encoders import EncoderId

MAGIC: Final = b"WBD1"
CODECS: Final = ("deflate", "xz", "zstd", "bzip2", "lzma", "tar-header", "zip-directory")
"""Codec by its number in the format. A number is never used again for another codec."""
POOL: Final = 0
PATCH: Final = 1
NO_PREDICTOR: Final = ""


@dataclass(frozen=True, slots=True)
class Range:
    """``length`` bytes of source ``source`` from ``offset``."""

    source: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Opened:
    """The source that comes out when ``where`` is decompressed: exactly ``size`` bytes, and the stream ends with the range."""

    codec: str
    where: Range
    size: int


@dataclass(frozen=True, slots=True)
class Block:
    """New bytes, ``size`` of them.

    ``kind``: POOL, zstd with the bytes of ``base`` as prefix | PATCH, records over the bytes of ``base`` (waybill.delta.records), whose extra
    bytes are the next ones of source ``extra``; ``predictor`` names who foretold the addresses, "" nobody. ``payload`` is its length in the delta.
    """

    kind: int
    size: int
    base: tuple[Range, ...]
    payload: int
    extra: int = 0
    predictor: str = NO_PREDICTOR


@dataclass(frozen=True, slots=True)
class Stream:
    """Segments ``first`` to ``first + count - 1``, compressed again by encoder number ``encoder`` with ``corrections`` bytes of corrections."""

    first: int
    count: int
    encoder: int
    corrections: int = 0


@dataclass(frozen=True, slots=True)
class Recipe:
    """The program of one delta. ``corrections`` is the source from which the streams take their corrections in order, 0 for none."""

    encoders: tuple[EncoderId, ...]
    opened: tuple[Opened, ...]
    blocks: tuple[Block, ...]
    segments: Sequence[Range]
    streams: Sequence[Stream]
    corrections: int = 0

    @property
    def block_source(self) -> int:
        """The number of the source that the first block makes."""
        return 1 + len(self.opened)


@dataclass(frozen=True, slots=True)
class Head:
    """What stands before everything else: which file becomes which. Digests are 32 bytes of SHA-256; sizes are in bytes."""

    base_sha256: bytes
    base_size: int
    result_sha256: bytes
    result_size: int
