# SPDX-License-Identifier: Apache-2.0
"""The rows of one kind in one Space, over one open transaction.

Every statement names the Space: a row of another Space is absent here, and writing one is a mistake of the program, refused as such.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Generic, TypeVar, cast

from sqlalchemy import ColumnElement, Connection, Select, delete, false, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from adapters.sql.conflicts import explain, stale
from adapters.sql.mapping import Mapper
from adapters.sql.paging import check_limit, make_cursor, open_cursor, query_of
from adapters.sql.plain import is_storable
from waybill.errors import NotFoundError
from waybill.ports import Page, Row, Scalar

R = TypeVar("R", bound=Row)
_AMONG_AT_ONCE = 10_000


class SqlRecords(Generic[R]):
    """``waybill.ports.Records`` over one table."""

    def __init__(self, connection: Connection, mapper: Mapper[R], *, space_id: str, is_writing: bool) -> None:
        self._connection = connection
        self._mapper = mapper
        self._table = mapper.table
        self._space_id = space_id
        self._is_writing = is_writing

    def get(self, key: str) -> R:
        """The row ``key``. Raises NotFoundError record.absent."""
        row = self.find(key)
        if row is None:
            raise NotFoundError("record.absent", f"there is no such {self._mapper.noun}", found=key[:80])
        return row

    def find(self, key: str) -> R | None:
        """The row ``key``, or None."""
        if not is_storable(key):
            return None
        rows = self._fetch(self._select().where(self._table.c.id == key))
        return rows[0] if rows else None

    def first(self, **equals: Scalar) -> R | None:
        """The oldest row whose columns equal these, or None."""
        rows = self._find(equals, newest_first=False, limit=1)
        return rows[0] if rows else None

    def where(self, *, newest_first: bool = False, limit: int | None = None, **equals: Scalar) -> Sequence[R]:
        """Rows whose columns equal these, ordered by id (time)."""
        return self._find(equals, newest_first=newest_first, limit=limit)

    def among(self, column: str, values: Iterable[str]) -> Sequence[R]:
        """Rows whose ``column`` is one of ``values``, ordered by id. One query for each 10,000 values."""
        self._mapper.compare({column: None})
        wanted = sorted({value for value in values if is_storable(value)})
        rows: list[R] = []
        for start in range(0, len(wanted), _AMONG_AT_ONCE):
            part = self._table.c[column].in_(wanted[start : start + _AMONG_AT_ONCE])
            rows += self._fetch(self._select().where(part).order_by(self._table.c.id))
        return rows if len(wanted) <= _AMONG_AT_ONCE else sorted(rows, key=lambda row: row.id)

    def newest_by(self, *columns: str, **equals: Scalar) -> Sequence[R]:
        """The newest row (by id) of each combination of ``columns`` among the rows that equal these, ordered by id. One query."""
        self._mapper.compare(dict.fromkeys(columns))
        newest = (
            select(func.max(self._table.c.id))
            .where(*self._scope(), *self._conditions(equals))
            .group_by(*(self._table.c[column] for column in columns))
        )
        return self._fetch(self._select().where(self._table.c.id.in_(newest)).order_by(self._table.c.id))

    def page(self, *, limit: int, cursor: str | None = None, newest_first: bool = True, **equals: Scalar) -> Page:
        """Up to ``limit`` (1 to 200) rows by keyset. Raises FormatError cursor.invalid."""
        query = query_of(kind=self._table.name, space_id=self._space_id, newest_first=newest_first, equals=self._mapper.compare(equals))
        statement = self._select().where(*self._conditions(equals)).limit(check_limit(limit) + 1)
        column = self._table.c.id
        if cursor is not None:
            last = open_cursor(cursor, query)
            statement = statement.where(column < last if newest_first else column > last)
        rows = self._fetch(statement.order_by(column.desc() if newest_first else column.asc()))
        has_more = len(rows) > limit
        return Page(items=tuple(rows[:limit]), next_cursor=make_cursor(query, rows[limit - 1].id) if has_more else None)

    def count(self, **equals: Scalar) -> int:
        """How many rows equal these."""
        statement = select(func.count()).select_from(self._table).where(*self._scope(), *self._conditions(equals))
        return self._connection.execute(statement).scalar_one()

    def add(self, row: R) -> R:
        """``row`` stored. Raises ConflictError record.conflict; NotFoundError record.absent; FormatError request.invalid."""
        self._check_writable(row)
        columns = self._mapper.dump(row)
        try:
            with self._protected():
                self._connection.execute(insert(self._table).values(columns))
        except IntegrityError as error:
            raise explain(error, table=self._table, noun=self._mapper.noun, is_removal=False) from error
        return row

    def replace(self, row: R) -> R:
        """``row`` stored over the revision that it names; returns it with the next one. Raises ConflictError record.stale and as ``add``."""
        self._check_writable(row)
        changed = cast(R, dataclasses.replace(cast("_Revised", row), revision=row.revision + 1))
        columns = self._mapper.dump(changed)
        statement = update(self._table).where(*self._exactly(row)).values(columns)
        try:
            with self._protected():
                count = self._connection.execute(statement).rowcount
        except IntegrityError as error:
            raise explain(error, table=self._table, noun=self._mapper.noun, is_removal=False) from error
        if count != 1:
            raise stale(self._mapper.noun, key=row.id, revision=row.revision)
        return changed

    def remove(self, row: R) -> None:
        """The row deleted at exactly this revision. Raises ConflictError record.stale or record.in_use."""
        self._check_writable(row)
        try:
            with self._protected():
                count = self._connection.execute(delete(self._table).where(*self._exactly(row))).rowcount
        except IntegrityError as error:
            raise explain(error, table=self._table, noun=self._mapper.noun, is_removal=True) from error
        if count != 1:
            raise stale(self._mapper.noun, key=row.id, revision=row.revision)

    def _find(self, equals: dict[str, Scalar], *, newest_first: bool, limit: int | None) -> list[R]:
        order = self._table.c.id.desc() if newest_first else self._table.c.id.asc()
        return self._fetch(self._select().where(*self._conditions(equals)).order_by(order).limit(limit))

    def _select(self) -> "Select[*tuple[object, ...]]":
        return select(self._table).where(*self._scope())

    def _scope(self) -> list[ColumnElement[bool]]:
        return [self._table.c.space_id == self._space_id] if self._mapper.is_scoped else []

    def _conditions(self, equals: dict[str, Scalar]) -> list[ColumnElement[bool]]:
        plain = self._mapper.compare(equals)
        if not all(map(is_storable, plain.values())):
            return [false()]
        return [self._table.c[name].is_(None) if value is None else self._table.c[name] == value for name, value in plain.items()]

    def _exactly(self, row: R) -> list[ColumnElement[bool]]:
        return [*self._scope(), self._table.c.id == row.id, self._table.c.revision == row.revision]

    def _fetch(self, statement: "Select[*tuple[object, ...]]") -> list[R]:
        return self._mapper.fetch(self._connection, statement)

    def _check_writable(self, row: R) -> None:
        if not self._is_writing:
            raise RuntimeError("this unit of work was opened to read")
        if self._mapper.is_scoped and self._mapper.space_of(row) != self._space_id:
            raise ValueError(f"a {self._mapper.noun} of another Space cannot be written here")

    def _protected(self) -> AbstractContextManager[object]:
        """PostgreSQL gives up the whole transaction after one error; a savepoint keeps it usable. SQLite undoes the statement alone."""
        return self._connection.begin_nested() if self._connection.dialect.name == "postgresql" else nullcontext()


@dataclasses.dataclass(frozen=True)
class _Revised:
    revision: int
