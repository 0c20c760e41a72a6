# SPDX-License-Identifier: Apache-2.0
"""Streams in files that are no archives."""

import bz2
import gzip
import io
import lzma
import random
import time
import zipfile
import zlib

import pytest

from tests.unit.delta.test_codecs import deflate, mixed
from tests.unit.delta.test_containers_archives import tar
from tests.unit.delta.trees import kinds, members, opened, parts, walk
from waybill.delta.codecs import zstd

CODE = bytes(random.Random(5).choices(range(64), k=30_000))
"""Something like machine code: six bits per byte."""
PLAIN = mixed(400_000)
NOISE = random.Random(6).randbytes(200_000)


@pytest.mark.parametrize(
    ("stream", "codec"),
    [
        (zstd.compress(PLAIN), "zstd"),
        (lzma.compress(PLAIN, preset=1), "xz"),
        (gzip.compress(PLAIN), "deflate"),
        (zlib.compress(PLAIN, 9), "deflate"),
        (bz2.compress(PLAIN), "bzip2"),
    ],
)
def test_a_packed_program(stream: bytes, codec: str) -> None:
    """A loader, a stream, something behind it: the loader stays a piece that can be matched by name."""
    data = CODE + stream + CODE[:5000]
    root = opened(data)
    found = [node for node in walk(root) if node.kind == "coded"]
    assert [(node.codec, node.plain.read() if node.plain else b"") for node in found] == [(codec, PLAIN)]
    assert root.children[0].kind == "member"
    assert len(CODE) <= root.children[0].where.length <= len(CODE) + 12
    assert root.children[-1].kind == "member"


def test_many_streams() -> None:
    """As in a document or an installer: each is opened, small ones are left."""
    pieces = [mixed(20_000 + i, i) for i in range(40)]
    data = b"".join(zlib.compress(one) + b"obj" + zlib.compress(b"tiny") for one in pieces)
    assert [node.plain.read() for node in walk(opened(data)) if node.plain is not None] == pieces


def test_the_name_is_that_of_the_file() -> None:
    """Streams and what lies between them carry it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as one:
        one.writestr("app.exe", CODE + zstd.compress(PLAIN))
    assert kinds(out.getvalue()) == [("app.exe", "container", ""), ("app.exe", "member", ""), ("app.exe", "coded", "zstd")]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(CODE * 20 + zstd.compress(PLAIN)[:60_000], id="a cut frame"),
        pytest.param(CODE * 30 + zlib.compress(mixed(9000)), id="a small share"),
        pytest.param(NOISE, id="noise"),
        pytest.param(CODE[:10_000] + zlib.compress(mixed(60_000)), id="a small file"),
        pytest.param(CODE + zlib.compress(PLAIN)[:-4] + CODE, id="a zlib stream without its checksum"),
        pytest.param(mixed(300_000), id="nothing compressed"),
    ],
)
def test_what_stays_whole(data: bytes) -> None:
    """A program with little that is compressed is worth more in one piece."""
    assert parts(data) is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(NOISE[:100_000] + b"\x78\x9c" * 100_000, id="magic numbers only"),
        pytest.param(NOISE + deflate(bytes(60_000_000)).join([b"\x78\x9c"] * 8), id="bombs"),
        pytest.param(NOISE + b"".join(b"\x78\x01\x01\xff\xff\0\0" + NOISE[:600] for _ in range(600)), id="stored blocks of noise"),
        pytest.param(NOISE + b"\x28\xb5\x2f\xfd\0\x58" * 60_000, id="frames without end"),
        pytest.param(NOISE + b"\xfd7zXZ\0\0\4\xe6\xd6\xb4\x46" * 20_000, id="headers without end"),
        pytest.param(NOISE + b"BZh91AY&SY" * 20_000, id="bzip2 headers"),
    ],
)
def test_the_search_is_bounded(data: bytes) -> None:
    """Whatever is made to look like streams."""
    began = time.process_time()
    opened(data)
    assert time.process_time() - began < 2 + len(data) / 500_000


def test_archives_in_what_was_found() -> None:
    """A tar in a stream behind a script, as installers have it."""
    files = {"one": mixed(300_000, 1), "two": mixed(70_000, 2)}
    assert members(b"#!/bin/sh\nexit\n" + CODE + lzma.compress(tar(files), preset=1)) == files
