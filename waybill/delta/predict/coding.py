# SPDX-License-Identifier: Apache-2.0
"""An adaptive binary range coder, made for Python: nearly every number in its loops fits into one digit of a Python integer.

Writer and reader have the same methods, so that a model is written once: the writer is given the true values and hands them back, the reader
is given None and finds them. A context is a small number that says in which circumstances a bit stands; each has its own idea of the bit.
"""

from typing import Final, Protocol

import numpy as np

from waybill.delta.io import Array
from waybill.delta.numbers import malformed

_WIDEST: Final = 1 << 30
_LEAST: Final = 1 << 22
"""The width of the range stays between these two; the place of its lower end has 32 bits."""
_TOP: Final = 1 << 32
_ONE: Final = 1 << 15
"""A probability of 1. A new context holds both values of a bit for equally likely."""
_FINER: Final = 7
_FINE: Final = _ONE << _FINER
"""The slow average of a context has 7 bits more: what never happens shall cost nothing."""
_QUICK: Final = 3
_SLOW: Final = 7
_SHIFTS: Final = tuple(min((n + 2).bit_length() - 1, _SLOW) for n in range((1 << _SLOW) - 1))
_FIRST: Final = tuple(min(shift, _QUICK) for shift in _SHIFTS)
_OLD: Final = len(_SHIFTS) - 1
"""A context keeps two averages of its bits and foretells with their mean. Each takes a new bit at its age's worth: half at first, then less and less,
down to an eighth in the quick one and a 128th in the slow one."""
_CHUNK: Final = 12
"""Bits without a context that are coded at once."""
_NUMBER: Final = 64 * 5
"""Contexts of bits that one context of numbers needs: 64 for the length in bits, and 4 x 64 for the two bits that follow the first."""


class Coder(Protocol):
    """What a model sees of either side."""

    def flags(self, contexts: Array, values: Array | None) -> Array:
        """Bits as int64 of 0 and 1, one per context (0 or more). The last two bits of the same call are part of every context."""

    def numbers(self, contexts: Array, values: Array | None) -> Array:
        """Signed numbers of less than 2^62, one per context."""


class _Contexts:
    """The averages of a set of contexts."""

    __slots__ = ("age", "quick", "slow")

    def __init__(self, count: int) -> None:
        self.quick = [_ONE >> 1] * count
        self.slow = [_FINE >> 1] * count
        self.age = [0] * count


def _room(contexts: Array) -> int:
    return int(contexts.max(initial=0)) + 1


class Writer:
    """Takes values; :meth:`close` gives the bytes."""

    def __init__(self) -> None:
        self._out = bytearray()
        self._low = 0
        self._width = _WIDEST

    def flags(self, contexts: Array, values: Array | None) -> Array:
        """See :class:`Coder`."""
        if values is None:
            raise ValueError("a writer needs values")
        model = _Contexts(4 * _room(contexts))
        quick, slow, age = model.quick, model.slow, model.age
        low, width = self._low, self._width
        past = 0
        for place, bit in zip((contexts * 4).tolist(), values.tolist(), strict=True):
            place += past
            a, b, n = quick[place], slow[place], age[place]
            if n < _OLD:
                age[place] = n + 1
            bound = (width >> 15) * (a + (b >> _FINER) >> 1)
            if bit:
                low += bound
                width -= bound
                quick[place] = a - (a >> _FIRST[n])
                slow[place] = b - (b >> _SHIFTS[n])
                past = (past & 1) << 1 | 1
            else:
                width = bound
                quick[place] = a + (_ONE - a >> _FIRST[n])
                slow[place] = b + (_FINE - b >> _SHIFTS[n])
                past = (past & 1) << 1
            while width < _LEAST:
                low = self._shift(low)
                width <<= 8
        self._low, self._width = low, width
        return values

    def numbers(self, contexts: Array, values: Array | None) -> Array:
        """See :class:`Coder`."""
        if values is None:
            raise ValueError("a writer needs values")
        model = _Contexts(_NUMBER * _room(contexts))
        for base, value in zip((contexts * _NUMBER).tolist(), values.tolist(), strict=True):
            number = value << 1 if value >= 0 else ~value << 1 | 1
            length = number.bit_length()
            node = 1
            for shift in range(5, -1, -1):
                bit = length >> shift & 1
                self._bit(model, base + node, bit)
                node = node << 1 | bit
            node = 1
            for shift in range(length - 2, max(length - 4, -1), -1):
                bit = number >> shift & 1
                self._bit(model, base + 64 + length * 4 + node, bit)
                node = node << 1 | bit
            for shift in range(max(length - 3, 0), 0, -_CHUNK):
                low = max(shift - _CHUNK, 0)
                self._plain(number >> low & (1 << shift - low) - 1, shift - low)
        return values

    def close(self) -> bytes:
        """All that was written; the reader needs exactly these bytes."""
        for _ in range(4):
            self._low = self._shift(self._low)
        return bytes(self._out)

    def _bit(self, model: _Contexts, place: int, bit: int) -> None:
        a, b, n = model.quick[place], model.slow[place], model.age[place]
        if n < _OLD:
            model.age[place] = n + 1
        bound = (self._width >> 15) * (a + (b >> _FINER) >> 1)
        if bit:
            self._low += bound
            self._width -= bound
            model.quick[place] = a - (a >> _FIRST[n])
            model.slow[place] = b - (b >> _SHIFTS[n])
        else:
            self._width = bound
            model.quick[place] = a + (_ONE - a >> _FIRST[n])
            model.slow[place] = b + (_FINE - b >> _SHIFTS[n])
        while self._width < _LEAST:
            self._low = self._shift(self._low)
            self._width <<= 8

    def _plain(self, value: int, bits: int) -> None:
        self._width >>= bits
        self._low += value * self._width
        while self._width < _LEAST:
            self._low = self._shift(self._low)
            self._width <<= 8

    def _shift(self, low: int) -> int:
        out = self._out
        if low >= _TOP:
            low -= _TOP
            at = len(out) - 1
            while out[at] == 255:
                out[at] = 0
                at -= 1
            out[at] += 1
        out.append(low >> 24)
        return (low & 0xFFFFFF) << 8


class Reader:
    """Finds again what a writer took.

    Every method raises FormatError delta.malformed when the bytes run out.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 4
        self._width = _WIDEST
        self._code = int.from_bytes(data[:4], "big")
        if len(data) < 4 or self._code >= _WIDEST:
            raise malformed("the range coder has no start")

    def flags(self, contexts: Array, values: Array | None) -> Array:
        """See :class:`Coder`."""
        del values
        model = _Contexts(4 * _room(contexts))
        quick, slow, age = model.quick, model.slow, model.age
        code, width, data, at = self._code, self._width, self._data, self._at
        past = 0
        found = bytearray()
        add = found.append
        try:
            for place in (contexts * 4).tolist():
                place += past
                a, b, n = quick[place], slow[place], age[place]
                if n < _OLD:
                    age[place] = n + 1
                bound = (width >> 15) * (a + (b >> _FINER) >> 1)
                if code >= bound:
                    code -= bound
                    width -= bound
                    quick[place] = a - (a >> _FIRST[n])
                    slow[place] = b - (b >> _SHIFTS[n])
                    past = (past & 1) << 1 | 1
                    add(1)
                else:
                    width = bound
                    quick[place] = a + (_ONE - a >> _FIRST[n])
                    slow[place] = b + (_FINE - b >> _SHIFTS[n])
                    past = (past & 1) << 1
                    add(0)
                while width < _LEAST:
                    width <<= 8
                    code = code << 8 | data[at]
                    at += 1
        except IndexError as error:
            raise malformed("the range coder's bytes run out") from error
        self._code, self._width, self._at = code, width, at
        return np.frombuffer(bytes(found), np.uint8).astype(np.int64)

    def numbers(self, contexts: Array, values: Array | None) -> Array:
        """See :class:`Coder`."""
        del values
        model = _Contexts(_NUMBER * _room(contexts))
        found = []
        for base in (contexts * _NUMBER).tolist():
            length = 1
            for _ in range(6):
                length = length << 1 | self._bit(model, base + length)
            length -= 64
            number = node = 1
            for _ in range(min(length - 1, 2)):
                bit = self._bit(model, base + 64 + length * 4 + node)
                node = node << 1 | bit
            number = node
            for shift in range(max(length - 3, 0), 0, -_CHUNK):
                bits = min(shift, _CHUNK)
                number = number << bits | self._plain(bits)
            found.append(number >> 1 ^ -(number & 1) if length else 0)
        return np.array(found, np.int64)

    def close(self) -> None:
        """All bytes must have been read."""
        if self._at != len(self._data):
            raise malformed("bytes follow after the range coder's last bit", len(self._data), self._at)

    def _bit(self, model: _Contexts, place: int) -> int:
        a, b, n = model.quick[place], model.slow[place], model.age[place]
        if n < _OLD:
            model.age[place] = n + 1
        bound = (self._width >> 15) * (a + (b >> _FINER) >> 1)
        if self._code >= bound:
            self._code -= bound
            self._width -= bound
            model.quick[place] = a - (a >> _FIRST[n])
            model.slow[place] = b - (b >> _SHIFTS[n])
            bit = 1
        else:
            self._width = bound
            model.quick[place] = a + (_ONE - a >> _FIRST[n])
            model.slow[place] = b + (_FINE - b >> _SHIFTS[n])
            bit = 0
        self._fill()
        return bit

    def _plain(self, bits: int) -> int:
        self._width >>= bits
        value = self._code // self._width
        if value >> bits:
            raise malformed("the range coder reads a number that no writer writes")
        self._code -= value * self._width
        self._fill()
        return value

    def _fill(self) -> None:
        while self._width < _LEAST:
            if self._at >= len(self._data):
                raise malformed("the range coder's bytes run out")
            self._width <<= 8
            self._code = self._code << 8 | self._data[self._at]
            self._at += 1
