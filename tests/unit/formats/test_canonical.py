# SPDX-License-Identifier: Apache-2.0
"""Strict JSON: what the writer makes and what the reader refuses."""

import json
import time

import pytest

from waybill.errors import FormatError
from waybill.formats import canonical

SURROGATE = chr(0xD800)


def test_written_form_is_sorted_tight_and_utf8() -> None:
    """Keys are sorted by code point, nothing is padded, text stays text."""
    assert canonical.encode({"b": 1, "a": ["ü", None, True], "Z": {}}) == '{"Z":{},"a":["ü",null,true],"b":1}'.encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"{}x",
        b"{'a':1}",
        b'{"a":1,}',
        b"[1,]",
        b'{"a":1 "b":2}',
        b"nul",
        b'"\x01"',
        b'"\\x"',
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b"\xef\xbb\xbf{}",
        b'"\xff"',
        b'"\xed\xa0\x80"',
        "{}".encode("utf-16"),
        b"1.0",
        b"1e3",
        b"-0.0",
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"01",
        b"+1",
        b"9007199254740992",
        b"-9007199254740992",
        b"1" * 5000,
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":1,"\\u0061":2}',
        b"[" * 33 + b"]" * 33,
        b"[" * 100_000,
        b'{"a":' * 40 + b"1" + b"}" * 40,
    ],
)
def test_what_is_not_strict_is_refused(data: bytes) -> None:
    """Each of these means two things to two parsers, or nothing."""
    with pytest.raises(FormatError) as caught:
        canonical.decode(data)
    assert caught.value.code == "payload.not_strict_json"


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b" {} ", {}),
        (b"-0", 0),
        (b"9007199254740991", 2**53 - 1),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'"[[[[[[{{{{\\"[[[["', '[[[[[[{{{{"[[[['),
        (b"[" * 32 + b"]" * 32, json.loads("[" * 32 + "]" * 32)),
        (b'{"\\u0000":""}', {"\0": ""}),
    ],
)
def test_what_is_strict_is_read(data: bytes, value: object) -> None:
    """Brackets inside text do not count as nesting; the limits themselves are allowed."""
    assert canonical.decode(data) == value


@pytest.mark.parametrize(
    "data",
    [
        b"[" + b"1," * 200_001 + b"1]",
        b"[" + b"[[]]," * 100_001 + b"1]",
        b'"' + b"x" * (1024 * 1024 + 1) + b'"',
        b'{"' + b"x" * (1024 * 1024 + 1) + b'":1}',
        b" " * (16 * 1024 * 1024) + b"1",
    ],
)
def test_over_a_limit_is_refused_quickly(data: bytes) -> None:
    """Too many values, too long a text and too many bytes name the limit, before much work is done."""
    started = time.process_time()
    with pytest.raises(FormatError) as caught:
        canonical.decode(data)
    assert caught.value.code == "limit.exceeded"
    assert time.process_time() - started < 5


@pytest.mark.parametrize("value", [1.5, {"a": [float("nan")]}, 2**53, {"a": SURROGATE}, {SURROGATE: 1}])
def test_the_writer_refuses_what_the_reader_would(value: object) -> None:
    """A float, a large number or half a surrogate never gets as far as a signature."""
    with pytest.raises(FormatError) as caught:
        canonical.encode(value)  # type: ignore[arg-type]  # wrong on purpose
    assert caught.value.code == "payload.invalid"


def test_the_writer_names_the_place() -> None:
    """The error of the writer holds a JSON pointer."""
    with pytest.raises(FormatError) as caught:
        canonical.encode({"actions": [{"inputs": {"ratio": 0.5}}]})
    assert caught.value.field == "/actions/0/inputs/ratio"


def test_nesting_of_the_writer_is_bounded() -> None:
    """A value nested too deeply is refused, not a recursion error."""
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(FormatError) as caught:
        canonical.encode(deep)  # type: ignore[arg-type]  # list is invariant
    assert caught.value.code == "payload.invalid"
