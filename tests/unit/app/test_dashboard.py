# SPDX-License-Identifier: Apache-2.0
"""The dashboard of a Space's own environments, and the audit log behind everything."""

from dataclasses import replace

import pytest

from tests.simulators.spaces import Home, action, make_home
from waybill.app import admin, audit, dashboard
from waybill.app.access import SYSTEM
from waybill.domain.access import AccessGrant, AuditEntry, Caller
from waybill.domain.deployments import Deployment, DeploymentState
from waybill.domain.projects import Project
from waybill.domain.releases import Release
from waybill.domain.spaces import Environment
from waybill.errors import NotFoundError, TrustError


@pytest.fixture
def home() -> Home:
    """A Space with environments Test and Live and a step package."""
    made = make_home("DevTest")
    made.install()
    for number, name in enumerate(("Test", "Live")):
        admin.create_environment(made.ports, SYSTEM, space_id=made.space_id, name=name, sort_order=number)
    return made


def deploy(home: Home, release: Release, environment: str, state: DeploymentState) -> str:
    """A deployment that is in that state; returns its id."""
    now = home.site.clock.now()
    with home.ports.ledger.write(home.space_id) as work:
        found = work.of(Environment).first(slug=environment)
        assert found is not None
        key = f"dep_{work.of(Deployment).count():032x}"
        work.of(Deployment).add(
            Deployment(
                id=key,
                space_id=home.space_id,
                project_id=release.project_id,
                release_row_id=release.id,
                environment_id=found.id,
                tenant_id=None,
                state=state,
                task_id="tsk_" + "0" * 32,
                created_at=now,
                created_by="test",
                finished_at=None if state is DeploymentState.RUNNING else now,
            )
        )
    return key


def test_a_cell_shows_the_newest_deployment_and_the_last_success(home: Home) -> None:
    """A failed or running newer one never hides what last succeeded; an empty cell is absent."""
    project = home.project(actions=(action("Run"),))
    one, two = home.release(project, "1.0.0"), home.release(project, "1.1.0")
    deploy(home, one, "test", DeploymentState.SUCCEEDED)
    newest = deploy(home, two, "test", DeploymentState.FAILED)
    board = dashboard.dashboard(home.ports, SYSTEM, space_id=home.space_id)
    assert [column.name for column in board.columns] == ["Test", "Live"]
    (cell,) = board.rows[0].cells
    assert (cell.release_version, cell.state, cell.last_success_version, cell.link_id) == ("1.1.0", "failed", "1.0.0", newest)
    assert (cell.as_of, cell.learned_at) == (None, cell.happened_at)
    deploy(home, two, "live", DeploymentState.RUNNING)
    view = dashboard.project_view(home.ports, SYSTEM, space_id=home.space_id, project="storefront")
    assert [(row.release_version, [cell.state for cell in row.cells]) for row in view.releases] == [
        ("1.1.0", ["failed", "running"]),
        ("1.0.0", ["succeeded"]),
    ]


def test_projects_are_chosen_and_named(home: Home) -> None:
    """Remote projects are shown as ``Space: Project``; a choice of ids leaves the others out."""
    own = home.project("Own", actions=())
    remote = Project(
        id="prj_" + "0" * 32,
        space_id=home.space_id,
        slug="acme-own",
        name="Own",
        owner_space_id="spc_" + "1" * 32,
        owner_name="Acme",
        remote_project_id="prj_" + "2" * 32,
    )
    with home.ports.ledger.write(home.space_id) as work:
        work.of(Project).add(remote)
    board = dashboard.dashboard(home.ports, SYSTEM, space_id=home.space_id)
    assert [(row.name, row.is_remote) for row in board.rows] == [("Acme: Own", True), ("Own", False)]
    chosen = dashboard.dashboard(home.ports, SYSTEM, space_id=home.space_id, project_ids=(own.id,))
    assert [row.project_id for row in chosen.rows] == [own.id]
    stranger = Caller(id="s", name="s", kind="person", grants=(AccessGrant(space_id="spc_x", permissions=("*",)),))
    with pytest.raises(NotFoundError):
        dashboard.dashboard(home.ports, stranger, space_id=home.space_id)


@pytest.mark.parametrize("damage", ["detail", "drop", "swap"])
def test_a_changed_audit_log_is_found_with_its_place(home: Home, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A20: an edited, a dropped and two swapped entries break the chain at a number."""
    with home.ports.ledger.read(home.space_id) as work:
        entries = list(work.audit_entries())
        assert (len(entries), work.audit_checkpoint()[0]) == (audit.verify_audit(home.ports, SYSTEM, space_id=home.space_id),) * 2
        assert audit.checkpoint(work).root == work.audit_checkpoint()[1]
        kind = type(work)
    changed: list[AuditEntry] = {
        "detail": [replace(entry, detail="x") if entry.seq == 2 else entry for entry in entries],
        "drop": [entry for entry in entries if entry.seq != 2],
        "swap": [entries[0], entries[2], entries[1], *entries[3:]],
    }[damage]
    monkeypatch.setattr(kind, "audit_entries", lambda _work: iter(changed))
    with pytest.raises(TrustError) as caught:
        audit.verify_audit(home.ports, SYSTEM, space_id=home.space_id)
    assert (caught.value.code, caught.value.expected) == ("audit.chain_broken", "2")
