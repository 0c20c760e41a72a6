# SPDX-License-Identifier: Apache-2.0
"""gzip files, of one member or of many (RFC 1952). Where a member ends is only known once it is inflated."""

from collections.abc import Iterable, Iterator
from typing import Final

from waybill.delta.containers.base import Part, Window
from waybill.delta.io import View
from waybill.delta.limits import Limits

MAGIC: Final = b"\x1f\x8b\x08"
_HEADER: Final = 10
_TRAILER: Final = 8
_FIELD_BYTES: Final = 1 << 16
"""A longer file name or comment is not looked for."""
_CHECKED, _EXTRA, _NAME, _COMMENT, _RESERVED = 2, 4, 8, 16, 0xE0


class Gzip:
    """Every member becomes one deflate stream; headers and trailers stay as they are."""

    name = "gzip"

    def sniff(self, head: bytes) -> bool:
        """By its first three bytes."""
        return head[:3] == MAGIC

    def parts(self, view: View, _: Limits, /) -> Iterable[Part] | None:
        """None when the first header is broken; members behind a broken header are not found."""
        return _members(view, 0) if header_length(Window(view), 0) else None


def _members(view: View, at: int) -> Iterator[Part]:
    window = Window(view, _HEADER + 64)
    header = header_length(window, at)
    length = view.length - at - header - _TRAILER
    if header and length > 0:
        _, _, _, flags, _, _, _, _, effort, system = window.read(at, _HEADER)
        yield Part(
            at + header,
            length,
            "coded",
            codec="deflate",
            maker=f"gzip os={system} xfl={effort} flags={flags}",
            then=lambda end: _members(view, end + _TRAILER),
        )


def header_length(window: Window, at: int) -> int:
    """How long the member header at ``at`` is; 0 when there is none."""
    head = window.read(at, _HEADER)
    if len(head) < _HEADER or head[:3] != MAGIC or head[3] & _RESERVED:
        return 0
    flags, end = head[3], at + _HEADER
    if flags & _EXTRA:
        end += 2 + int.from_bytes(window.read(end, 2), "little")
    for flag in (_NAME, _COMMENT):
        if flags & flag:
            found = window.read(end, _FIELD_BYTES).find(0)
            if found < 0:
                return 0
            end += found + 1
    return end - at + (2 if flags & _CHECKED else 0)
