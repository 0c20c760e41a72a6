# SPDX-License-Identifier: Apache-2.0
"""cpio archives with ASCII headers ("newc", with and without checksums): what an RPM package or an initial file system of Linux holds."""

from collections.abc import Iterable, Iterator
from typing import Final

from waybill.delta.containers.base import Part, Window, text
from waybill.delta.io import View
from waybill.delta.limits import Limits

_MAGICS: Final = (b"070701", b"070702")
_HEADER: Final = 110
_SIZE: Final = slice(54, 62)
_NAME_SIZE: Final = slice(94, 102)
_HEXADECIMAL: Final = frozenset(b"0123456789abcdefABCDEF")
_END: Final = "TRAILER!!!"


class Cpio:
    """Every file with its content becomes a member."""

    name = "cpio"

    def sniff(self, head: bytes) -> bool:
        """By the magic number and the digits of the first header."""
        return head[:6] in _MAGICS and is_header(head[:_HEADER])

    def parts(self, view: View, limits: Limits, /) -> Iterable[Part] | None:
        """Never None; behind a broken header or the trailer nothing is found."""
        return _members(view, limits)


def is_header(head: bytes) -> bool:
    """Whether the 110 bytes are a header."""
    return len(head) == _HEADER and head[:6] in _MAGICS and _HEXADECIMAL.issuperset(head)


def _members(view: View, limits: Limits) -> Iterator[Part]:
    window = Window(view)
    at = 0
    for _ in range(limits.nodes):
        head = window.read(at, _HEADER)
        if not is_header(head):
            return
        size, names = int(head[_SIZE], 16), int(head[_NAME_SIZE], 16)
        name = text(window.read(at + _HEADER, min(names, limits.name_bytes)).rstrip(b"\0"))
        at = _aligned(at + _HEADER + names)
        if name == _END or at + size > view.length:
            return
        if size:
            yield Part(at, size, "member", name)
        at = _aligned(at + size)


def _aligned(at: int) -> int:
    return at + -at % 4
