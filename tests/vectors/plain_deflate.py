# SPDX-License-Identifier: Apache-2.0
"""A deflate stream that no usual writer makes: nearly every token of it must be corrected."""

from typing import Final

_MATCH_LEAST: Final = 4
_MATCH_MOST: Final = 10
_WINDOW: Final = 1 << 15


def deflated_plainly(data: bytes) -> bytes:
    """A raw deflate stream of ``data`` that is the same everywhere and that no usual encoder makes: one block with the fixed code.

    At each position the last earlier one with the same 4 bytes is taken, when it is at most 32,768 bytes back, for 4 to 10 bytes; else a literal.
    """
    out = _Bits()
    out.put(0b011, 3)
    last: dict[bytes, int] = {}
    at = 0
    while at < len(data):
        key = data[at : at + _MATCH_LEAST]
        back = at - last.get(key, at - _WINDOW - 1)
        last[key] = at
        if len(key) < _MATCH_LEAST or back > _WINDOW:
            out.literal(data[at])
            at += 1
            continue
        length = _MATCH_LEAST
        while length < _MATCH_MOST and data[at + length : at + length + 1] == data[at - back + length : at - back + length + 1] != b"":
            length += 1
        out.match(length, back)
        at += length
    out.put(0, 7)
    return out.bytes()


class _Bits:
    """Deflate's bit order, and the few symbols of its fixed code that are needed here (RFC 1951, 3.2.6)."""

    def __init__(self) -> None:
        self._done = bytearray()
        self._held = 0
        self._count = 0

    def put(self, value: int, count: int) -> None:
        """``count`` bits, the lowest one first."""
        self._held |= value << self._count
        self._count += count
        while self._count >= 8:
            self._done.append(self._held & 255)
            self._held >>= 8
            self._count -= 8

    def code(self, value: int, count: int) -> None:
        """``count`` bits of a Huffman code: the highest one first."""
        self.put(int(f"{value:0{count}b}"[::-1], 2), count)

    def literal(self, byte: int) -> None:
        """One byte."""
        self.code(*((0x30 + byte, 8) if byte < 144 else (0x190 + byte - 144, 9)))

    def match(self, length: int, back: int) -> None:
        """``length`` bytes, 4 to 10, from ``back`` bytes before."""
        self.code(length - 2, 7)
        extra = max(0, (back - 1).bit_length() - 2)
        self.code(2 * extra + (back - 1 >> extra), 5)
        self.put((back - 1) & ((1 << extra) - 1), extra)

    def bytes(self) -> bytes:
        """Everything, with zero bits up to a whole byte."""
        return bytes(self._done) + (bytes([self._held]) if self._count else b"")
