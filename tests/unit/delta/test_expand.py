# SPDX-License-Identifier: Apache-2.0
"""Files become trees: what is inside is found, and what would cost too much stays closed."""

import gzip
import io
import lzma
import random
import resource
import sys
import time
import zipfile
import zlib
from dataclasses import replace

import pytest

from tests.unit.delta.test_codecs import deflate, mixed
from tests.unit.delta.test_containers_archives import FILES, ar, cpio, tar
from tests.unit.delta.test_containers_zip import archive, by_hand
from tests.unit.delta.trees import check, kinds, members, opened, view, walk
from waybill.delta.codecs import zstd
from waybill.delta.expand import Node, expand
from waybill.delta.io import BytesReader, MemorySpool, View
from waybill.delta.limits import Limits

LIMITS = Limits()


def prefixed(prefix: str, files: dict[str, bytes] = FILES) -> dict[str, bytes]:
    """``files`` as they are named inside of ``prefix``."""
    return {f"{prefix}/{name}": content for name, content in files.items()}


def test_what_is_no_archive_is_one_piece() -> None:
    """Empty, short, text, zeros, noise."""
    for data in (b"", b"x", b"PK\3\4", mixed(100), b"text\n" * 5000, bytes(100_000), random.Random(1).randbytes(70_000)):
        root = opened(data)
        assert (root.name, root.kind, root.children, root.where.length) == ("", "member", (), len(data))


def test_packages_of_every_kind() -> None:
    """What each ecosystem ships."""
    assert members(archive(FILES)) == FILES  # wheel, jar, nupkg
    assert members(gzip.compress(tar())) == FILES  # sdist, npm
    assert members(zstd.compress(tar())) == FILES
    for suffix, coder in (("gz", gzip.compress), ("xz", lzma.compress), ("zst", zstd.compress)):
        name = f"data.tar.{suffix}"
        deb = ar(
            (b"debian-binary", b"2.0\n"), (b"control.tar.gz", gzip.compress(tar({"control": mixed(300)}))), (name.encode(), coder(tar()))
        )
        assert members(deb) == {**prefixed(name), "control.tar.gz/control": mixed(300)}
    conda = archive({"pkg.tar.zst": zstd.compress(tar())}, zipfile.ZIP_STORED)
    assert members(conda) == prefixed("pkg.tar.zst")
    rpm = random.Random(2).randbytes(20_000) + zstd.compress(cpio((b"./usr/bin/x", mixed(300_000))))
    assert members(rpm) == {"./usr/bin/x": mixed(300_000)}


def test_containers_in_containers() -> None:
    """A compressed file in a wheel, a jar in a jar, a tar in a tgz: names say the way."""
    inner = gzip.compress(tar())
    wheel = archive({"data.json.gz": gzip.compress(mixed(5000)), "lib.jar": archive({"x.class": mixed(700)}), "sub.tgz": inner})
    assert members(wheel) == {"data.json.gz": mixed(5000), "lib.jar/x.class": mixed(700), **prefixed("sub.tgz")}
    assert members(gzip.compress(tar({"inner.tar": tar(), "inner.tgz": inner}))) == {**prefixed("inner.tar"), **prefixed("inner.tgz")}
    found = kinds(gzip.compress(tar({"deep.tgz": inner})))
    assert found[:3] == [("", "coded", "deflate"), ("deep.tgz", "container", ""), ("deep.tgz", "coded", "deflate")]


def test_short_members_stay_with_the_headers() -> None:
    """They are not worth a piece."""
    assert members(archive({"short": b"31 bytes are not worth a piece.", "long": b"32 bytes can well be worth a one"}, 0)) == {
        "long": b"32 bytes can well be worth a one"
    }
    assert kinds(archive({f"{i}": b"" for i in range(100)})) == []


def test_a_stream_of_nothing_is_not_opened() -> None:
    """An opened source of no bytes helps nobody."""
    coder = zlib.compressobj(wbits=-15)
    nothing = b"".join(coder.flush(zlib.Z_FULL_FLUSH) for _ in range(20)) + b"\x00\x00\x00\xff\xff" * 20 + coder.flush()
    assert [node.kind for node in walk(opened(by_hand((b"n", nothing, 8), (b"m", deflate(mixed(99)), 8))))].count("coded") == 1


def test_closed_streams() -> None:
    """Whoever knows the compressed bytes already need not open them."""
    asked: list[Node] = []

    def skip(node: Node) -> bool:
        asked.append(node)
        return node.name == "b/two.bin"

    data = archive()
    root = opened(data, skip=skip)
    coded = {node.name: node for node in walk(root) if node.kind == "coded"}
    assert [(node.name, node.kind, node.codec) for node in asked] == [
        *((name, "coded", "deflate") for name in coded),
        ("central directory", "coded", "zip-directory"),
    ]
    assert coded["b/two.bin"].plain is None
    assert all(node.plain is not None for name, node in coded.items() if name != "b/two.bin")
    spool = MemorySpool()
    closed = expand(view(data), spool, LIMITS, skip=lambda _: True)
    check(closed)
    assert spool.size == 0
    assert {node.name for node in walk(closed) if node.kind == "coded"} == set(coded)


def test_progress_and_cancelling() -> None:
    """Whoever listens hears of opened bytes and can end the work."""
    heard: list[tuple[str, int, int]] = []
    data = gzip.compress(bytes(1 << 24), 1)
    expand(view(data), MemorySpool(), LIMITS, progress=lambda *news: heard.append(news))
    assert [news[0] for news in heard] == ["open"] * len(heard)
    assert [news[1] for news in heard] == sorted(news[1] for news in heard)
    assert len(heard) in range(3, 6)

    def cancel(stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        expand(view(data), MemorySpool(), LIMITS, progress=cancel)


def test_all_opened_bytes_have_one_bound() -> None:
    """A stream beyond it stays closed; smaller ones may still be opened, and the spool never holds more."""
    few = replace(LIMITS, expansion_floor=100_000, expansion_ratio=1)
    data = archive({"large": bytes(1 << 20), "small": mixed(50_000), "second": mixed(60_000)})
    assert set(members(data, few)) == {"small"}
    liar = by_hand((b"liar", deflate(bytes(1 << 20)), 8), (b"small", deflate(mixed(50_000)), 8))
    at = liar.index(b"PK\1\2") + 24
    lying = liar[:at] + b"\x40\0\0\0" + liar[at + 4 :]
    spool = MemorySpool()
    root = expand(view(lying), spool, few)
    check(root)
    assert spool.size <= 100_000
    assert not any(node.plain for node in walk(root))


def test_bombs() -> None:
    """Zeros in zeros, and a zip of zips of zips: bounded in bytes and in time."""
    limits = replace(LIMITS, expansion_floor=1 << 24)
    zeros = bytes(1 << 27)
    bomb = gzip.compress(gzip.compress(zeros))
    layer = archive({"zeros": bytes(1 << 22)})
    for _ in range(5):
        layer = archive({f"{i}.zip": layer for i in range(16)})
    began = time.process_time()
    for data in (bomb, gzip.compress(zeros), zstd.compress(zeros), lzma.compress(zeros, preset=0), layer):
        spool = MemorySpool()
        check(expand(view(data), spool, limits))
        assert spool.size <= limits.expansion_of(len(data))
    assert time.process_time() - began < 20


def test_nesting_is_bounded() -> None:
    """A hundred levels: the first eight are opened."""
    data = mixed(1000)
    for level in range(100):
        data = (gzip.compress, zstd.compress, lambda inner: archive({"n": inner}), lambda inner: tar({"n": inner}))[level % 4](data)
    depth = 0
    node = opened(data)
    while inner := [child for child in node.children if child.kind in ("coded", "container")]:
        node = inner[0]
        depth += 1
    assert depth <= LIMITS.depth


def test_pieces_are_bounded_over_all_levels() -> None:
    """A tar of tars of many members makes no more pieces than one file may have, and still covers the file."""
    inner = tar({f"{i}": mixed(40) for i in range(300)})
    data = gzip.compress(tar({f"{i}.tar": inner for i in range(20)}))
    for nodes in (0, 10, 28, 100, 1000, 10_000):
        assert len(list(walk(opened(data, replace(LIMITS, nodes=nodes))))) <= max(1, nodes)


def test_names_cost_no_more_than_the_file() -> None:
    """A long name around many members is not repeated without end."""
    data = archive({"n" * 4000: tar({f"{i}": mixed(40) for i in range(100)})}, zipfile.ZIP_STORED)
    names = [node.name for node in walk(opened(data, replace(LIMITS, name_bytes=100))) if node.name]
    assert max(map(len, names)) == 100


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource")
def test_a_long_file_is_not_held_in_memory() -> None:
    """A tar of 4 GiB in which every byte is made up when it is read."""

    class Large:
        """Headers every 64 MiB, and zeros."""

        size = 1 << 32

        def read_at(self, offset: int, length: int) -> bytes:
            assert length <= 1 << 22
            step = 1 << 26
            first = -(-offset // step) * step
            data = bytearray(length)
            for at in range(first - step, offset + length, step):
                head, start = self._header(at // step), at - offset
                part = head[max(0, -start) : max(0, length - start)]
                data[max(0, start) : max(0, start) + len(part)] = part
            return bytes(data)

        def _header(self, number: int) -> bytes:
            from tests.unit.delta.test_containers_archives import header

            return header(b"%d" % number, b"%011o" % ((1 << 26) - 512))

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    source = Large()
    root = expand(View(source, 0, source.size), MemorySpool(), LIMITS)
    assert [node.where.length for node in root.children if node.kind == "member"] == [(1 << 26) - 512] * 64
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_every_cut_of_every_kind_is_survived() -> None:
    """Cut at any byte: a tree that covers what is there."""
    small = {"a": mixed(200, 1), "b": mixed(300, 2)}
    for data in (
        archive(small),
        gzip.compress(tar(small)),
        zstd.compress(tar(small)),
        lzma.compress(tar(small), preset=0),
        ar((b"data.tar.gz", gzip.compress(tar(small))), (b"x", mixed(50))),
    ):
        for length in range(len(data)):
            opened(data[:length])


def test_a_million_headers_without_content() -> None:
    """As many as fit into a few megabytes: linear time, one piece."""
    out = io.BytesIO()
    from tests.unit.delta.test_containers_archives import header

    out.write(header(b"n", b"0") * 40_000)
    began = time.process_time()
    assert opened(out.getvalue()).children == ()
    many = by_hand(*[(b"%05d" % i, b"", 0) for i in range(60_000)])
    assert kinds(many) == []
    assert time.process_time() - began < 10


def test_reading_over_a_file_that_is_a_view() -> None:
    """Offsets are those of the reader below, never of the view."""
    data = archive()
    root = expand(View(BytesReader(bytes(1000) + data + bytes(1000)), 1000, len(data)), MemorySpool(), LIMITS)
    check(root)
    assert root.children[0].where.offset == 1000
