# SPDX-License-Identifier: Apache-2.0
"""The SQL ledger: ``waybill.ports.Ledger`` on SQLite or PostgreSQL.

Nothing here retries: an ``UnavailableError`` says that the same unit of work may be done again as a whole.
Rows are reached only through the Space of the unit of work; there is no query without it.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from adapters.sql import audit, logs
from adapters.sql.engine import LOCK_SECONDS, Engines, lock_space, open_engines, translate
from adapters.sql.mapping import mapper_of
from adapters.sql.migrations import check_revision
from adapters.sql.records import SqlRecords
from waybill.domain.access import AuditEntry
from waybill.domain.tasks import LogLine
from waybill.errors import UnavailableError
from waybill.ports import SITE, Page, Row

R = TypeVar("R", bound=Row)


class SqlWork:
    """``waybill.ports.Work`` over one open transaction."""

    def __init__(self, connection: Connection, *, space_id: str, is_writing: bool) -> None:
        self._connection = connection
        self._space_id = space_id
        self._is_writing = is_writing
        self._has_site_lock = space_id == SITE or not is_writing

    @property
    def space_id(self) -> str:
        """The Space of this unit of work."""
        return self._space_id

    def of(self, kind: type[R]) -> SqlRecords[R]:
        """The rows of ``kind``. Raises ValueError for a Space's kind in the site's unit of work."""
        mapper = mapper_of(kind)
        if mapper.is_scoped and self._space_id == SITE:
            raise ValueError(f"a {mapper.noun} belongs to a Space, not to the site")
        if not mapper.is_scoped and not self._has_site_lock:
            # Always after the Space's own lock, and last: two units can never wait for each other.
            lock_space(self._connection, SITE)
            self._has_site_lock = True
        return SqlRecords(self._connection, mapper, space_id=self._space_id, is_writing=self._is_writing)

    def audit(self, *, at: datetime, actor: str, action: str, subject: str, detail: str = "") -> AuditEntry:
        """One entry appended to the Space's hash-linked audit log."""
        self._check_writing()
        return audit.append(self._connection, self._space_id, at=at, actor=actor, action=action, subject=subject, detail=detail)

    def audit_checkpoint(self) -> tuple[int, str]:
        """Size and Merkle root of the Space's audit log."""
        return audit.checkpoint(self._connection, self._space_id)

    def audit_page(self, *, limit: int, cursor: str | None = None) -> Page:
        """Audit entries, newest first."""
        return audit.page(self._connection, self._space_id, limit=limit, cursor=cursor)

    def audit_entries(self) -> Iterator[AuditEntry]:
        """All audit entries, oldest first, streamed."""
        return audit.entries(self._connection, self._space_id)

    def append_log(self, task_id: str, lines: Sequence[LogLine]) -> int:
        """Lines appended with the next sequence numbers; returns the last number."""
        self._check_writing()
        return logs.append(self._connection, self._space_id, task_id, lines)

    def read_log(self, task_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[LogLine]:
        """Lines with ``seq > after``, in order."""
        return logs.read(self._connection, self._space_id, task_id, after=after, limit=limit)

    def _check_writing(self) -> None:
        if not self._is_writing:
            raise RuntimeError("this unit of work was opened to read")


class SqlLedger:
    """The database of a site. Safe to share between threads."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._turn = threading.Lock() if engines.dialect == "sqlite" else None
        self._thread = threading.local()

    @contextmanager
    def read(self, space_id: str) -> Iterator[SqlWork]:
        """A snapshot of the database. Raises UnavailableError ledger.unavailable."""
        try:
            with self._engines.read.begin() as connection:
                yield SqlWork(connection, space_id=space_id, is_writing=False)
        except SQLAlchemyError as error:
            raise translate(error) from error

    @contextmanager
    def write(self, space_id: str) -> Iterator[SqlWork]:
        """A unit of work that may write; leaving it commits. Raises UnavailableError ledger.unavailable."""
        if getattr(self._thread, "is_writing", False):
            raise RuntimeError("a unit of work that writes is open already in this thread")
        self._thread.is_writing = True
        try:
            with self._my_turn(), self._engines.write.begin() as connection:
                lock_space(connection, space_id)
                yield SqlWork(connection, space_id=space_id, is_writing=True)
        except SQLAlchemyError as error:
            raise translate(error) from error
        finally:
            self._thread.is_writing = False

    def check(self) -> None:
        """Nothing, when the database answers and is at this program's revision. Raises UnavailableError."""
        try:
            with self._engines.read.connect() as connection:
                check_revision(connection)
        except SQLAlchemyError as error:
            raise translate(error) from error

    def close(self) -> None:
        """All idle connections are closed."""
        self._engines.dispose()

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        """SQLite's own waiting is a series of naps without a queue: inside one process threads take turns by a lock before it."""
        if self._turn is None:
            yield
            return
        if not self._turn.acquire(timeout=self._engines.lock_seconds):
            raise UnavailableError("ledger.unavailable", "the database is busy")
        try:
            yield
        finally:
            self._turn.release()


def open_ledger(url: str, *, pool_size: int = 10, max_overflow: int = 30, lock_seconds: int = LOCK_SECONDS) -> SqlLedger:
    """The ledger at ``url``; nothing is connected yet. See ``adapters.sql.engine.open_engines``. Raises FormatError settings.invalid."""
    return SqlLedger(open_engines(url, pool_size=pool_size, max_overflow=max_overflow, lock_seconds=lock_seconds))
