# SPDX-License-Identifier: Apache-2.0
"""Both sides together: whatever the packages are, the very file comes out, for little where they have much in common."""

import bz2
import gzip
import io
import itertools
import lzma
import random
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal

import pytest

from tests.delta_subjects import subjects, tools
from waybill.delta import reader
from waybill.delta.apply import apply
from waybill.delta.codecs import zstd
from waybill.delta.encoders import EncoderSet
from waybill.delta.io import BytesReader, MemorySpool
from waybill.delta.limits import Limits
from waybill.delta.make import Summary, make
from waybill.delta.tools import Tools
from waybill.errors import WaybillError

Tier = Literal["online", "best"]
TIERS: tuple[Tier, ...] = ("online", "best")
CHANCE = random.Random(5)
WORDS = [CHANCE.randbytes(CHANCE.randrange(2, 7)).hex() for _ in range(300)]
MEMBERS = {f"pack/part-{number}.txt": " ".join(CHANCE.choices(WORDS, k=700)).encode() for number in range(12)}
LATER = {
    **MEMBERS,
    "pack/part-3.txt": MEMBERS["pack/part-3.txt"].replace(WORDS[7].encode(), b"changed"),
    "pack/new.txt": b"something new " * 9,
}


def _zip(members: dict[str, bytes], level: int = 6) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _tar(members: dict[str, bytes], when: int = 0) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(data), when
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def _deb(data: bytes, name: str) -> bytes:
    out = b"!<arch>\n"
    for member, content in (("debian-binary", b"2.0\n"), (name, data)):
        out += f"{member:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode() + content + b"\n" * (len(content) % 2)
    return out


PACKAGES: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "zip": _zip,
    "tgz": lambda members: gzip.compress(_tar(members), 9, mtime=0),
    "tar": _tar,
    "tar.bz2": lambda members: bz2.compress(_tar(members)),
    "deb, xz": lambda members: _deb(lzma.compress(_tar(members), preset=6), "data.tar.xz"),
    "deb, zst": lambda members: _deb(zstd.compress(_tar(members), 19), "data.tar.zst"),
    "zstd frame": lambda members: zstd.compress(_tar(members), 3),
    "tgz in zip": lambda members: _zip({"inner.tgz": gzip.compress(_tar(members), 6, mtime=0)}),
    "opaque": lambda members: b"\x7f".join(members.values()),
}


def both(old: bytes, new: bytes, with_tools: Tools, tier: Tier = "online") -> tuple[bytes, Summary]:
    """The delta, after it has made ``new`` of ``old``."""
    told, rebuilt = MemorySpool(), MemorySpool()
    summary = make(BytesReader(old), BytesReader(new), told, tools=with_tools, tier=tier)
    delta = told.read_at(0, told.size)
    apply(BytesReader(old), BytesReader(delta), rebuilt, tools=with_tools)
    assert rebuilt.read_at(0, rebuilt.size) == new
    assert summary.size == len(delta)
    return delta, summary


@pytest.mark.parametrize("kind", list(PACKAGES))
@pytest.mark.parametrize("tier", TIERS)
def test_a_new_version_costs_what_changed(kind: str, tier: Tier) -> None:
    """Less than a tenth of the package, of every kind; and each of its streams is made again."""
    old, new = PACKAGES[kind](MEMBERS), PACKAGES[kind](LATER)
    delta, summary = both(old, new, tools(), tier)
    assert len(delta) < len(new) // 10
    assert summary.streams_kept == 0
    assert summary.way == "opened"


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize(
    ("old", "new"),
    [(b"", b""), (b"", b"new" * 99), (b"old" * 99, b""), (b"same" * 999, b"same" * 999), (_zip(MEMBERS), _zip(MEMBERS))],
    ids=["nothing", "from nothing", "to nothing", "the same", "the same archive"],
)
def test_borders(old: bytes, new: bytes, tier: Tier) -> None:
    delta, _ = both(old, new, tools(), tier)
    assert len(delta) < 300


def test_files_without_anything_in_common_cost_no_more_than_themselves() -> None:
    old, new = CHANCE.randbytes(200_000), CHANCE.randbytes(200_000)
    delta, _ = both(old, new, tools())
    assert len(delta) < len(new) * 1.001 + 200


def test_what_is_the_same_is_not_inflated() -> None:
    """Streams that both have are copied as they stand: nothing is opened and nothing compressed again."""
    old = _zip(MEMBERS)
    delta, summary = both(old, _zip({"pack/first": b"inserted before all others " * 3, **MEMBERS}), tools())
    recipe = reader.read(BytesReader(delta), Limits()).recipe
    assert [one.codec for one in recipe.opened] in ([], ["zip-directory"])
    assert summary.streams <= 2
    assert summary.copied > len(old) * 0.8


def test_renamed_and_version_named_members_meet() -> None:
    text = " ".join(CHANCE.choices(WORDS, k=20_000)).encode()
    edited = text.replace(WORDS[3].encode(), b"other")
    for before, after in (("lib/x-1.2.3.js", "lib/x-1.2.4.js"), ("a/only.js", "b/only.js")):
        delta, _ = both(_zip({before: text}), _zip({after: edited}), tools())
        assert len(delta) < len(_zip({after: edited})) // 10


def test_without_an_aligner_and_without_encoders_it_is_exact_all_the_same() -> None:
    old, new = PACKAGES["tgz"](MEMBERS), PACKAGES["tgz"](LATER)
    small, _ = both(old, new, replace(tools(), aligner=None))
    large, summary = both(old, new, replace(tools(), encoders=EncoderSet(())))
    assert len(small) < len(new) // 10 < len(large)
    assert not summary.encoders


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("kind", ["opaque", "tar", "zip"])
def test_small_blocks_make_the_same_file(kind: str, tier: Tier) -> None:
    """A package larger than a block is told by several; members larger than a block by pieces."""
    chance = random.Random(8)
    members = {"big.bin": chance.randbytes(400_000), **MEMBERS}
    later = {**LATER, "big.bin": members["big.bin"][:150_000] + b"inserted" + members["big.bin"][150_000:-99]}
    limits = Limits(block_bytes=1 << 17)
    old, new = PACKAGES[kind](members), PACKAGES[kind](later)
    delta, _ = both(old, new, replace(tools(), limits=limits), tier)
    found = reader.read(BytesReader(delta), limits)
    assert all(block.size + sum(place.length for place in block.base) <= limits.block_bytes for block in found.recipe.blocks)
    assert len(delta) < len(new) // 2


def test_nested_streams_keep_the_receivers_bounds() -> None:
    """What would be nested too deeply, or would need too much memory at once, stays compressed."""
    data = MEMBERS["pack/part-1.txt"] * 3
    for level in range(6):
        data = gzip.compress(data + bytes([level]), 6, mtime=0)
    old = gzip.compress(MEMBERS["pack/part-1.txt"], 6, mtime=0)
    both(old, data, replace(tools(), limits=Limits(stream_depth=2)))
    heavy = lzma.compress(lzma.compress(MEMBERS["pack/part-2.txt"] * 4, preset=6), preset=6)
    both(old, heavy, replace(tools(), limits=Limits(encoder_memory=100 << 20)))


def test_progress_is_heard_and_ends_the_work() -> None:
    old, new = PACKAGES["deb, xz"](MEMBERS), PACKAGES["deb, xz"](LATER)
    told = MemorySpool()
    make(BytesReader(old), BytesReader(new), told, tools=tools())
    heard: list[str] = []

    def ear(stage: str, done: int, total: int) -> None:
        assert done <= total or not total
        heard.append(stage)

    apply(BytesReader(old), BytesReader(told.read_at(0, told.size)), MemorySpool(), tools=replace(tools(), progress=ear))
    assert {"open", "rebuild"} <= set(heard)

    def stop(stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(BytesReader(old), BytesReader(new), MemorySpool(), tools=replace(tools(), progress=stop))


def _wrong() -> Iterator[tuple[str, bytes, bytes]]:
    for one, other in itertools.pairwise(subjects()):
        if one.base != other.base:
            yield one.name, other.base, one.delta


@pytest.mark.parametrize(("name", "base", "delta"), list(_wrong()), ids=[name for name, _, _ in _wrong()])
def test_a_wrong_base_is_refused_before_anything_else(name: str, base: bytes, delta: bytes) -> None:
    del name
    sink = MemorySpool()
    with pytest.raises(WaybillError, match=r"delta\.base_mismatch"):
        apply(BytesReader(base), BytesReader(delta), sink, tools=tools())
    assert sink.size == 0
