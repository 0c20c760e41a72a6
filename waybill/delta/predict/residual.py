# SPDX-License-Identifier: Apache-2.0
"""Bytes that are nearly all zero: pairs of a gap and the value behind it, so that an edit made in many places is one and the same string."""

from collections.abc import Callable
from typing import Final

import numpy as np

from waybill.delta.io import Array, Octets
from waybill.delta.numbers import Cursor, array_of_column, column_of, malformed, put, put_coded, take_coded

_FAR: Final = 255
"""A gap that does not fit into its byte: its rest stands in the overflow column."""
_STEP: Final = 1 << 20


def put_residual(out: bytearray, rest: Octets, *, fast: bool) -> None:
    """Appends ``rest``."""
    places = np.flatnonzero(rest)
    gaps = np.diff(places, prepend=-1) - 1
    far = gaps[gaps >= _FAR] - _FAR
    pairs = np.stack([np.minimum(gaps, _FAR).astype(np.uint8), rest[places]], axis=1)
    put(out, len(places))
    put(out, len(far))
    put_coded(out, pairs.tobytes(), fast=fast)
    put_coded(out, column_of(far), fast=fast)


def add_residual(cursor: Cursor, copied: Octets) -> None:
    """Adds what :func:`put_residual` appended to ``copied``; raises FormatError delta.malformed."""
    count, far = take_far(cursor, len(copied))
    pairs = np.frombuffer(take_coded(cursor, 2 * count, "the residual"), np.uint8)
    if len(pairs) != 2 * count:
        raise malformed("the residual is incomplete", 2 * count, len(pairs))
    scatter(copied, pairs[::2], far(), pairs[1::2])


def take_far(cursor: Cursor, size: int) -> tuple[int, Callable[[], Array]]:
    """The number of bytes of a residual over ``size`` bytes, and what reads the rests of its far gaps, when they come up."""
    count = cursor.number(size, "the number of residual bytes")
    overflow = cursor.number(min(count, size // _FAR + 1), "the number of far gaps")
    return count, lambda: array_of_column(take_coded(cursor, 10 * overflow, "the far gaps"), overflow)


def scatter(copied: Octets, gaps: Octets, far: Array, values: Octets) -> None:
    """Adds ``values`` to ``copied``, modulo 256, each ``gaps`` bytes behind the last; 255 stands for that and the next of ``far``.

    In steps, so that a residual of every byte needs little more memory than it has bytes.
    """
    if int((gaps == _FAR).sum()) != len(far):
        raise malformed("the far gaps are incomplete", int((gaps == _FAR).sum()), len(far))
    if len(far) and int(far.max()) > len(copied):
        raise malformed("a residual byte lies outside of its copies", len(copied))
    last, used = -1, 0
    for start in range(0, len(gaps), _STEP):
        step = gaps[start : start + _STEP].astype(np.int64)
        is_far = np.flatnonzero(step == _FAR)
        step[is_far] += far[used : used + len(is_far)]
        used += len(is_far)
        places = last + np.cumsum(step + 1)
        last = int(places[-1])
        if last >= len(copied):
            raise malformed("a residual byte lies outside of its copies", len(copied), last)
        copied[places] += values[start : start + _STEP]
