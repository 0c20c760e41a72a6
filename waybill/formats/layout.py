# SPDX-License-Identifier: Apache-2.0
"""Where bytes lie in the object store, and how a file is cut into parts.

Refused: a key from anything but a lower-case SHA-256 or an id of ours, so that no key can climb out of its place.
"""

import re
from dataclasses import dataclass
from typing import Final

from waybill.domain.ids import check_id
from waybill.errors import FormatError

MAX_PARTS: Final = 9_999
"""S3 allows 10,000 parts of one multipart upload; we stay below."""

_SHA256: Final = re.compile(r"^[0-9a-f]{64}$")
_MEBIBYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRange:
    """One part of a file: ``number`` from 1, the bytes ``[offset, offset + size_bytes)``."""

    number: int
    offset: int
    size_bytes: int


def check_sha256(text: str) -> str:
    """``text`` itself, when it is a SHA-256 in lower-case hexadecimal.

    Raises:
        FormatError: package.digest_unsupported, when it is anything else.
    """
    if not _SHA256.match(text) or text.endswith("\n"):
        raise FormatError("package.digest_unsupported", "That is no SHA-256", expected="64 of 0-9a-f", found=text[:80])
    return text


def blob_key(sha256: str) -> str:
    """The key of a blob: ``blobs/sha256/ab/ab…``.

    Raises:
        FormatError: package.digest_unsupported.
    """
    return f"blobs/sha256/{check_sha256(sha256)[:2]}/{sha256}"


def delta_key(sha256: str) -> str:
    """The key of a delta: ``deltas/sha256/ab/ab…``. Apart from the blobs: what lies here can be made again, and stands for no package.

    Raises:
        FormatError: package.digest_unsupported.
    """
    return f"deltas/sha256/{check_sha256(sha256)[:2]}/{sha256}"


def upload_key(upload_id: str) -> str:
    """The key of what one upload brings, while it is not proven: ``uploads/<id>``.

    Raises:
        FormatError: request.malformed, when it is not the id of an upload.
    """
    return f"uploads/{check_id(upload_id, 'upl', field='upload')}"


def carrier_key(carrier_id: str) -> str:
    """The key of a carrier file that this site wrote.

    Raises:
        FormatError: request.malformed, when it is not the id of a carrier.
    """
    return f"carriers/{check_id(carrier_id, 'car', field='carrier')}.tar"


def part_size_bytes(size_bytes: int, *, smallest: int) -> int:
    """The size of every part but the last, so that a file of ``size_bytes`` has at most ``MAX_PARTS`` parts.

    Args:
        size_bytes: of the whole file.
        smallest: what the site prefers; kept while the file is small enough, else raised to whole MiB.
    """
    needed = -(-size_bytes // MAX_PARTS)
    if needed <= smallest:
        return smallest
    return -(-needed // _MEBIBYTE) * _MEBIBYTE


def part_ranges(size_bytes: int, *, part_size: int) -> tuple[PartRange, ...]:
    """The parts of a file in order; they cover it once. An empty file has one empty part, since S3 completes nothing without a part."""
    offsets = range(0, size_bytes, part_size) if size_bytes else (0,)
    return tuple(
        PartRange(number=number, offset=offset, size_bytes=min(part_size, size_bytes - offset)) for number, offset in enumerate(offsets, 1)
    )
