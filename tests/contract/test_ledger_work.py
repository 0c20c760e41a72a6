# SPDX-License-Identifier: Apache-2.0
"""What every ledger does with units of work: all or nothing, one writer, the audit chain, logs. On memory, SQLite and PostgreSQL."""

import dataclasses
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest

from tests.contract.rows import NOW, OTHER, SPACE, add_with_parents, make
from waybill.domain.access import IdempotentAnswer
from waybill.domain.audit import GENESIS, is_linked, root_of
from waybill.domain.packages import Blob
from waybill.domain.spaces import Tenant
from waybill.domain.tasks import LogLine, Task
from waybill.errors import ConflictError, FormatError, NotFoundError
from waybill.ports import SITE, Ledger

THREADS = 16
ROUNDS = 5


class _StopError(Exception):
    pass


def _line(text: str, *, task_id: str = "other", seq: int = 77, run_id: str | None = None) -> LogLine:
    return LogLine(task_id=task_id, seq=seq, level="info", message=text, occurred_at=NOW, observed_at=NOW, run_id=run_id)


def test_an_error_undoes_everything(ledger: Ledger) -> None:
    """Rows, logs and audit entries of a unit that ends with an error are not there; the ledger goes on."""
    with ledger.write(SPACE) as work:
        kept = work.of(Tenant).add(make(Tenant, "kept"))
        work.of(Task).add(make(Task, "t"))

    def fail_at_the_end() -> None:
        with ledger.write(SPACE) as work:
            work.of(Tenant).add(make(Tenant, "new"))
            work.of(Tenant).remove(kept)
            work.of(Blob).add(make(Blob, "aa"))
            work.append_log("t", [_line("gone")])
            work.audit(at=NOW, actor="a", action="b", subject="c")
            raise _StopError

    with pytest.raises(_StopError):
        fail_at_the_end()
    with ledger.write(SPACE) as work:
        assert work.of(Tenant).where() == [kept]
        assert work.of(Blob).count() == 0
        assert work.read_log("t") == []
        assert work.audit_checkpoint() == root_of([])
        work.of(Tenant).add(make(Tenant, "new"))


def test_a_caught_conflict_spoils_nothing(ledger: Ledger) -> None:
    """A use case may try, be told that somebody was first, and go on in the same unit of work."""
    with ledger.write(SPACE) as work:
        work.of(Tenant).add(make(Tenant, "a"))
        for attempt in ("a", "b"):
            with pytest.raises(ConflictError):
                work.of(Tenant).add(make(Tenant, attempt, slug="a"))
        with pytest.raises(NotFoundError):
            work.append_log("no task", [_line("x")])
        work.of(Tenant).add(make(Tenant, "c"))
    with ledger.read(SPACE) as work:
        assert [row.id for row in work.of(Tenant).where()] == ["a", "c"]


def test_a_reader_cannot_write(ledger: Ledger) -> None:
    """A unit of work that was opened to read refuses every change."""
    row = make(Tenant, "t")
    with ledger.write(SPACE) as work:
        work.of(Tenant).add(row)
        work.of(Task).add(make(Task, "k"))
    with ledger.read(SPACE) as work:
        changes: list[Callable[[], object]] = [
            lambda: work.of(Tenant).add(make(Tenant, "new")),
            lambda: work.of(Tenant).replace(row),
            lambda: work.of(Tenant).remove(row),
            lambda: work.append_log("k", [_line("x")]),
            lambda: work.audit(at=NOW, actor="a", action="b", subject="c"),
        ]
        for change in changes:
            with pytest.raises(RuntimeError, match="opened to read"):
                change()


def test_a_reader_sees_one_moment(ledger: Ledger) -> None:
    """What is committed while a reader reads is not seen by it, but by the next one."""
    with ledger.read(SPACE) as reader:
        assert reader.of(Tenant).count() == 0
        with ledger.write(SPACE) as work:
            work.of(Tenant).add(make(Tenant, "t"))
        assert reader.of(Tenant).count() == 0
    with ledger.read(SPACE) as reader:
        assert reader.of(Tenant).count() == 1


def test_writes_do_not_nest(ledger: Ledger) -> None:
    """A second writer in the same thread would wait for itself; it is refused at once, and the first goes on."""
    with ledger.write(SPACE) as work:
        with pytest.raises(RuntimeError, match="open already"), ledger.write(OTHER):
            pass
        work.of(Tenant).add(make(Tenant, "t"))
    with ledger.write(OTHER) as work:
        assert work.of(Tenant).count() == 0


def test_no_update_is_lost(ledger: Ledger) -> None:
    """Sixteen threads read, add one and write: every one counts."""
    with ledger.write(SPACE) as work:
        work.of(Task).add(make(Task, "t", progress_done=0))
    barrier = threading.Barrier(THREADS)

    def count(_: int) -> None:
        barrier.wait(30)
        for _round in range(ROUNDS):
            with ledger.write(SPACE) as work:
                task = work.of(Task).get("t")
                work.of(Task).replace(dataclasses.replace(task, progress_done=task.progress_done + 1))
                work.append_log("t", [_line("x"), _line("y")])
                work.audit(at=NOW, actor="a", action="b", subject="c")

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(count, range(THREADS)))
    with ledger.read(SPACE) as work:
        task = work.of(Task).get("t")
        assert (task.progress_done, task.revision) == (THREADS * ROUNDS, THREADS * ROUNDS + 1)
        assert [line.seq for line in work.read_log("t")] == list(range(1, 2 * THREADS * ROUNDS + 1))
        assert [entry.seq for entry in work.audit_entries()] == list(range(1, THREADS * ROUNDS + 1))


def test_writers_of_all_spaces_share_the_site(ledger: Ledger) -> None:
    """Threads in different Spaces that look for a site's row before they add it never collide, and none waits for another for ever."""
    barrier = threading.Barrier(THREADS)

    def store(number: int) -> None:
        space_id = SITE if number % 4 == 0 else f"{SPACE}{number % 4}"
        barrier.wait(30)
        for digest in ("aa", "bb", "cc"):
            with ledger.write(space_id) as work:
                if space_id != SITE:
                    work.of(Tenant).add(make(Tenant, f"{digest}{number}", space_id=space_id))
                if work.of(Blob).find(digest) is None:
                    work.of(Blob).add(make(Blob, digest))
                answer = work.of(IdempotentAnswer).find("n") or work.of(IdempotentAnswer).add(make(IdempotentAnswer, "n", status=0))
                work.of(IdempotentAnswer).replace(dataclasses.replace(answer, status=answer.status + 1))

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(store, range(THREADS)))
    with ledger.read(SITE) as work:
        assert work.of(Blob).count() == 3
        assert work.of(IdempotentAnswer).get("n").status == 3 * THREADS


def test_the_audit_log_is_a_chain_with_a_checkpoint(ledger: Ledger) -> None:
    """Entries link to each other, per Space; the checkpoint is the RFC 6962 root over them and includes the unit's own."""
    east = timezone(timedelta(hours=2))
    for number in range(9):
        with ledger.write(SPACE) as work:
            entry = work.audit(at=NOW.astimezone(east), actor=f"a{number}", action="b", subject="c é", detail='{"x": 1}')
            assert entry.at == NOW
            assert work.audit_checkpoint() == root_of([each.sha256 for each in work.audit_entries()])
    with ledger.write(OTHER) as work:
        assert work.audit(at=NOW, actor="a", action="b", subject="c").prev_sha256 == GENESIS
    with ledger.write(SITE) as work:
        assert work.audit(at=NOW, actor="a", action="b", subject="c").seq == 1
    with ledger.read(SPACE) as work:
        entries = list(work.audit_entries())
        assert work.audit_checkpoint()[0] == len(entries) == 9
    last_seq, last_sha256 = 0, GENESIS
    for entry in entries:
        assert is_linked(entry, last_seq=last_seq, last_sha256=last_sha256)
        assert not is_linked(dataclasses.replace(entry, detail=""), last_seq=last_seq, last_sha256=last_sha256)
        last_seq, last_sha256 = entry.seq, entry.sha256
    assert len({entry.id for entry in entries}) == 9


def test_the_audit_log_is_paged_newest_first(ledger: Ledger) -> None:
    """Cursors walk back to the first entry."""
    with ledger.write(SPACE) as work:
        for number in range(25):
            work.audit(at=NOW, actor="a", action="b", subject=str(number))
    with ledger.read(SPACE) as work:
        assert [entry.seq for entry in work.audit_entries()] == list(range(1, 26))
        first = work.audit_page(limit=3)
        second = work.audit_page(limit=7, cursor=first.next_cursor)
        third = work.audit_page(limit=200, cursor=second.next_cursor)
        assert [entry.seq for entry in first.items] == [25, 24, 23]
        assert [entry.seq for entry in second.items] == list(range(22, 15, -1))
        assert [entry.seq for entry in third.items] == list(range(15, 0, -1))
        assert third.next_cursor is None
    with ledger.read(OTHER) as work, pytest.raises(FormatError):
        work.audit_page(limit=3, cursor=first.next_cursor)


def test_audit_text_that_cannot_be_stored_is_refused(ledger: Ledger) -> None:
    """An entry with U+0000 is an error of the sender, one without a zone a mistake of ours; neither moves the chain."""
    with ledger.write(SPACE) as work:
        with pytest.raises(FormatError):
            work.audit(at=NOW, actor="a", action="b", subject="\x00")
        with pytest.raises(TypeError):
            work.audit(at=datetime(2026, 1, 1), actor="a", action="b", subject="c")  # noqa: DTZ001
        assert work.audit(at=NOW, actor="a", action="b", subject="c").seq == 1


def test_log_lines_are_numbered_without_a_gap(ledger: Ledger) -> None:
    """Lines get the task and the next numbers, whatever they say themselves, and are read from any number on."""
    with ledger.write(SPACE) as work:
        add_with_parents(work, make(Task, "t"))
        work.of(Task).add(make(Task, "u"))
        assert work.append_log("t", []) == 0
        assert work.append_log("t", [_line("one"), _line("two", run_id="run_1")]) == 2
        assert work.append_log("u", [_line("else")]) == 1
    with ledger.write(SPACE) as work:
        assert work.append_log("t", [_line("a\x00b\ud800")]) == 3
    with ledger.read(SPACE) as work:
        assert work.read_log("t") == [
            _line("one", task_id="t", seq=1),
            _line("two", task_id="t", seq=2, run_id="run_1"),
            _line("a\ufffdb?", task_id="t", seq=3),
        ]
        assert [line.seq for line in work.read_log("t", after=1, limit=1)] == [2]
        assert work.read_log("t", after=3) == []
    with ledger.read(OTHER) as work:
        assert work.read_log("t") == []
    with ledger.write(OTHER) as work, pytest.raises(NotFoundError):
        work.append_log("t", [_line("x")])


def test_a_task_with_a_log_stays(ledger: Ledger) -> None:
    """A task cannot go before its log."""
    task = make(Task, "t")
    with ledger.write(SPACE) as work:
        work.of(Task).add(task)
        work.append_log("t", [_line("x")])
        with pytest.raises(ConflictError) as caught:
            work.of(Task).remove(task)
    assert caught.value.code == "record.in_use"
