# SPDX-License-Identifier: Apache-2.0
"""The range coder gives back what it took, in few bytes, and refuses what no writer wrote."""

import random
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.delta.io import Array
from waybill.delta.numbers import Cursor
from waybill.delta.predict import residual
from waybill.delta.predict.coding import Reader, Writer
from waybill.errors import FormatError, WaybillError


def _read(data: bytes, count: int) -> None:
    reader = Reader(data)
    assert len(reader.numbers(np.zeros(count, np.int64), None)) == count
    assert len(reader.flags(np.zeros(count, np.int64), None)) == count


def _array(values: list[int]) -> Array:
    return np.array(values, np.int64)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.booleans())),
    st.lists(st.tuples(st.integers(0, 3), st.integers(-(1 << 62) + 1, (1 << 62) - 1))),
)
def test_flags_and_numbers_come_back(flags: list[tuple[int, bool]], numbers: list[tuple[int, int]]) -> None:
    """Whatever is written is read again, and nothing is left over."""
    writer = Writer()
    writer.flags(_array([one for one, _ in flags]), _array([int(one) for _, one in flags]))
    writer.numbers(_array([one for one, _ in numbers]), _array([one for _, one in numbers]))
    reader = Reader(writer.close())
    assert reader.flags(_array([one for one, _ in flags]), None).tolist() == [int(one) for _, one in flags]
    assert reader.numbers(_array([one for one, _ in numbers]), None).tolist() == [one for _, one in numbers]
    reader.close()


def test_carries_run_through_full_bytes() -> None:
    """Long runs of unlikely ones make carries; they come back all the same."""
    choice = random.Random(3)
    bits = _array([int(choice.random() < 0.001 or index % 97 > 60) for index in range(200_000)])
    contexts = np.zeros(len(bits), np.int64)
    writer = Writer()
    writer.flags(contexts, bits)
    assert bool((Reader(writer.close()).flags(contexts, None) == bits).all())


def test_what_is_likely_costs_little() -> None:
    """A context of equal bits costs hundredths of a bit each."""
    writer = Writer()
    writer.flags(np.zeros(100_000, np.int64), np.zeros(100_000, np.int64))
    assert len(writer.close()) < 100


@pytest.mark.parametrize("cut", [0, 1, 3, 5, 50])
def test_bytes_that_run_out_are_refused(cut: int) -> None:
    """A cut is an error, never zeros."""
    writer = Writer()
    values = _array([random.Random(index).randrange(-(1 << 40), 1 << 40) for index in range(50)])
    writer.numbers(np.zeros(50, np.int64), values)
    writer.flags(np.zeros(50, np.int64), values & 1)
    data = writer.close()[:cut]
    with pytest.raises(WaybillError, match=r"delta\.malformed"):
        _read(data, 50)


def test_bytes_that_follow_are_refused() -> None:
    """The reader needs exactly the bytes of the writer."""
    writer = Writer()
    writer.flags(np.zeros(9, np.int64), np.ones(9, np.int64))
    reader = Reader(writer.close() + b"\0")
    reader.flags(np.zeros(9, np.int64), None)
    with pytest.raises(WaybillError, match=r"delta\.malformed"):
        reader.close()


@pytest.mark.parametrize("seed", range(20))
def test_noise_ends_in_numbers_or_a_code(seed: int) -> None:
    """Any bytes are either read as numbers in range or refused."""
    data = bytes(2) + random.Random(seed).randbytes(3000)
    with suppress(FormatError):
        _read(data, 900)


@given(st.lists(st.tuples(st.integers(0, 700), st.integers(1, 255)), max_size=40))
def test_residuals_come_back(pairs: list[tuple[int, int]]) -> None:
    """Gaps of any length, the first and the last byte among them."""
    rest = np.zeros(sum(gap + 1 for gap, _ in pairs) + 3, np.uint8)
    at = -1
    for gap, value in pairs:
        at += gap + 1
        rest[at] = value
    out = bytearray()
    residual.put_residual(out, rest, fast=False)
    cursor = Cursor(bytes(out))
    found = np.zeros(len(rest), np.uint8)
    residual.add_residual(cursor, found)
    assert found.tobytes() == rest.tobytes()
    cursor.end("a residual")


def test_a_residual_beyond_its_copies_is_refused() -> None:
    """A byte behind the end would be written elsewhere."""
    out = bytearray()
    residual.put_residual(out, np.array([0] * 400 + [1], np.uint8), fast=False)
    with pytest.raises(WaybillError, match=r"delta\.malformed"):
        residual.add_residual(Cursor(bytes(out)), np.zeros(400, np.uint8))
