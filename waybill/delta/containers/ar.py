# SPDX-License-Identifier: Apache-2.0
"""Ar archives: Debian packages (deb(5)) and static libraries, with the long names of GNU and of BSD."""

from collections.abc import Iterable, Iterator
from typing import Final

from waybill.delta.containers.base import Part, Window, text
from waybill.delta.io import View
from waybill.delta.limits import Limits

MAGIC: Final = b"!<arch>\n"
_HEADER: Final = 60
_LONG_NAMES: Final = 1 << 24
"""Bytes of the table of long names that are read; members whose names stand behind them keep their short ones."""
_LONG_NAME: Final = 1 << 12


class Ar:
    """Every member becomes a part; symbol tables and tables of names stay raw."""

    name = "ar"

    def sniff(self, head: bytes) -> bool:
        """By its first eight bytes."""
        return head.startswith(MAGIC)

    def parts(self, view: View, limits: Limits, /) -> Iterable[Part] | None:
        """Never None; behind a broken header nothing is found."""
        return _members(view, limits)


def _members(view: View, limits: Limits) -> Iterator[Part]:
    window = Window(view, 256)
    at, long_names = len(MAGIC), b""
    for _ in range(limits.nodes):
        head = window.read(at, _HEADER)
        digits = head[48:58].rstrip(b" ")
        if len(head) < _HEADER or head[58:] != b"`\n" or not digits.isdigit():
            return
        at, size = at + _HEADER, int(digits)
        if at + size > view.length:
            return
        label = head[:16].rstrip(b" ")
        if label == b"//":
            long_names = view.read_at(at, min(size, _LONG_NAMES))
        elif label not in (b"/", b"/SYM64/"):
            inside, name = _name(window, at, size, label, long_names)
            yield Part(at + inside, size - inside, "member", name)
        at += size + (size & 1)


def _name(window: Window, at: int, size: int, label: bytes, long_names: bytes) -> tuple[int, str]:
    """How many bytes of the name stand in the content, and the name."""
    if label.startswith(b"#1/") and label[3:].isdigit() and (length := int(label[3:])) <= min(size, _LONG_NAME):
        return length, text(window.read(at, length).rstrip(b"\0"))
    if label.startswith(b"/") and label[1:].isdigit():
        start = int(label[1:])
        return 0, text(long_names[start : start + _LONG_NAME].split(b"\n", 1)[0].rstrip(b"/"))
    return 0, text(label.rstrip(b"/"))
