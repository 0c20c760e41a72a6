# SPDX-License-Identifier: Apache-2.0
"""What only the SQL ledgers do: migrations that equal the tables, failures by name, private files, locks of other processes."""

import dataclasses
import sqlite3
import stat
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from adapters.sql import audit
from adapters.sql.engine import check_url, open_engines, translate
from adapters.sql.ledger import SqlLedger, open_ledger
from adapters.sql.migrations import current_revision, head_revision, script_config, upgrade
from adapters.sql.tables import METADATA
from tests.contract.rows import NOW, SPACE, make
from waybill.domain.spaces import Tenant
from waybill.domain.tasks import Task
from waybill.errors import FormatError, UnavailableError

_CUT = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")


def _connect(url: str) -> Engine:
    return create_engine(check_url(url), poolclass=NullPool)


def _definitions(url: str) -> list[tuple[str, ...]]:
    """Every index and constraint of a database, as the database itself writes it."""
    queries = {
        "postgresql": [
            "SELECT indexdef, '' FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'",
            "SELECT conname, conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'",
            "SELECT table_name || '.' || column_name, data_type || is_nullable || coalesce(collation_name, '') || coalesce(column_default, '')"
            " FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'",
        ],
        "sqlite": [
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name <> 'alembic_version'",
            "SELECT m.name || '.' || c.name, c.type || c.\"notnull\" || c.pk || coalesce(c.dflt_value, '')"
            " FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name <> 'alembic_version'",
            'SELECT m.name, f."table" || f."from" || f."to" || f.on_delete'
            " FROM sqlite_master m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table'",
        ],
    }
    with _connect(url).connect() as connection:
        found = [tuple(row) for query in queries[connection.dialect.name] for row in connection.execute(text(query))]
    return sorted(found)


def test_migrations_make_exactly_the_tables(database_url: str) -> None:
    """Autogenerate finds nothing to do after an upgrade, on both databases."""
    assert current_revision(database_url) is None
    assert upgrade(database_url) == head_revision() == current_revision(database_url)
    with _connect(database_url).connect() as connection, warnings.catch_warnings():
        warnings.simplefilter("error")
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, METADATA) == []


def test_migrations_make_the_rules_that_autogenerate_overlooks(database_url: str, tmp_path: Path) -> None:
    """Partial indexes, collations, foreign keys and defaults too are those of the tables: both ways give the same definitions."""
    upgrade(database_url)
    migrated = _definitions(database_url)
    if database_url.startswith("sqlite"):
        created_url = f"sqlite:///{tmp_path}/created.db"
    else:
        created_url = database_url
        with _connect(database_url).begin() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
    with _connect(created_url).begin() as connection:
        METADATA.create_all(connection)
    assert _definitions(created_url) == migrated
    assert len(migrated) > 400


def test_an_upgrade_is_repeatable_and_keeps_rows(database_url: str) -> None:
    """Eight processes may upgrade at once; rows stay."""
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(upgrade, [database_url] * 8)) == {head_revision()}
    ledger = open_ledger(database_url)
    with ledger.write(SPACE) as work:
        work.of(Tenant).add(make(Tenant, "t"))
    upgrade(database_url)
    with ledger.read(SPACE) as work:
        assert work.of(Tenant).count() == 1
    ledger.close()


def test_downgrades_reach_the_beginning(database_url: str) -> None:
    """Every migration can be undone."""
    upgrade(database_url)
    config = script_config()
    with _connect(database_url).begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert _definitions(database_url) == []
    upgrade(database_url)


def test_a_database_at_another_revision_is_refused(database_url: str) -> None:
    """Without tables, and with those of a newer program, the ledger says so and the upgrade leaves it alone."""
    ledger = open_ledger(database_url)
    with pytest.raises(UnavailableError) as caught:
        ledger.check()
    assert (caught.value.code, caught.value.found) == ("ledger.revision", "none")
    with pytest.raises(UnavailableError) as caught, ledger.read(SPACE) as work:
        work.of(Tenant).count()
    assert caught.value.code == "ledger.revision"
    upgrade(database_url)
    ledger.check()
    with _connect(database_url).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'future'"))
    for call in (ledger.check, lambda: upgrade(database_url)):
        with pytest.raises(UnavailableError) as caught:
            call()
        assert (caught.value.code, caught.value.found) == ("ledger.revision", "future")
    ledger.close()


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "mysql://u:hidden@h/d", "not a url hidden", "sqlite:///file:x?uri=true"]
)
def test_unsupported_addresses_are_refused(url: str) -> None:
    """Only PostgreSQL and SQLite files; a password in the address is not repeated."""
    with pytest.raises(FormatError) as caught:
        open_engines(url)
    assert caught.value.code == "settings.invalid"
    assert "hidden" not in str(caught.value)


def test_a_database_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    """No server and no directory: ledger.unavailable, worth another try, and without the values of the statement."""
    for url in (f"postgresql://u:hidden@/d?host={tmp_path}", f"sqlite:///{tmp_path}/absent/w.db"):
        ledger = open_ledger(url)
        for call in (ledger.check, lambda url=url: current_revision(url), lambda url=url: upgrade(url)):
            with pytest.raises(UnavailableError) as caught:
                call()
            assert (caught.value.code, caught.value.retryable) == ("ledger.unavailable", True)
            assert "hidden" not in f"{caught.value} {caught.value.__cause__}"
        ledger.close()


def test_a_sqlite_file_is_private(tmp_path: Path) -> None:
    """The database and its companions can be read by their owner only."""
    upgrade(f"sqlite:///{tmp_path}/w.db")
    ledger = open_ledger(f"sqlite:///{tmp_path}/w.db")
    with ledger.write(SPACE) as work:
        work.of(Tenant).add(make(Tenant, "t"))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"w.db": 0o600, "w.db-wal": 0o600, "w.db-shm": 0o600}
    ledger.close()


@pytest.mark.parametrize("address", ["sqlite_url", "postgres_url"])
def test_a_writer_that_never_gets_its_turn_says_so(address: str, request: pytest.FixtureRequest) -> None:
    """Another process that holds the lock makes a writer give up with ledger.unavailable; readers go on."""
    url = request.getfixturevalue(address)
    other, ledger = open_ledger(url), open_ledger(url, lock_seconds=1)
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with other.write(SPACE):
            entered.set()
            leave.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    assert entered.wait(30)
    try:
        with ledger.read(SPACE) as work:
            assert work.of(Tenant).count() == 0
        with pytest.raises(UnavailableError) as caught, ledger.write(SPACE):
            pass
        assert caught.value.code == "ledger.unavailable"
    finally:
        leave.set()
        holder.join()
        other.close()
    with ledger.write(SPACE) as work:
        work.of(Tenant).add(make(Tenant, "t"))
    ledger.close()


def test_a_process_that_leaves_takes_no_log_away(sqlite_url: str) -> None:
    """New connections keep the locks of those that are there: another process that was the last of its own must not remove our log."""
    ledger, path = open_ledger(sqlite_url), sqlite_url.removeprefix("sqlite:///")
    with ledger.write(SPACE) as work:
        work.of(Tenant).add(make(Tenant, "first"))
    with ledger.read(SPACE) as work:
        assert work.of(Tenant).count() == 1
    log = Path(f"{path}-wal").stat().st_ino
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); print(c.execute('SELECT count(*) FROM tenants').fetchone()[0]); c.close()"
    )
    command = [sys.executable, "-c", program, path]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "1"
    assert Path(f"{path}-wal").stat().st_ino == log
    with ledger.write(SPACE) as work:
        work.of(Tenant).add(make(Tenant, "second"))
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "2"
    ledger.close()


@pytest.mark.parametrize("address", ["sqlite_url", "postgres_url"])
def test_no_update_of_another_process_is_lost(address: str, request: pytest.FixtureRequest) -> None:
    """Ledgers that share nothing but the database, as processes do, count together without a lost update."""
    url = request.getfixturevalue(address)
    ledgers = [open_ledger(url) for _ in range(6)]
    with ledgers[0].write(SPACE) as work:
        work.of(Task).add(make(Task, "t", progress_done=0))

    def count(ledger: SqlLedger) -> None:
        for _ in range(10):
            with ledger.write(SPACE) as work:
                task = work.of(Task).get("t")
                work.of(Task).replace(dataclasses.replace(task, progress_done=task.progress_done + 1))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(count, ledgers))
    with ledgers[0].read(SPACE) as work:
        assert work.of(Task).get("t").progress_done == 60
    for ledger in ledgers:
        ledger.close()


def test_audit_entries_are_streamed_in_pieces(sqlite_url: str) -> None:
    """Pieces join without a gap, also when the last one is exactly full."""
    ledger = open_ledger(sqlite_url)
    for total in range(1, 7):
        with ledger.write(SPACE) as work:
            work.audit(at=NOW, actor="a", action="b", subject="c")
        with open_engines(sqlite_url).read.begin() as connection:
            assert [entry.seq for entry in audit.entries(connection, SPACE, at_once=3)] == list(range(1, total + 1))
    ledger.close()


def test_spaces_do_not_wait_for_each_other(postgres_url: str) -> None:
    """On PostgreSQL a writer of one Space goes on while another Space's writer is at work."""
    ledger = open_ledger(postgres_url)
    done = threading.Event()

    def write() -> None:
        with ledger.write("spc_other") as work:
            work.of(Tenant).add(make(Tenant, "t", space_id="spc_other"))
        done.set()

    with ledger.write(SPACE) as work:
        work.of(Tenant).add(make(Tenant, "t"))
        thread = threading.Thread(target=write)
        thread.start()
        assert done.wait(10)
    thread.join()
    ledger.close()


def test_a_lost_connection_is_unavailable_and_heals(postgres_url: str) -> None:
    """A server that ends the connection in the middle makes the unit of work fail; the next one works."""
    ledger = open_ledger(postgres_url)

    def be_cut_off() -> None:
        with ledger.write(SPACE) as work:
            work.of(Tenant).add(make(Tenant, "t"))
            with _connect(postgres_url).connect() as connection:
                connection.execute(_CUT)
            work.of(Tenant).count()

    with pytest.raises(UnavailableError) as caught:
        be_cut_off()
    assert caught.value.code == "ledger.unavailable"
    with ledger.write(SPACE) as work:
        assert work.of(Tenant).count() == 0
    ledger.close()


def test_the_engines_are_as_documented(sqlite_url: str) -> None:
    """SQLite runs in WAL mode with full durability and foreign keys; the reading engine cannot write."""
    engines = open_engines(sqlite_url)
    with engines.write.begin() as connection:
        found = {name: connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in ("journal_mode", "foreign_keys", "synchronous")}
    assert found == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2}
    with pytest.raises(OperationalError), engines.read.begin() as connection:
        connection.execute(text("DELETE FROM tenants"))
    engines.dispose()


def test_errors_of_the_database_have_one_meaning() -> None:
    """A missing table asks for the migration; everything else may work later."""
    missing = OperationalError("SELECT", {}, sqlite3.OperationalError("no such table: tenants"))
    busy = OperationalError("SELECT", {}, sqlite3.OperationalError("database is locked"))
    assert (translate(missing).code, translate(busy).code) == ("ledger.revision", "ledger.unavailable")
    assert check_url("postgresql://h/d").drivername == "postgresql+psycopg"
