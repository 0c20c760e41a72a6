# SPDX-License-Identifier: Apache-2.0
"""Bringing a database to this program's revision, and asking at which one it is.

A migration runs in one transaction under a lock: all of it is there afterwards, or nothing, and two starting processes do not collide.
A revision that was released is never edited; a change of a table is a revision of its own.
"""

from functools import cache
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from adapters.sql.engine import LOCK_SECONDS, check_url, create_private, lock_space, translate
from waybill.errors import UnavailableError

_LOCK_NAME: Final = "waybill.migration"


@cache
def head_revision() -> str:
    """The revision of this program."""
    head = ScriptDirectory.from_config(script_config()).get_current_head()
    if head is None:
        raise RuntimeError("the program has no migrations")
    return head


def upgrade(url: str) -> str:
    """The database at ``url`` is at this program's revision, which is returned. Data is kept; doing it again changes nothing.

    Raises:
        UnavailableError: ledger.unavailable, when the database does not answer; ledger.revision, when it is newer than this program.
        FormatError: settings.invalid, when the address is not one of a supported database.
    """
    config = script_config()
    try:
        with _connect(url) as connection, connection.begin():
            lock_space(connection, _LOCK_NAME)
            _refuse_newer(connection)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            check_revision(connection)
            _check_references(connection)
    except SQLAlchemyError as error:
        raise translate(error) from error
    return head_revision()


def current_revision(url: str) -> str | None:
    """The revision at which the database is; None when it has no tables of ours yet. Raises UnavailableError ledger.unavailable."""
    try:
        with _connect(url) as connection, connection.begin():
            return MigrationContext.configure(connection).get_current_revision()
    except SQLAlchemyError as error:
        raise translate(error) from error


def check_revision(connection: Connection) -> None:
    """Nothing, when the database behind ``connection`` is at this program's revision. Raises UnavailableError ledger.revision."""
    found = MigrationContext.configure(connection).get_current_revision()
    if found != head_revision():
        raise UnavailableError(
            "ledger.revision", "the database is at another revision than this program", expected=head_revision(), found=found or "none"
        )


def script_config() -> Config:
    """Where the migrations are, for Alembic; who runs a command puts a connection into its ``attributes``."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _connect(url: str) -> Connection:
    """A connection of its own, without SQLite's foreign keys: a table that is rebuilt would drop its children's."""
    parsed = check_url(url)
    is_sqlite = parsed.get_backend_name() == "sqlite"
    arguments = {"isolation_level": None, "timeout": LOCK_SECONDS} if is_sqlite else {"connect_timeout": 10}
    engine = create_engine(parsed, poolclass=NullPool, hide_parameters=True, connect_args=arguments)
    if is_sqlite:
        create_private(str(parsed.database))
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine.connect()


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {LOCK_SECONDS * 1000}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA foreign_keys = OFF")
    cursor.close()


def _refuse_newer(connection: Connection) -> None:
    """A database that a newer program migrated is left alone: this one would misread it."""
    found = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(script_config()).walk_revisions()}
    if found is not None and found not in known:
        raise UnavailableError("ledger.revision", "the database was made by a newer program", expected=head_revision(), found=found)


def _check_references(connection: Connection) -> None:
    """What SQLite did not check while tables were rebuilt is checked before the commit."""
    if connection.dialect.name == "sqlite" and connection.execute(text("PRAGMA foreign_key_check")).first() is not None:
        raise UnavailableError("ledger.revision", "the migration would leave rows that belong to nothing")
