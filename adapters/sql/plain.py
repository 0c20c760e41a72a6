# SPDX-License-Identifier: Apache-2.0
"""Nested values of the domain to plain JSON values and back, by their declared types.

Known: text, whole numbers, booleans, moments, bytes (base64), enums, tuples, optional values, frozen dataclasses, and JSON objects and lists.
Anything else is refused when the program starts, not when a row is stored.
A field that is absent in an older row takes its default; one that a newer program wrote is passed over.
(pydantic cannot build an adapter for the recursive ``JsonValue`` of the domain; the types needed here are few.)
"""

import base64
import dataclasses
import math
import types
import typing
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from typing import Final, NamedTuple, cast

from waybill.domain.ids import JsonValue
from waybill.errors import FormatError

_INT64: Final = 2**63


class Codec(NamedTuple):
    """Two directions of one type. ``dump`` gives a fresh plain value and raises FormatError request.invalid or TypeError."""

    dump: Callable[[object], object]
    load: Callable[[object], object]


def check_text(value: object) -> str:
    """``value`` itself, when both databases can keep it exactly. Raises FormatError request.invalid for U+0000 and lone surrogates."""
    if not isinstance(value, str):
        raise TypeError(f"text expected, not {type(value).__name__}")
    if "\x00" in value:
        raise FormatError("request.invalid", "text may not contain U+0000")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise FormatError("request.invalid", "text may not contain half a surrogate pair") from error
    return str(value)


def is_storable(value: object) -> bool:
    """False for text and numbers that no database can hold, so that looking for them finds nothing."""
    if isinstance(value, str):
        return "\x00" not in value and not any("\ud800" <= character <= "\udfff" for character in value)
    return not isinstance(value, int) or -_INT64 <= value < _INT64


def check_number(value: object) -> int:
    """``value`` itself, when it is a whole number of 64 bits. Raises FormatError request.invalid when it has more."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"a whole number expected, not {type(value).__name__}")
    if not -_INT64 <= value < _INT64:
        raise FormatError("request.invalid", "a whole number may have 64 bits", found=value.bit_length())
    return value


def check_moment(value: object) -> datetime:
    """``value`` in UTC. Raises TypeError when it has no zone: that is a mistake in the program."""
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise TypeError("a moment with a zone expected")
    return value.astimezone(UTC)


def check_json(value: object) -> JsonValue:
    """A deep copy of ``value``, when it is JSON with finite numbers. Raises TypeError, or FormatError request.invalid."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise FormatError("request.invalid", "a number must be finite")
        return value
    if isinstance(value, list):
        return [check_json(item) for item in value]
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("the keys of a JSON object are text")
        return {key: check_json(item) for key, item in value.items()}
    raise TypeError(f"{type(value).__name__} is not JSON")


def codec_of(hint: object) -> Codec:
    """The codec of the type ``hint``. Raises TypeError when the type is not one of the known ones."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _optional(arguments)
    if origin is tuple:
        return _tuple(arguments)
    if origin in (dict, list):
        return Codec(check_json, lambda value: value)
    if not isinstance(hint, type):
        raise TypeError(f"no plain form for {hint}")
    if issubclass(hint, Enum):
        return Codec(lambda value: hint(value).value, hint)
    if dataclasses.is_dataclass(hint):
        return _dataclass(hint)
    return _SIMPLE[hint]


def _is(kind: type) -> Callable[[object], object]:
    def check(value: object) -> object:
        if not isinstance(value, kind):
            raise TypeError(f"{kind.__name__} expected, not {type(value).__name__}")
        return value

    return check


def _dump_bytes(value: object) -> str:
    return base64.b64encode(cast(bytes, _is(bytes)(value))).decode()


_SIMPLE: Final[dict[type, Codec]] = {
    str: Codec(check_text, lambda value: value),
    bool: Codec(_is(bool), lambda value: value),
    int: Codec(check_number, lambda value: value),
    datetime: Codec(lambda value: check_moment(value).isoformat(), lambda value: datetime.fromisoformat(cast(str, value))),
    bytes: Codec(_dump_bytes, lambda value: base64.b64decode(cast(str, value))),
}


def _optional(arguments: tuple[object, ...]) -> Codec:
    inner = [argument for argument in arguments if argument is not type(None)]
    if len(inner) != 1 or len(arguments) != 2:
        raise TypeError("the only union with a plain form is an optional value")
    codec = codec_of(inner[0])
    return Codec(
        lambda value: None if value is None else codec.dump(value),
        lambda value: None if value is None else codec.load(value),
    )


def _tuple(arguments: tuple[object, ...]) -> Codec:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        item = codec_of(arguments[0])
        return Codec(
            lambda value: [item.dump(each) for each in cast(tuple[object, ...], _is(tuple)(value))],
            lambda value: tuple(item.load(each) for each in cast(list[object], value)),
        )
    items = [codec_of(argument) for argument in arguments]
    return Codec(
        lambda value: [codec.dump(each) for codec, each in zip(items, cast(tuple[object, ...], value), strict=True)],
        lambda value: tuple(codec.load(each) for codec, each in zip(items, cast(list[object], value), strict=True)),
    )


def _dataclass(kind: type) -> Codec:
    hints = typing.get_type_hints(kind)
    fields = {field.name: codec_of(hints[field.name]) for field in dataclasses.fields(kind)}

    def dump(value: object) -> object:
        checked = _is(kind)(value)
        return {name: codec.dump(getattr(checked, name)) for name, codec in fields.items()}

    def load(value: object) -> object:
        stored = cast(dict[str, object], value)
        return kind(**{name: codec.load(stored[name]) for name, codec in fields.items() if name in stored})

    return Codec(dump, load)
