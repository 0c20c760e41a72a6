# SPDX-License-Identifier: Apache-2.0
"""Patches: a new piece told by its alignment with an old one, in the way of bsdiff.

A record is (copy length, extra length, position in the old bytes). The new bytes are, record by record, ``copy length`` old bytes plus a residual
(byte by byte, modulo 256, almost always zero), then ``extra length`` bytes that come from elsewhere.
Without a predictor the residual stands as gaps between its non-zero bytes and their values; with one, the predictor tells the copied bytes itself.
Byte-level description: docs/formats/delta-v1.md.
"""

from typing import Final

import numpy as np

from waybill.delta.io import Array, Octets
from waybill.delta.limits import Limits
from waybill.delta.numbers import (
    Cursor,
    array_of_column,
    array_of_signed_column,
    column_of,
    malformed,
    put,
    put_coded,
    put_columns,
    signed_column_of,
    take_coded,
    take_columns,
)
from waybill.delta.predict import Aligned, ElfPredictor, Memo, residual
from waybill.delta.predict.control import put_records, take_records
from waybill.delta.predict.fields import Flags
from waybill.delta.predict.regions import copied

COLUMNS: Final = 0
TOLD: Final = 1
"""How the records stand in a payload: as columns of numbers, or in bits as ``predict.control`` has it, which are fewer and slower."""
_TOLD_MOST: Final = 200_000
"""More records are not told in bits."""
_TOLD_FAST: Final = 1 << 12
"""Bytes per record from which on an impatient sender tells them in bits, or if they are no more than:"""
_FEW: Final = 128
_FAR: Final = 255
"""A gap that does not fit into its byte: its rest stands in the overflow column."""


def split(new: bytes, records: Array) -> tuple[Octets, bytes]:
    """The new bytes in the places of copies as uint8, and the extra bytes."""
    view, is_copy = np.frombuffer(new, np.uint8), _is_copy(records)
    return view[is_copy], view[~is_copy].tobytes()


def _is_copy(records: Array) -> Flags:
    """For every new byte whether it is in the place of a copy."""
    return np.repeat(np.tile(np.array([True, False]), len(records)), records[:, :2].reshape(-1))


def encode(old: bytes, new: bytes, found: Array | Aligned, predictor: ElfPredictor | None, *, fast: bool) -> tuple[bytes, bytes]:
    """The payload of a patch block, and the extra bytes that must stand in another source.

    Args:
        found: records, int64 of shape (k, 3), that cover ``new`` without gap.
    """
    records, known = found if isinstance(found, Aligned) else (found, None)
    wanted, extra = split(new, records)
    out = bytearray()
    if len(records) <= (max(_FEW, len(new) // _TOLD_FAST) if fast else _TOLD_MOST):
        put(out, TOLD)
        put_records(out, records)
    else:
        put(out, COLUMNS)
        _put_columns(out, records, fast=fast)
    if predictor is None:
        _put_residual(out, wanted - copied(old, records), fast=fast)
    else:
        out += predictor.encode(old, records, new, wanted, fast=fast, known=known)
    return bytes(out), extra


def _put_columns(out: bytearray, records: Array, *, fast: bool) -> None:
    put(out, len(records))
    seeks = np.diff(records[:, 2], prepend=0) - np.concatenate([np.zeros(min(1, len(records)), np.int64), records[:-1, 0]])
    control = [column_of(records[:, 0]), column_of(records[:, 1]), signed_column_of(seeks)]
    put_columns(out, control, fast=fast)


def decode(
    old: bytes, payload: bytes, extra: bytes, size: int, predictor: ElfPredictor | None, limits: Limits, memo: Memo | None = None
) -> tuple[bytes, int]:
    """The ``size`` new bytes of a patch block, and how many of the extra bytes it took.

    Args:
        extra: all bytes of the source of extra bytes from where this block starts; more than needed may be there.
    Raises:
        FormatError: delta.malformed.
    """
    cursor = Cursor(payload)
    most = min(limits.nodes, size + 1)
    if cursor.number(TOLD, "the way of telling records") == TOLD:
        records = take_records(cursor, min(most, _TOLD_MOST), len(old))
    else:
        count = cursor.number(most, "the number of records")
        records = _records(take_columns(cursor, [count] * 3, limits.recipe_bytes, "the records"), count, len(old))
    copies, extras = int(records[:, 0].sum()), int(records[:, 1].sum())
    if copies + extras != size:
        raise malformed("the records make another length than the block has", size, copies + extras)
    if extras > len(extra):
        raise malformed("a block needs more extra bytes than its source has left", len(extra), extras)
    if predictor is None:
        content = copied(old, records)
        _add_residual(cursor, content)
        cursor.end("a patch")
    else:
        content = predictor.decode(old, records, cursor.take(cursor.left, "a patch"), memo)
    return _woven(records, content, extra), extras


def _records(control: list[bytes], count: int, old_size: int) -> Array:
    copy, extra = array_of_column(control[0], count), array_of_column(control[1], count)
    seek = array_of_signed_column(control[2], count)
    for lengths in (copy, extra):
        if len(lengths) and int(lengths.max()) >= 1 << 31:
            raise malformed("a record is too long", 1 << 31, int(lengths.max()))
    if len(seek) and int(np.abs(seek).max()) >= 1 << 32:
        raise malformed("a record lies outside of the base", old_size)
    at = np.cumsum(seek + np.concatenate([np.zeros(min(1, count), np.int64), copy[:-1]]))
    if bool(((at < 0) | (at + copy > old_size)).any()):
        raise malformed("a record lies outside of the base", old_size)
    return np.stack([copy, extra, at], axis=1)


def _woven(records: Array, content: Octets, extra: bytes) -> bytes:
    is_copy = _is_copy(records)
    out = np.empty(len(is_copy), np.uint8)
    out[is_copy] = content
    out[~is_copy] = np.frombuffer(extra, np.uint8, len(out) - len(content))
    return out.tobytes()


def _put_residual(out: bytearray, rest: Octets, *, fast: bool) -> None:
    places = np.flatnonzero(rest)
    gaps = np.diff(places, prepend=-1) - 1
    far = column_of(gaps[gaps >= _FAR] - _FAR)
    put(out, len(places))
    put(out, int((gaps >= _FAR).sum()))
    put_coded(out, np.minimum(gaps, _FAR).astype(np.uint8).tobytes(), fast=fast)
    put_coded(out, far, fast=fast)
    put_coded(out, rest[places].astype(np.uint8).tobytes(), fast=fast)


def _add_residual(cursor: Cursor, content: Octets) -> None:
    count, far = residual.take_far(cursor, len(content))
    gaps = np.frombuffer(take_coded(cursor, count, "the gaps"), np.uint8)
    rests = far()
    values = np.frombuffer(take_coded(cursor, count, "the residual bytes"), np.uint8)
    if len(gaps) != count or len(values) != count:
        raise malformed("the residual is incomplete", count, len(gaps))
    residual.scatter(content, gaps, rests, values)
