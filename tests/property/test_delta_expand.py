# SPDX-License-Identifier: Apache-2.0
"""Properties of expanded files: the leaves are the file, whatever the file is."""

import bz2
import gzip
import lzma
import random
import zipfile
import zlib
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.delta.test_codecs import mixed
from tests.unit.delta.test_containers_archives import ar, cpio, tar
from tests.unit.delta.test_containers_zip import archive
from tests.unit.delta.trees import check, walk
from waybill.delta.codecs import decode, zstd
from waybill.delta.expand import Node, expand
from waybill.delta.io import BytesReader, MemorySpool, whole
from waybill.delta.limits import Limits

RELAXED = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
LIMITS = Limits(expansion_floor=1 << 22, nodes=2000)
SMALL = {"a/one.txt": mixed(400, 1), "b.bin": mixed(900, 2), "c": b"short", "d/" + "long" * 40: mixed(100, 3)}
DENSE = bytes(random.Random(1).choices(range(64), k=20_000)) + zlib.compress(random.Random(2).randbytes(60_000)) + mixed(3000)
SAMPLES: dict[str, bytes] = {
    "zip": archive(SMALL),
    "stored zip": archive({"in.zip": archive(SMALL), "in.gz": gzip.compress(mixed(300))}, zipfile.ZIP_STORED),
    "program with zip": b"#!/bin/sh\n" * 60 + archive(SMALL),
    "tar": tar(SMALL),
    "tgz": gzip.compress(tar(SMALL)),
    "members": gzip.compress(mixed(200)) + gzip.compress(mixed(500)),
    "deb": ar(
        (b"debian-binary", b"2.0\n"), (b"control.tar.gz", gzip.compress(tar(SMALL))), (b"data.tar.xz", lzma.compress(tar(SMALL), preset=0))
    ),
    "xz": lzma.compress(mixed(300), preset=0) + bytes(8) + lzma.compress(tar(SMALL), preset=0),
    "zst": zstd.compress(tar(SMALL)) + b"\x50\x2a\x4d\x18\3\0\0\0abc" + zstd.compress(mixed(99)),
    "bz2": bz2.compress(tar(SMALL)) + bz2.compress(mixed(400)),
    "lzma": lzma.compress(tar(SMALL), lzma.FORMAT_ALONE, preset=0),
    "cpio": cpio((b"one", mixed(300)), (b"two", gzip.compress(mixed(600)))),
    "hidden": DENSE,
}
WRAPPERS: tuple[Callable[[bytes], bytes], ...] = (
    gzip.compress,
    lambda data: lzma.compress(data, preset=0),
    zstd.compress,
    bz2.compress,
    lambda data: tar({"inner": data, "more": mixed(70)}),
    lambda data: archive({"inner": data, "more": mixed(70)}),
    lambda data: archive({"inner": data}, zipfile.ZIP_STORED),
    lambda data: ar((b"inner", data)),
    lambda data: b"#!/bin/sh" + data + b"\n",
)


def content(node: Node) -> bytes:
    """The bytes of a node as its parts tell them: streams are opened again, and compared with what is in the spool."""
    if node.plain is None:
        return b"".join(content(child) for child in node.children) or node.where.read()
    inner = b"".join(content(child) for child in node.children) or node.plain.read()
    assert b"".join(decode(node.codec, node.where, len(inner))) == inner
    return node.where.read()


def prove(data: bytes, limits: Limits = LIMITS) -> None:
    """Everything that is always true of a tree."""
    spool = MemorySpool()
    root = expand(whole(BytesReader(data)), spool, limits)
    check(root)
    assert content(root) == data
    assert spool.size <= limits.expansion_of(len(data))
    assert len(list(walk(root))) <= limits.nodes
    assert all(len(node.name) <= limits.name_bytes for node in walk(root))


@RELAXED
@given(st.sampled_from(sorted(SAMPLES)), st.lists(st.sampled_from(WRAPPERS), max_size=4))
def test_the_leaves_are_the_file(sample: str, wrappers: list[Callable[[bytes], bytes]]) -> None:
    """Through every nesting."""
    data = SAMPLES[sample]
    for one in wrappers:
        data = one(data)
    prove(data)


@settings(RELAXED, max_examples=400)
@given(st.sampled_from(sorted(SAMPLES)), st.integers(0, 1 << 32), st.sampled_from([1, 1, 2, 5, 40]))
def test_no_damage_leads_to_an_error(sample: str, seed: int, changes: int) -> None:
    """Bytes changed, cut out, doubled, swapped: the tree still covers what there is."""
    draw = random.Random(seed)
    data = bytearray(SAMPLES[sample])
    for _ in range(changes):
        at, length = draw.randrange(len(data)), draw.randrange(1, 60)
        match draw.randrange(5):
            case 0 | 1:
                data[at] = draw.randrange(256)
            case 2:
                data[at : at + 4] = draw.choice([b"\xff" * 4, bytes(4), b"\0\0\0\x80", b"PK\5\6", b"PK\1\2"])
            case 3:
                del data[at : at + length]
            case _:
                data[at:at] = data[draw.randrange(len(data)) :][:length]
        data = data or bytearray(b"\0")
    prove(bytes(data))


@RELAXED
@given(
    st.binary(max_size=3000),
    st.sampled_from([b"", b"PK\3\4", b"\x1f\x8b\x08", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"!<arch>\n", b"070701", b"BZh91AY&SY"]),
)
def test_no_bytes_lead_to_an_error(data: bytes, magic: bytes) -> None:
    """Also behind a magic number."""
    prove(magic + data)


@RELAXED
@given(st.sampled_from(sorted(SAMPLES)), st.integers(0, 200), st.integers(0, 1 << 18), st.integers(0, 3))
def test_every_bound_holds(sample: str, nodes: int, floor: int, depth: int) -> None:
    """However narrow; a file is at least one piece."""
    data = gzip.compress(tar({"inner": SAMPLES[sample]}))
    limits = Limits(expansion_ratio=0, expansion_floor=floor, nodes=max(1, nodes), depth=depth, name_bytes=8)
    prove(data, limits)
