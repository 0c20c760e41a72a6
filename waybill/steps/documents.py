# SPDX-License-Identifier: Apache-2.0
"""The JSON documents inside a step package, read member by member.

Numbers may be fractions and unknown members stay, because these documents are not ours alone; doubled members and NaN are refused.
"""

import json
import re
from collections.abc import Sequence
from typing import Final, cast

from waybill.domain.ids import JsonValue
from waybill.errors import FormatError

MAX_DOCUMENT_BYTES: Final = 4 * 1024 * 1024


def read_json(data: bytes, *, file: str) -> dict[str, JsonValue]:
    """The JSON object in ``data``.

    Raises:
        FormatError: step.package_invalid, when it is too large, not UTF-8, not JSON, nested too deeply, no object or has a member twice.
    """
    if len(data) > MAX_DOCUMENT_BYTES:
        raise _invalid(file, "the document is too large")
    try:
        value: object = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise _invalid(file, "the document is not JSON") from error
    if not isinstance(value, dict):
        raise _invalid(file, "the document is not an object")
    return cast("dict[str, JsonValue]", value)


class Reader:
    """Reads members of one object; every refusal names the file and the JSON pointer."""

    def __init__(self, value: dict[str, JsonValue], *, file: str, pointer: str = "") -> None:
        self._value = value
        self._file = file
        self._pointer = pointer

    def names(self) -> Sequence[str]:
        """The members, in the order of the document."""
        return tuple(self._value)

    def text(self, name: str, *, max_length: int, default: str | None = None) -> str:
        """The text ``name`` of at most ``max_length`` characters. Raises FormatError step.package_invalid."""
        found = self._value.get(name, default)
        if not isinstance(found, str) or len(found) > max_length:
            raise self._wrong(name, f"text of at most {max_length} characters")
        return found

    def matching(self, name: str, pattern: re.Pattern[str], *, max_length: int) -> str:
        """The text ``name``, when the whole of it matches. Raises FormatError step.package_invalid."""
        found = self.text(name, max_length=max_length)
        if not pattern.fullmatch(found):
            raise self._wrong(name, f"text like {pattern.pattern}")
        return found

    def one_of(self, name: str, allowed: tuple[str, ...], *, default: str | None = None) -> str:
        """The text ``name``, when it is allowed. Raises FormatError step.package_invalid."""
        found = self._value.get(name, default)
        if not isinstance(found, str) or found not in allowed:
            raise self._wrong(name, " or ".join(allowed))
        return found

    def flag(self, name: str, *, default: bool) -> bool:
        """The truth value ``name``. Raises FormatError step.package_invalid."""
        found = self._value.get(name, default)
        if not isinstance(found, bool):
            raise self._wrong(name, "true or false")
        return found

    def number(self, name: str, *, default: int, most: int) -> int:
        """The whole number ``name`` from 1 to ``most``. Raises FormatError step.package_invalid."""
        found = self._value.get(name, default)
        if not isinstance(found, int) or isinstance(found, bool) or not 1 <= found <= most:
            raise self._wrong(name, f"a whole number from 1 to {most}")
        return found

    def texts(self, name: str, *, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """The list of texts ``name``. Raises FormatError step.package_invalid."""
        found = self._value.get(name, None if default is None else list(default))
        if not isinstance(found, list):
            raise self._wrong(name, "a list of texts")
        texts = tuple(each for each in found if isinstance(each, str))
        if len(texts) != len(found):
            raise self._wrong(name, "a list of texts")
        return texts

    def inner(self, name: str) -> "Reader | None":
        """The object ``name``, or None when absent. Raises FormatError step.package_invalid."""
        found = self._value.get(name)
        if found is None:
            return None
        if not isinstance(found, dict):
            raise self._wrong(name, "an object")
        return Reader(found, file=self._file, pointer=f"{self._pointer}/{name}")

    def _wrong(self, name: str, expected: str) -> FormatError:
        where = f"{self._file}{self._pointer}/{name[:100]}"
        return FormatError("step.package_invalid", "a member is missing or wrong", field=where, expected=expected)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member occurs twice")
    return found


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _invalid(file: str, message: str) -> FormatError:
    return FormatError("step.package_invalid", message, field=file)
