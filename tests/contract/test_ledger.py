# SPDX-License-Identifier: Apache-2.0
"""What every ledger does with rows: the same suite on memory, SQLite and PostgreSQL."""

import dataclasses
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.sql.mapping import mapper_of
from adapters.sql.tables import TABLES
from tests.contract.rows import NOW, OTHER, SPACE, add_with_parents, any_row, make, parents_of
from waybill.domain.access import Account
from waybill.domain.bundles import InboxBundle
from waybill.domain.deployments import StepRun
from waybill.domain.lifecycles import Lifecycle, Phase
from waybill.domain.packages import Blob, Package
from waybill.domain.projects import Project
from waybill.domain.receipts import ReceiptRow
from waybill.domain.releases import Release
from waybill.domain.spaces import Environment, Machine, Space, Tenant
from waybill.domain.tasks import Task, TaskState
from waybill.domain.trusts import Trust, TrustState
from waybill.errors import ConflictError, FormatError, NotFoundError
from waybill.ports import SITE, Ledger, Row

KINDS = sorted(TABLES, key=lambda kind: kind.__name__)
_NEXT = iter(range(10**9))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_every_kind_is_read_as_it_was_written(ledger: Ledger, kind: type[Row], data: st.DataObject) -> None:
    """A row of any kind, with any values of its types, comes back equal, in its own Space only."""
    space_id = f"{SPACE}{next(_NEXT)}"
    row = data.draw(any_row(kind, space_id=space_id))
    with ledger.write(space_id) as work:
        if not mapper_of(kind).is_scoped:
            for old in work.of(kind).where():
                work.of(kind).remove(old)
        add_with_parents(work, row)
    with ledger.read(space_id) as work:
        assert work.of(kind).get(row.id) == row
        assert work.of(kind).where() == [row]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_can_be_changed_and_removed(ledger: Ledger, kind: type[Any]) -> None:
    """A change raises the revision by one and is read; a removed row is gone."""
    row = make(kind, "k1")
    with ledger.write(SPACE) as work:
        add_with_parents(work, row)
        changed = work.of(kind).replace(row)
    assert changed == dataclasses.replace(row, revision=2)
    with ledger.write(SPACE) as work:
        assert work.of(kind).get(row.id) == changed
        work.of(kind).remove(changed)
        assert work.of(kind).find(row.id) is None
        with pytest.raises(NotFoundError) as caught:
            work.of(kind).get(row.id)
    assert caught.value.code == "record.absent"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if mapper_of(kind).is_scoped], ids=lambda kind: kind.__name__)
def test_spaces_do_not_see_each_other(ledger: Ledger, kind: type[Any]) -> None:
    """Two Spaces hold rows of one id; each reads, counts, changes and removes its own only."""
    mine, theirs = make(kind, "same"), make(kind, "same", space_id=OTHER)
    for space_id, row in ((SPACE, mine), (OTHER, theirs)):
        with ledger.write(space_id) as work:
            assert work.of(kind).find(row.id) is None
            add_with_parents(work, row)
    with ledger.write(SPACE) as work:
        rows = work.of(kind)
        with pytest.raises(ValueError, match="another Space"):
            rows.add(dataclasses.replace(theirs, id="new") if "parent" not in theirs.id else theirs)
        for refused in (rows.replace, rows.remove):
            with pytest.raises(ValueError, match="another Space"):
                refused(theirs)
        assert (rows.count(), rows.where(), rows.among("id", [mine.id]), rows.first(id=mine.id)) == (1, [mine], [mine], mine)
        assert rows.page(limit=10).items == (mine,)
        rows.remove(mine)
    with ledger.read(OTHER) as work:
        assert work.of(kind).get(theirs.id) == theirs


def test_the_site_reaches_no_rows_of_a_space(ledger: Ledger) -> None:
    """Site-level kinds are within reach of every unit of work; a Space's kinds only inside a Space."""
    with ledger.write(SPACE) as work:
        work.of(Blob).add(make(Blob, "aa"))
        work.of(Space).add(make(Space, SPACE))
    with ledger.read(SITE) as work:
        assert work.of(Blob).get("aa").verified_at > NOW
        with pytest.raises(ValueError, match="belongs to a Space"):
            work.of(Project)


def test_a_stale_revision_is_refused(ledger: Ledger) -> None:
    """Whoever read an older revision, or a row that is gone, cannot change or remove it."""
    first = make(Tenant, "t1")
    with ledger.write(SPACE) as work:
        tenants = work.of(Tenant)
        second = tenants.replace(dataclasses.replace(tenants.add(first), name="new"))
        for refused in (tenants.replace, tenants.remove):
            with pytest.raises(ConflictError) as caught:
                refused(first)
            assert caught.value.code == "record.stale"
        tenants.remove(second)
        with pytest.raises(ConflictError) as caught:
            tenants.replace(second)
    assert caught.value.code == "record.stale"


UNIQUE: list[tuple[type[Any], dict[str, Any], str]] = [
    (Space, {"slug": "x"}, "slug"),
    (Account, {"username": "x"}, "username"),
    (Environment, {"slug": "x"}, "slug"),
    (Tenant, {"slug": "x"}, "slug"),
    (Project, {"slug": "x"}, "slug"),
    (Project, {"owner_space_id": "s", "remote_project_id": "p"}, "owner_space_id,remote_project_id"),
    (Lifecycle, {"slug": "x"}, "slug"),
    (Machine, {"key_sha256": "x"}, "key_sha256"),
    (Package, {"package_id": "p", "package_version": "1"}, "package_id,package_version"),
    (Release, {"release_version": "1"}, "project_id,release_version"),
    (Trust, {"slug": "x"}, "slug"),
    (Trust, {"peer_space_id": "x"}, "peer_space_id"),
    (InboxBundle, {"delivery_id": "x"}, "trust_id,delivery_id"),
    (InboxBundle, {"bundle_sha256": "x"}, "bundle_sha256"),
    (ReceiptRow, {"direction": "in", "epoch": 1, "seq": 7}, "trust_id,direction,epoch,seq"),
    (StepRun, {"action_id": "a", "attempt": 1}, "deployment_id,action_id,machine_id,attempt"),
    (StepRun, {"action_id": "a", "attempt": 1, "machine_id": None}, "deployment_id,action_id,attempt"),
]


@pytest.mark.parametrize(("kind", "fields", "named"), UNIQUE, ids=[f"{kind.__name__}-{named}" for kind, _, named in UNIQUE])
def test_what_must_be_unique_is(ledger: Ledger, kind: type[Any], fields: dict[str, Any], named: str) -> None:
    """A second row with equal unique columns is refused, by add and by replace; the unit of work goes on."""
    with ledger.write(SPACE) as work:
        add_with_parents(work, make(kind, "a", **fields))
        with pytest.raises(ConflictError) as caught:
            work.of(kind).add(make(kind, "b", **fields))
        assert (caught.value.code, caught.value.field) == ("record.conflict", named)
        other = work.of(kind).add(make(kind, "c"))
        with pytest.raises(ConflictError) as caught:
            work.of(kind).replace(dataclasses.replace(other, **fields))
        assert (caught.value.code, caught.value.field) == ("record.conflict", named)
    with ledger.read(SPACE) as work:
        assert work.of(kind).where() == [make(kind, "a", **fields), make(kind, "c")]


def test_a_taken_id_is_refused(ledger: Ledger) -> None:
    """An id is used once."""
    with ledger.write(SPACE) as work:
        work.of(Tenant).add(make(Tenant, "t"))
        with pytest.raises(ConflictError) as caught:
            work.of(Tenant).add(make(Tenant, "t", slug="other", name="other"))
    assert (caught.value.code, caught.value.field) == ("record.conflict", "id")


def test_a_retired_trust_frees_its_names(ledger: Ledger) -> None:
    """After a trust was retired the same Space may be registered again, once."""
    fields: dict[str, Any] = {"slug": "prod", "peer_space_id": "spc_peer"}
    with ledger.write(SPACE) as work:
        trusts = work.of(Trust)
        trusts.add(make(Trust, "a", state=TrustState.RETIRED, **fields))
        trusts.add(make(Trust, "b", state=TrustState.RETIRED, **fields))
        trusts.add(make(Trust, "c", state=TrustState.PENDING, **fields))
        with pytest.raises(ConflictError):
            trusts.add(make(Trust, "d", state=TrustState.ACTIVE, **fields))
        assert trusts.first(slug="prod", state=TrustState.PENDING) == make(Trust, "c", state=TrustState.PENDING, **fields)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if parents_of(kind)], ids=lambda kind: kind.__name__)
def test_nothing_belongs_to_nothing(ledger: Ledger, kind: type[Any]) -> None:
    """A row needs its parents, in its own Space; a parent cannot go before its child."""
    row = make(kind, "child")
    with ledger.write(SPACE) as work:
        with pytest.raises(NotFoundError) as absent:
            work.of(kind).add(row)
        add_with_parents(work, row)
        parent = parents_of(kind)[-1]
        with pytest.raises(ConflictError) as used:
            work.of(type(parent)).remove(parent)
        assert work.of(kind).count() == 1
    assert (absent.value.code, used.value.code) == ("record.absent", "record.in_use")
    if mapper_of(kind).is_scoped:
        with ledger.write(OTHER) as work, pytest.raises(NotFoundError):
            work.of(kind).add(dataclasses.replace(row, space_id=OTHER))


def test_rows_are_found_by_columns(ledger: Ledger) -> None:
    """Equality on any plain column, None and enums included, in the order of ids."""
    rows = [make(Task, f"t{n}", state=TaskState.RUNNING if n % 2 else TaskState.QUEUED, progress_done=n) for n in range(6)]
    with ledger.write(SPACE) as work:
        for row in reversed(rows):
            work.of(Task).add(row)
    with ledger.read(SPACE) as work:
        tasks = work.of(Task)
        assert tasks.where(state=TaskState.RUNNING) == rows[1::2]
        assert tasks.where(state="running", code=None, newest_first=True, limit=2) == [rows[5], rows[3]]
        assert tasks.first(state="queued") == rows[0]
        assert tasks.first(code="none") is None
        assert tasks.among("id", ["t4", "t1", "t1", "gone"]) == [rows[1], rows[4]]
        assert tasks.among("state", []) == []
        assert (tasks.count(), tasks.count(progress_done=3)) == (6, 1)
        for column in ("nothing", "result"):
            with pytest.raises(ValueError, match="cannot be found by"):
                tasks.where(**cast(dict[str, Any], {column: "x"}))


def test_ids_sort_by_their_bytes(ledger: Ledger) -> None:
    """No locale has a say in the order of ids."""
    keys = ["B", "a", "_", "0", "a:b", "a_b", "Z", "ab", "é"]
    with ledger.write(SPACE) as work:
        for key in keys:
            work.of(Tenant).add(make(Tenant, key))
        assert [row.id for row in work.of(Tenant).where()] == sorted(keys, key=lambda key: key.encode())


@pytest.mark.parametrize("newest_first", [True, False])
def test_pages_hold_every_row_once(ledger: Ledger, newest_first: bool) -> None:
    """Cursors walk through all rows, even while new ones arrive."""
    keys = [f"t{n:03}" for n in range(25)]
    with ledger.write(SPACE) as work:
        for key in keys:
            work.of(Tenant).add(make(Tenant, key))
    seen: list[str] = []
    cursor: str | None = None
    for turn in range(4):
        with ledger.write(SPACE) as work:
            page = work.of(Tenant).page(limit=7, cursor=cursor, newest_first=newest_first)
            work.of(Tenant).add(make(Tenant, f"{'u' if newest_first else 'a'}{turn}"))
        seen += [row.id for row in page.items]
        cursor = page.next_cursor
    assert cursor is None
    assert seen == sorted(keys, reverse=newest_first)


def test_a_cursor_belongs_to_its_query(ledger: Ledger) -> None:
    """A cursor of another list, Space, order or filter is refused, and so is anything made up; limits are 1 to 200."""
    with ledger.write(SPACE) as work:
        for n in range(3):
            work.of(Task).add(make(Task, f"t{n}", kind="k"))
            work.of(Tenant).add(make(Tenant, f"t{n}"))
        cursor = work.of(Task).page(limit=1, kind="k").next_cursor
        assert work.of(Task).page(limit=1, kind="k", cursor=cursor).items == (make(Task, "t1", kind="k"),)
        wrong: list[Callable[[], object]] = [
            lambda: work.of(Task).page(limit=1, cursor=cursor),
            lambda: work.of(Task).page(limit=1, kind="k", newest_first=False, cursor=cursor),
            lambda: work.of(Tenant).page(limit=1, cursor=cursor),
            lambda: work.of(Task).page(limit=1, kind="k", cursor="é"),
            lambda: work.of(Task).page(limit=1, kind="k", cursor=""),
            lambda: work.audit_page(limit=1, cursor=cursor),
        ]
        for call in wrong:
            with pytest.raises(FormatError) as caught:
                call()
            assert caught.value.code == "cursor.invalid"
        for limit in (0, 201):
            with pytest.raises(FormatError):
                work.of(Task).page(limit=limit)
    with ledger.read(OTHER) as work, pytest.raises(FormatError):
        work.of(Task).page(limit=1, kind="k", cursor=cursor)


def test_values_that_a_database_would_change_are_refused(ledger: Ledger) -> None:
    """Text with U+0000 or half a surrogate pair, and numbers over 64 bits, are errors of the sender; wrong types are mistakes of ours."""
    with ledger.write(SPACE) as work:
        for fields in ({"name": "a\x00"}, {"name": "\ud800"}, {"tags": ("\x00",)}):
            with pytest.raises(FormatError) as caught:
                work.of(Tenant).add(make(Tenant, "t", **fields))
            assert caught.value.code == "request.invalid"
            assert caught.value.field == next(iter(fields))
        with pytest.raises(FormatError):
            work.of(Task).add(make(Task, "t", progress_done=2**63))
        for wrong in ({"name": None}, {"name": 1}, {"created_at": NOW.replace(tzinfo=None)}, {"result": {1: 2}}, {"state": "sleeping"}):
            with pytest.raises(TypeError):
                work.of(Task).add(make(Task, "t", **({"title": wrong.pop("name")} if "name" in wrong else wrong)))
        assert work.of(Task).count() == 0


def test_what_no_database_can_hold_is_not_found(ledger: Ledger) -> None:
    """Looking for text or numbers that cannot be stored finds nothing, and breaks nothing."""
    with ledger.write(SPACE) as work:
        work.of(Task).add(make(Task, "t"))
        tasks = work.of(Task)
        for odd in ("\x00", "\ud800", "t\x00"):
            assert tasks.find(odd) is None
            assert tasks.first(title=odd) is None
            assert tasks.among("id", [odd, "t"]) == [make(Task, "t")]
            assert tasks.page(limit=1, title=odd).items == ()
            assert work.read_log(odd) == []
            with pytest.raises(NotFoundError):
                work.append_log(odd, [])
        assert tasks.count(progress_done=2**63) == 0
        assert tasks.count() == 1


def test_what_was_read_is_independent(ledger: Ledger) -> None:
    """Changing a list inside a row in memory changes nothing that is stored."""
    row = make(Task, "t", timeline=[1], result={"a": [1]})
    with ledger.write(SPACE) as work:
        work.of(Task).add(row)
        cast("list[object]", row.timeline).append(2)
        cast("list[object]", work.of(Task).get("t").result["a"]).append(2)
        stored = work.of(Task).get("t")
    assert (stored.timeline, stored.result) == ([1], {"a": [1]})


def test_nested_values_keep_their_types(ledger: Ledger) -> None:
    """Tuples, dataclasses, whole numbers and the order of keys come back as they went."""
    lifecycle = make(Lifecycle, "l", phases=(Phase(name="Dev", members=("env_1", "trs_2"), minimum=1, automatic=True),))
    task = make(Task, "t", story_input={"z": 1, "a": [True, None, 1.5, 2**70, "é\u2028"]})
    with ledger.write(SPACE) as work:
        work.of(Lifecycle).add(lifecycle)
        work.of(Task).add(task)
    with ledger.read(SPACE) as work:
        assert work.of(Lifecycle).get("l") == lifecycle
        found = work.of(Task).get("t").story_input
    assert (found, list(found)) == (task.story_input, ["z", "a"])
    assert isinstance(cast("list[object]", found["a"])[0], bool)
