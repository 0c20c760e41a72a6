# SPDX-License-Identifier: Apache-2.0
"""Between the frozen dataclasses of the domain and the columns of their tables: one generic mapping for every kind.

A column holds the field of its name. Text, numbers, booleans, moments and bytes go as they are, enums as their text, all else as JSON.
What one of the databases would change or refuse is refused here, so that every ledger behaves alike.
"""

import dataclasses
import re
import typing
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from types import MappingProxyType, UnionType
from typing import Final, Generic, Protocol, TypeVar, cast

from sqlalchemy import JSON, Connection, Select, Table

from adapters.sql.plain import Codec, check_moment, check_number, check_text, codec_of
from adapters.sql.tables import TABLES
from waybill.errors import FormatError
from waybill.ports import Row, Scalar

K = TypeVar("K")
R = TypeVar("R", bound=Row)
Columns = dict[str, object]
"""A row as the database sees it: column name to plain value."""


class _Scoped(Protocol):
    @property
    def space_id(self) -> str: ...


class Mapper(Generic[K]):
    """One dataclass and its table."""

    def __init__(self, kind: type[K], table: Table, *, extra: tuple[str, ...] = ()) -> None:
        """Checks that columns and fields are the same, but for the columns ``extra``. Raises TypeError."""
        hints = typing.get_type_hints(kind)
        names = [field.name for field in dataclasses.fields(cast("type[_Dataclass]", kind))]
        if {*names, *extra} != set(table.columns.keys()):
            raise TypeError(f"{kind.__name__} and {table.name} differ: {set(names) ^ set(table.columns.keys())}")
        self.kind = kind
        self.table = table
        self.noun = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind.__name__).lower()
        self.is_scoped = "space_id" in names
        self._codecs = {name: _column_codec(hints[name], is_json=isinstance(table.c[name].type, JSON)) for name in names}
        self._nullable = {name: bool(table.c[name].nullable) for name in names}

    def dump(self, row: K) -> Columns:
        """The columns of ``row``, independent of it. Raises FormatError request.invalid with the field that no database could keep."""
        if type(row) is not self.kind:
            raise TypeError(f"a {self.noun} expected, not {type(row).__name__}")
        return {name: self._dump_field(name, getattr(row, name)) for name in self._codecs}

    def load(self, columns: Mapping[str, object]) -> K:
        """The row that the columns hold."""
        return self.kind(**{name: codec.load(columns[name]) for name, codec in self._codecs.items()})

    def fetch(self, connection: Connection, statement: "Select[*tuple[object, ...]]") -> list[K]:
        """The rows that ``statement``, which selects this table's columns, finds."""
        result = connection.execute(statement)
        names = [str(name) for name in result.keys()]  # noqa: SIM118 - a result is not a dictionary
        return [self.load(dict(zip(names, values, strict=True))) for values in result]

    def compare(self, equals: Mapping[str, Scalar]) -> Columns:
        """Conditions as plain values. Raises ValueError for a column that does not exist or holds JSON."""
        for name in equals:
            if name not in self._codecs or isinstance(self.table.c[name].type, JSON):
                raise ValueError(f"a {self.noun} cannot be found by {name}")
        return {name: None if value is None else _comparable(value) for name, value in equals.items()}

    def space_of(self, row: K) -> str:
        """The Space that ``row`` names as its own."""
        return cast(_Scoped, row).space_id

    def _dump_field(self, name: str, value: object) -> object:
        if value is None:
            if not self._nullable[name]:
                raise TypeError(f"{name} of a {self.noun} may not be None")
            return None
        try:
            return self._codecs[name].dump(value)
        except FormatError as error:
            raise FormatError(error.code, f"{error.message} ({self.noun}, {name})", field=name, found=error.found) from error
        except (TypeError, ValueError) as error:
            raise TypeError(f"{name} of a {self.noun}: {error}") from error


class _Dataclass(Protocol):
    __dataclass_fields__: typing.ClassVar[dict[str, dataclasses.Field[object]]]


def _comparable(value: str | int | bool) -> object:
    return cast(object, value.value) if isinstance(value, Enum) else value


def _column_codec(hint: object, *, is_json: bool) -> Codec:
    """JSON columns take the nested form; the others keep the value, checked, and only enums change."""
    if is_json:
        return codec_of(hint)
    if typing.get_origin(hint) in (typing.Union, UnionType):
        inner = next(argument for argument in typing.get_args(hint) if argument is not type(None))
        codec = _column_codec(inner, is_json=False)
        return Codec(codec.dump, lambda value: None if value is None else codec.load(value))
    if hint in _DIRECT:
        return Codec(_DIRECT[hint], lambda value: value)
    return codec_of(hint)


def _check_bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError(f"bytes expected, not {type(value).__name__}")
    return value


_DIRECT: Final[dict[type, Callable[[object], object]]] = {
    str: check_text,
    int: check_number,
    bool: codec_of(bool).dump,
    datetime: check_moment,
    bytes: _check_bytes,
}

MAPPERS: Final[Mapping[type, Mapper[Row]]] = MappingProxyType({kind: Mapper(kind, table) for kind, table in TABLES.items()})


def mapper_of(kind: type[R]) -> Mapper[R]:
    """The mapper of ``kind``. Raises ValueError when it is not a kind of row."""
    if kind not in MAPPERS:
        raise ValueError(f"{kind.__name__} is not a kind of row")
    return cast("Mapper[R]", MAPPERS[kind])
