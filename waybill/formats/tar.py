# SPDX-License-Identifier: Apache-2.0
"""Headers of the uncompressed ustar container: 512-byte blocks written and read by hand.

The library's tar module is not used for reading: it follows links, long-name extensions and sparse maps, which this format does not have.
Byte-level description: docs/formats/carrier-v1.md, section 3; POSIX.1-2017, pax, "ustar Interchange Format".
"""

import re
from dataclasses import dataclass
from typing import Final

from waybill.errors import FormatError

BLOCK: Final = 512
END: Final = b"\0" * (2 * BLOCK)
INDEX_NAME: Final = "index.dsse.json"
_MAGIC: Final = b"ustar\x0000"
_MEMBER: Final = re.compile(r"(envelopes|blobs)/sha256/([0-9a-f]{64})")
_OCTAL: Final = re.compile(rb"[0-7]{11}[\0 ]")
_LARGEST_OCTAL: Final = 8**11 - 1


@dataclass(frozen=True, slots=True)
class Header:
    """A regular file: its name, one of the two patterns or the index, and its size in bytes."""

    name: str
    size_bytes: int


def member_name(folder: str, sha256: str) -> str:
    """``envelopes/sha256/<hex>`` or ``blobs/sha256/<hex>``."""
    name = f"{folder}/sha256/{sha256}"
    if not _MEMBER.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a carrier member")
    return name


def padding(size_bytes: int) -> int:
    """How many zero bytes follow ``size_bytes`` bytes of content."""
    return -size_bytes % BLOCK


def write_header(header: Header) -> bytes:
    """The 512 bytes before the content: mode 0644, no owner, no time. Sizes over 8 GiB are written in base 256."""
    size = header.size_bytes
    size_field = b"%011o\0" % size if size <= _LARGEST_OCTAL else b"\x80" + size.to_bytes(11, "big")
    block = bytearray(BLOCK)
    name = header.name.encode("ascii")
    for offset, content in (
        (0, name),
        (100, b"0000644\0"),
        (108, b"0000000\0"),
        (116, b"0000000\0"),
        (124, size_field),
        (136, b"00000000000\0"),
        (148, b"        "),
        (156, b"0"),
        (257, _MAGIC),
    ):
        block[offset : offset + len(content)] = content
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def read_header(block: bytes) -> Header:
    """The header in ``block``.

    Raises:
        FormatError: carrier.malformed, when it is no ustar header; carrier.member_forbidden, when it is anything but a regular file
            under one of the allowed names.
    """
    if block[257:265] != _MAGIC or _checksum(block) != sum(block[:148]) + sum(block[156:]) + 8 * 0x20:
        raise FormatError("carrier.malformed", "This is no uncompressed ustar file", expected="a ustar header")
    if block[156:157] not in (b"0", b"\0") or any(block[157:257]) or any(block[345:500]):
        raise _forbidden("Only regular files are allowed", block[156:157])
    raw_name, _, rest = block[:100].partition(b"\0")
    name = raw_name.decode("ascii", errors="replace")
    if any(rest) or not (name == INDEX_NAME or _MEMBER.fullmatch(name)):
        raise _forbidden("The name of a member is not allowed", raw_name[:80])
    return Header(name, _size(block[124:136]))


def _checksum(block: bytes) -> int:
    field = block[148:156].rstrip(b"\0 ")
    return int(field, 8) if re.fullmatch(rb"[0-7]{1,7}", field) else -1


def _size(field: bytes) -> int:
    if field[0] == 0x80:
        size = int.from_bytes(field[1:], "big")
        if _LARGEST_OCTAL < size <= 2**50:
            return size
    elif _OCTAL.fullmatch(field):
        return int(field[:11], 8)
    raise FormatError("carrier.malformed", "The size of a member cannot be read", found=field.hex())


def _forbidden(message: str, found: bytes) -> FormatError:
    return FormatError("carrier.member_forbidden", message, expected="a regular file under its digest", found=repr(found))
