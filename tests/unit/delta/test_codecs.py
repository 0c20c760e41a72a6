# SPDX-License-Identifier: Apache-2.0
"""Streams are decompressed exactly, and never beyond a bound."""

import bz2
import lzma
import random
import zlib
from collections.abc import Callable

import pytest

from tests.unit.delta.trees import view
from waybill.delta.codecs import CodecError, decode, decode_prefix, zstd
from waybill.delta.io import STRIDE, View
from waybill.delta.limits import Limits


def deflate(plain: bytes, level: int = 6) -> bytes:
    """``plain`` without a header around it."""
    coder = zlib.compressobj(level, wbits=-15)
    return coder.compress(plain) + coder.flush()


def mixed(size: int, seed: int = 1) -> bytes:
    """Bytes that compress to about a third."""
    draw = random.Random(seed)
    words = [draw.randbytes(draw.randrange(2, 9)) for _ in range(300)]
    return b"".join(draw.choices(words, k=size // 4))[:size]


CODERS: dict[str, Callable[[bytes], bytes]] = {
    "deflate": deflate,
    "xz": lambda plain: lzma.compress(plain, preset=1),
    "zstd": zstd.compress,
    "bzip2": bz2.compress,
    "lzma": lambda plain: lzma.compress(plain, lzma.FORMAT_ALONE, preset=1),
}
ALL = pytest.mark.parametrize("codec", sorted(CODERS))


@ALL
@pytest.mark.parametrize("size", [0, 1, 1000, STRIDE, 3 * STRIDE + 7])
def test_a_stream_becomes_its_plain_bytes(codec: str, size: int) -> None:
    """Whatever its length, in chunks that are never longer than a stride."""
    plain = mixed(size)
    chunks = list(decode(codec, view(CODERS[codec](plain)), size))
    assert b"".join(chunks) == plain
    assert all(0 < len(one) <= STRIDE for one in chunks)


@ALL
def test_a_prefix_tells_where_the_stream_ended(codec: str) -> None:
    """Even when much follows it."""
    coded = CODERS[codec](mixed(5000))
    stream = decode_prefix(codec, view(coded + b"rest" * 100_000), 5000)
    assert b"".join(stream) == mixed(5000)
    assert stream.used == len(coded)


@ALL
def test_a_stream_must_fill_its_place(codec: str) -> None:
    """One byte more, or another stream behind it, and it is refused."""
    coded = CODERS[codec](mixed(100))
    for rest in (b"\0", coded):
        with pytest.raises(CodecError):
            list(decode(codec, view(coded + rest), 10_000))


@ALL
def test_a_cut_stream_is_refused(codec: str) -> None:
    """Wherever it is cut."""
    coded = CODERS[codec](mixed(300))
    for length in range(len(coded)):
        with pytest.raises(CodecError):
            list(decode(codec, view(coded[:length]), 10_000))


@ALL
def test_a_broken_stream_ends_in_an_error_or_in_bytes_within_the_limit(codec: str) -> None:
    """A changed byte never leads out of the codec's errors."""
    coded, draw = CODERS[codec](mixed(2000)), random.Random(2)
    for _ in range(300):
        broken = bytearray(coded)
        broken[draw.randrange(len(broken))] ^= 1 << draw.randrange(8)
        try:
            assert sum(map(len, decode(codec, view(bytes(broken)), 4000))) <= 4000
        except CodecError:
            pass


@ALL
def test_no_more_is_made_than_allowed(codec: str) -> None:
    """A bomb ends at the limit, not behind it: at most one chunk is made in vain."""
    stream = decode_prefix(codec, view(CODERS[codec](bytes(1 << 24))), 1 << 20)
    with pytest.raises(CodecError):
        list(stream)
    assert stream.made <= (1 << 20) + STRIDE


def test_windows_and_dictionaries_are_bounded() -> None:
    """A stream that wants more memory than allowed is refused before it gets it."""
    limits = Limits(window_log=20, lzma_memory=1 << 21)
    frame = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 24})
    wide = frame.compress(mixed(100_000)) + frame.flush()
    for codec, coded in (("zstd", wide), ("xz", lzma.compress(b"x", preset=6)), ("lzma", lzma.compress(b"x", lzma.FORMAT_ALONE, preset=6))):
        assert list(decode(codec, view(coded), 1 << 20))
        with pytest.raises(CodecError):
            list(decode(codec, view(coded), 1 << 20, limits))


def test_an_unknown_codec_is_refused() -> None:
    """With the error of this module."""
    with pytest.raises(CodecError):
        list(decode("brotli", view(b"x"), 1))


def test_a_long_stream_is_read_in_strides() -> None:
    """Nothing reads a whole stream: reads double from 16 KiB to a stride."""

    class Watched:
        """Notes how much is read at once."""

        def __init__(self, data: bytes) -> None:
            self.data = data
            self.size = len(data)
            self.reads: list[int] = []

        def read_at(self, offset: int, length: int) -> bytes:
            """As a reader."""
            self.reads.append(length)
            return self.data[offset : offset + length]

    source = Watched(deflate(random.Random(3).randbytes(1 << 21)))
    assert sum(map(len, decode("deflate", View(source, 0, source.size), 1 << 21))) == 1 << 21
    assert source.reads[:5] == [1 << 14, 1 << 15, 1 << 16, 1 << 17, STRIDE]
    assert max(source.reads) == STRIDE
