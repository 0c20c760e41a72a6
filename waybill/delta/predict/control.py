# SPDX-License-Identifier: Apache-2.0
"""Records of an alignment in few bits: where a copy comes from is told by the copies just before it.

The shift of a record is its place in the old file less its place in the new one. Copies come back to a shift that was used a little while ago, or to
one close by; then the number of that shift in the order of use and the difference are enough.
"""

from typing import Final

import numpy as np

from waybill.delta.io import Array
from waybill.delta.numbers import Cursor, malformed, put
from waybill.delta.predict.coding import Coder, Reader, Writer
from waybill.delta.predict.regions import new_places

_KNOWN: Final = 8
"""Shifts that are remembered."""
_CLOSE: Final = 512
"""A shift that differs by so much from a remembered one is told by it."""
_LIMIT: Final = 1 << 40
"""No length and no place is larger."""


def put_records(out: bytearray, records: Array) -> None:
    """Appends ``records``, int64 of shape (k, 3): copy length, extra length, place in the old file."""
    writer = Writer()
    _tell(writer, len(records), records)
    coded = writer.close()
    put(out, len(records))
    put(out, len(coded))
    out += coded


def take_records(cursor: Cursor, most: int, old_size: int) -> Array:
    """The records that :func:`put_records` appended, at most ``most``, every copy inside of an old file of ``old_size`` bytes.

    Raises:
        FormatError: delta.malformed.
    """
    count = cursor.number(most, "the number of records")
    reader = Reader(cursor.take(cursor.number(cursor.left, "the records"), "the records"))
    records = _tell(reader, count, None)
    reader.close()
    if bool(((records[:, 2] < 0) | (records[:, 2] + records[:, 0] > old_size)).any()):
        raise malformed("a record lies outside of the base", old_size)
    return records


def _tell(coder: Coder, count: int, records: Array | None) -> Array:
    """One run over the records, the same on both sides."""
    which = difference = None
    if records is not None:
        which, difference = _told(records[:, 2] - new_places(records))
    which = _indices(coder, count, which)
    far = which == _KNOWN
    close = coder.numbers(np.minimum(which[~far], 2), None if difference is None else difference[~far])
    away = coder.numbers(np.zeros(int(far.sum()), np.int64), None if difference is None else difference[far])
    context = 2 * far + np.append(far[1:], False)
    copy = coder.numbers(context, None if records is None else records[:, 0])
    extra = coder.numbers(context, None if records is None else records[:, 1])
    if records is not None:
        return records
    told = np.empty(count, np.int64)
    told[far], told[~far] = away, close
    for numbers, least in ((copy, 0), (extra, 0), (told, -_LIMIT)):
        if len(numbers) and not least <= int(numbers.min()) <= int(numbers.max()) <= _LIMIT:
            raise malformed("a number of a record is too large", _LIMIT)
    found = np.stack([copy, extra, np.zeros(count, np.int64)], axis=1)
    if int(found[:, 0].sum()) + int(found[:, 1].sum()) > _LIMIT:
        raise malformed("the records make too much", _LIMIT)
    found[:, 2] = new_places(found) + _heard(which, told)
    return found


def _indices(coder: Coder, count: int, which: Array | None) -> Array:
    """For every record the number of the shift that tells its own, _KNOWN for none: bit by bit, first whether it is the last used."""
    found = np.zeros(count, np.int64)
    left = np.arange(count)
    for number in range(_KNOWN):
        values = None if which is None else (which[left] > number).astype(np.int64)
        left = left[coder.flags(np.zeros(len(left), np.int64), values).astype(np.bool_)]
        found[left] = number + 1
    return found


def _told(shifts: Array) -> tuple[Array, Array]:
    """Number of the remembered shift, and difference from it; or _KNOWN, and the difference from the one used last."""
    recent, which, difference = [0] * _KNOWN, [], []
    for shift in shifts.tolist():
        number = next((n for n, known in enumerate(recent) if -_CLOSE <= shift - known <= _CLOSE), _KNOWN)
        which.append(number)
        difference.append(shift - recent[number % _KNOWN])
        del recent[min(number, _KNOWN - 1)]
        recent.insert(0, shift)
    return np.array(which, np.int64), np.array(difference, np.int64)


def _heard(which: Array, difference: Array) -> Array:
    """The shifts that :func:`_told` was given."""
    recent, shifts = [0] * _KNOWN, []
    for number, more in zip(which.tolist(), difference.tolist(), strict=True):
        shift = recent[number % _KNOWN] + more
        if not -_LIMIT <= shift <= _LIMIT:
            raise malformed("a record lies outside of the base")
        shifts.append(shift)
        del recent[min(number, _KNOWN - 1)]
        recent.insert(0, shift)
    return np.array(shifts, np.int64)
