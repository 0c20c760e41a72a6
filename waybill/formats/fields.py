# SPDX-License-Identifier: Apache-2.0
"""Reads the members of signed documents, one by one, with their types and limits.

Every member is required; an optional one is written as ``null``.
A member that version 1.0 does not know is refused, unless the document says that it is of a later minor version: then it is ignored.
What must not be ignored is named in ``critical``, and an unknown name there is refused.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TypeVar

from waybill.domain.ids import JsonValue
from waybill.errors import FormatError
from waybill.formats import base64_strict, canonical

SCHEMA_MAJOR: Final = 1
SCHEMA_MINOR: Final = 0
READS: Final = ("1.0",)
"""The schema versions that this program reads; listed in its identity document."""

MAX_NAME: Final = 200
MAX_NOTES: Final = 64 * 1024
MAX_VALUE: Final = 64 * 1024
MAX_COORDINATE: Final = 214

T = TypeVar("T")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_ID: Final = re.compile(r"[a-z]{3}_[0-9a-f]{32}")
_TOKEN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def schema(minor: int, critical: tuple[str, ...] = ()) -> dict[str, JsonValue]:
    """The members ``schema`` and ``critical`` that open every document."""
    return {"schema": {"major": SCHEMA_MAJOR, "minor": minor}, "critical": list(critical)}


def write_time(moment: datetime) -> str:
    """``moment`` as ``YYYY-MM-DDTHH:MM:SSZ``; fractions of a second are dropped. ``moment`` must be aware."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone cannot be written")
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat(timespec="seconds") + "Z"


def write_optional_time(moment: datetime | None) -> str | None:
    """``write_time``, or None."""
    return None if moment is None else write_time(moment)


def check_coordinate(text: str, *, field: str) -> str:
    """``text`` itself, when it may be the id or version of a package.

    Raises:
        FormatError: package.coordinate_invalid, over 214 characters, with a control character or white space at an end,
            a segment ``..``, or a leading ``/``.
    """
    segments = re.split(r"[/\\]", text)
    if not text or len(text) > MAX_COORDINATE or _CONTROL.search(text) or text != text.strip() or ".." in segments or segments[0] == "":
        raise FormatError("package.coordinate_invalid", "The package id or version is not allowed", field=field, found=repr(text[:60]))
    return text


def open_document(
    payload: bytes, *, max_bytes: int = canonical.MAX_PAYLOAD_BYTES, max_string_bytes: int = canonical.MAX_STRING_BYTES
) -> "Fields":
    """The members of a document whose ``schema`` and ``critical`` this program can read.

    Raises:
        FormatError: payload.not_strict_json, payload.invalid, limit.exceeded; bundle.schema_unsupported for another major version
            or an unknown critical feature.
    """
    value = canonical.decode(payload, max_bytes=max_bytes, max_string_bytes=max_string_bytes)
    return Fields(value, at="", lenient=False).versioned()


class Fields:
    """The members of one JSON object. Each is taken once; ``end`` refuses what is left over."""

    __slots__ = ("_at", "_left", "_lenient", "minor")

    def __init__(self, value: JsonValue, *, at: str, lenient: bool, minor: int = SCHEMA_MINOR) -> None:
        if not isinstance(value, dict):
            raise FormatError("payload.invalid", "An object was expected", field=at or "/", found=type(value).__name__)
        self._left = dict(value)
        self._at = at
        self._lenient = lenient
        self.minor = minor

    def versioned(self) -> "Fields":
        """These members without ``schema`` and ``critical``, once both are readable. Raises FormatError bundle.schema_unsupported."""
        version = self.take("schema")
        numbers = (version.get("major"), version.get("minor")) if isinstance(version, dict) else (None, None)
        major, minor = numbers
        whole = type(major) is int and type(minor) is int
        if not whole or major != SCHEMA_MAJOR or not isinstance(minor, int) or minor < 0:
            raise FormatError(
                "bundle.schema_unsupported",
                "The schema version is not supported",
                field=self.at("schema"),
                expected="1.x",
                found=str(version)[:80],
            )
        features = self.texts("critical", most=64)
        if features:
            raise FormatError(
                "bundle.schema_unsupported",
                "The document needs a feature that this version does not know",
                field=self.at("critical"),
                found=", ".join(features)[:80],
            )
        self._lenient = minor > SCHEMA_MINOR
        self.minor = minor
        return self

    def at(self, name: str) -> str:
        """The JSON pointer of the member ``name``."""
        return f"{self._at}/{name}"

    def invalid(self, name: str, expected: str, found: object = None) -> FormatError:
        """The error for a wrong member; the caller raises it."""
        return FormatError("payload.invalid", f"{name} is wrong", field=self.at(name), expected=expected, found=found)

    def take(self, name: str) -> JsonValue:
        """The raw value of ``name``, which is then gone. Raises FormatError payload.invalid when it is absent."""
        if name not in self._left:
            raise FormatError("payload.invalid", f"{name} is missing", field=self.at(name))
        return self._left.pop(name)

    def has(self, name: str) -> bool:
        """True while ``name`` is there and not taken."""
        return name in self._left

    def end(self) -> None:
        """Nothing is left over, or the document is of a later minor version. Raises FormatError payload.invalid."""
        if self._left and not self._lenient:
            name = sorted(self._left)[0]
            raise FormatError("payload.invalid", "An unknown member", field=self.at(name))

    def optional(self, name: str, read: Callable[[str], T]) -> T | None:
        """What ``read`` makes of the member, or None when it is ``null``. ``read`` is one of the readers below."""
        if self.has(name) and self._left[name] is None:
            self._left.pop(name)
            return None
        return read(name)

    def text(self, name: str, *, most: int = MAX_NAME, least: int = 1) -> str:
        """Text of ``least`` to ``most`` characters."""
        value = self.take(name)
        if not isinstance(value, str) or not least <= len(value) <= most:
            raise self.invalid(name, f"text of {least} to {most} characters", type(value).__name__)
        return value

    def name(self, name: str, *, most: int = MAX_NAME) -> str:
        """Text for people in one line: no control character."""
        value = self.text(name, most=most)
        if _CONTROL.search(value):
            raise self.invalid(name, "text without control characters")
        return value

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        """One of ``allowed``."""
        value = self.text(name)
        if value not in allowed:
            raise self.invalid(name, " | ".join(allowed), value[:60])
        return value

    def token(self, name: str) -> str:
        """An identifier: letters, digits, ``.``, ``_``, ``-``; at most 100."""
        value = self.text(name)
        if not _TOKEN.fullmatch(value):
            raise self.invalid(name, "letters, digits, '.', '_' and '-'", repr(value[:60]))
        return value

    def coordinate(self, name: str) -> str:
        """The id or version of a package. Raises FormatError package.coordinate_invalid."""
        return check_coordinate(self.text(name, least=0, most=100_000), field=self.at(name))

    def id(self, name: str, prefix: str | None = None) -> str:
        """An id of the house grammar, of the noun ``prefix`` when given."""
        value = self.text(name)
        if not _ID.fullmatch(value) or (prefix is not None and not value.startswith(prefix + "_")):
            raise self.invalid(name, f"{prefix or 'xxx'}_ and 32 hexadecimal digits", repr(value[:60]))
        return value

    def ids(self, name: str, *, most: int) -> tuple[str, ...]:
        """Different ids, at most ``most``."""
        values = self.texts(name, most=most)
        if not all(_ID.fullmatch(value) for value in values):
            raise self.invalid(name, "a list of ids")
        return values

    def integer(self, name: str, *, least: int = 0, most: int = canonical.MAX_INTEGER) -> int:
        """A whole number within both bounds."""
        value = self.take(name)
        if type(value) is not int or not least <= value <= most:
            raise self.invalid(name, f"a whole number from {least} to {most}", str(value)[:40])
        return value

    def boolean(self, name: str) -> bool:
        """``true`` or ``false``."""
        value = self.take(name)
        if not isinstance(value, bool):
            raise self.invalid(name, "true or false")
        return value

    def digest(self, name: str) -> str:
        """A SHA-256 in lower-case hexadecimal. Raises FormatError package.digest_unsupported for anything else."""
        value = self.take(name)
        if not isinstance(value, str) or not _DIGEST.fullmatch(value):
            raise FormatError("package.digest_unsupported", f"{name} is not a SHA-256", field=self.at(name), found=str(value)[:80])
        return value

    def digests(self, name: str, *, most: int) -> tuple[str, ...]:
        """Different SHA-256 digests, at most ``most``."""
        values = self.texts(name, most=most)
        if not all(_DIGEST.fullmatch(value) for value in values):
            raise FormatError("package.digest_unsupported", f"{name} holds something that is not a SHA-256", field=self.at(name))
        return values

    def time(self, name: str) -> datetime:
        """A UTC time in whole seconds."""
        value = self.text(name)
        if not _TIME.fullmatch(value) or not value.isascii():
            raise self.invalid(name, "YYYY-MM-DDTHH:MM:SSZ", repr(value[:40]))
        try:
            return datetime.fromisoformat(value[:-1]).replace(tzinfo=UTC)
        except ValueError as error:
            raise self.invalid(name, "a time that exists", repr(value[:40])) from error

    def binary(self, name: str, *, most: int) -> bytes:
        """Bytes in base64, at least one and at most ``most``."""
        value = self.text(name, most=most * 2)
        data = base64_strict.decode(value, code="payload.invalid", field=self.at(name))
        if len(data) > most:
            raise self.invalid(name, f"at most {most} bytes", len(data))
        return data

    def entries(self, name: str, *, most: int) -> list[JsonValue]:
        """A list of at most ``most`` entries. Raises FormatError limit.exceeded."""
        value = self.take(name)
        if not isinstance(value, list):
            raise self.invalid(name, "a list", type(value).__name__)
        if len(value) > most:
            raise FormatError(
                "limit.exceeded", f"{name} holds too many entries", field=self.at(name), expected=f"at most {most}", found=len(value)
            )
        return value

    def texts(self, name: str, *, most: int, most_characters: int = MAX_NAME) -> tuple[str, ...]:
        """Different texts, none empty, at most ``most``."""
        texts: list[str] = []
        for value in self.entries(name, most=most):
            if not isinstance(value, str) or not 1 <= len(value) <= most_characters:
                raise self.invalid(name, f"texts of 1 to {most_characters} characters")
            texts.append(value)
        if len(set(texts)) != len(texts):
            raise self.invalid(name, "no entry twice")
        return tuple(texts)

    def blobs(self, name: str, *, most: int, most_bytes: int) -> tuple[bytes, ...]:
        """Byte strings in base64, at most ``most``."""
        values = self.entries(name, most=most)
        wrapped = [Fields({"entry": value}, at=f"{self.at(name)}/{number}", lenient=False) for number, value in enumerate(values)]
        return tuple(one.binary("entry", most=most_bytes) for one in wrapped)

    def child(self, name: str) -> "Fields":
        """The members of an object, to be read and ended by the caller."""
        return Fields(self.take(name), at=self.at(name), lenient=self._lenient, minor=self.minor)

    def children(self, name: str, *, most: int) -> "tuple[Fields, ...]":
        """A list of objects, each to be read and ended by the caller."""
        values = self.entries(name, most=most)
        return tuple(
            Fields(value, at=f"{self.at(name)}/{number}", lenient=self._lenient, minor=self.minor) for number, value in enumerate(values)
        )

    def json(self, name: str) -> dict[str, JsonValue]:
        """An object of any content that strict JSON can hold."""
        value = self.take(name)
        if not isinstance(value, dict):
            raise self.invalid(name, "an object", type(value).__name__)
        return value


def check_unique(values: list[str], *, field: str) -> None:
    """No text stands twice in ``values``. Raises FormatError payload.invalid."""
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise FormatError("payload.invalid", "It stands twice in the list", field=field, found=value[:80])
        seen.add(value)
