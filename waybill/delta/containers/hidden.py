# SPDX-License-Identifier: Apache-2.0
"""Compressed streams inside of something that is no archive: packed programs, installers, firmware, documents.

Only what consists of compressed bytes for a good part is taken apart: a program with one small stream in it is worth more in one piece.
Every stream is decompressed to its end before it is named, so that its length is exact; the work is bounded by the size of the file.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final
from zlib import adler32

import numpy as np

from waybill.delta.codecs import CodecError, decode_prefix
from waybill.delta.containers import bzip2, gzip, xz, zstd
from waybill.delta.containers.base import HEAD, Part, Window
from waybill.delta.io import View
from waybill.delta.limits import Limits

_FILE_LEAST: Final = 1 << 16
_STREAM_LEAST: Final = 1 << 10
_GAP_LEAST: Final = 1 << 12
"""What lies between two streams is a member from this length on: it is matched by the name of the whole."""
_SHARE: Final = 4
"""One in so many bytes is compressed, otherwise the file stays whole."""
_SAMPLE: Final = 1 << 12
_SAMPLES: Final = 16
_ENTROPY: Final = 7.3
"""Bits per byte of 4 KiB: compressed bytes have 7.9, machine code about 6.3, base64 6."""
_STRIDE: Final = 1 << 20
_OVERLAP: Final = 16
_MAGICS: Final[dict[int, tuple[bytes, ...]]] = {
    0x28: (zstd.MAGIC,),
    0xFD: (xz.MAGIC,),
    0x1F: (gzip.MAGIC,),
    0x42: (b"BZh",),
    0x78: (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"),
}
"""By their first bytes."""
_TRIES_FREE: Final = 64
_TRY_EACH: Final = 1 << 11
"""So many bytes of the file pay for one more try."""
_WORK_RATIO: Final = 8
"""Bytes read and made by all tries, per byte of the file."""


class Hidden:
    """The last of the table: what nobody else knows is searched for streams."""

    name = "hidden"

    def sniff(self, head: bytes) -> bool:
        """Whatever is long enough."""
        return len(head) == HEAD

    def parts(self, view: View, limits: Limits, /) -> Iterable[Part] | None:
        """None when the streams, if any, are too small a share."""
        if view.length < _FILE_LEAST or not _is_dense(view):
            return None
        streams = list(_Search(view, limits).streams())
        if sum(one.length for one in streams) * _SHARE < view.length:
            return None
        return _with_gaps(streams, view.length)


def _is_dense(view: View) -> bool:
    """Whether one in four of a few samples looks compressed."""
    count = max(4, min(_SAMPLES, view.length // _FILE_LEAST))
    dense = sum(_entropy(view.read_at((view.length - _SAMPLE) * i // (count - 1), _SAMPLE)) > _ENTROPY for i in range(count))
    return dense * _SHARE >= count


def _entropy(sample: bytes) -> float:
    share = np.bincount(np.frombuffer(sample, np.uint8), minlength=256) / len(sample)
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum())


def _with_gaps(streams: list[Part], size: int) -> Iterator[Part]:
    at = 0
    for one in streams:
        if one.offset - at >= _GAP_LEAST:
            yield Part(at, one.offset - at, "member")
        yield one
        at = one.offset + one.length
    if size - at >= _GAP_LEAST:
        yield Part(at, size - at, "member")


class _Search:
    def __init__(self, view: View, limits: Limits) -> None:
        self._view = view
        self._limits = limits
        self._ruler = zstd.Ruler(view)
        self._window = Window(view, 256)
        self._tries = _TRIES_FREE + view.length // _TRY_EACH
        self._work = view.length * _WORK_RATIO

    def streams(self) -> Iterator[Part]:
        """Every stream that is long enough, in order, until the work that is allowed is done."""
        at = 0
        while at < self._view.length:
            data = self._view.read_at(at, min(_STRIDE + _OVERLAP, self._view.length - at))
            end = at
            for hit in _hits(data):
                if at + hit < end:
                    continue
                if self._tries <= 0 or self._work <= 0:
                    return
                self._tries -= 1
                part = self._stream(at + hit, data[hit : hit + _OVERLAP])
                if part is not None and part.length >= _STREAM_LEAST:
                    yield part
                    end = part.offset + part.length
            at = max(at + _STRIDE, end)

    def _stream(self, at: int, head: bytes) -> Part | None:
        if head.startswith(zstd.MAGIC):
            frame = self._ruler.measure(at)
            return frame and Part(at, frame.length, "coded", codec="zstd", maker=frame.maker, plain_hint=frame.plain)
        if head.startswith(xz.MAGIC):
            return self._tried(at, "xz", "xz hidden")
        if head.startswith(gzip.MAGIC):
            header = gzip.header_length(self._window, at)
            return self._tried(at + header, "deflate", "gzip hidden") if header else None
        if head.startswith(b"BZh"):
            return self._tried(at, "bzip2", f"bzip2 level={head[3] - 48}") if bzip2.is_start(head) else None
        return self._tried(at + 2, "deflate", f"zlib header={head[:2].hex()}", sealed=True)

    def _tried(self, at: int, codec: str, maker: str, *, sealed: bool = False) -> Part | None:
        """The stream at ``at`` if it decompresses to its end; ``sealed``: and if its Adler-32 follows."""
        if at >= self._view.length:
            return None
        stream = decode_prefix(codec, self._view.sub(at, self._view.length - at), self._work, self._limits)
        checksum, whole = 1, False
        with suppress(CodecError):
            for data in stream:
                checksum = adler32(data, checksum)
            whole = True
        self._work -= stream.used + stream.made
        if not whole or (sealed and self._window.read(at + stream.used, 4) != checksum.to_bytes(4, "big")):
            return None
        return Part(at, stream.used, "coded", codec=codec, maker=maker, plain_hint=stream.made)


def _hits(data: bytes) -> list[int]:
    """Where a magic number begins in the stride, in order. By its first byte, then by its second one: five times as fast as to search for each."""
    array = np.frombuffer(data, np.uint8)
    found: list[int] = []
    for first, magics in _MAGICS.items():
        places = np.flatnonzero(array[: min(_STRIDE, len(data) - 1)] == first)
        seconds = array[places + 1]
        for magic in magics:
            hits = places[seconds == magic[1]].tolist()
            found += hits if len(magic) == 2 else [at for at in hits if data.startswith(magic, at)]
    return sorted(found)
