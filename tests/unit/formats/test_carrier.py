# SPDX-License-Identifier: Apache-2.0
"""The carrier file: what goes in comes out; everything that is not announced is refused; a bad blob is refused alone."""

import gzip
import hashlib
import io
import tarfile
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.vectors import world
from waybill.errors import ConflictError, FormatError, WaybillError
from waybill.formats import carrier, carrier_index, tar
from waybill.formats.carrier import Member
from waybill.formats.carrier_index import CarrierBlob, CarrierIndexDoc

ENVELOPES = (("recall", world.signed_recall()), ("delivery", world.bundle()[0]))
BLOBS = (b"first package", b"", b"x" * 512, b"third" * 1000)
INDEX = world.carrier_index_doc(ENVELOPES, BLOBS)
SIGNED = world.signed_index(INDEX)


def sha256(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def members() -> list[Member]:
    """The members of the good carrier."""
    made = [Member(folder=carrier.ENVELOPES, sha256=sha256(data), size_bytes=len(data), pieces=[data]) for _, data in ENVELOPES]
    return made + [Member(folder=carrier.BLOBS, sha256=sha256(data), size_bytes=len(data), pieces=[data[:7], data[7:]]) for data in BLOBS]


GOOD = b"".join(carrier.write(SIGNED, members()))


def take(data: bytes, *, index: CarrierIndexDoc = INDEX, piece: int = 100_000) -> dict[str, bytes | str]:
    """What a reader gets out of ``data``: per digest the bytes, or the code with which that one member was refused."""
    reader = carrier.read(data[start : start + piece] for start in range(0, len(data), piece))
    got: dict[str, bytes | str] = {}
    for member in reader.members(index):
        try:
            got[member.sha256] = b"".join(member.pieces)
        except ConflictError as error:
            got[member.sha256] = error.code
    return got


def code_of(data: bytes, index: CarrierIndexDoc = INDEX) -> str:
    """The code with which the whole of ``data`` is refused."""
    with pytest.raises(WaybillError) as caught:
        take(data, index=index)
    return caught.value.code


@pytest.mark.parametrize("piece", [1, 511, 512, 100_000])
def test_round_trip_in_pieces_of_any_size(piece: int) -> None:
    """Index, envelopes and blobs come out as they went in, however the stream is cut."""
    assert carrier.read([GOOD]).index_envelope == SIGNED
    assert take(GOOD, piece=piece) == {sha256(data): data for data in (*[data for _, data in ENVELOPES], *BLOBS)}


def test_size_is_known_before() -> None:
    """The announced size is the size of the file."""
    assert carrier.size_of(len(SIGNED), [member.size_bytes for member in members()]) == len(GOOD)


def test_other_tools_read_it() -> None:
    """The file is a plain ustar archive."""
    with tarfile.open(fileobj=io.BytesIO(GOOD), mode="r:") as archive:
        names = archive.getnames()
        assert names[0] == tar.INDEX_NAME
        content = archive.extractfile(names[-1])
        assert content is not None
        assert content.read() == BLOBS[-1]
        assert all(one.isreg() and one.mode == 0o644 and one.mtime == 0 for one in archive.getmembers())


def test_members_that_are_not_taken_are_skipped() -> None:
    """A reader may leave a member unread, or half read, and go on."""
    reader = carrier.read([GOOD])
    seen = []
    for member in reader.members(INDEX):
        seen.append(member.sha256)
        if len(seen) in (3, 6):
            next(member.pieces)
    assert len(seen) == len(ENVELOPES) + len(BLOBS)


def test_only_the_bad_blob_is_refused() -> None:
    """One flipped bit in one blob: that one is refused, all others arrive."""
    at = GOOD.index(b"thirdthird")
    got = take(GOOD[:at] + bytes([GOOD[at] ^ 1]) + GOOD[at + 1 :])
    assert got[sha256(BLOBS[3])] == "package.hash_mismatch"
    assert [value for value in got.values() if isinstance(value, str)] == ["package.hash_mismatch"]


def test_every_truncation_is_noticed() -> None:
    """Cut at every block boundary, and around each, the file is truncated and nothing else."""
    for cut in range(0, len(GOOD), 512):
        for end in {cut, max(cut - 1, 0), cut + 1} - {len(GOOD)}:
            assert code_of(GOOD[:end]) == "carrier.truncated", end


def header(member: str, length: int = 0, **changes: bytes) -> bytes:
    """A header with fields overwritten and a valid checksum."""
    places = {"name": 0, "type": 156, "link": 157, "magic": 257, "prefix": 345, "size": 124}
    block = bytearray(tar.write_header(tar.Header(member, length)))
    for field, content in changes.items():
        block[places[field] : places[field] + len(content)] = content
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


NAME = f"blobs/sha256/{'0' * 64}"
BAD_NAMES = [
    b"../../etc/passwd",
    b"/etc/passwd",
    b"blobs/sha256/../x",
    b"blobs/sha256/" + b"0" * 63,
    b"blobs/sha256/" + b"0" * 65,
    b"blobs/sha256/" + b"G" * 64,
    b"blobs/sha256/" + b"A" * 64,
    b"blobs/md5/" + b"0" * 64,
    b"./blobs/sha256/" + b"0" * 64,
    b"blobs\\sha256\\" + b"0" * 64,
    b"index.dsse.json.bak",
    b"\xff\xfe",
    b"blobs/sha256/" + b"0" * 64 + b"\0hidden",
    b"blobs/sha256/" + b"0" * 64 + b"\n",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_outside_the_two_patterns_are_forbidden(name: bytes) -> None:
    """No name can mean a place on a disk."""
    assert code_of(before_end(header(NAME, name=name.ljust(100, b"\0")))) == "carrier.member_forbidden"


@pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"x", b"g", b"L", b"K", b"S", b"V", b"A"])
def test_only_regular_files_are_allowed(kind: bytes) -> None:
    """Links, devices, folders, pipes, PAX and GNU extensions and sparse maps are forbidden."""
    assert code_of(before_end(header(NAME, type=kind))) == "carrier.member_forbidden"


@pytest.mark.parametrize("change", [{"link": b"x"}, {"prefix": b"../.."}])
def test_links_and_prefixes_must_be_empty(change: dict[str, Any]) -> None:
    """No second place in a header may say where a member belongs."""
    assert code_of(before_end(header(NAME, **change))) == "carrier.member_forbidden"


def before_end(block: bytes) -> bytes:
    """The good carrier with ``block`` put before its end mark."""
    return GOOD[: -len(tar.END)] + block + tar.END


def test_an_extra_member_is_unexpected() -> None:
    """A valid-looking blob that the index does not name, or one that comes twice, is refused."""
    extra = Member(folder=carrier.BLOBS, sha256=sha256(b"extra"), size_bytes=5, pieces=[b"extra"])
    assert code_of(b"".join(carrier.write(SIGNED, [*members(), extra]))) == "carrier.member_unexpected"
    assert code_of(b"".join(carrier.write(SIGNED, [*members(), members()[-1]]))) == "carrier.member_unexpected"
    assert code_of(b"".join(carrier.write(SIGNED, [members()[1], members()[0], *members()[2:]]))) == "carrier.member_unexpected"
    assert code_of(b"".join(carrier.write(SIGNED, members()[:-1]))) == "carrier.truncated"


def test_a_size_other_than_the_index_says_is_unexpected() -> None:
    """Sizes are those of the signed index, not of the header."""
    grown = replace(INDEX, blobs=(*INDEX.blobs[:-1], replace(INDEX.blobs[-1], size_bytes=INDEX.blobs[-1].size_bytes + 1)))
    assert code_of(GOOD, grown) == "carrier.member_unexpected"


def test_a_million_empty_members_cost_nothing() -> None:
    """The first member that the index does not name ends it."""

    def flood() -> Iterator[bytes]:
        yield GOOD[: -len(tar.END)]
        for _ in range(1_000_000):
            yield header(NAME)

    with pytest.raises(FormatError) as caught:
        list(carrier.read(flood()).members(INDEX))
    assert caught.value.code == "carrier.member_unexpected"


def test_an_index_of_too_many_members_is_over_the_limit() -> None:
    """The index itself is bounded."""
    entry = CarrierBlob(role="package", sha256="0" * 64, size_bytes=0)
    many = replace(INDEX, blobs=tuple(replace(entry, sha256=f"{number:064x}") for number in range(20_001)))
    with pytest.raises(FormatError) as caught:
        carrier_index.encode(many)
    assert caught.value.code == "limit.exceeded"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: gzip.compress(data),
        lambda data: b"PK\x03\x04" + data,
        lambda data: data[512:] + bytes(1024),
        lambda data: bytes(1024),
        lambda data: tar.write_header(tar.Header(NAME, 0)) + data,
        lambda data: data[:300] + b"\x01" + data[301:],
        lambda data: data[:512] + bytes(512) + data[512:],
        lambda data: header(tar.INDEX_NAME, magic=b"ustar  \0") + data[512:],
        lambda data: header(tar.INDEX_NAME, size=b"-0000000001\0") + data[512:],
        lambda data: header(tar.INDEX_NAME, size=b"\x80" + bytes(11)) + data[512:],
        lambda data: data + b"more",
        lambda data: data[: -len(tar.END)] + bytes(512) + header(NAME) + tar.END,
    ],
)
def test_anything_but_a_plain_carrier_is_malformed(spoil: Callable[[bytes], bytes]) -> None:
    """Compressed, index not first, bad checksum, odd sizes, junk after the end."""
    assert code_of(spoil(GOOD)) == "carrier.malformed"


def test_padding_must_be_zero() -> None:
    """Nothing can hide between members."""
    at = 512 + len(SIGNED)
    assert len(SIGNED) % 512
    assert code_of(GOOD[:at] + b"\x01" + GOOD[at + 1 :]) == "carrier.malformed"


def test_zero_blocks_after_the_end_are_allowed() -> None:
    """Tape tools pad to a record."""
    assert take(GOOD + bytes(10240)) == take(GOOD)


def test_the_index_is_bounded() -> None:
    """An index over 16 MiB is refused unread."""
    assert code_of(tar.write_header(tar.Header(tar.INDEX_NAME, 16 * 1024 * 1024 + 1))) == "limit.exceeded"


def test_the_writer_refuses_bytes_that_are_not_announced() -> None:
    """A store that returns other bytes never makes a carrier."""
    short = Member(folder=carrier.BLOBS, sha256=sha256(b"ab"), size_bytes=2, pieces=[b"a"])
    other = Member(folder=carrier.BLOBS, sha256=sha256(b"ab"), size_bytes=2, pieces=[b"ax"])
    long = Member(folder=carrier.BLOBS, sha256=sha256(b"ab"), size_bytes=2, pieces=[b"ab", b"c"])
    codes = []
    for member in (short, other, long):
        with pytest.raises(ConflictError) as caught:
            list(carrier.write(SIGNED, [member]))
        codes.append(caught.value.code)
    assert codes == ["package.hash_mismatch", "package.hash_mismatch", "package.size_exceeded"]
    with pytest.raises(ValueError, match="not the name"):
        list(carrier.write(SIGNED, [Member(folder="elsewhere", sha256="0" * 64, size_bytes=0, pieces=[])]))


def test_sizes_over_eight_gibibytes_have_a_form() -> None:
    """Packages up to 50 GiB fit into one member."""
    large = tar.Header(NAME, 50 * 1024**3)
    assert tar.read_header(tar.write_header(large)) == large
    with tarfile.open(fileobj=io.BytesIO(tar.write_header(large) + bytes(1024)), mode="r:") as archive:
        assert next(iter(archive)).size == 50 * 1024**3


def test_memory_does_not_grow_with_a_member() -> None:
    """128 MiB pass through writer and reader within 16 MiB."""
    piece, count = bytes(1024 * 1024), 128
    hasher = hashlib.sha256()
    for _ in range(count):
        hasher.update(piece)
    blob = CarrierBlob(role="package", sha256=hasher.hexdigest(), size_bytes=len(piece) * count)
    index = replace(INDEX, envelopes=(), blobs=(blob,))
    member = Member(folder=carrier.BLOBS, sha256=blob.sha256, size_bytes=blob.size_bytes, pieces=(piece for _ in range(count)))
    tracemalloc.start()
    try:
        reader = carrier.read(carrier.write(world.signed_index(index), [member]))
        total = sum(len(part) for one in reader.members(index) for part in one.pieces)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == blob.size_bytes
    assert peak < 16 * 1024 * 1024


def test_envelopes_are_read_whole() -> None:
    """``read`` gives an envelope at once and refuses one over the limit."""
    reader = carrier.read([GOOD])
    member = next(iter(reader.members(INDEX)))
    assert member.read() == ENVELOPES[0][1]
    member.size_bytes = 16 * 1024 * 1024 + 1
    with pytest.raises(FormatError) as caught:
        member.read()
    assert caught.value.code == "limit.exceeded"


def test_volumes_of_a_set() -> None:
    """All volumes, in any order; a missing one is named, one of another set is refused."""
    first, second, third = (replace(INDEX, volume=number, volumes=3) for number in (1, 2, 3))
    carrier_index.check_volumes([third, first, second])
    with pytest.raises(FormatError) as caught:
        carrier_index.check_volumes([first, third])
    assert (caught.value.code, caught.value.found) == ("carrier.volume_missing", "without 2")
    with pytest.raises(FormatError) as caught:
        carrier_index.check_volumes([first, second, replace(third, set_id=world.fixed_id("car", "other"))])
    assert caught.value.code == "carrier.malformed"
