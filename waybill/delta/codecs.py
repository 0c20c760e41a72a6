# SPDX-License-Identifier: Apache-2.0
"""Decompression of one stream at a time, with its output, its memory and its window bounded.

The bytes come from a stranger: whatever is wrong with them ends in a ``CodecError``, and no more than the limit is ever made.
A codec is named by what stands in the stream: ``deflate`` without a header around it, one ``xz`` stream, one ``zstd`` frame, one ``bzip2`` stream,
one ``lzma`` stream with the thirteen bytes of its old header; and the transforms ``tar-header`` and ``zip-directory``.
"""

import bz2
import lzma
import sys
from collections.abc import Callable, Iterator
from typing import Final, Protocol, cast

from zlib_ng import zlib_ng

from waybill.delta.io import STRIDE, View
from waybill.delta.limits import Limits
from waybill.delta.transforms import MOST, TRANSFORMS, NotReversibleError, Transform

if sys.version_info >= (3, 14):
    from compression import zstd as zstd
else:
    from backports import zstd as zstd

_FIRST_STRIDE: Final = 1 << 14
"""Most streams of an archive are short: the first read is small, the next ones double."""
_BOUNDS: Final = Limits()


class CodecError(Exception):
    """The stream is broken, cut, longer than allowed, or asks for more memory than allowed."""


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Inflater:
    """zlib-ng inflates about twice as fast as zlib; what comes out is fixed by RFC 1951."""

    def __init__(self) -> None:
        self._inner = zlib_ng.decompressobj(wbits=-15)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._inner.unused_data)

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        made: bytes = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self.needs_input = len(made) < max_length
        return made


def _zstd(limits: Limits) -> _Decoder:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: limits.window_log})


_DECODERS: Final[dict[str, Callable[[Limits], _Decoder]]] = {
    "deflate": lambda _: _Inflater(),
    "xz": lambda limits: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=limits.lzma_memory),
    "zstd": _zstd,
    "bzip2": lambda _: bz2.BZ2Decompressor(),
    "lzma": lambda limits: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=limits.lzma_memory),
}
_BROKEN: Final[tuple[type[Exception], ...]] = (
    cast(type[Exception], zlib_ng.error),  # its stub names an instance
    lzma.LZMAError,
    zstd.ZstdError,
    OSError,  # bz2
    EOFError,
    ValueError,
    MemoryError,
)


class Decoding:
    """The plain bytes of the stream that begins where ``view`` begins; iterate once. Afterwards ``used`` is the length of the stream in bytes."""

    def __init__(self, codec: str, view: View, limit: int, limits: Limits) -> None:
        self.used = 0
        self.made = 0
        self._view = view
        self._limit = limit
        if codec not in _DECODERS:
            raise CodecError(f"{codec} is no codec")
        self._decoder = _DECODERS[codec](limits)

    def __iter__(self) -> Iterator[bytes]:
        """Chunks of at most ``STRIDE`` bytes; raises CodecError when the stream is broken, cut, or makes more than the limit."""
        stride = _FIRST_STRIDE
        while not self._decoder.eof:
            data = self._view.read_at(self.used, min(stride, self._view.length - self.used))
            if not data:
                raise CodecError("the stream is cut")
            self.used += len(data)
            stride = min(STRIDE, stride * 2)
            yield from self._fed(data)
        self.used -= len(self._decoder.unused_data)

    def _fed(self, data: bytes) -> Iterator[bytes]:
        while True:
            made = self._decompressed(data)
            if made:
                yield made
            if self._decoder.eof or self._decoder.needs_input:
                return
            data = b""

    def _decompressed(self, data: bytes) -> bytes:
        try:
            made = self._decoder.decompress(data, STRIDE)
        except _BROKEN as error:
            raise CodecError(f"the stream is broken: {error}") from error
        self.made += len(made)
        if self.made > self._limit:
            raise CodecError("the stream makes more than allowed")
        return made


class Transforming:
    """The same for a range that a transform opens: it always fills the view, and its plain bytes are as many."""

    def __init__(self, transform: Transform, view: View, limit: int) -> None:
        self.used = view.length
        self.made = 0
        self._transform = transform
        self._view = view
        self._limit = limit

    def __iter__(self) -> Iterator[bytes]:
        """All of it at once; raises CodecError when it is longer than allowed, or already looks opened."""
        if self._view.length > min(self._limit, MOST):
            raise CodecError("the range is longer than allowed")
        try:
            made = self._transform.open(self._view.read())
        except NotReversibleError as error:
            raise CodecError(str(error)) from error
        self.made = len(made)
        yield made


def decode_prefix(codec: str, view: View, limit: int, limits: Limits = _BOUNDS) -> Decoding | Transforming:
    """The stream at the start of ``view``, which may end before the view does.

    Args:
        limit: plain bytes that may be made.
    Raises:
        CodecError: for an unknown codec at once; while iterating as in ``Decoding``.
    """
    transform = TRANSFORMS.get(codec)
    return Decoding(codec, view, limit, limits) if transform is None else Transforming(transform, view, limit)


def decode(codec: str, view: View, limit: int, limits: Limits = _BOUNDS) -> Iterator[bytes]:
    """The plain bytes of the stream that fills ``view`` exactly.

    Args:
        limit: plain bytes that may be made.
    Raises:
        CodecError: the stream is broken, ends before or behind the end of the view, or makes more than ``limit``; chunks may have come before.
    """
    stream = decode_prefix(codec, view, limit, limits)
    yield from stream
    if stream.used != view.length:
        raise CodecError("the stream ends before its place does")
