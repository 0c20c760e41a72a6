# SPDX-License-Identifier: Apache-2.0
"""Bytes that are nearly all zero: pairs of a gap and the value behind it, so that an edit made in many places is one and the same string."""

from typing import Final

import numpy as np

from waybill.delta.io import Octets
from waybill.delta.numbers import Cursor, array_of_column, column_of, malformed, put, put_coded, take_coded

_FAR: Final = 255
"""A gap that does not fit into its byte: its rest stands in the overflow column."""


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


def take_residual(cursor: Cursor, size: int) -> Octets:
    """The ``size`` bytes that :func:`put_residual` appended; raises FormatError delta.malformed."""
    count = cursor.number(size, "the number of residual bytes")
    overflow = cursor.number(count, "the number of far gaps")
    pairs = np.frombuffer(take_coded(cursor, 2 * count, "the residual"), np.uint8)
    far = array_of_column(take_coded(cursor, 10 * overflow, "the far gaps"), overflow)
    if len(pairs) != 2 * count or int((pairs[::2] == _FAR).sum()) != overflow:
        raise malformed("the residual is incomplete", 2 * count, len(pairs))
    if len(far) and int(far.max()) > size:
        raise malformed("a residual byte lies outside of its copies", size)
    gaps = pairs[::2].astype(np.int64)
    gaps[gaps == _FAR] += far
    places = np.cumsum(gaps + 1) - 1
    if len(places) and int(places[-1]) >= size:
        raise malformed("a residual byte lies outside of its copies", size, int(places[-1]))
    out = np.zeros(size, np.uint8)
    out[places] = pairs[1::2]
    return out
