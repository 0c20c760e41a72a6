# SPDX-License-Identifier: Apache-2.0
"""Connections to the database of a site, and what its errors mean.

Two engines: one that reads a snapshot and cannot write, one that writes one unit of work at a time.

SQLite: write-ahead log, foreign keys on, and BEGIN IMMEDIATE for writers, so that the lock is taken before anything is read.
Without it a reader that becomes a writer loses updates or fails at once.

PostgreSQL: READ COMMITTED under a transaction-scoped advisory lock for each Space, taken before the first read.
Not SERIALIZABLE: every unit of work appends to its Space's audit chain, so concurrent writers of one Space would nearly all fail and start again.
With the lock they queue, and each statement after it sees all that earlier writers committed.
The lock of the site's own rows is taken last and only when they are touched, so that no two units wait for each other.

Refused: databases in memory (two engines would see two of them), other products than these two.
"""

import hashlib
import os
import sqlite3
from dataclasses import dataclass
from typing import Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from waybill.errors import FormatError, UnavailableError, WaybillError

LOCK_SECONDS: Final = 15
"""How long a writer waits for its turn before it says ledger.unavailable."""

_IDLE_SECONDS: Final = 120
_KEEPALIVE: Final = {
    "connect_timeout": 10,
    "application_name": "waybill",
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}


@dataclass(frozen=True, slots=True)
class Engines:
    """The two ways into one database. ``dialect``: ``sqlite`` or ``postgresql``; ``lock_seconds``: how long a writer waits for its turn."""

    read: Engine
    write: Engine
    dialect: str
    lock_seconds: int

    def dispose(self) -> None:
        """All idle connections are closed."""
        self.read.dispose()
        self.write.dispose()


def check_url(url: str) -> URL:
    """The address of a database that this store supports, with its driver.

    Raises:
        FormatError: settings.invalid; the text of the address, which may hold a password, is not repeated.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise FormatError("settings.invalid", "the database URL cannot be read", field="database_url") from error
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and parsed.database and parsed.database != ":memory:" and not parsed.database.startswith("file:"):
        return parsed.set(drivername="sqlite+pysqlite")
    raise FormatError(
        "settings.invalid",
        "the database is not supported",
        field="database_url",
        expected="postgresql://… or sqlite:///path/of/a/file",
        found=backend,
    )


def open_engines(url: str, *, pool_size: int = 10, max_overflow: int = 30, lock_seconds: int = LOCK_SECONDS) -> Engines:
    """Both engines for ``url``; nothing is connected yet.

    Args:
        pool_size: connections that each engine keeps.
        max_overflow: further ones under load; together at least the number of threads that use the ledger at once.
        lock_seconds: how long a writer waits for its turn, at least 1.
    Raises:
        FormatError: settings.invalid, when the address is not one of a supported database.
    """
    parsed = check_url(url)
    is_sqlite = parsed.get_backend_name() == "sqlite"

    def open_engine(isolation_level: str) -> Engine:
        return create_engine(
            parsed,
            pool_size=pool_size,
            max_overflow=max_overflow,
            pool_timeout=LOCK_SECONDS,
            pool_pre_ping=not is_sqlite,
            hide_parameters=True,
            **({} if is_sqlite else {"isolation_level": isolation_level}),
            connect_args={"isolation_level": None, "timeout": lock_seconds} if is_sqlite else _KEEPALIVE,
        )

    read, write = open_engine("REPEATABLE READ"), open_engine("READ COMMITTED")
    if is_sqlite:
        _dress_sqlite(read, write, path=str(parsed.database), lock_seconds=lock_seconds)
    else:
        _dress_postgresql(read, write, lock_seconds=lock_seconds)
    return Engines(read=read, write=write, dialect=parsed.get_backend_name(), lock_seconds=lock_seconds)


def lock_space(connection: Connection, space_id: str) -> None:
    """This transaction is the only writer of the Space (``""``: of the site's own rows) until it ends. SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        digest = hashlib.sha256(f"waybill.ledger|{space_id}".encode()).digest()
        key = int.from_bytes(digest[:8], "big", signed=True)
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


def create_private(path: str) -> None:
    """A new database file belongs to its owner alone; SQLite gives its companions the same mode.

    An existing file is never opened here: closing it again would drop every lock that this process holds on it, and another process
    would then take the write-ahead log away from under us (Source: sqlite.org/howtocorrupt.html section 2.2).
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise UnavailableError("ledger.unavailable", f"the database file cannot be opened ({error.strerror})") from error


def translate(error: SQLAlchemyError) -> WaybillError:
    """What an error of the database means to a caller. Locks, lost connections and serialisation failures are worth another try."""
    if isinstance(error, DBAPIError) and _is_schema_missing(error):
        return UnavailableError("ledger.revision", "the database does not have this program's tables")
    return UnavailableError("ledger.unavailable", f"the database did not do it ({type(error).__name__})")


def _is_schema_missing(error: DBAPIError) -> bool:
    if isinstance(error.orig, sqlite3.OperationalError):
        return str(error.orig).startswith(("no such table", "no such column"))
    return isinstance(error, ProgrammingError) and getattr(error.orig, "sqlstate", None) in {"42P01", "42703"}


def _dress_sqlite(read: Engine, write: Engine, *, path: str, lock_seconds: int) -> None:
    def prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {lock_seconds * 1000}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    def forbid_writes(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA query_only = ON")
        cursor.close()

    for engine in (read, write):
        event.listen(engine, "do_connect", lambda *_: create_private(path))
        event.listen(engine, "connect", prepare)
    event.listen(read, "connect", forbid_writes)
    event.listen(read, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    event.listen(write, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))


def _dress_postgresql(read: Engine, write: Engine, *, lock_seconds: int) -> None:
    """Bounds how long anything waits: a crashed writer's lock ends with its connection, a hung one's after the idle limit."""

    def prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute("SET TIME ZONE 'UTC'")
        cursor.execute(f"SET lock_timeout = '{lock_seconds}s'")
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{_IDLE_SECONDS}s'")
        cursor.close()
        connection.commit()

    for engine in (read, write):
        event.listen(engine, "connect", prepare)
    event.listen(read, "begin", lambda connection: connection.execute(text("SET TRANSACTION READ ONLY")))
