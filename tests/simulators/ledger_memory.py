# SPDX-License-Identifier: Apache-2.0
"""A ledger in memory, for unit tests of use cases: the same rules as the SQL ledger, without a file.

Rows are kept in the column form of ``adapters.sql.mapping``, so what a database could not keep is refused here too.
Unique rules and parents are read from ``adapters.sql.tables``: they are declared once.
Readers see a snapshot; writers take turns; an error leaves everything as it was.
tests/contract/test_ledger.py runs on this and on the real ones.
"""

import copy
import dataclasses
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import Index, Table

from adapters.sql.audit import Head, audit_query, follow, open_audit_cursor
from adapters.sql.conflicts import parent_absent, stale, still_used, taken
from adapters.sql.logs import LINE, number_lines
from adapters.sql.mapping import Columns, Mapper, mapper_of
from adapters.sql.paging import check_limit, make_cursor, open_cursor, query_of
from adapters.sql.tables import LOG_LINES, TABLES
from waybill.domain.access import AuditEntry
from waybill.domain.audit import GENESIS, frontier_root
from waybill.domain.tasks import LogLine, Task
from waybill.errors import NotFoundError, UnavailableError
from waybill.ports import SITE, Page, Row, Scalar

R = TypeVar("R", bound=Row)
Key = tuple[str, ...]
Rows = Mapping[Key, Columns]

_TURN_SECONDS = 15
_KIND_OF = {table.name: kind for kind, table in TABLES.items()}


@dataclasses.dataclass(frozen=True)
class _State:
    """Everything that is committed. Never changed in place: a unit of work replaces the parts that it writes."""

    rows: Mapping[type, Rows]
    logs: Mapping[Key, tuple[Columns, ...]]
    audit: Mapping[str, tuple[AuditEntry, ...]]
    heads: Mapping[str, Head]


class MemoryRecords(Generic[R]):
    """``waybill.ports.Records`` over the draft of one unit of work."""

    def __init__(self, work: "MemoryWork", mapper: Mapper[R]) -> None:
        self._work = work
        self._mapper = mapper

    def get(self, key: str) -> R:
        """The row ``key``. Raises NotFoundError record.absent."""
        row = self.find(key)
        if row is None:
            raise NotFoundError("record.absent", f"there is no such {self._mapper.noun}", found=key[:80])
        return row

    def find(self, key: str) -> R | None:
        """The row ``key``, or None."""
        columns = self._work.rows_of(self._mapper.kind).get(self._key(key))
        return None if columns is None else self._load(columns)

    def first(self, **equals: Scalar) -> R | None:
        """The oldest row whose columns equal these, or None."""
        rows = self._matching(equals)
        return self._load(rows[0]) if rows else None

    def where(self, *, newest_first: bool = False, limit: int | None = None, **equals: Scalar) -> Sequence[R]:
        """Rows whose columns equal these, ordered by id (time)."""
        return [self._load(columns) for columns in self._matching(equals, newest_first=newest_first)[:limit]]

    def among(self, column: str, values: Iterable[str]) -> Sequence[R]:
        """Rows whose ``column`` is one of ``values``, ordered by id."""
        self._mapper.compare({column: None})
        wanted = set(values)
        return [self._load(columns) for columns in self._matching({}) if columns[column] in wanted]

    def newest_by(self, *columns: str, **equals: Scalar) -> Sequence[R]:
        """The newest row (by id) of each combination of ``columns`` among the rows that equal these, ordered by id."""
        self._mapper.compare(dict.fromkeys(columns))
        newest = {tuple(row[column] for column in columns): row for row in self._matching(equals)}
        return [self._load(row) for row in sorted(newest.values(), key=lambda row: cast(str, row["id"]))]

    def page(self, *, limit: int, cursor: str | None = None, newest_first: bool = True, **equals: Scalar) -> Page:
        """Up to ``limit`` (1 to 200) rows by keyset. Raises FormatError cursor.invalid."""
        plain = self._mapper.compare(equals)
        query = query_of(kind=self._mapper.table.name, space_id=self._work.space_id, newest_first=newest_first, equals=plain)
        check_limit(limit)
        found = self._matching(equals, newest_first=newest_first)
        if cursor is not None:
            last = open_cursor(cursor, query).encode()
            found = [row for row in found if (_bytes(row["id"]) < last) == newest_first and _bytes(row["id"]) != last]
        items = tuple(self._load(columns) for columns in found[:limit])
        return Page(items=items, next_cursor=make_cursor(query, items[-1].id) if len(found) > limit else None)

    def count(self, **equals: Scalar) -> int:
        """How many rows equal these."""
        return len(self._matching(equals))

    def add(self, row: R) -> R:
        """``row`` stored. Raises as ``waybill.ports.Records.add`` says."""
        columns = self._writable(row)
        if self._key(row.id) in self._work.rows_of(self._mapper.kind):
            raise taken(self._mapper.noun, ["id"])
        self._work.check_rules(self._mapper, columns)
        self._work.put(self._mapper.kind, self._key(row.id), columns)
        return row

    def replace(self, row: R) -> R:
        """``row`` stored over the revision that it names; returns it with the next one."""
        self._writable(row)
        self._check_revision(row)
        changed = cast(R, dataclasses.replace(cast(Any, row), revision=row.revision + 1))
        columns = self._mapper.dump(changed)
        self._work.check_rules(self._mapper, columns)
        self._work.put(self._mapper.kind, self._key(row.id), columns)
        return changed

    def remove(self, row: R) -> None:
        """The row deleted at exactly this revision."""
        columns = self._writable(row)
        self._check_revision(row)
        self._work.check_unused(self._mapper, columns)
        self._work.put(self._mapper.kind, self._key(row.id), None)

    def _key(self, key: str) -> Key:
        return (self._work.space_id, key) if self._mapper.is_scoped else (key,)

    def _load(self, columns: Columns) -> R:
        return self._mapper.load(
            {name: copy.deepcopy(value) if isinstance(value, (dict, list)) else value for name, value in columns.items()}
        )

    def _matching(self, equals: dict[str, Scalar], *, newest_first: bool = False) -> list[Columns]:
        wanted = tuple(self._mapper.compare(equals).items())
        space_id = self._work.space_id if self._mapper.is_scoped else None
        found = []
        for key, columns in self._work.rows_of(self._mapper.kind).items():
            if space_id is not None and key[0] != space_id:
                continue
            for name, value in wanted:
                if columns[name] != value:
                    break
            else:
                found.append(columns)
        return sorted(found, key=lambda columns: _bytes(columns["id"]), reverse=newest_first)

    def _writable(self, row: R) -> Columns:
        self._work.check_writing()
        if self._mapper.is_scoped and self._mapper.space_of(row) != self._work.space_id:
            raise ValueError(f"a {self._mapper.noun} of another Space cannot be written here")
        return self._mapper.dump(row)

    def _check_revision(self, row: R) -> None:
        stored = self._work.rows_of(self._mapper.kind).get(self._key(row.id))
        if stored is None or stored["revision"] != row.revision:
            raise stale(self._mapper.noun, key=row.id, revision=row.revision)


class MemoryWork:
    """``waybill.ports.Work`` over a draft of the state."""

    def __init__(self, state: _State, *, space_id: str, is_writing: bool) -> None:
        self._space_id = space_id
        self._is_writing = is_writing
        self._rows: dict[type, Rows] = dict(state.rows)
        self._copied: set[type] = set()
        self._logs = dict(state.logs)
        self._audit = dict(state.audit)
        self._heads = dict(state.heads)

    @property
    def space_id(self) -> str:
        """The Space of this unit of work."""
        return self._space_id

    def of(self, kind: type[R]) -> MemoryRecords[R]:
        """The rows of ``kind``. Raises ValueError for a Space's kind in the site's unit of work."""
        mapper = mapper_of(kind)
        if mapper.is_scoped and self._space_id == SITE:
            raise ValueError(f"a {mapper.noun} belongs to a Space, not to the site")
        return MemoryRecords(self, mapper)

    def audit(self, *, at: datetime, actor: str, action: str, subject: str, detail: str = "") -> AuditEntry:
        """One entry appended to the Space's hash-linked audit log."""
        self.check_writing()
        head = self._heads.get(self._space_id, Head(0, GENESIS, ()))
        entry, moved = follow(head, self._space_id, at=at, actor=actor, action=action, subject=subject, detail=detail)
        self._audit[self._space_id] = (*self._audit.get(self._space_id, ()), entry)
        self._heads[self._space_id] = moved
        return entry

    def audit_checkpoint(self) -> tuple[int, str]:
        """Size and Merkle root of the Space's audit log."""
        head = self._heads.get(self._space_id, Head(0, GENESIS, ()))
        return head.size, frontier_root(head.frontier)

    def audit_page(self, *, limit: int, cursor: str | None = None) -> Page:
        """Audit entries, newest first."""
        query = audit_query(self._space_id)
        check_limit(limit)
        found = [*reversed(self._audit.get(self._space_id, ()))]
        if cursor is not None:
            last = open_audit_cursor(cursor, query)
            found = [entry for entry in found if entry.seq < last]
        items = tuple(found[:limit])
        return Page(items=items, next_cursor=make_cursor(query, str(items[-1].seq)) if len(found) > limit else None)

    def audit_entries(self) -> Iterator[AuditEntry]:
        """All audit entries, oldest first."""
        return iter(self._audit.get(self._space_id, ()))

    def append_log(self, task_id: str, lines: Sequence[LogLine]) -> int:
        """Lines appended with the next sequence numbers; returns the last number."""
        self.check_writing()
        key = (self._space_id, task_id)
        if key not in self.rows_of(Task):
            raise NotFoundError("record.absent", "there is no such task", found=task_id[:80])
        stored = self._logs.get(key, ())
        self._logs[key] = (*stored, *number_lines(self._space_id, task_id, lines, last=len(stored)))
        return len(self._logs[key])

    def read_log(self, task_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[LogLine]:
        """Lines with ``seq > after``, in order."""
        stored = self._logs.get((self._space_id, task_id), ())
        return [LINE.load(columns) for columns in stored[max(after, 0) :][:limit]]

    def rows_of(self, kind: type) -> Rows:
        """All rows of ``kind``, of every Space: for the records and the rules, not for use cases."""
        return self._rows.get(kind, {})

    def put(self, kind: type, key: Key, columns: Columns | None) -> None:
        """``columns`` under ``key`` in the draft; None removes it."""
        if kind not in self._copied:
            self._rows[kind] = dict(self.rows_of(kind))
            self._copied.add(kind)
        draft = cast(dict[Key, Columns], self._rows[kind])
        if columns is None:
            del draft[key]
        else:
            draft[key] = columns

    def check_rules(self, mapper: Mapper[R], columns: Columns) -> None:
        """Nothing, when ``columns`` break no unique rule and name existing parents."""
        for index in sorted(mapper.table.indexes, key=lambda rule: str(rule.name)):
            if index.unique and self._is_taken(mapper, index, columns):
                raise taken(mapper.noun, [column.name for column in index.columns])
        for rule in mapper.table.foreign_key_constraints:
            key = tuple(cast(str, columns[column.name]) for column in rule.columns)
            if None not in key and key not in self.rows_of(_KIND_OF[rule.referred_table.name]):
                raise parent_absent(mapper.noun)

    def check_unused(self, mapper: Mapper[R], columns: Columns) -> None:
        """Nothing, when no row belongs to the one with these ``columns``."""
        mine = tuple(columns[column.name] for column in mapper.table.primary_key.columns)
        if mapper.kind is Task and self._logs.get(cast(Key, mine)):
            raise still_used(mapper.noun)
        for kind, table in TABLES.items():
            for rule in _rules_naming(table, mapper.table):
                names = [column.name for column in rule]
                if any(tuple(row[name] for name in names) == mine for row in self.rows_of(kind).values()):
                    raise still_used(mapper.noun)

    def check_writing(self) -> None:
        """Nothing, when this unit may write. Raises RuntimeError."""
        if not self._is_writing:
            raise RuntimeError("this unit of work was opened to read")

    def result(self) -> _State:
        """The state as this unit leaves it."""
        return _State(rows=self._rows, logs=self._logs, audit=self._audit, heads=self._heads)

    def _is_taken(self, mapper: Mapper[R], index: Index, columns: Columns) -> bool:
        names = [column.name for column in index.columns]
        values = [columns[name] for name in names]
        if None in values or not _is_covered(index, columns):
            return False
        key_names = [column.name for column in mapper.table.primary_key.columns]
        own = tuple(columns[name] for name in key_names)
        return any(
            [row[name] for name in names] == values and key != own and _is_covered(index, row)
            for key, row in self.rows_of(mapper.kind).items()
        )


class MemoryLedger:
    """``waybill.ports.Ledger`` in memory. Safe to share between threads."""

    def __init__(self) -> None:
        self._state = _State(rows={}, logs={}, audit={}, heads={})
        self._turn = threading.Lock()
        self._thread = threading.local()

    @contextmanager
    def read(self, space_id: str) -> Iterator[MemoryWork]:
        """A snapshot."""
        yield MemoryWork(self._state, space_id=space_id, is_writing=False)

    @contextmanager
    def write(self, space_id: str) -> Iterator[MemoryWork]:
        """A unit of work that may write; leaving it commits."""
        if getattr(self._thread, "is_writing", False):
            raise RuntimeError("a unit of work that writes is open already in this thread")
        if not self._turn.acquire(timeout=_TURN_SECONDS):
            raise UnavailableError("ledger.unavailable", "the database is busy")
        self._thread.is_writing = True
        try:
            work = MemoryWork(self._state, space_id=space_id, is_writing=True)
            yield work
            self._state = work.result()
        finally:
            self._thread.is_writing = False
            self._turn.release()

    def check(self) -> None:
        """Nothing: memory always answers."""

    def close(self) -> None:
        """Nothing: there is nothing to close."""


def _bytes(value: object) -> bytes:
    return cast(str, value).encode()


def _is_covered(index: Index, columns: Columns) -> bool:
    only = index.info.get("only")
    if only is None:
        return True
    column, comparison, value = only
    return columns[column] is None if comparison == "is null" else columns[column] != value


def _rules_naming(table: Table, parent: Table) -> list[list[Any]]:
    return [list(rule.columns) for rule in table.foreign_key_constraints if rule.referred_table is parent]


if LOG_LINES.foreign_key_constraints and {rule.referred_table.name for rule in LOG_LINES.foreign_key_constraints} != {"tasks"}:
    raise RuntimeError("log lines have a parent that this simulator does not know")
