# SPDX-License-Identifier: Apache-2.0
"""A coder for the impatient: the same values as with the range coder of ``coding``, as columns of numbers in one compressed string.

Everything is done for a whole call at once, so that it costs a twentieth of the time, and about a third more bytes. Within a call the values of one
context stand together; bits are told by the gaps between those that are set.
"""

from typing import Final

import numpy as np

from waybill.delta.io import Array
from waybill.delta.numbers import Cursor, array_of_column, column_of, malformed, put_coded, signed_column_of, take_coded

_CALLS: Final = 1024
"""Calls of one run: each of bits begins with a number of its own."""


class Packer:
    """Takes values; :meth:`close` gives the bytes. See :class:`waybill.delta.predict.coding.Coder`."""

    def __init__(self) -> None:
        self._flags = bytearray()
        self._numbers = bytearray()

    def flags(self, contexts: Array, values: Array | None) -> Array:
        """Bits as int64 of 0 and 1, one per context."""
        if values is None:
            raise ValueError("a writer needs values")
        places = np.flatnonzero(values[_grouped(contexts)])
        self._flags += column_of(np.concatenate([np.array([len(places)]), np.diff(places, prepend=-1) - 1]))
        return values

    def numbers(self, contexts: Array, values: Array | None) -> Array:
        """Signed numbers of less than 2^62, one per context."""
        if values is None:
            raise ValueError("a writer needs values")
        self._numbers += signed_column_of(values[_grouped(contexts)])
        return values

    def close(self) -> bytes:
        """All that was written; the reader needs exactly these bytes."""
        out = bytearray()
        for one in (self._flags, self._numbers):
            put_coded(out, bytes(one), fast=True)
        return bytes(out)


class Unpacker:
    """Finds again what a packer took.

    Args:
        fields: how many fields there are: each is told by three bits and two numbers at most.
    Every method raises FormatError delta.malformed when there are other values than asked for.
    """

    def __init__(self, data: bytes, fields: int) -> None:
        cursor = Cursor(data)
        self._flags = _Column(cursor, 3 * fields + _CALLS)
        self._numbers = _Column(cursor, 2 * fields + _CALLS)
        cursor.end("the predictor's numbers")

    def flags(self, contexts: Array, values: Array | None) -> Array:
        """See :class:`Packer`."""
        del values
        (count,) = self._flags.take(1).tolist()
        if count > len(contexts):
            raise malformed("more bits are set than there are", len(contexts), count)
        gaps = self._flags.take(count)
        if count and int(gaps.max()) >= len(contexts):
            raise malformed("a bit lies outside of its call", len(contexts), int(gaps.max()))
        places = np.cumsum(gaps + 1) - 1
        if count and int(places[-1]) >= len(contexts):
            raise malformed("a bit lies outside of its call", len(contexts), int(places[-1]))
        found = np.zeros(len(contexts), np.int64)
        found[_grouped(contexts)[places]] = 1
        return found

    def numbers(self, contexts: Array, values: Array | None) -> Array:
        """See :class:`Packer`."""
        del values
        taken = self._numbers.take(len(contexts))
        found = np.empty(len(contexts), np.int64)
        found[_grouped(contexts)] = (taken >> 1) ^ -(taken & 1)
        return found

    def close(self) -> None:
        """All values must have been read."""
        if self._flags.left or self._numbers.left:
            raise malformed("the predictor's numbers are left over", 0, self._flags.left + self._numbers.left)


def _grouped(contexts: Array) -> Array:
    """The order in which the values of one context stand together. Contexts are small: as short numbers they are put into order several times faster."""
    return np.argsort(contexts.astype(np.uint16) if contexts.max(initial=0) < 1 << 16 else contexts, kind="stable")


class _Column:
    """Numbers that are taken from front to back."""

    def __init__(self, cursor: Cursor, most: int) -> None:
        data = take_coded(cursor, 9 * most, "the predictor's numbers")
        count = int((np.frombuffer(data, np.uint8) < 128).sum())
        if count > most:
            raise malformed("there are more numbers than the predictor can need", most, count)
        self._values = array_of_column(data, count)
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._values) - self._at

    def take(self, count: int) -> Array:
        if count > self.left:
            raise malformed("the predictor's numbers run out", self.left, count)
        self._at += count
        return self._values[self._at - count : self._at]
