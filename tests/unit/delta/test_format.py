# SPDX-License-Identifier: Apache-2.0
"""The writer and the reader of delta-v1 agree, and the reader refuses what breaks a rule."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from waybill.delta import reader
from waybill.delta.encoders import EncoderId
from waybill.delta.io import BytesReader
from waybill.delta.limits import Limits
from waybill.delta.model import PATCH, POOL, Block, Head, Opened, Range, Recipe, Stream
from waybill.delta.numbers import (
    Cursor,
    array_of_column,
    array_of_signed_column,
    column,
    put_coded,
    put_columns,
    signed_column,
    take_coded,
    take_columns,
)
from waybill.delta.writer import encode
from waybill.errors import WaybillError

HEAD = Head(bytes(32), 1000, bytes(range(32)), 900)
RECIPE = Recipe(
    encoders=(EncoderId("zlib:6:8", bytes(16)), EncoderId("xz:6:crc64:mt", bytes([1]) * 16)),
    opened=(Opened("deflate", Range(0, 100, 50), 400), Opened("xz", Range(1, 10, 60), 300)),
    blocks=(
        Block(POOL, 200, (Range(1, 0, 100), Range(2, 50, 10)), 3),
        Block(PATCH, 77, (Range(2, 0, 300),), 4, extra=3, predictor="elf-x86-64/1"),
        Block(POOL, 5, (), 2),
    ),
    segments=(Range(0, 0, 100), Range(3, 0, 150), Range(4, 0, 77), Range(3, 150, 50), Range(0, 150, 10)),
    streams=(Stream(1, 3, 0, 5), Stream(2, 1, 1)),
    corrections=5,
)


def _file(recipe: Recipe = RECIPE, head: Head = HEAD, payload: bytes = b"aaabbbbcc") -> bytes:
    return b"".join(encode(head, recipe, [[payload]]))


def _read(data: bytes, limits: Limits | None = None) -> reader.Delta:
    return reader.read(BytesReader(data), limits or Limits())


def test_what_was_written_is_read() -> None:
    found = _read(_file())
    assert found.head == HEAD
    assert replace(found.recipe, segments=tuple(found.recipe.segments), streams=tuple(found.recipe.streams)) == RECIPE
    assert [length for _, length in found.payloads] == [3, 4, 2]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"segments": (*RECIPE.segments, Range(0, 990, 11))}, "delta.malformed"),
        ({"segments": (*RECIPE.segments, Range(6, 0, 1))}, "delta.malformed"),
        ({"opened": (Opened("deflate", Range(1, 0, 5), 4), RECIPE.opened[1])}, "delta.malformed"),
        ({"opened": (Opened("deflate", Range(0, 0, 5), 1 << 40), RECIPE.opened[1])}, "delta.expansion_exceeded"),
        ({"streams": (Stream(1, 2, 0, 5), Stream(2, 2, 1))}, "delta.malformed"),
        ({"streams": (Stream(1, 0, 0, 5),)}, "delta.malformed"),
        ({"streams": (Stream(4, 2, 0, 5),)}, "delta.malformed"),
        ({"streams": (Stream(1, 3, 2, 5),)}, "delta.malformed"),
        ({"streams": (Stream(1, 3, 0, 6),)}, "delta.malformed"),
        ({"streams": tuple(Stream(1, 3, 0, 5 * (n == 0)) for n in range(9))}, "delta.malformed"),
        ({"corrections": 0}, "delta.malformed"),
        ({"blocks": (replace(RECIPE.blocks[0], size=1 << 28), *RECIPE.blocks[1:])}, "delta.expansion_exceeded"),
        ({"blocks": (RECIPE.blocks[0], replace(RECIPE.blocks[1], extra=4), RECIPE.blocks[2])}, "delta.malformed"),
        ({"blocks": (replace(RECIPE.blocks[0], base=(Range(3, 0, 1),)), *RECIPE.blocks[1:])}, "delta.malformed"),
        ({"blocks": (replace(RECIPE.blocks[0], payload=4), *RECIPE.blocks[1:])}, "delta.malformed"),
        ({"blocks": (replace(RECIPE.blocks[0], kind=2), *RECIPE.blocks[1:])}, "delta.unsupported"),
    ],
)
def test_a_recipe_that_breaks_a_rule_is_refused(change: dict[str, Any], code: str) -> None:
    with pytest.raises(WaybillError) as refused:
        _read(_file(replace(RECIPE, **change)))
    assert refused.value.code == code


def test_a_delta_cut_off_anywhere_is_refused() -> None:
    data = _file()
    for length in range(len(data)):
        with pytest.raises(WaybillError):
            _read(data[:length])
    with pytest.raises(WaybillError):
        _read(data + b"x")


def test_a_flipped_bit_never_escapes_as_another_error() -> None:
    data = _file()
    codes = set()
    for at in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            try:
                _read(bytes(changed))
            except WaybillError as error:
                codes.add(error.code.partition(".")[0])
    assert codes == {"delta"}


def test_more_parts_than_allowed_are_refused() -> None:
    with pytest.raises(WaybillError, match=r"delta\."):
        _read(_file(), Limits(nodes=4))


NUMBERS = [0, 1, 127, 128, 300, 2**31, 2**62, 5]


def test_columns_come_back() -> None:
    assert array_of_column(column(NUMBERS), len(NUMBERS)).tolist() == NUMBERS
    signed = [0, -1, 1, -(2**40), 2**40]
    assert array_of_signed_column(signed_column(signed), 5).tolist() == signed
    assert array_of_column(b"", 0).tolist() == []


@pytest.mark.parametrize("data", [b"\x80", b"\x80\x00", b"\x01\x01", b"\xff" * 9 + b"\x01"])
def test_a_wrong_column_is_refused(data: bytes) -> None:
    with pytest.raises(WaybillError, match=r"delta\.malformed"):
        array_of_column(data, 1)


@pytest.mark.parametrize(
    "data",
    [b"", b"a", b"text " * 1000, bytes(100_000), bytes(range(256)) * 64, b"\0\0\1\2" * 4000],
    ids=["none", "one", "text", "zeros", "all", "words"],
)
@pytest.mark.parametrize("fast", [True, False])
def test_coded_strings_come_back(data: bytes, fast: bool) -> None:
    out = bytearray()
    put_coded(out, data, fast=fast)
    cursor = Cursor(bytes(out))
    assert take_coded(cursor, len(data), "it") == data
    cursor.end("it")
    for length in range(len(out)):
        with pytest.raises(WaybillError, match=r"delta\.malformed"):
            Cursor(bytes(take_coded(Cursor(bytes(out[:length])), len(data), "it"))).take(len(data) + 1, "more")
    if data:
        with pytest.raises(WaybillError, match=r"delta\.malformed"):
            take_coded(Cursor(bytes(out)), len(data) - 1, "it")


@pytest.mark.parametrize("columns", [[[], [], []], [[1, 2, 3], [], [300]], [list(range(5000)), [7] * 4000, [2**40] * 100]])
def test_columns_together_or_apart_come_back(columns: list[list[int]]) -> None:
    out = bytearray()
    put_columns(out, [column(one) for one in columns])
    found = take_columns(Cursor(bytes(out)), [len(one) for one in columns], 1 << 20, "it")
    assert [array_of_column(data, len(one)).tolist() for data, one in zip(found, columns, strict=True)] == columns
    wrong: Callable[[], Any] = lambda: take_columns(Cursor(bytes(out)), [len(one) + 1 for one in columns], 1 << 20, "it")  # noqa: E731
    if bytes(out)[0] == 0:
        with pytest.raises(WaybillError, match=r"delta\.malformed"):
            wrong()
