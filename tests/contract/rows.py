# SPDX-License-Identifier: Apache-2.0
"""Makes rows of every kind for the ledger's contract: valid by type, with the parents that the tables ask for.

Values are drawn by hypothesis from the types of the fields, so that a new field is covered without a change here.
"""

import dataclasses
import types
import typing
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

from hypothesis import strategies as st

from adapters.sql.mapping import mapper_of
from adapters.sql.tables import TABLES
from waybill.domain.ids import JsonValue
from waybill.ports import Row, Work

SPACE = "spc_0198c5f2a4b87d6e9a3f1c2b4d5e6f70"
OTHER = "spc_0198c5f2a4b87d6e9a3f1c2b4d5e6f71"
NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)

_INT64 = 2**63
_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
_MOMENTS = st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2900, 1, 1)).map(lambda value: value.replace(tzinfo=UTC))  # noqa: DTZ001
_JSON: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=6,
)
_SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    str: _TEXT,
    int: st.integers(-_INT64, _INT64 - 1),
    bool: st.booleans(),
    bytes: st.binary(max_size=60),
    datetime: _MOMENTS,
}


def any_value(hint: Any) -> st.SearchStrategy[Any]:
    """Values of the declared type ``hint``, the odd ones included."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([st.none() if each is type(None) else any_value(each) for each in arguments])
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(any_value(arguments[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*map(any_value, arguments))
    if origin is dict:
        return st.dictionaries(_TEXT, _JSON, max_size=3)
    if origin is list:
        return st.lists(_JSON, max_size=3)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(list(hint))
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return st.fixed_dictionaries({field.name: any_value(hints[field.name]) for field in dataclasses.fields(hint)}).map(
            lambda values: typing.cast(Any, hint)(**values)
        )
    return _SIMPLE[hint]


def any_row(kind: type[Row], *, space_id: str = SPACE) -> st.SearchStrategy[Row]:
    """Rows of ``kind`` in one Space, at revision 1, whose parents are ``parents_of(kind)``."""
    hints = typing.get_type_hints(kind)
    fixed = {"space_id": space_id, "revision": 1, **_parent_fields(kind)}
    fields = dataclasses.fields(typing.cast(Any, kind))
    values = {
        field.name: st.just(fixed[field.name]) if field.name in fixed else any_value(hints[field.name])
        for field in fields
        if field.name != "id" or "id" in fixed
    }
    ids = {} if "id" in fixed else {"id": st.text("abcdef0123456789_:", min_size=1, max_size=50)}
    return st.fixed_dictionaries(values | ids).map(lambda drawn: typing.cast(Any, kind)(**drawn))


def make(kind: type[Any], key: str, /, *, space_id: str = SPACE, **fields: Any) -> Any:
    """One simple row of ``kind`` under the id ``key``: text fields hold the key, so that no unique rule is broken."""
    hints = typing.get_type_hints(kind)
    values: dict[str, object] = {}
    for field in dataclasses.fields(kind):
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            values[field.name] = _plain(hints[field.name], key)
    values |= _parent_fields(kind)
    values["id"] = values["id"] if "id" in _parent_fields(kind) else key
    if "space_id" in hints:
        values["space_id"] = space_id
    return kind(**(values | fields))


def parents_of(kind: type[Row], *, space_id: str = SPACE) -> list[Row]:
    """The rows that must exist before a row of ``kind``, each before its own children."""
    rows: dict[type[Row], Row] = {}

    def visit(child: type[Row]) -> Iterator[type[Row]]:
        for parent in _parents(child).values():
            yield from visit(parent)
            yield parent

    for parent in visit(kind):
        rows.setdefault(parent, make(parent, _parent_key(parent), space_id=space_id))
    return list(rows.values())


def add_with_parents(work: Work, row: Row) -> None:
    """``row`` and the parents that it lacks, stored."""
    for parent in parents_of(type(row), space_id=work.space_id):
        if work.of(type(parent)).find(parent.id) is None:
            work.of(type(parent)).add(parent)
    work.of(type(row)).add(row)


def _plain(hint: Any, key: str) -> object:
    simple = {str: key, int: 1, bool: False, bytes: key.encode(), datetime: NOW + timedelta(seconds=1)}
    if hint in simple:
        return simple[hint]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return next(iter(hint))
    if dataclasses.is_dataclass(hint):
        return typing.cast(Any, hint)()
    origin = typing.get_origin(hint)
    return None if origin in (typing.Union, types.UnionType) else origin()


def _parents(kind: type[Row]) -> dict[str, type[Row]]:
    """Column to the kind of row that it names, as the foreign keys say."""
    kinds = {table.name: each for each, table in TABLES.items()}
    found = {}
    for rule in mapper_of(kind).table.foreign_key_constraints:
        column = next(column.name for column in rule.columns if column.name != "space_id")
        found[column] = kinds[rule.referred_table.name]
    return found


def _parent_fields(kind: type[Row]) -> dict[str, object]:
    return {column: _parent_key(parent) for column, parent in _parents(kind).items()}


def _parent_key(kind: type[Row]) -> str:
    # A project's process has the project's id, so that both are parents of something under one key.
    return f"parent_{kind.__name__.lower()}"
