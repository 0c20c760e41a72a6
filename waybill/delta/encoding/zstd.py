# SPDX-License-Identifier: Apache-2.0
"""zstd frames as libzstd makes them on its levels, in the three ways in which programs call it.

``mt``: by jobs, as the zstd program and dpkg-deb do; any number of threads makes the same bytes. ``st``: as a plain stream. ``one``: all in one call.
What a frame may have besides stands in its corrections. None means: a checksum and no content size for ``mt`` and ``st``, the opposite for ``one``.
Else one byte of flags (1 checksum, 2 content size, 4 long-distance matching), then, with flag 4, one byte with the window as a power of two;
then, for ``mt`` and ``st`` with flag 2, the content size as a varint.
Source: RFC 8878.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final, Literal

from waybill.delta.codecs import zstd
from waybill.delta.encoding.writes import GATHERED_MOST, WHOLE, writes
from waybill.delta.io import View
from waybill.delta.limits import Limits
from waybill.delta.numbers import Cursor, malformed, put

CODEC: Final = "zstd"
Way = Literal["mt", "st", "one"]
_MAGIC: Final = bytes.fromhex("28b52ffd")
_BLOCK: Final = 1 << 17
PROBE: Final = 2 * _BLOCK
"""Plain bytes that certainly fill the first block."""
_WINDOWS: Final = (19, 20, 21, 21, 21, 21, 21, 21, 22, 22, 22, 22, 22, 22, 22, 22, 23, 23, 23, 25, 26, 27)
"""Window of levels 1 to 22 as a power of two, for content of unknown size."""
_LONG_LEAST: Final = 24
_WINDOW_MOST: Final = Limits().window_log


@dataclass(frozen=True, slots=True)
class Shape:
    """What a frame has besides its level. ``size`` None: the frame does not say it. ``window``: a power of two, with long-distance matching; 0 without."""

    checksum: bool
    size: int | None = None
    window: int = 0


@dataclass(frozen=True, slots=True)
class Zstd:
    """libzstd's ``level`` 1 to 22, called in ``way``."""

    level: int
    way: Way = "st"
    codec: str = CODEC

    @property
    def name(self) -> str:
        """``zstd:LEVEL:WAY``."""
        return f"zstd:{self.level}:{self.way}"

    @property
    def engine(self) -> "Zstd":
        """The same level, all in one call: the same search in the same library, in little memory for little content."""
        return Zstd(self.level, "one")

    def frame(self, plain: View, coded: View) -> bytes | None:
        """What the frame says; None when this level or way writes another header or another first block."""
        shape = shape_of(coded, self.level)
        if shape is None or (self.way == "one" and (shape.size is None or plain.length > GATHERED_MOST)):
            return None
        if shape.size not in (None, plain.length):
            return None
        if plain.length > PROBE and not self._begins(plain, coded, shape):
            return None
        return told(shape, self.way)

    def encode(self, plain: Iterable[bytes], corrections: bytes = b"") -> Iterator[bytes]:
        """The zstd frame of ``plain``.

        Raises:
            FormatError: delta.malformed, for corrections that no frame has, or a content size that ``plain`` does not have;
                delta.expansion_exceeded, for more content than ``one`` can hold in memory.
        """
        shape = untold(corrections, self.way)
        try:
            yield from self._pieces(plain, shape)
        except zstd.ZstdError as error:
            raise malformed("a zstd frame cannot be made as told") from error

    def _pieces(self, plain: Iterable[bytes], shape: Shape) -> Iterator[bytes]:
        engine = zstd.ZstdCompressor(options=self._options(shape))
        if self.way == "one":
            yield engine.compress(b"".join(writes(plain, WHOLE)), zstd.ZstdCompressor.FLUSH_FRAME)
            return
        if shape.size is not None:
            engine.set_pledged_input_size(shape.size)
        held = b""
        for data in writes(plain, _BLOCK):
            if held and (made := engine.compress(held)):
                yield made
            held = data
        if shape.size is None:
            yield engine.compress(held)
            held = b""
        # who knows the size ends the frame with the last bytes, others only learn afterwards that these were the last
        yield engine.compress(held, zstd.ZstdCompressor.FLUSH_FRAME)

    def _options(self, shape: Shape) -> dict[int, int]:
        names = zstd.CompressionParameter
        options: dict[int, int] = {
            names.compression_level: self.level,
            names.checksum_flag: shape.checksum,
            names.content_size_flag: shape.size is not None,
            names.nb_workers: self.way == "mt",
        }
        if shape.window:
            options |= {names.window_log: shape.window, names.enable_long_distance_matching: 1}
        return options

    def _begins(self, plain: View, coded: View, shape: Shape) -> bool:
        """Whether the first block is as this level makes it: that does not depend on the way."""
        engine = zstd.ZstdCompressor(options=Zstd(self.level)._options(shape))
        if shape.size is not None:
            engine.set_pledged_input_size(shape.size)
        made = b"".join(
            chain((engine.compress(data) for data in plain.sub(0, PROBE).chunks(_BLOCK)), (engine.flush(zstd.ZstdCompressor.FLUSH_BLOCK),))
        )
        return first_block(made) == first_block(coded.read_at(0, min(coded.length, 2 * _BLOCK)))


_LEVELS: Final = (19, 3, 22, 9, 1, 20, 6, 10, 11, 12, 18, 17, 16, 15, 5, 4, 2, 7, 8, 13, 14, 21)
_WAYS: Final[tuple[Way, ...]] = ("one", "mt", "st") if zstd.CompressionParameter.nb_workers.bounds()[1] else ("one", "st")
ZSTD_ENCODERS: Final = tuple(Zstd(level, way) for level in _LEVELS for way in _WAYS)


def told(shape: Shape, way: Way) -> bytes:
    """The corrections that name ``shape``."""
    if shape.window == 0 and shape.checksum == (way != "one") and (shape.size is not None) == (way == "one"):
        return b""
    out = bytearray([shape.checksum | 2 * (shape.size is not None) | 4 * bool(shape.window)])
    if shape.window:
        out.append(shape.window)
    if shape.size is not None and way != "one":
        put(out, shape.size)
    return bytes(out)


def untold(corrections: bytes, way: Way) -> Shape:
    """The shape that ``corrections`` name; for ``one`` a known size is 0, since it has all bytes at once.

    Raises:
        FormatError: delta.malformed.
    """
    if not corrections:
        return Shape(checksum=way != "one", size=0 if way == "one" else None)
    cursor = Cursor(corrections)
    flags = cursor.take(1, "the flags of a zstd frame")[0]
    if flags > 7:
        raise malformed("a zstd frame has unknown flags", "0 to 7", flags)
    window = cursor.take(1, "the window of a zstd frame")[0] if flags & 4 else 0
    if flags & 4 and not 10 <= window <= _WINDOW_MOST:
        raise malformed("a zstd frame has a window that is not allowed", f"10 to {_WINDOW_MOST}", window)
    size = (cursor.number(1 << 62, "the size of a zstd frame") if way != "one" else 0) if flags & 2 else None
    cursor.end("the corrections of a zstd frame")
    return Shape(bool(flags & 1), size, window)


def shape_of(coded: View, level: int) -> Shape | None:
    """What the header of a frame says, read as one that ``level`` may have written; None when it cannot have."""
    data = coded.read_at(0, min(coded.length, 18))
    if len(data) < 6 or not data.startswith(_MAGIC) or data[4] & 0x0B:
        return None  # a dictionary, or bits that are reserved
    single = bool(data[4] & 0x20)
    width = (1 if single else 0, 2, 4, 8)[data[4] >> 6]
    at = 5 if single else 6
    if len(data) < at + width:
        return None
    size = int.from_bytes(data[at : at + width], "little") + 256 * (width == 2) if width else None
    checksum = bool(data[4] & 4)
    if single:
        return Shape(checksum, size)
    window = 10 + (data[5] >> 3)
    if data[5] & 7 or window > _WINDOW_MOST:
        return None
    usual = _WINDOWS[level - 1]
    if window == usual:
        return Shape(checksum, size)
    return Shape(checksum, size, window) if window >= _LONG_LEAST and window > usual else None


def first_block(frame: bytes) -> bytes:
    """The first block with its header, but for the bit that says whether it is the last one. ``frame`` begins with a frame header."""
    single = frame[4] >> 5 & 1
    at = 6 - single + (single, 2, 4, 8)[frame[4] >> 6]
    head = int.from_bytes(frame[at : at + 3], "little")
    length = 1 if head >> 1 & 3 == 1 else head >> 3
    return (head & ~1).to_bytes(3, "little") + frame[at + 3 : at + 3 + length]
