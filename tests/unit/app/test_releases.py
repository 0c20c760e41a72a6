# SPDX-License-Identifier: Apache-2.0
"""Freezing, viewing, comparing and blocking releases."""

from dataclasses import replace

import pytest

from tests.simulators.spaces import Home, action, make_home, make_pair
from waybill.app import admin, documents, projects, releases, variables
from waybill.app.access import SYSTEM
from waybill.domain.packages import Blob
from waybill.domain.projects import Project
from waybill.domain.releases import Document, Release, SnapshotValue
from waybill.domain.variables import Scope, Template, ValueType, Variable
from waybill.errors import ConflictError, FormatError, UnavailableError, WaybillError
from waybill.ports import SITE

CANARY = "canary-7f3a9"
ACTIONS = (
    action("Deploy", package_id="@acme/web", inputs={"script": "run #{Greeting} #{Waybill.Environment.Name}", "password": "#{Password}"}),
)


@pytest.fixture
def pair() -> tuple[Home, Home, Project]:
    """DevTest with trusts, packages, variables of every kind and the project Storefront; Prod beside it."""
    home, other, _, _ = make_pair()
    home.install()
    home.push("@acme/web", "1.0.0", b"web one")
    admin.create_environment(home.ports, SYSTEM, space_id=home.space_id, name="Test")
    admin.create_tenant(home.ports, SYSTEM, space_id=home.space_id, name="Acme Corporation")
    admin.create_remote_environment(home.ports, SYSTEM, space_id=home.space_id, trust="Prod", name="Zanzibar-Live")
    project = home.project(actions=ACTIONS)
    put(home, "Greeting", value="hello")
    put(home, "Greeting", value="hello zanzibar", scope=Scope(environments=("Prod: Zanzibar-Live",)))
    put(home, "Greeting", value="hello tenant", scope=Scope(tenants=("Acme Corporation",)))
    put(home, "OnlyThere", value="there-value", scope=Scope(environments=("Prod: Zanzibar-Live",)))
    put(home, "Both", value="both-value", scope=Scope(environments=("Test", "Prod: Zanzibar-Live")))
    put(home, "Password", ValueType.SECRET, value=CANARY)
    put(home, "Size", template=Template(label="Size", default="#{Greeting}"))
    return home, other, project


def put(home: Home, name: str, kind: ValueType = ValueType.TEXT, **rest: object) -> Variable:
    """A variable of Storefront set, over whatever is there."""
    return variables.set_variable(home.ports, SYSTEM, space_id=home.space_id, project="storefront", name=name, type=kind, **rest)  # type: ignore[arg-type] # told by the tests


def document(home: Home, release: Release) -> bytes:
    """The envelope's payload and body of a release, as everybody gets it."""
    with home.ports.ledger.read(home.space_id) as work:
        return documents.load(work, release.document_sha256).body


def test_a_release_pins_everything(pair: tuple[Home, Home, Project]) -> None:
    """A47, A49, A51: exact step packages and packages with digests, and the process as frozen."""
    home, _, project = pair
    release = home.release(project)
    view = releases.release_view(home.ports, SYSTEM, space_id=home.space_id, release=release.id)
    assert view.actions[0].step.version == "1.0.0"
    assert len(view.actions[0].step.sha256 or "") == 64
    assert [(one.package_id, one.package_version, one.ref_names, one.is_present) for one in view.packages] == [
        ("@acme/web", "1.0.0", ("app",), True)
    ]
    assert [one.package_id for one in view.step_packages] == ["run-script"]
    process = projects.get_process(home.ports, SYSTEM, space_id=home.space_id, project=project.id)
    projects.save_process(home.ports, SYSTEM, space_id=home.space_id, project=project.id, actions=(), if_revision=process.revision)
    assert releases.release_view(home.ports, SYSTEM, space_id=home.space_id, release=release.id) == view


def test_nothing_of_a_target_and_no_secret_stands_in_the_release(pair: tuple[Home, Home, Project]) -> None:
    """A11, A50: no remote environment's name or value, no tenant, no secret; a shared value keeps only its own environment."""
    home, other, project = pair
    release = home.release(project)
    with home.ports.ledger.read(home.space_id) as work:
        doc = releases.read_doc(home.ports, work, release)
        payload = repr(doc) + document(home, release).decode()
        test_id = next(row.id for row in admin.list_environments(home.ports, SYSTEM, space_id=home.space_id) if row.name == "Test")
    for hidden in (CANARY, "Zanzibar", "zanzibar", "there-value", "OnlyThere", "hello tenant", "Acme Corporation", "Prod", other.space_id):
        assert hidden not in payload
    by_name = {one.name: one for one in doc.variables}
    assert by_name["Both"].scope.environments == (test_id,)
    assert by_name["Password"].sensitive
    assert by_name["Password"].value is None
    assert [one.value for one in doc.variables if one.name == "Greeting"] == ["hello"]


def test_the_snapshot_holds_every_value(pair: tuple[Home, Home, Project]) -> None:
    """Values for one target, secrets and templates are there for deployments here and Deliveries; secrets wrapped anew."""
    home, _, project = pair
    release = home.release(project)
    with home.ports.ledger.read(home.space_id) as work:
        rows = work.of(SnapshotValue).where(release_row_id=release.id)
        own = {row.id: row for row in work.of(Variable).where(project_id=project.id)}
    assert {row.variable_id for row in rows} == set(own)
    assert CANARY not in repr(rows)
    secret = next(row for row in rows if row.name == "Password")
    assert secret.sealed != own[secret.variable_id].sealed
    view = releases.release_view(home.ports, SYSTEM, space_id=home.space_id, release=release.id)
    assert CANARY not in repr(view)
    assert [(one.is_secret, one.is_set, one.value) for one in view.variables if one.name == "Password"] == [(True, True, None)]
    assert {one.target for one in view.variables if one.name == "OnlyThere"} == {"Prod"}
    assert {one.target for one in view.variables if one.name == "Both"} == {None}


def test_a_version_has_one_content(pair: tuple[Home, Home, Project]) -> None:
    """A5: equal content gives the first release again; another value, secret or package is a conflict."""
    home, _, project = pair
    first = home.release(project)
    assert home.release(project) == first
    put(home, "Password", ValueType.SECRET, value=CANARY, if_revision=1)
    assert home.release(project) == first
    put(home, "Password", ValueType.SECRET, value="other", if_revision=2)
    with pytest.raises(ConflictError) as secret:
        home.release(project)
    assert secret.value.code == "release.conflict"
    put(home, "Password", ValueType.SECRET, value=CANARY, if_revision=3)
    home.push("@acme/web", "1.1.0", b"web two")
    with pytest.raises(ConflictError):
        home.release(project)
    chosen = releases.create_release(
        home.ports, SYSTEM, space_id=home.space_id, project=project.id, version="1.0.0", packages={"app": "1.0.0"}
    )
    assert chosen == first


@pytest.mark.parametrize(
    ("packages", "code"),
    [
        ({"app": "9.9.9"}, "bundle.incomplete"),
        ({"nobody": "1.0.0"}, "request.invalid"),
        ({"app": "1.0.0", "@acme/web": "2"}, "request.invalid"),
    ],
)
def test_a_package_that_cannot_be_pinned_stops_the_freeze(pair: tuple[Home, Home, Project], packages: dict[str, str], code: str) -> None:
    """A missing version, a strange reference and two versions of one package are refused; nothing is stored."""
    home, _, project = pair
    with pytest.raises(WaybillError) as caught:
        releases.create_release(home.ports, SYSTEM, space_id=home.space_id, project=project.id, version="1.0.0", packages=packages)
    assert caught.value.code == code
    with home.ports.ledger.read(home.space_id) as work:
        assert (work.of(Release).count(), work.of(Document).count(kind="release")) == (0, 0)


@pytest.mark.parametrize(
    ("script", "value", "field"),
    [("#{Nobody}", "x", "actions/0/inputs"), ("#{Greeting}", "#{Nobody}", "variables/Greeting")],
)
def test_a_binding_that_leads_nowhere_stops_the_freeze(script: str, value: str, field: str) -> None:
    """A47: a reference to anything outside the release stops the build, wherever it stands."""
    home = make_home("DevTest")
    home.install()
    project = home.project(actions=(action("Run", inputs={"script": script}),))
    put(home, "Greeting", value=value)
    with pytest.raises(FormatError) as caught:
        home.release(project)
    assert (caught.value.code, caught.value.field, caught.value.found) == ("bundle.incomplete", field, "Nobody")


@pytest.mark.parametrize(("version", "notes"), [("1 0", ""), ("", ""), ("../1", ""), ("1.0", "x" * 60_001)])
def test_a_version_or_notes_outside_the_grammar_are_refused(version: str, notes: str) -> None:
    """A48."""
    home = make_home("DevTest")
    home.install()
    project = home.project()
    with pytest.raises(FormatError) as caught:
        releases.create_release(home.ports, SYSTEM, space_id=home.space_id, project=project.id, version=version, notes=notes)
    assert caught.value.code == "request.invalid"


def test_a_remote_project_cannot_be_released_here(pair: tuple[Home, Home, Project]) -> None:
    """A68: its releases come from its owner."""
    home, other, project = pair
    with home.ports.ledger.write(home.space_id) as work:
        row = work.of(Project).get(project.id)
        work.of(Project).replace(replace(row, owner_space_id=other.space_id, owner_name="Prod", remote_project_id=project.id))
    with pytest.raises(ConflictError) as caught:
        home.release(project)
    assert caught.value.code == "record.read_only"


def test_two_releases_are_compared(pair: tuple[Home, Home, Project]) -> None:
    """A78: added, removed, changed, moved; secrets only as changed; equal releases say so; two projects are refused."""
    home, _, project = pair
    first = home.release(project)
    same = home.release(project, "1.0.1")
    diff = releases.diff_releases(home.ports, SYSTEM, space_id=home.space_id, before=first.id, after=same.id)
    assert (diff.equal, diff.changes) == (True, ())
    home.push("@acme/web", "1.1.0", b"web two")
    put(home, "Password", ValueType.SECRET, value="another-canary", if_revision=1)
    put(home, "New", value="n")
    process = projects.get_process(home.ports, SYSTEM, space_id=home.space_id, project=project.id)
    changed = (action("First"), replace(process.actions[0], retries=2))
    projects.save_process(home.ports, SYSTEM, space_id=home.space_id, project=project.id, actions=changed, if_revision=process.revision)
    second = home.release(project, "1.1.0")
    diff = releases.diff_releases(home.ports, SYSTEM, space_id=home.space_id, before=first.id, after=second.id)
    assert not diff.equal
    assert {(change.kind, change.name, change.how) for change in diff.changes} == {
        ("action", "First", "added"),
        ("action", "Deploy", "changed"),
        ("variable", "New", "added"),
        ("variable", "Password", "changed"),
        ("package", "@acme/web", "changed"),
    }
    assert "canary" not in repr(diff.changes)
    other = home.release(home.project("Other", actions=(action("Run"),)))
    with pytest.raises(FormatError):
        releases.diff_releases(home.ports, SYSTEM, space_id=home.space_id, before=first.id, after=other.id)


def test_a_release_is_blocked_and_freed(pair: tuple[Home, Home, Project]) -> None:
    """P18: with a reason, over the revision that was read."""
    home, _, project = pair
    release = home.release(project)
    blocked = releases.block_release(home.ports, SYSTEM, space_id=home.space_id, release=release.id, reason="CVE", if_revision=1)
    assert blocked.blocked_reason == "CVE"
    with pytest.raises(ConflictError):
        releases.unblock_release(home.ports, SYSTEM, space_id=home.space_id, release=release.id, if_revision=1)
    freed = releases.unblock_release(home.ports, SYSTEM, space_id=home.space_id, release=release.id, if_revision=2)
    assert freed.blocked_reason is None
    with pytest.raises(FormatError):
        releases.block_release(home.ports, SYSTEM, space_id=home.space_id, release=release.id, reason=" ", if_revision=3)


def test_a_tampered_document_is_found(pair: tuple[Home, Home, Project]) -> None:
    """A release is read back by its digest, so an edited row is never believed."""
    home, _, project = pair
    first, second = home.release(project), home.release(project, "1.0.1")
    with home.ports.ledger.write(home.space_id) as work:
        work.of(Release).replace(replace(first, document_sha256=second.document_sha256))
    with pytest.raises(UnavailableError) as caught:
        releases.release_view(home.ports, SYSTEM, space_id=home.space_id, release=first.id)
    assert caught.value.code == "store.integrity"


def test_a_missing_blob_shows(pair: tuple[Home, Home, Project]) -> None:
    """The manifest says of each package whether its bytes are here."""
    home, _, project = pair
    release = home.release(project)
    with home.ports.ledger.write(SITE) as work:
        for blob in work.of(Blob).where():
            work.of(Blob).remove(blob)
    view = releases.release_view(home.ports, SYSTEM, space_id=home.space_id, release=release.id)
    assert [one.is_present for one in view.packages] == [False]
