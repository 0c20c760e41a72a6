# SPDX-License-Identifier: Apache-2.0
"""The few column types and the short forms in which every table is written.

Only types that SQLite and PostgreSQL both keep exactly: text, 64-bit integers, booleans, bytes, JSON, and moments in UTC.
Moments without a zone are refused.
"""

from datetime import UTC, datetime
from typing import Final, Literal

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Text,
    TypeDecorator,
    text,
)

METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""Every table of a site. The migrations are written to give exactly this; a test compares."""

ID: Final = Text().with_variant(Text(collation="C"), "postgresql")
"""Ids sort by their bytes on both databases: paging and 'oldest first' depend on it, and a PostgreSQL locale would order otherwise."""

NUMBER: Final = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits on both; SQLite's INTEGER always is."""

DOCUMENT: Final = JSON(none_as_null=True)
"""Nested values. Not JSONB: that would reorder keys and refuse U+0000."""

Only = tuple[str, Literal["is not", "is null"], str]
"""Which rows a partial unique rule looks at: (column, comparison, value); the value of ``is null`` is empty."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment, stored in UTC to the microsecond. SQLite keeps no zone, so it is taken off and put back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """``value`` in UTC. Raises ValueError when it has no zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a zone cannot be stored")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The stored moment, aware."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


def space_key() -> tuple[Column[str], Column[str]]:
    """The primary key of what belongs to a Space. Both columns: one site may hold the same receipt in two Spaces."""
    return Column("space_id", ID, primary_key=True), Column("id", ID, primary_key=True)


def site_key() -> Column[str]:
    """The primary key of what belongs to the site."""
    return Column("id", ID, primary_key=True)


def revision() -> Column[int]:
    """The counter that every change of a row checks and raises."""
    return Column("revision", NUMBER, nullable=False)


def reference(name: str, *, null: bool = False) -> Column[str]:
    """The id of another row."""
    return Column(name, ID, nullable=null)


def words(name: str, *, null: bool = False) -> Column[str]:
    """Text of any length."""
    return Column(name, Text, nullable=null)


def number(name: str, *, null: bool = False) -> Column[int]:
    """A 64-bit integer."""
    return Column(name, NUMBER, nullable=null)


def flag(name: str) -> Column[bool]:
    """True or false."""
    return Column(name, Boolean, nullable=False)


def moment(name: str, *, null: bool = False) -> Column[datetime]:
    """A moment in UTC."""
    return Column(name, UtcDateTime, nullable=null)


def octets(name: str, *, null: bool = False) -> Column[bytes]:
    """Bytes."""
    return Column(name, LargeBinary, nullable=null)


def document(name: str, *, null: bool = False) -> Column[object]:
    """A nested value as JSON."""
    return Column(name, DOCUMENT, nullable=null)


def belongs_to(table: str, column: str) -> ForeignKeyConstraint:
    """``column`` names a row of ``table`` in the same Space, which must exist before and can only be removed after."""
    return ForeignKeyConstraint(["space_id", column], [f"{table}.space_id", f"{table}.id"])


def index(name: str, *columns: str) -> Index:
    """An index inside a Space, for a query that pages or use cases make."""
    return Index(f"ix_{name}", "space_id", *columns)


def site_index(name: str, *columns: str) -> Index:
    """An index over the whole site."""
    return Index(f"ix_{name}", *columns)


def unique(name: str, *columns: str, only: Only | None = None) -> Index:
    """A rule: no two rows of a Space have equal ``columns`` (among the rows that ``only`` names). NULL equals nothing."""
    return _unique(name, ("space_id", *columns), only)


def site_unique(name: str, *columns: str) -> Index:
    """A rule over the whole site: no two rows have equal ``columns``."""
    return _unique(name, columns, None)


def _unique(name: str, columns: tuple[str, ...], only: Only | None) -> Index:
    if only is None:
        return Index(f"uq_{name}", *columns, unique=True)
    column, comparison, value = only
    condition = text(f"{column} IS NULL" if comparison == "is null" else f"{column} <> '{value}'")
    return Index(f"uq_{name}", *columns, unique=True, sqlite_where=condition, postgresql_where=condition, info={"only": only})
