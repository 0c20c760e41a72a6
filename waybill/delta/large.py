# SPDX-License-Identifier: Apache-2.0
"""Pieces too large for one block: equal stretches are found by anchors and copied, what lies between becomes ranges that fit into blocks.

An anchor is a place whose eight bytes hash to one of 2^14 values: the bytes themselves choose them, so that an insertion moves no other anchor.
Memory grows with the number of anchors, about one in 16 KiB, never with the size of the piece.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from waybill.delta.io import View

_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)
_BITS: Final = np.uint64(64 - 14)
_STRIDE: Final = 1 << 22
_COMPARE: Final = 1 << 16
_COPY_LEAST: Final = 1 << 12


@dataclass(frozen=True, slots=True)
class Stretch:
    """``length`` bytes of the new piece. ``old`` is where they stand in the old piece; ``equal`` False: only something like them stands around there."""

    length: int
    old: int
    equal: bool


def anchors(view: View) -> Iterator[tuple[int, int]]:
    """(offset, value) of every anchor, in order."""
    for start in range(0, view.length, _STRIDE):
        data = view.read_at(start, min(_STRIDE + 7, view.length - start))
        places, values = [], []
        for shift in range(8):
            usable = (len(data) - shift) // 8
            words = np.frombuffer(data, "<u8", usable, shift)
            hashed = words * _MULTIPLIER
            hits = np.flatnonzero(((hashed >> _BITS) == 0) & (words != 0))
            places.append(hits * 8 + shift)
            values.append(hashed[hits])
        place, value = np.concatenate(places), np.concatenate(values)
        order = np.argsort(place, kind="stable")
        for at, what in zip(place[order].tolist(), value[order].tolist(), strict=True):
            if at < _STRIDE:
                yield start + at, what


def stretches(old: View, new: View, limit: int, heard: Callable[[int], None]) -> Iterator[Stretch]:
    """The new piece from front to back, as equal stretches and others of at most ``limit`` bytes.

    Args:
        heard: hears how many bytes of the new piece are done; raising from it ends the work.
    """
    known: dict[int, int] = {}
    for at, value in anchors(old):
        known[value] = -1 if value in known else at  # a value that stands twice leads nowhere
    done = drift = 0
    for at, value in anchors(new):
        there = known.get(value, -1)
        if there < 0 or at < done:
            continue
        back = _equal_before(old, new, there, at, at - done)
        ahead = _equal_after(old, new, there, at)
        if back + ahead < _COPY_LEAST:
            continue
        yield from _others(done, at - back, drift, there - at, limit, old.length)
        yield Stretch(back + ahead, there - back, equal=True)
        done, drift = at + ahead, there - at
        heard(done)
    yield from _others(done, new.length, drift, drift, limit, old.length)


def _others(start: int, end: int, before: int, after: int, limit: int, old_size: int) -> Iterator[Stretch]:
    """What has no equal: the first half is sought where the stretch before it stood, the second where the one after it stands."""
    while start < end:
        length = min(limit, end - start)
        drift = before if end - start > limit else after
        yield Stretch(length, max(0, min(old_size, start + drift)), equal=False)
        start += length


def _equal_after(old: View, new: View, there: int, at: int) -> int:
    """How many bytes from ``there`` and ``at`` on are the same."""
    total = 0
    while size := min(_COMPARE, old.length - there - total, new.length - at - total):
        one, two = old.read_at(there + total, size), new.read_at(at + total, size)
        if one != two:
            return total + _first_difference(one, two)
        total += size
    return total


def _equal_before(old: View, new: View, there: int, at: int, most: int) -> int:
    """How many bytes before ``there`` and ``at`` are the same, at most ``most``."""
    total = 0
    while size := min(_COMPARE, there - total, most - total):
        one, two = old.read_at(there - total - size, size), new.read_at(at - total - size, size)
        if one != two:
            return total + _first_difference(one[::-1], two[::-1])
        total += size
    return total


def _first_difference(one: bytes, two: bytes) -> int:
    return int(np.flatnonzero(np.frombuffer(one, np.uint8) != np.frombuffer(two, np.uint8))[0])
