# SPDX-License-Identifier: Apache-2.0
"""Numbers that an archive derives from its own bytes, taken out of them and put in again.

Two forms, both of the same length as what they stand for, so that everything else stays in its place:

* ``tar-header``: a header's checksum depends on every other byte of the header. Where it is the sum, written in a usual way, the field says only in which way.
* ``zip-directory``: an entry's offset depends on the sizes of all entries before it. It becomes the difference to where the entry before it would end.

To the rest of the engine these are codecs like any other: opened, and made again by an encoder. What does not fit stays as it is.
Byte-level description: docs/formats/delta-v1.md.
"""

import struct
from collections.abc import Callable
from typing import Final, NamedTuple

MOST: Final = 1 << 26
"""Bytes of one transformed range: they are held at once."""
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


def headers_open(data: bytes) -> bytes:
    """The headers before a file of a tar archive, without their checksums.

    Raises:
        NotReversibleError: a header's checksum field looks like one that was taken out.
    """
    return _headers(data, _take_out)


def headers_close(data: bytes) -> bytes:
    """The inverse of :func:`headers_open`."""
    return _headers(data, _put_in)


def _headers(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """``data`` with each header changed. From the first block on that is neither a header nor zero nothing is changed."""
    out, at = bytearray(data), 0
    while at + _BLOCK <= len(data):
        header = data[at : at + _BLOCK]
        content = _content_of(header)
        if content is None:
            break
        if content >= 0:
            out[at : at + _BLOCK] = change(header)
        at += _BLOCK + -(-max(content, 0) // _BLOCK) * _BLOCK
    return bytes(out)


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


class Transform(NamedTuple):
    """``open`` may raise NotReversibleError; ``close`` takes any bytes. Both keep the length."""

    open: Callable[[bytes], bytes]
    close: Callable[[bytes], bytes]


TRANSFORMS: Final = {
    "tar-header": Transform(headers_open, headers_close),
    "zip-directory": Transform(directory_open, directory_close),
}
"""By the name of the codec."""
