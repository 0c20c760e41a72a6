# SPDX-License-Identifier: Apache-2.0
"""Files of the old LZMA format: properties, size, one stream (LZMA SDK, "lzma.txt"). It has no magic number."""

from collections.abc import Iterable
from typing import Final

from waybill.delta.containers.base import Part
from waybill.delta.io import View
from waybill.delta.limits import Limits

_HEADER: Final = 13
_PROPERTIES: Final = 9 * 5 * 5
_UNKNOWN: Final = (1 << 64) - 1
_PLAIN_MOST: Final = 1 << 40
_DICTIONARIES: Final = frozenset(size for bit in range(12, 31) for size in (1 << bit, 3 << bit - 1))


class Lzma:
    """The stream, with its header, becomes one part."""

    name = "lzma"

    def sniff(self, head: bytes) -> bool:
        """By properties that an encoder would write, and the zero byte with which every stream begins."""
        if len(head) <= _HEADER or head[0] >= _PROPERTIES or head[_HEADER]:
            return False
        dictionary, plain = int.from_bytes(head[1:5], "little"), int.from_bytes(head[5:_HEADER], "little")
        return dictionary in _DICTIONARIES and (plain == _UNKNOWN or 0 < plain < _PLAIN_MOST)

    def parts(self, view: View, _: Limits, /) -> Iterable[Part] | None:
        """Never None: whether it is one is seen when it is opened."""
        head = view.read_at(0, _HEADER)
        plain = int.from_bytes(head[5:], "little")
        hint = None if plain == _UNKNOWN else plain
        return [Part(0, view.length, "coded", codec="lzma", maker=f"lzma {head[:5].hex()} sized={hint is not None}", plain_hint=hint)]
