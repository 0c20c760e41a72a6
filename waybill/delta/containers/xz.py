# SPDX-License-Identifier: Apache-2.0
"""xz files, of one stream or of many with padding between (The .xz File Format 1.2.1).

A stream is found from its end: the footer says how long the index is, the index how long the blocks are. Nothing needs to be decompressed.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import Final
from zlib import crc32

from waybill.delta.containers.base import Part
from waybill.delta.io import STRIDE, View
from waybill.delta.limits import Limits

MAGIC: Final = b"\xfd7zXZ\0"
_HEADER: Final = 12
_FOOTER: Final = struct.Struct("<II2s2s")
_INDEX_BYTES: Final = 1 << 22
_VARINT_BITS: Final = 63


class Xz:
    """Every stream becomes a part; padding stays raw."""

    name = "xz"

    def sniff(self, head: bytes) -> bool:
        """By its first six bytes."""
        return head.startswith(MAGIC)

    def parts(self, view: View, limits: Limits, /) -> Iterable[Part] | None:
        """None when the streams, read from the end, do not fill the file."""
        found: list[Part] = []
        end = view.length
        while end > 0 and len(found) < limits.nodes:
            end = _before_padding(view, end)
            part = _stream(view, end)
            if part is None:
                return None
            found.append(part)
            end = part.offset
        return found[::-1] if end == 0 else None


def _before_padding(view: View, end: int) -> int:
    """Where the zero bytes before ``end`` begin."""
    stride = 64
    while end > 0:
        start = max(0, end - stride)
        if kept := len(view.read_at(start, end - start).rstrip(b"\0")):
            return start + kept
        end, stride = start, min(STRIDE, stride * 2)
    return 0


def _stream(view: View, end: int) -> Part | None:
    """The stream whose footer ends at ``end``."""
    if end < 2 * _HEADER:
        return None
    checksum, back, flags, magic = _FOOTER.unpack(view.read_at(end - _HEADER, _HEADER))
    index = end - _HEADER - (back + 1) * 4
    if magic != b"YZ" or index < _HEADER or end - index > _INDEX_BYTES or checksum != crc32(struct.pack("<I", back) + flags):
        return None
    sizes = _blocks(view.read_at(index, end - _HEADER - index))
    if sizes is None:
        return None
    start = index - sizes[0] - _HEADER
    if start < 0 or view.read_at(start, 8) != MAGIC + flags:
        return None
    maker = f"xz check={flags[1]} {_block_maker(view.sub(start, end - start))}"
    return Part(start, end - start, "coded", codec="xz", maker=maker, plain_hint=sizes[1])


def _blocks(index: bytes) -> tuple[int, int] | None:
    """Bytes of all blocks in the file, and of their content, by the index; None when it is broken."""
    body = index[:-4]
    if index[0] or crc32(body).to_bytes(4, "little") != index[-4:]:
        return None
    numbers = _varints(body, 1)
    count = next(numbers, -1)
    packed = plain = 0
    for _ in range(count):
        one, two = next(numbers, 0), next(numbers, -1)
        if one <= 0 or two < 0:
            return None
        packed += one + -one % 4
        plain += two
    return None if count < 0 else (packed, plain)


def _varints(data: bytes, at: int) -> Iterator[int]:
    value = shift = 0
    for byte in memoryview(data)[at:]:
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            yield value
            value = shift = 0
        elif shift >= _VARINT_BITS:
            return


def _block_maker(stream: View) -> str:
    """What the header of the first block tells of its encoder: whether it names sizes, and its filters with their properties."""
    head = stream.read_at(_HEADER, min(stream.length - _HEADER, 64))
    head = head[: (head[0] + 1) * 4 - 4] if head[0] else b""
    if len(head) < 2:
        return "empty"
    named = (head[1] >> 6 & 1) + (head[1] >> 7)
    at = 2
    for _ in range(named):
        while at < len(head) and head[at] & 0x80:
            at += 1
        at += 1
    return f"sizes={named} filters={head[at:].rstrip(bytes(1)).hex()}"
