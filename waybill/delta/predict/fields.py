# SPDX-License-Identifier: Apache-2.0
"""What a field is: a few bytes of the old file that hold an address, or a distance between two, or an offset into a table.

The value of a field is ``target - base``. Addresses are those of the loaded image; a place in the file that is not loaded, such as a string of
the symbol table, has an address too: its offset beyond ``UNLOADED``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from waybill.delta.io import Array, Octets

UNLOADED: Final = 1 << 48
NOTHING: Final = -1
"""As ``base``: the field holds the target itself."""
ITSELF: Final = -2
"""As ``base``: the field holds the distance from itself, so that both ends of it move."""
PAGE: Final = 0xFFF
FIELDS_SHARE: Final = 10
FIELDS_FLOOR: Final = 4096
"""A file may have a field per FIELDS_SHARE bytes and FIELDS_FLOOR more; what is found later is left out. Real programs have half as many."""

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Kind:
    """How the fields of one kind hold their value: ``bits`` bits from bit ``low`` of a word of ``size`` bytes, in units of ``unit``.

    ``bits`` 0: the whole word, signed. ``votes``: such a field tells where its target went. ``split``: the bits are divided as in ADR and ADRP of
    AArch64. ``negative``: the field holds base minus target. ``part``: the field holds only the distance between two pages ("page"; ``base`` is then
    the field's own address) or the place within a page ("low"; ``base`` is then the address of the instruction that has the page).
    """

    name: str
    size: int
    bits: int = 0
    low: int = 0
    unit: int = 1
    votes: bool = True
    split: bool = False
    negative: bool = False
    part: Literal["", "page", "low"] = ""

    def values(self, words: Array) -> Array:
        """The value in each word."""
        if not self.bits:
            return words if self.size == 8 else words - ((words >> (8 * self.size - 1)) << (8 * self.size))
        raw = (words >> 5 & 0x7FFFF) << 2 | words >> 29 & 3 if self.split else words >> self.low & (1 << self.bits) - 1
        if self.part == "low":
            return raw * self.unit
        return (raw - ((raw >> (self.bits - 1)) << self.bits)) * self.unit

    def put(self, words: Array, values: Array) -> Array:
        """The words with other values in them. A value that does not fit loses its upper bits, one that is no multiple of the unit its lower ones."""
        if not self.bits:
            return values if self.size == 8 else values & (1 << 8 * self.size) - 1
        raw = values // self.unit & (1 << self.bits) - 1
        if self.split:
            return words & ~0x60FFFFE0 | (raw >> 2) << 5 | (raw & 3) << 29
        return words & ~((1 << self.bits) - 1 << self.low) | raw << self.low

    def opcode(self, words: Array) -> Array:
        """What in the words is not the field."""
        return self.put(words, np.zeros(len(words), np.int64))


@dataclass(frozen=True, slots=True)
class Fields:
    """Fields of the old file by ascending place, hardly ever overlapping; arrays of the same length.

    ``at``: offset in the file. ``kind``: index into the predictor's table of kinds. ``target``: address. ``base``: address, NOTHING or ITSELF.
    """

    at: Array
    kind: Octets
    target: Array
    base: Array


class Found:
    """Collects fields of different origin. Where two overlap, the one that was added first stays; when there is no room left, the rest is dropped."""

    def __init__(self, size: int, kinds: Sequence[Kind]) -> None:
        self._room = FIELDS_FLOOR + size // FIELDS_SHARE
        self._taken = np.zeros(size + 8, np.bool_)
        self._kinds = kinds
        none = np.zeros(0, np.int64)
        self._at: list[Array] = [none]
        self._kind: list[Octets] = [np.zeros(0, np.uint8)]
        self._target: list[Array] = [none]
        self._base: list[Array] = [none]

    def add(self, kind: int, at: Array, target: Array, base: Array | int) -> None:
        """Adds the fields that lie in free bytes; ``at`` ascends, the fields lie inside of the file and do not overlap one another."""
        width = self._kinds[kind].size
        free = np.ones(len(at), np.bool_)
        for byte in range(width):
            free &= ~self._taken[at + byte]
        free &= np.cumsum(free) <= self._room
        at, target = at[free], target[free]
        self._room -= len(at)
        for byte in range(width):
            self._taken[at + byte] = True
        self._at.append(at)
        self._kind.append(np.full(len(at), kind, np.uint8))
        self._target.append(target)
        self._base.append(base[free] if isinstance(base, np.ndarray) else np.full(len(at), base, np.int64))

    def fields(self) -> Fields:
        """All of them by place. Nothing can be added any more: what was collected is let go piece by piece, since programs have millions of fields."""
        order = np.argsort(np.concatenate(self._at), kind="stable")
        del self._taken
        at, kind = _sorted(self._at, order), np.concatenate(self._kind)[order]
        return Fields(at, kind, _sorted(self._target, order), _sorted(self._base, order))


def _sorted(parts: list[Array], order: Array) -> Array:
    whole = np.concatenate(parts)
    parts.clear()
    return whole[order]


def words_at(data: Octets, places: Array, size: int) -> Array:
    """Little-endian numbers of ``size`` bytes, 1, 2, 4 or 8, at ``places`` of contiguous ``data``; only those of 8 bytes can be negative."""
    if len(data) < size:
        return np.zeros(len(places), np.int64)
    return _words_of(data, size)[places].astype(np.int64)


def _words_of(data: Octets, size: int) -> Array:
    """The words of ``size`` bytes that begin at every byte, in the memory of ``data``."""
    return np.ndarray((len(data) - size + 1,), "<i8" if size == 8 else f"<u{size}", data.data, strides=(1,))


def put_words(data: Octets, places: Array, size: int, words: Array) -> None:
    """Writes the low ``size`` bytes of ``words`` at ``places`` of contiguous ``data``, one after the other, little-endian."""
    if len(places):
        _words_of(data, size)[places] = words
