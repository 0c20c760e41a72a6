# SPDX-License-Identifier: Apache-2.0
"""Numbers that an archive derives from its own bytes, taken out of them and put in again.

Two forms, both of the same length as what they stand for, so that everything else stays in its place:

* ``tar``: a header's checksum depends on every other byte of the header. Where it is the sum, written in a usual way, the field says only in which way.
* ``zip-directory``: an entry's offset depends on the sizes of all entries before it. It becomes the difference to where the entry before it would end.

To the rest of the engine these are codecs like any other: opened on both sides, made again by an encoder. What does not fit stays as it is.
Byte-level description: docs/formats/delta-v1.md.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Final

_BLOCK: Final = 512
_SUM: Final = slice(148, 156)
_WAYS: Final[tuple[Callable[[int], bytes], ...]] = (
    lambda total: b"%06o\0 " % total,
    lambda total: b"%07o\0" % total,
    lambda total: b"%06o \0" % total,
    lambda total: b"%6o\0 " % total,
)
_TAKEN_OUT: Final = b"\0" * 7
_DIRECTORY: Final = b"PK\x01\x02"
_OFFSET: Final = 42
_ENTRY: Final = 46
_WRAP: Final = 1 << 32


class NotReversibleError(ValueError):
    """The bytes already look like what the transform would make of others."""


def tar_open(data: Iterable[bytes]) -> Iterator[bytes]:
    """A tar archive with the checksums of its headers taken out.

    Raises:
        NotReversibleError: a header's checksum field looks like one that was taken out.
    """
    return _headers(data, _take_out)


def tar_close(data: Iterable[bytes]) -> Iterator[bytes]:
    """The inverse of :func:`tar_open`."""
    return _headers(data, _put_in)


def _take_out(header: bytes) -> bytes:
    field = header[_SUM]
    if field[:7] == _TAKEN_OUT and field[7] <= len(_WAYS):
        raise NotReversibleError("a checksum field looks like one that was taken out")
    total = _sum(header)
    for number, way in enumerate(_WAYS, 1):
        if way(total) == field:
            return header[: _SUM.start] + _TAKEN_OUT + bytes([number]) + header[_SUM.stop :]
    return header


def _put_in(header: bytes) -> bytes:
    field = header[_SUM]
    if field[:7] != _TAKEN_OUT or not 1 <= field[7] <= len(_WAYS):
        return header
    return header[: _SUM.start] + _WAYS[field[7] - 1](_sum(header)) + header[_SUM.stop :]


def _sum(header: bytes) -> int:
    return sum(header) - sum(header[_SUM]) + 8 * 32


def _headers(data: Iterable[bytes], change: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """Passes ``data`` through and changes each header. From the first block that is neither a header nor zero on, nothing is changed."""
    held, skip, ended = b"", 0, False
    for part in data:
        held = held + part if held else part
        if ended:
            yield held
            held = b""
            continue
        out, at = [], 0
        while len(held) - at >= (1 if skip else _BLOCK):
            if skip:
                size = min(skip, len(held) - at)
                out.append(held[at : at + size])
                skip -= size
                at += size
                continue
            header = held[at : at + _BLOCK]
            content = _content_of(header)
            if content is None:
                ended = True
                break
            out.append(change(header) if content >= 0 else header)
            skip = -(-max(content, 0) // _BLOCK) * _BLOCK
            at += _BLOCK
        held = held[at:]
        if ended:
            out.append(held)
            held = b""
        if out:
            yield b"".join(out)
    if held:
        yield held


def _content_of(header: bytes) -> int | None:
    """Bytes of content after a header; -1 for a block of zeros; None for anything else. The checksum field does not matter for it."""
    if header[257:262] != b"ustar":
        return -1 if not any(header) else None
    field = header[124:136]
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big")
    try:
        return int(field.split(b"\0")[0].strip() or b"0", 8)
    except ValueError:
        return None


def directory_open(data: bytes) -> bytes:
    """The central directory of a zip archive, with what follows it, with offsets as differences."""
    return _directory(data, opening=True)


def directory_close(data: bytes) -> bytes:
    """The inverse of :func:`directory_open`."""
    return _directory(data, opening=False)


def _directory(data: bytes, *, opening: bool) -> bytes:
    out = bytearray(data)
    at = expected = 0
    while data[at : at + 4] == _DIRECTORY and at + _ENTRY <= len(data):
        (size,) = struct.unpack_from("<I", data, at + 20)
        name, extra, comment = struct.unpack_from("<HHH", data, at + 28)
        (field,) = struct.unpack_from("<I", data, at + _OFFSET)
        changed = (field - expected if opening else field + expected) % _WRAP
        struct.pack_into("<I", out, at + _OFFSET, changed)
        expected = ((field if opening else changed) + 30 + name + size) % _WRAP
        at += _ENTRY + name + extra + comment
    return bytes(out)
