# SPDX-License-Identifier: Apache-2.0
"""Records and digests of names come back; what no writer writes is refused."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.delta.predict_programs import build, pair
from waybill.delta.io import Array
from waybill.delta.numbers import Cursor
from waybill.delta.predict import names
from waybill.delta.predict.control import put_records, take_records
from waybill.delta.predict.elf import read_sections
from waybill.errors import WaybillError

SIZE = 1 << 20


def _coded(records: Array) -> bytes:
    out = bytearray()
    put_records(out, records)
    return bytes(out)


def _taken(data: bytes, most: int = 1000, size: int = SIZE) -> Array:
    cursor = Cursor(data)
    records = take_records(cursor, most, size)
    cursor.end("records")
    return records


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1 << 30), st.integers(0, SIZE - 1000)), max_size=60))
def test_records_come_back(records: list[tuple[int, int, int]]) -> None:
    """Any records, none among them."""
    found = np.array(records, np.int64).reshape(-1, 3)
    assert _taken(_coded(found)).tolist() == found.tolist()


def test_coming_back_is_cheap() -> None:
    """Copies that alternate between two places, with edits of a few bytes, cost about three bytes each."""
    choice, places, records = random.Random(1), [0, 500_000], []
    for index in range(300):
        length = choice.randrange(20, 60)
        records.append((length, choice.randrange(4), places[index % 2]))
        places[index % 2] += length
    assert len(_coded(np.array(records, np.int64))) < 300 * 4


@pytest.mark.parametrize("records", [[[10, 0, SIZE - 9]], [[10, 0, 50], [5, 0, -1]]])
def test_copies_outside_of_the_base_are_refused(records: list[list[int]]) -> None:
    """Nothing is copied from before or behind the old file."""
    with pytest.raises(WaybillError, match=r"delta\.malformed"):
        _taken(_coded(np.array(records, np.int64)))


@pytest.mark.parametrize("records", [[[-1, 0, 50]], [[1 << 41, 0, 0]], [[1, 1 << 41, 0]], [[1 << 40, 1 << 40, 0]]])
def test_lengths_out_of_range_are_refused(records: list[list[int]]) -> None:
    """Negative and huge lengths."""
    with pytest.raises(WaybillError, match=r"delta\.malformed"):
        _taken(_coded(np.array(records, np.int64)), size=1 << 50)


def test_too_many_and_cut_records_are_refused() -> None:
    """More than the reader allows, and fewer bytes than announced."""
    data = _coded(np.array([[5, 5, 5 * index] for index in range(100)], np.int64))
    for broken, most in ((data, 99), (data[:-3], 1000), (data[:1], 1000)):
        with pytest.raises(WaybillError, match=r"delta\.malformed"):
            _taken(broken, most)


def test_digests_of_names_come_back() -> None:
    """A digest that changed everywhere is told once."""
    old, new, records = pair(62)
    found = names.find(old, read_sections(old))
    assert len(found) == 300
    places = names.copies(found, records)
    before = np.frombuffer(b"".join(old[at : at + length] for length, _, at in records.tolist()), np.uint8).copy()
    starts = np.cumsum(records[:, :2].sum(axis=1)) - records[:, :2].sum(axis=1)
    truth = np.frombuffer(
        b"".join(new[at : at + length] for at, length in zip(starts.tolist(), records[:, 0].tolist(), strict=True)), np.uint8
    )
    heard, out = before.copy(), bytearray()
    names.tell(out, places, before, truth)
    assert len(out) < 40
    cursor = Cursor(bytes(out))
    names.hear(cursor, places, heard)
    cursor.end("names")
    assert heard.tobytes() == before.tobytes()
    assert b"Csi1HTDsDXWYj_" in heard.tobytes()


def test_missing_digests_are_refused() -> None:
    """As many flags as distinct digests, as many bytes as they have."""
    old, _, records = pair(62, 20)
    places = names.copies(names.find(old, read_sections(old)), records)
    copied = np.frombuffer(b"".join(old[at : at + length] for length, _, at in records.tolist()), np.uint8).copy()
    for broken in (b"\0\0", b"\1\x08\1\0"):
        with pytest.raises(WaybillError, match=r"delta\.malformed"):
            names.hear(Cursor(broken), places, copied)


def test_names_without_digests_have_none() -> None:
    """Only what stands between the marks of a mangled name."""
    program = build(62, [1, 2, 3], 0, "short")
    assert names.find(program.data, read_sections(program.data)).shape == (0, 2)
