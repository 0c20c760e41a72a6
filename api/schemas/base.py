# SPDX-License-Identifier: Apache-2.0
"""What all bodies have in common: requests refuse fields they do not know, answers are shaped from rows by their attributes.

Refuses U+0000 and lone surrogates anywhere in a request: no database stores the first and no encoding knows the second.
"""

from typing import Annotated, Any, Generic, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
"""A name or slug that a person gives."""
Reference = Annotated[str, StringConstraints(min_length=1, max_length=400)]
"""An id, slug or name of something that exists."""
Text = Annotated[str, StringConstraints(max_length=20_000)]
Sha256 = Annotated[str, StringConstraints(min_length=64, max_length=64)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Json: TypeAlias = JsonValue

T = TypeVar("T")


def example(value: dict[str, Any]) -> ConfigDict:
    """The configuration of a request model with one example of it."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [value]})


class Request(BaseModel):
    """A request body. Unknown fields are refused, so that nobody sets what is not theirs to set."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _storable(cls, data: Any) -> Any:
        """``data`` unchanged. Raises ValueError when some text in it could never be stored."""
        pending: list[object] = [data]
        while pending:
            value = pending.pop()
            if isinstance(value, str):
                _require_storable(value)
            elif isinstance(value, dict):
                pending.extend(value.keys())
                pending.extend(value.values())
            elif isinstance(value, list):
                pending.extend(value)
        return data


def _require_storable(text: str) -> None:
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("text must not hold U+0000 or lone surrogates")


class Shape(BaseModel):
    """An answer, shaped from a row of the domain. It has only the fields that it names: no hash, no wrapped key, no secret."""

    model_config = ConfigDict(from_attributes=True)


class Listing(BaseModel, Generic[T]):
    """One page of a list. ``next_cursor`` is null on the last page."""

    items: list[T]
    next_cursor: str | None = None
