# SPDX-License-Identifier: Apache-2.0
"""Zip archives as they are found, and as they are made to confuse a reader."""

import io
import lzma
import random
import struct
import zipfile
from dataclasses import replace

import pytest

from tests.unit.delta.test_codecs import deflate, mixed
from tests.unit.delta.trees import kinds, members, opened, parts, walk
from waybill.delta.codecs import zstd
from waybill.delta.limits import Limits

FILES = {"a/one.txt": mixed(3000, 1), "b/two.bin": mixed(70_000, 2), "три.txt": mixed(500, 3)}


class _Pipe(io.RawIOBase):
    """A stream that cannot seek: zipfile writes data descriptors then."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        chunk = bytes(memoryview(data))  # type: ignore[arg-type]  # any buffer
        self.data += chunk
        return len(chunk)


def archive(files: dict[str, bytes] = FILES, method: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    """A zip as Python writes it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as one:
        for name, content in files.items():
            one.writestr(name, content)
        one.comment = comment
    return out.getvalue()


def entry(name: bytes, content: bytes, offset: int, method: int = 0, plain: int | None = None, flags: int = 0) -> tuple[bytes, bytes]:
    """Local header with content, and the entry of the directory."""
    size = len(content) if plain is None else plain
    local = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, flags, method, 0, 0, 0, len(content), size, len(name), 0) + name + content
    central = struct.pack(
        "<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, flags, method, 0, 0, 0, len(content), size, len(name), 0, 0, 0, 0, 0, offset
    )
    return local, central + name


def end(count: int, size: int, offset: int, comment: bytes = b"") -> bytes:
    """The end record; its count overflows."""
    count &= 0xFFFF
    return struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, size, offset, len(comment)) + comment


def by_hand(*files: tuple[bytes, bytes, int]) -> bytes:
    """A zip of (name, content as it stands, method)."""
    body, directory = bytearray(), bytearray()
    for name, content, method in files:
        local, central = entry(name, content, len(body), method)
        body += local
        directory += central
    return bytes(body + directory) + end(len(files), len(directory), len(body))


def test_entries_are_opened_under_their_names() -> None:
    """Deflated, stored, and by bzip2."""
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2):
        assert members(archive(method=method)) == FILES


def test_codecs_of_later_years() -> None:
    """zstd and xz entries are opened; what is packed in an unknown way is a member as it stands."""
    unknown = random.Random(1).randbytes(100)
    data = by_hand((b"z", zstd.compress(mixed(999)), 93), (b"x", lzma.compress(mixed(998)), 95), (b"u", unknown, 9))
    assert members(data) == {"z": mixed(999), "x": mixed(998), "u": unknown}


def test_an_encrypted_entry_is_not_opened() -> None:
    """Its bytes are a member."""
    content = deflate(mixed(1000))
    local, central = entry(b"secret", content, 0, 8, 1000, flags=1)
    assert members(local + central + end(1, len(central), len(local))) == {"secret": content}


def test_data_descriptors() -> None:
    """Sizes that stand behind the content are known from the directory."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as one:
        for name, content in FILES.items():
            one.writestr(name, content)
    assert members(bytes(pipe.data)) == FILES


def test_zip64_fields() -> None:
    """Entries whose sizes stand in an extra field."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as one:
        for name, content in FILES.items():
            with one.open(name, "w", force_zip64=True) as into:
                into.write(content)
    assert members(out.getvalue()) == FILES


@pytest.mark.parametrize("before", [b"", b"#!/bin/sh\n" * 100])
def test_zip64_end_record(before: bytes) -> None:
    """Directory and counts from the larger record, also when it is moved by what stands before."""
    content = mixed(500)
    local, _ = entry(b"n", content, 0)
    extra = struct.pack("<HHQQQ", 1, 24, len(content), len(content), 0)
    central = struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 45, 45, 0, 0, 0, 0, 0, *[0xFFFFFFFF] * 2, 1, len(extra), 0, 0, 0, 0, 0xFFFFFFFF)
    central += b"n" + extra
    record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, len(central), len(local))
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, len(local) + len(central), 1)
    tail = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    assert members(before + local + central + record + locator + tail)["n"] == content


def test_more_entries_than_the_end_record_can_count() -> None:
    """Old writers let the count overflow; the directory tells better."""
    data = by_hand(*[(b"%06d" % i, b"", 0) for i in range(65_540)], (b"last", mixed(100), 0))
    assert members(data) == {"last": mixed(100)}


def test_bytes_before_the_archive_are_a_piece_of_their_own() -> None:
    """A program with a zip behind it: offsets count from the archive or from the file, both are found."""
    program = b"#!/usr/bin/env python\n" + mixed(9000, 9)
    moved = program + archive()
    out = io.BytesIO(program)
    out.seek(len(program))
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as one:
        for name, content in FILES.items():
            one.writestr(name, content)
    for data in (moved, out.getvalue()):
        assert members(data) == FILES
        first = opened(data).children[0]
        assert first.kind == "member"
        assert first.where.read().startswith(program)


def test_entries_in_any_order() -> None:
    """The directory may name them in another order than that of the file."""
    one, two = mixed(100, 1), mixed(200, 2)
    local1, central1 = entry(b"one", one, 0)
    local2, central2 = entry(b"two", two, len(local1))
    body, directory = local1 + local2, central2 + central1
    assert members(body + directory + end(2, len(directory), len(body))) == {"one": one, "two": two}


def test_a_comment_at_the_end() -> None:
    """Even one that speaks of an end record which would not end with the file."""
    assert members(archive(comment=b"hello PK\5\6 world" * 20)) == FILES


def test_a_stream_that_ends_early_leaves_a_rest() -> None:
    """What follows it inside of the entry is raw."""
    coded = deflate(mixed(1000))
    data = by_hand((b"n", coded + b"tail of the entry", 8))
    assert members(data) == {"n": mixed(1000)}
    assert [node.where.length for node in walk(opened(data)) if node.codec] == [len(coded)]


def test_a_broken_stream_stays_closed() -> None:
    """The others are opened."""
    broken = b"\xff" * 100
    data = by_hand((b"bad", broken, 8), (b"good", deflate(mixed(1000)), 8))
    assert members(data) == {"good": mixed(1000)}
    assert broken in [node.where.read() for node in walk(opened(data)) if node.kind == "raw"]


def test_nested_archives() -> None:
    """Deflated and stored ones, with names that tell the way."""
    inner = archive({"x.txt": mixed(900)})
    deep = archive({"inner.zip": inner, "plain": mixed(100)}, zipfile.ZIP_STORED)
    assert members(archive({"deep.zip": deep})) == {"deep.zip/inner.zip/x.txt": mixed(900), "deep.zip/plain": mixed(100)}
    assert kinds(deep) == [("inner.zip", "container", ""), ("inner.zip/x.txt", "coded", "deflate"), ("plain", "member", "")]


def test_the_maker_tells_writers_apart() -> None:
    """Version and system of "made by", flags, method."""
    assert {node.maker for node in walk(opened(archive())) if node.codec} == {"zip by=788 flags=0 method=8"}


ONE = archive({"n": mixed(2000)})
AT = ONE.index(b"PK\1\2")


def _with(data: bytes, offset: int, value: bytes) -> bytes:
    return data[:offset] + value + data[offset + len(value) :]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(_with(ONE, 0, b"QQ"), id="no local header"),
        pytest.param(_with(ONE, 8, b"\0"), id="another method in the local header"),
        pytest.param(_with(ONE, 18, b"\1"), id="another size in the local header"),
        pytest.param(_with(ONE, 30, b"m"), id="another name in the local header"),
        pytest.param(_with(ONE, AT + 42, b"\1"), id="another offset"),
        pytest.param(_with(ONE, AT + 42, b"\xff\xff\xff\xff"), id="an offset outside"),
        pytest.param(_with(ONE, AT + 20, b"\xff\xff\xff\x7f"), id="a size outside"),
        pytest.param(_with(ONE, AT + 34, b"\1"), id="another disk"),
        pytest.param(_with(ONE, len(ONE) - 14, b"\2\0\2\0"), id="more entries than there are"),
        pytest.param(_with(ONE, len(ONE) - 14, b"\2\0"), id="two counts"),
        pytest.param(_with(ONE, len(ONE) - 10, b"\x30"), id="another size of the directory"),
        pytest.param(_with(ONE, len(ONE) - 6, b"\xff\xff\xff\x7f"), id="a directory outside"),
        pytest.param(ONE + b"more", id="something behind the end"),
    ],
)
def test_a_zip_that_contradicts_itself_stays_closed(data: bytes) -> None:
    """It is bytes without structure."""
    assert parts(data) is None
    assert opened(data).children == ()


def test_two_end_records() -> None:
    """Which of two directories counts is a question that is not answered."""
    inner = end(1, ONE.rindex(b"PK\5\6") - AT, AT)
    outer = end(1, ONE.rindex(b"PK\5\6") - AT, AT, comment=inner)
    assert parts(ONE[:-22] + outer) is None


def test_overlapping_entries() -> None:
    """As in bombs of a few kilobytes that name the same content a thousand times."""
    local, central = entry(b"n", deflate(bytes(100_000)), 0, 8, 100_000)
    for count in (2, 1000):
        assert parts(local + central * count + end(count, len(central) * count, len(local))) is None
    quoted = entry(b"m", local, 0)
    inside = entry(b"n", deflate(bytes(100_000)), 31, 8, 100_000)
    assert parts(quoted[0] + quoted[1] + inside[1] + end(2, len(quoted[1]) * 2, len(quoted[0]))) is None


def test_entries_are_counted() -> None:
    """More than allowed: not even looked at."""
    data = by_hand(*[(b"%03d" % i, mixed(50), 0) for i in range(50)])
    assert len(parts(data) or []) == 50
    assert parts(data, replace(Limits(), nodes=49)) is None


def test_every_cut_is_survived() -> None:
    """A zip without its end is no zip."""
    for length in range(len(ONE)):
        assert opened(ONE[:length]).children == ()
