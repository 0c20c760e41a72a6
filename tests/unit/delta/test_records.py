# SPDX-License-Identifier: Apache-2.0
"""Patches: whatever the alignment is, the new bytes come back; numbers that do not fit are refused."""

import random

import numpy as np
import pytest

from waybill.delta import records
from waybill.delta.io import Array
from waybill.delta.limits import Limits
from waybill.delta.numbers import column_of, put, put_columns, signed_column_of
from waybill.errors import WaybillError


def _alignment(seed: int) -> tuple[bytes, bytes, Array]:
    """Old bytes, new bytes, and records that make them nearly."""
    chance = random.Random(seed)
    old = chance.randbytes(chance.randrange(1, 5000))
    new, rows = bytearray(), []
    for _ in range(chance.randrange(0, 40)):
        at = chance.randrange(len(old))
        copy, extra = chance.randrange(len(old) - at + 1), chance.randrange(30)
        part = bytearray(old[at : at + copy])
        for _ in range(chance.randrange(4) if part else 0):
            part[chance.randrange(len(part))] ^= chance.randrange(256)
        new += part + chance.randbytes(extra)
        rows.append((copy, extra, at))
    return old, bytes(new), np.array(rows, np.int64).reshape(-1, 3)


@pytest.mark.parametrize("fast", [False, True])
def test_whatever_the_alignment_is_the_new_bytes_come_back(fast: bool) -> None:
    """With records told in bits and as columns, and with spare extra bytes behind those that are needed."""
    for seed in range(120):
        old, new, found = _alignment(seed)
        payload, extra = records.encode(old, new, found, None, fast=fast)
        assert records.decode(old, payload, extra + b"spare", len(new), None, Limits()) == (new, len(extra))


@pytest.mark.parametrize(
    ("rows", "size", "extra"),
    [
        ([(10, 0, 95)], 10, 0),
        ([(10, 0, -1)], 10, 0),
        ([(10, 5, 0)], 15, 4),
        ([(10, 0, 0)], 11, 0),
        ([(1 << 31, 0, 0)], 1 << 31, 0),
        ([(1, 0, 1 << 40)], 1, 0),
    ],
    ids=["behind the end", "before the start", "too little extra", "another size", "too long", "far away"],
)
def test_records_that_do_not_fit_are_refused(rows: list[tuple[int, int, int]], size: int, extra: int) -> None:
    found = np.array(rows, np.int64)
    seeks = np.diff(found[:, 2], prepend=0) - np.append(np.zeros(1, np.int64), found[:-1, 0])
    out = bytearray()
    put(out, records.COLUMNS)
    put(out, len(found))
    put_columns(out, [column_of(found[:, 0]), column_of(found[:, 1]), signed_column_of(seeks)])
    out += b"\0" * 5
    with pytest.raises(WaybillError, match=r"delta\.malformed"):
        records.decode(bytes(100), bytes(out), bytes(extra), size, None, Limits())
