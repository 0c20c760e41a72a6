# SPDX-License-Identifier: Apache-2.0
"""Compressed files of one stream or of many: gzip, xz, zstd, bzip2, lzma."""

import bz2
import gzip
import lzma
import random
import shutil
import struct
import subprocess
from dataclasses import replace
from zlib import crc32

import pytest

from tests.unit.delta.test_codecs import deflate, mixed
from tests.unit.delta.trees import opened, parts, walk
from waybill.delta.codecs import zstd
from waybill.delta.expand import Node
from waybill.delta.limits import Limits


def streams(data: bytes) -> list[bytes]:
    """The plain content of every opened stream."""
    return [node.plain.read() for node in walk(opened(data)) if node.plain is not None]


def coded(data: bytes) -> list[Node]:
    """Every compressed piece."""
    return [node for node in walk(opened(data)) if node.kind == "coded"]


def gz(plain: bytes, flags: int = 0, fields: bytes = b"") -> bytes:
    """A gzip member with the given fields in its header."""
    return b"\x1f\x8b\x08" + bytes([flags]) + bytes(4) + b"\2\xff" + fields + deflate(plain) + struct.pack("<II", crc32(plain), len(plain))


A, B = mixed(5000, 1), mixed(80_000, 2)


def test_gzip() -> None:
    """Header and trailer stay raw, the stream between is opened; the file's own name is not used."""
    for data in (
        gzip.compress(A),
        gz(A, 8, b"file-1.2.tar\0"),
        gz(A, 16, b"a comment\0"),
        gz(A, 4, b"\3\0abc"),
        gz(A, 31, b"\1\0xn\0c\0cc"),
    ):
        root = opened(data)
        assert [node.kind for node in root.children] == ["raw", "coded", "raw"]
        assert streams(data) == [A]
        assert root.children[1].name == ""
        assert root.children[2].where.length == 8


def test_gzip_of_many_members() -> None:
    """Each is opened; what is no member at the end stays raw."""
    data = gzip.compress(A) + gzip.compress(B, 9) + gzip.compress(A, 1)
    assert streams(data) == [A, B, A]
    assert streams(data + bytes(1000)) == [A, B, A]
    assert streams(data + b"garbage" * 10) == [A, B, A]
    assert streams(gzip.compress(A) + data[:-20]) == [A, A, B]


def test_gzip_makers() -> None:
    """System, effort and flags of the header."""
    assert [node.maker for node in coded(gz(A))] == ["gzip os=255 xfl=2 flags=0"]


@pytest.mark.parametrize("data", [gz(A)[:18], b"\x1f\x8b\x08", gz(A, 0x20), gz(A, 8, b"n" * 70_000), b"\x1f\x8b\x08" + bytes(40)])
def test_what_only_begins_like_gzip(data: bytes) -> None:
    """Stays closed."""
    assert opened(data).children == ()


def test_a_damaged_gzip_member_ends_the_search() -> None:
    """What came before it is open."""
    data = bytearray(gzip.compress(A) + gzip.compress(B))
    data[len(gzip.compress(A)) + 20] ^= 0xFF
    assert streams(bytes(data))[:1] == [A]


def test_xz() -> None:
    """One stream, several streams, padding between and behind; filled blocks by liblzma's presets."""
    one, two = lzma.compress(A), lzma.compress(B, check=lzma.CHECK_CRC32, preset=1)
    assert streams(one) == [A]
    assert streams(one + bytes(4) + two + bytes(400) + one + bytes(8)) == [A, B, A]
    assert [node.maker for node in coded(one + two)] == ["xz check=4 sizes=0 filters=210116", "xz check=1 sizes=0 filters=210110"]
    found = parts(one + two)
    assert found is not None
    assert [(part.length, part.plain_hint) for part in found] == [(len(one), len(A)), (len(two), len(B))]


@pytest.mark.skipif(shutil.which("xz") is None, reason="needs the xz program")
def test_xz_of_many_blocks() -> None:
    """As its threaded encoder writes them, with sizes in the headers of the blocks."""
    data = subprocess.run(["xz", "-T2", "--block-size=20000", "-c"], input=B, stdout=subprocess.PIPE, check=True).stdout
    assert streams(data) == [B]
    assert coded(data)[0].maker.startswith("xz check=4 sizes=2 ")


def test_an_empty_xz_stream_is_a_piece() -> None:
    """It has no block that could tell of its maker, and nothing to open."""
    found = parts(lzma.compress(b"") + lzma.compress(A))
    assert found is not None
    assert found[0].maker == "xz check=4 empty"
    assert streams(lzma.compress(b"") + lzma.compress(A)) == [A]


@pytest.mark.parametrize("change", [0, 7, 20, -1, -3, -5, -10, -14])
def test_a_changed_xz_file_stays_closed(change: int) -> None:
    """Magic numbers, flags, checksums, content."""
    data = bytearray(lzma.compress(A))
    data[change] ^= 0x41
    assert opened(bytes(data)).children == ()


def test_xz_that_does_not_fill_the_file() -> None:
    """Something before, behind, or a stream that begins before the file."""
    one = lzma.compress(A)
    assert parts(one + b"tail") is None
    assert parts(one[40:]) is None
    assert parts(lzma.compress(B)[:5000] + one) is None


def test_zstd() -> None:
    """One frame, several frames, skippable ones between."""
    skippable = b"\x50\x2a\x4d\x18\5\0\0\0hello"
    one, two = zstd.compress(A), zstd.compress(B, options={zstd.CompressionParameter.checksum_flag: 1})
    assert streams(one) == [A]
    assert streams(skippable + one + two + skippable + one) == [A, B, A]
    found = parts(one + two)
    assert found is not None
    assert [(part.length, part.plain_hint) for part in found] == [(len(one), len(A)), (len(two), len(B))]


def test_zstd_without_sizes() -> None:
    """A frame that was written while it came in, in blocks that were flushed."""
    coder = zstd.ZstdCompressor(3)
    data = b"".join(coder.compress(B[at : at + 9000], coder.FLUSH_BLOCK) for at in range(0, len(B), 9000)) + coder.flush()
    assert streams(data) == [B]
    assert [part.plain_hint for part in parts(data) or []] == [None]


def test_zstd_content_sizes() -> None:
    """In one byte, two, four."""
    for size in (40, 255, 256, 65_791, 65_792, 70_000):
        assert [part.plain_hint for part in parts(zstd.compress(mixed(size))) or []] == [size]


def test_zstd_that_does_not_fill_the_file() -> None:
    """Cut anywhere, or followed by something else; a reserved block or bit."""
    one = zstd.compress(A)
    assert all(parts(one[:length]) is None for length in range(len(one)))
    assert parts(one + b"x") is None
    for at, bits in ((4, 8), (7, 6)):
        broken = bytearray(one)
        broken[at] |= bits
        assert opened(bytes(broken)).children == ()


def test_zstd_of_nothing_but_tiny_blocks() -> None:
    """Measuring is bounded: three bytes of the file cost no more than a step."""
    blocks = b"\x28\xb5\x2f\xfd\0\x58" + bytes(3) * 200_000 + b"\1\0\0"
    assert parts(blocks) is None
    many = (b"\x28\xb5\x2f\xfd\0\x58" + bytes(3) * 60_000 + b"\1\0\0") * 3
    assert parts(many) is None


def test_bzip2() -> None:
    """One stream and several."""
    data = bz2.compress(A, 9) + bz2.compress(B, 1)
    assert streams(data) == [A, B]
    assert [node.maker for node in coded(data)] == ["bzip2 level=9", "bzip2 level=1"]
    assert streams(data + b"rest of the file") == [A, B]
    assert opened(b"BZh91AY&SY" + bytes(100)).children == ()


def test_lzma() -> None:
    """With the size in the header and without."""
    data = lzma.compress(A, lzma.FORMAT_ALONE)
    assert streams(data) == [A]
    assert [node.codec for node in coded(data)] == ["lzma"]
    assert parts(bytes(1000)) is None
    assert opened(b"\x5d\0\0\x80\0" + b"\xff" * 8 + b"\0" + random.Random(1).randbytes(600)).children == ()


def test_a_name_is_that_of_the_file_around() -> None:
    """A compressed file has one content, which has the same name."""
    root = opened(lzma.compress(gzip.compress(A, 0)))
    assert {node.name for node in walk(root)} == {""}


def test_the_number_of_streams_is_bounded() -> None:
    """Behind the last one that is allowed the file is not looked at."""
    few = replace(Limits(), nodes=60)
    for one in (gzip.compress(A), lzma.compress(A), zstd.compress(A), bz2.compress(A)):
        assert len(list(walk(opened(one * 100, few)))) <= 60
