# SPDX-License-Identifier: Apache-2.0
"""Strict JSON: the one writer and the one reader of everything that is signed.

The writer is reproducible (sorted keys, no spaces), but security never depends on that: the exact bytes are signed.
The reader refuses what two parsers could read differently: duplicate keys, floats, NaN, large integers, lone surrogates, deep nesting, a BOM.
Byte-level description: docs/formats/encoding-v1.md.
"""

import json
import re
from collections.abc import Iterator
from typing import Final, NoReturn

from waybill.domain.ids import JsonValue
from waybill.errors import FormatError

MAX_INTEGER: Final = 2**53 - 1
MAX_DEPTH: Final = 32
MAX_NODES: Final = 200_000
MAX_STRING_BYTES: Final = 1024 * 1024
MAX_PAYLOAD_BYTES: Final = 16 * 1024 * 1024

_STRUCTURE: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{},]', re.DOTALL)
"""A whole string, so that what stands inside it does not count, or one mark of structure."""


def encode(value: JsonValue) -> bytes:
    """UTF-8 JSON of ``value``: keys sorted by code point, no spaces, nothing escaped that need not be.

    Args:
        value: no float anywhere; integers within ±(2**53 - 1); nesting at most 32.
    Raises:
        FormatError: payload.invalid, when ``value`` holds something that the reader would refuse; the field is a JSON pointer.
    Source: docs/formats/encoding-v1.md, section 2.
    """
    _check(value, max_string_bytes=None, max_nodes=MAX_NODES)
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")


def decode(
    data: bytes, *, max_bytes: int = MAX_PAYLOAD_BYTES, max_string_bytes: int = MAX_STRING_BYTES, max_nodes: int = MAX_NODES
) -> JsonValue:
    """The value that ``data`` holds, read once and only in one possible way.

    Args:
        data: UTF-8 without a BOM.
        max_bytes: most bytes of ``data``.
        max_string_bytes: most bytes of one string, in UTF-8.
        max_nodes: most values, counting every object, list, text, number, true, false and null.
    Raises:
        FormatError: limit.exceeded, when a size or the number of nodes is over its limit;
            payload.not_strict_json, for everything else that the profile refuses.
    Source: docs/formats/encoding-v1.md, section 3.
    """
    if len(data) > max_bytes:
        raise FormatError("limit.exceeded", "The document is too large", expected=f"at most {max_bytes} bytes", found=len(data))
    _check_structure(data, max_nodes)
    try:
        value: JsonValue = json.loads(
            data.decode("utf-8"), object_pairs_hook=_pairs, parse_float=_refuse_float, parse_constant=_refuse_float, parse_int=_integer
        )
    except FormatError:
        raise
    except (ValueError, RecursionError) as error:
        raise FormatError("payload.not_strict_json", "The document is not JSON") from error
    try:
        _check(value, max_string_bytes=max_string_bytes, max_nodes=max_nodes)
    except FormatError as error:
        if error.code == "limit.exceeded":
            raise
        raise FormatError("payload.not_strict_json", error.message, field=error.field) from error
    return value


def _check_structure(data: bytes, max_nodes: int) -> None:
    """Depth and number of values bounded before anything is built, so that a small text cannot cost much memory."""
    depth = containers = commas = 0
    for mark in _STRUCTURE.finditer(data):
        character = mark.group()
        if character in b"[{":
            depth += 1
            containers += 1
        elif character in b"]}":
            depth -= 1
        elif character == b",":
            commas += 1
        if depth > MAX_DEPTH:
            raise FormatError("payload.not_strict_json", "The document is nested too deeply", expected=f"at most {MAX_DEPTH} levels")
        # Each of the two alone is no more than the number of values; the exact number is counted afterwards.
        if max(containers, commas) > max_nodes:
            raise FormatError("limit.exceeded", "The document holds too many values", expected=f"at most {max_nodes}")


def _pairs(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise FormatError("payload.not_strict_json", "A member stands twice in one object")
    return members


def _refuse_float(text: str) -> NoReturn:
    raise FormatError("payload.not_strict_json", "Only whole numbers are allowed", found=text[:40])


def _integer(text: str) -> int:
    # The length is checked first: Python's own conversion of a long number is quadratic.
    if len(text) > 17 or abs(int(text)) > MAX_INTEGER:
        raise FormatError("payload.not_strict_json", "A number is too large", expected=f"at most {MAX_INTEGER}", found=text[:40])
    return int(text)


def _check(value: JsonValue, *, max_string_bytes: int | None, max_nodes: int) -> None:
    """Every node of ``value`` is allowed; the walk keeps its own stack, so depth cannot exhaust Python's."""
    nodes = 0
    stack: list[tuple[JsonValue, str, int]] = [(value, "", 1)]
    while stack:
        item, at, depth = stack.pop()
        nodes += 1
        if nodes > max_nodes:
            raise FormatError("limit.exceeded", "The document holds too many values", expected=f"at most {max_nodes}")
        if isinstance(item, str):
            _check_string(item, at, max_string_bytes)
        elif isinstance(item, dict | list):
            if depth > MAX_DEPTH:
                raise FormatError("payload.invalid", "The document is nested too deeply", field=at, expected=f"at most {MAX_DEPTH} levels")
            stack.extend(_children(item, at, depth, max_string_bytes))
        elif isinstance(item, float) or (isinstance(item, int) and abs(item) > MAX_INTEGER):
            raise FormatError("payload.invalid", "Only whole numbers up to 2^53-1 are allowed", field=at, found=str(item)[:40])
        elif item is not None and not isinstance(item, int):
            raise FormatError("payload.invalid", "This cannot be written as JSON", field=at, found=type(item).__name__)


def _children(
    item: dict[str, JsonValue] | list[JsonValue], at: str, depth: int, max_string_bytes: int | None
) -> Iterator[tuple[JsonValue, str, int]]:
    if isinstance(item, list):
        for number, child in enumerate(item):
            yield child, f"{at}/{number}", depth + 1
        return
    for name, child in item.items():
        if not isinstance(name, str):
            raise FormatError("payload.invalid", "A member's name must be text", field=at)
        _check_string(name, at, max_string_bytes)
        yield child, f"{at}/{name}", depth + 1


def _check_string(text: str, at: str, max_bytes: int | None) -> None:
    try:
        size = len(text) if text.isascii() else len(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise FormatError("payload.invalid", "Text holds half of a surrogate pair", field=at) from error
    if max_bytes is not None and size > max_bytes:
        raise FormatError("limit.exceeded", "A text is too long", field=at, expected=f"at most {max_bytes} bytes", found=size)
