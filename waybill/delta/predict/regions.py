# SPDX-License-Identifier: Apache-2.0
"""Where old addresses went, as far as the alignment tells it."""

from typing import Final

import numpy as np

from waybill.delta.io import Array, Octets
from waybill.delta.predict.elf import Image
from waybill.delta.predict.fields import UNLOADED

LEAST: Final = 16
"""Shorter copies are too often there by chance."""
_SIZES: Final = np.array([41, 201, 2001], np.int64)
_BACK: Final = (1, 2, 3, 4, 6, 8)


def new_places(records: Array) -> Array:
    """The offset in the new file at which each record starts."""
    lengths = records[:, 0] + records[:, 1]
    ends: Array = np.cumsum(lengths)
    return ends - lengths


def copied(old: bytes, records: Array) -> Octets:
    """The old bytes that the records copy, side by side."""
    start = records[:, 2]
    end = start + records[:, 0]
    return np.frombuffer(bytearray().join([old[first:last] for first, last in zip(start.tolist(), end.tolist(), strict=True)]), np.uint8)


class Regions:
    """The copied ranges of the old file, each with the distance that it moved; in addresses and in offsets beyond UNLOADED."""

    def __init__(self, records: Array, old: Image, new: Image) -> None:
        long = records[:, 0] >= LEAST
        size, at, place = records[long, 0], records[long, 2], new_places(records)[long]
        address = old.addresses(at)
        start = np.concatenate([address, at + UNLOADED])
        shift = np.concatenate([new.addresses(place) - address, place - at])
        size = np.concatenate([size, size])
        order = np.lexsort((shift, start))
        if not len(order):
            start, shift, size, order = (np.zeros(1, np.int64) for _ in range(4))
        self._start, self._shift, self._end = start[order], shift[order], (start + size)[order]

    def shifts(self, targets: Array) -> tuple[Array, Array]:
        """How far each target moved, and how much that is worth: 0 where no copy holds it, so that the copy before speaks for it; else 1 to 4."""
        nearest = np.maximum(np.searchsorted(self._start, targets, "right") - 1, 0)
        best, covered = nearest, targets < self._end[nearest]
        for back in _BACK:
            place = np.maximum(nearest - back, 0)
            better = ~covered & (targets < self._end[place])
            best = np.where(better, place, best)
            covered |= better
        return self._shift[best], np.where(covered, 1 + size_class(self._end[best] - self._start[best]), 0)


def size_class(sizes: Array) -> Array:
    """0 to 3: the longer a copy, the less likely it is there by chance."""
    return np.searchsorted(_SIZES, sizes, "right").astype(np.int64)
