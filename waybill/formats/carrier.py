# SPDX-License-Identifier: Apache-2.0
"""The carrier file: a signed index, then envelopes and blobs under their digests, read and written as a stream.

Nothing is ever extracted by name: the reader hands out bytes that the signed index announced, in its order, under its sizes and digests.
A blob that fails its digest is refused alone. Memory does not grow with the size of a member.
Byte-level description: docs/formats/carrier-v1.md.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from waybill.errors import ConflictError, FormatError
from waybill.formats import tar
from waybill.formats.carrier_index import CarrierBlob, CarrierEnvelope, CarrierIndexDoc
from waybill.formats.envelope import MAX_ENVELOPE_BYTES

PIECE_BYTES: Final = 1024 * 1024
ENVELOPES: Final = "envelopes"
BLOBS: Final = "blobs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What the writer puts after the index. ``folder`` is ``ENVELOPES`` or ``BLOBS``; ``pieces`` must give exactly ``size_bytes``."""

    folder: str
    sha256: str
    size_bytes: int
    pieces: Iterable[bytes]


def write(index_envelope: bytes, members: Iterable[Member]) -> Iterator[bytes]:
    """The carrier file in pieces: the index, the members in the order of the index, the end mark.

    Args:
        index_envelope: the signed index; it must list ``members`` in their order, envelopes first.
        members: consumed one after the other; only one piece is in memory.
    Raises:
        ConflictError: package.hash_mismatch or package.size_exceeded, when a member's pieces are not the bytes that it announces.
    Source: docs/formats/carrier-v1.md, section 3.
    """
    yield tar.write_header(tar.Header(tar.INDEX_NAME, len(index_envelope)))
    yield index_envelope
    yield bytes(tar.padding(len(index_envelope)))
    for member in members:
        name = tar.member_name(member.folder, member.sha256)
        yield tar.write_header(tar.Header(name, member.size_bytes))
        yield from _checked(member.pieces, name, member.sha256, member.size_bytes)
        yield bytes(tar.padding(member.size_bytes))
    yield tar.END


def size_of(index_bytes: int, member_sizes: Iterable[int]) -> int:
    """The exact size in bytes of a carrier file, known before it is written."""
    sizes = [index_bytes, *member_sizes]
    return sum(tar.BLOCK + size + tar.padding(size) for size in sizes) + len(tar.END)


def read(stream: Iterable[bytes]) -> "CarrierReader":
    """A reader over ``stream`` that has read the first member, the index, and nothing else.

    Args:
        stream: the carrier file in pieces of any size.
    Raises:
        FormatError: carrier.malformed, when the stream is no carrier or another member stands first; carrier.truncated;
            carrier.member_forbidden; limit.exceeded, when the index is over 16 MiB.
    """
    return CarrierReader(stream)


@dataclass(slots=True)
class CarrierMember:
    """One member while the reader stands at it. Take ``pieces`` before the next member; what is not taken is skipped."""

    folder: str
    sha256: str
    size_bytes: int
    entry: CarrierEnvelope | CarrierBlob
    pieces: Iterator[bytes]
    """The content. Raises ConflictError package.hash_mismatch after the last piece, when the digest is another."""

    def read(self) -> bytes:
        """The whole content of an envelope. Raises FormatError limit.exceeded over 16 MiB; ConflictError package.hash_mismatch."""
        if self.size_bytes > MAX_ENVELOPE_BYTES:
            raise FormatError(
                "limit.exceeded", "An envelope is too large", expected=f"at most {MAX_ENVELOPE_BYTES} bytes", found=self.size_bytes
            )
        return b"".join(self.pieces)


class CarrierReader:
    """Reads one carrier file once, from front to end. Verify ``index_envelope`` before asking for ``members``."""

    def __init__(self, stream: Iterable[bytes]) -> None:
        self._source = _Source(stream)
        header = self._header()
        if header is None or header.name != tar.INDEX_NAME:
            raise FormatError("carrier.malformed", "The index does not stand first", expected=tar.INDEX_NAME, found=header and header.name)
        if header.size_bytes > MAX_ENVELOPE_BYTES:
            raise FormatError(
                "limit.exceeded", "The index is too large", expected=f"at most {MAX_ENVELOPE_BYTES} bytes", found=header.size_bytes
            )
        self.index_envelope: bytes = b"".join(self._source.pieces(header.size_bytes))
        """The signed index as it stands in the file; unverified."""
        self._pad(header.size_bytes)

    def members(self, index: CarrierIndexDoc) -> Iterator[CarrierMember]:
        """The members that ``index`` names, in its order, and then a proper end.

        Args:
            index: the verified index of exactly this file (waybill.trust.verify.verify_carrier_index of ``index_envelope``).
        Raises:
            FormatError: carrier.truncated, when the file ends early; carrier.member_unexpected, when something comes that the index
                does not name at this place; carrier.member_forbidden; carrier.malformed.
        """
        entries: list[tuple[str, CarrierEnvelope | CarrierBlob]] = [(ENVELOPES, envelope) for envelope in index.envelopes]
        entries += [(BLOBS, blob) for blob in index.blobs]
        for folder, entry in entries:
            name = tar.member_name(folder, entry.sha256)
            header = self._header()
            if header is None:
                raise FormatError("carrier.truncated", "The carrier ends before its index says", expected=name)
            if header.name != name or header.size_bytes != entry.size_bytes:
                raise _unexpected(header, f"{name} of {entry.size_bytes} bytes")
            content = self._source.pieces(entry.size_bytes)
            member = CarrierMember(
                folder=folder,
                sha256=entry.sha256,
                size_bytes=entry.size_bytes,
                entry=entry,
                pieces=_checked(content, name, entry.sha256, entry.size_bytes),
            )
            yield member
            for _ in content:  # what the caller did not take
                pass
            self._pad(entry.size_bytes)
        header = self._header()
        if header is not None:
            raise _unexpected(header, "the end of the carrier")
        self._source.check_zero_to_end()

    def _header(self) -> tar.Header | None:
        """The next header, or None at the end mark of two zero blocks."""
        block = self._source.exactly(tar.BLOCK)
        if any(block):
            return tar.read_header(block)
        if any(self._source.exactly(tar.BLOCK)):
            raise FormatError("carrier.malformed", "A lone zero block stands between members")
        return None

    def _pad(self, size_bytes: int) -> None:
        if any(self._source.exactly(tar.padding(size_bytes))):
            raise FormatError("carrier.malformed", "The padding of a member is not zero")


def _checked(pieces: Iterable[bytes], name: str, sha256: str, size_bytes: int) -> Iterator[bytes]:
    """``pieces`` again; after the last one their size and digest are proven."""
    hasher = hashlib.sha256()
    seen = 0
    for piece in pieces:
        seen += len(piece)
        if seen > size_bytes:
            raise ConflictError("package.size_exceeded", "More bytes came than were announced", field=name, expected=size_bytes)
        hasher.update(piece)
        yield piece
    if seen != size_bytes or hasher.hexdigest() != sha256:
        raise ConflictError(
            "package.hash_mismatch", "The bytes are not those of the index", field=name, expected=sha256, found=hasher.hexdigest()
        )


def _unexpected(header: tar.Header, expected: str) -> FormatError:
    return FormatError(
        "carrier.member_unexpected",
        "The carrier holds something that its index does not name here",
        field=header.name,
        expected=expected,
        found=f"{header.name} of {header.size_bytes} bytes",
    )


class _Source:
    """Bytes of a stream by count; never more than one piece is kept."""

    def __init__(self, stream: Iterable[bytes]) -> None:
        self._stream = iter(stream)
        self._rest = memoryview(b"")

    def pieces(self, count: int) -> Iterator[bytes]:
        """Exactly ``count`` bytes in pieces of at most 1 MiB. Raises FormatError carrier.truncated."""
        while count:
            if not self._rest and not self._fill():
                raise FormatError("carrier.truncated", "The carrier ends inside a member", expected=f"{count} more bytes")
            piece = bytes(self._rest[: min(count, PIECE_BYTES)])
            self._rest = self._rest[len(piece) :]
            count -= len(piece)
            yield piece

    def exactly(self, count: int) -> bytes:
        """``count`` bytes at once. Raises FormatError carrier.truncated."""
        return b"".join(self.pieces(count))

    def check_zero_to_end(self) -> None:
        """Only zero bytes follow, as tape tools pad a file. Raises FormatError carrier.malformed."""
        while self._rest or self._fill():
            if any(self._rest):
                raise FormatError("carrier.malformed", "Something follows the end of the carrier")
            self._rest = memoryview(b"")

    def _fill(self) -> bool:
        for piece in self._stream:
            if piece:
                self._rest = memoryview(piece)
                return True
        return False
