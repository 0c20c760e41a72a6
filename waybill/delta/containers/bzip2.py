# SPDX-License-Identifier: Apache-2.0
"""bzip2 files, of one stream or of many. Where a stream ends is only known once it is decompressed."""

from collections.abc import Iterable, Iterator
from typing import Final

from waybill.delta.containers.base import Part
from waybill.delta.io import View
from waybill.delta.limits import Limits

_HEADER: Final = 10
_BLOCK: Final = b"1AY&SY"


class Bzip2:
    """Every stream becomes a part; nothing lies between them."""

    name = "bzip2"

    def sniff(self, head: bytes) -> bool:
        """By the header of the file and that of its first block."""
        return is_start(head)

    def parts(self, view: View, _: Limits, /) -> Iterable[Part] | None:
        """Never None."""
        return _streams(view, 0)


def is_start(head: bytes) -> bool:
    """Whether a stream with at least one block begins with ``head``."""
    return head[:3] == b"BZh" and b"1" <= head[3:4] <= b"9" and head[4:_HEADER] == _BLOCK


def _streams(view: View, at: int) -> Iterator[Part]:
    head = view.read_at(at, min(_HEADER, view.length - at))
    if is_start(head):
        yield Part(at, view.length - at, "coded", codec="bzip2", maker=f"bzip2 level={head[3] - 48}", then=lambda end: _streams(view, end))
