# SPDX-License-Identifier: Apache-2.0
"""Projects and processes: what is refused when a process is saved."""

from dataclasses import replace

import pytest

from tests.simulators.spaces import Home, action, make_home
from waybill.app import admin, lookup, projects
from waybill.app.access import SYSTEM
from waybill.domain.access import AccessGrant, Caller
from waybill.domain.ids import JsonValue
from waybill.domain.projects import Action, ActionScopes, PackageUse, Process, Project, StepRef
from waybill.errors import ConflictError, FormatError, NotFoundError, PolicyError, WaybillError


@pytest.fixture
def home() -> Home:
    """A Space with the step package run-script 1.0.0 and 1.2.0 and a project Web."""
    made = make_home("DevTest")
    made.install()
    made.install(version="1.2.0")
    projects.create_project(made.ports, SYSTEM, space_id=made.space_id, name="Web")
    return made


def save(home: Home, *actions: Action, if_revision: int = 1) -> Process:
    """The process of Web saved."""
    return projects.save_process(home.ports, SYSTEM, space_id=home.space_id, project="web", actions=actions, if_revision=if_revision)


def test_a_process_is_saved_with_ids_and_revisions(home: Home) -> None:
    """New actions get ids, kept ones keep theirs, an old revision is stale."""
    env = admin.create_environment(home.ports, SYSTEM, space_id=home.space_id, name="Test")
    first = save(home, replace(action("Run"), scopes=ActionScopes(environments=("Test",))))
    assert first.actions[0].id.startswith("act_")
    assert first.actions[0].scopes.environments == (env.id,)
    second = save(home, *first.actions, action("More"), if_revision=first.revision)
    assert second.actions[0] == first.actions[0]
    with pytest.raises(ConflictError) as stale:
        save(home, if_revision=1)
    assert stale.value.code == "record.stale"
    assert projects.get_process(home.ports, SYSTEM, space_id=home.space_id, project="Web") == second


UNSUPPORTED: list[tuple[str, dict[str, object]]] = [
    ("start", {"start": "with_previous"}),
    ("condition", {"condition": "failure"}),
    ("condition", {"condition": "always"}),
    ("window", {"window": 2}),
    ("pool", {"pool": "default"}),
    ("scopes/tenant_tags", {"scopes": ActionScopes(tenant_tags=("eu",))}),
]


@pytest.mark.parametrize(("field", "change"), UNSUPPORTED)
def test_what_cannot_be_executed_yet_is_refused_when_saved(home: Home, field: str, change: dict[str, object]) -> None:
    """The schema has the field, this version has not: process.unsupported names it, and nothing is saved."""
    with pytest.raises(FormatError) as caught:
        save(home, replace(action("Run"), **change))  # type: ignore[arg-type] # the table is typed by hand
    assert (caught.value.code, caught.value.field) == ("process.unsupported", f"actions/0/{field}")
    assert projects.get_process(home.ports, SYSTEM, space_id=home.space_id, project="Web").actions == ()


INVALID: list[tuple[str, dict[str, object], str]] = [
    ("process.invalid", {"step": StepRef(package_id="nobody", version="1")}, "actions/0/step"),
    ("process.invalid", {"step": StepRef(package_id="run-script", version="2")}, "actions/0/step"),
    ("process.invalid", {"inputs": {}}, "actions/0/inputs/script"),
    ("process.invalid", {"inputs": {"script": 7}}, "actions/0/inputs/script"),
    ("process.invalid", {"inputs": {"script": "x", "other": "y"}}, "actions/0/inputs/other"),
    ("process.invalid", {"inputs": {"script": "x", "seconds": 1.5}}, "actions/0/inputs"),
    ("process.invalid", {"inputs": {"script": "#{Step[Later].Output.Url}"}}, "actions/0/inputs"),
    ("bundle.secret_in_clear", {"inputs": {"script": "x", "password": "hunter2"}}, "actions/0/inputs/password"),
    ("bundle.secret_in_clear", {"inputs": {"script": "x", "password": "pre-#{Password}"}}, "actions/0/inputs/password"),
    ("process.invalid", {"retries": 11}, "actions/0/retries"),
    ("process.invalid", {"timeout_s": 0}, "actions/0/timeout_s"),
    ("process.invalid", {"name": "Run [1]"}, "actions/0/name"),
    ("request.invalid", {"name": ""}, "actions/0/name"),
    ("process.invalid", {"packages": (PackageUse(ref_name="a b", package_id="x"),)}, "actions/0/packages/0/ref_name"),
    ("package.coordinate_invalid", {"packages": (PackageUse(ref_name="a", package_id="../x"),)}, "actions/0/packages/0/package_id"),
]


@pytest.mark.parametrize(("code", "change", "field"), INVALID)
def test_a_wrong_action_is_refused_with_its_field(home: Home, code: str, change: dict[str, object], field: str) -> None:
    """Every fault has a code and a place; a value that should be secret never reaches the error."""
    with pytest.raises(WaybillError) as caught:
        save(home, replace(action("Run"), **change))  # type: ignore[arg-type] # the table is typed by hand
    assert caught.value.code == code
    assert (caught.value.field or "").startswith(field)
    assert "hunter2" not in str(caught.value)


def test_names_and_references_are_unique(home: Home) -> None:
    """Two actions of one name, and one reference twice, are refused."""
    with pytest.raises(FormatError) as names:
        save(home, action("Run"), action("run"))
    assert names.value.field == "actions/1/name"
    twice = (PackageUse(ref_name="a", package_id="x"), PackageUse(ref_name="a", package_id="y"))
    with pytest.raises(FormatError):
        save(home, replace(action("Run"), packages=twice))


@pytest.mark.parametrize(
    "inputs",
    [
        {"script": "echo #{Name}", "seconds": "#{Seconds}"},
        {"script": "x", "password": "#{Password}"},
        {"script": "x", "password": "#{User}#{Password}"},
    ],
)
def test_bindings_stand_wherever_one_value_is_wanted(home: Home, inputs: dict[str, JsonValue]) -> None:
    """A text with a binding fits a number and a secret."""
    assert save(home, action("Run", inputs=inputs)).actions[0].inputs == inputs


def test_an_output_of_an_earlier_action_may_be_used(home: Home) -> None:
    """Outputs are referred to by the action's name."""
    save(home, action("Build"), action("Run", inputs={"script": "#{Step[Build].Output.Url}"}))


def test_an_unknown_environment_in_a_scope_is_refused(home: Home) -> None:
    """A scope names environments that exist."""
    with pytest.raises(NotFoundError):
        save(home, replace(action("Run"), scopes=ActionScopes(environments=("Nowhere",))))


def test_a_remote_project_is_read_only_but_for_its_lifecycle(home: Home) -> None:
    """A68: name, group and process belong to the owner; an own project of the same name is another one (A66)."""
    own = projects.get_project(home.ports, SYSTEM, space_id=home.space_id, project="Web")
    env = admin.create_environment(home.ports, SYSTEM, space_id=home.space_id, name="Test")
    cycle = home.lifecycle("Standard", (env.id,))
    remote = Project(
        id="prj_" + "0" * 32,
        space_id=home.space_id,
        slug="acme-web",
        name="Web",
        owner_space_id="spc_" + "1" * 32,
        owner_name="Acme",
        remote_project_id="prj_" + "2" * 32,
    )
    with home.ports.ledger.write(home.space_id) as work:
        work.of(Project).add(remote)
        assert lookup.find_project(work, "Web") == own
        assert lookup.find_project(work, "Acme: Web") == remote
    for call in (
        lambda: projects.change_project(home.ports, SYSTEM, space_id=home.space_id, project="acme-web", name="X", if_revision=1),
        lambda: projects.save_process(home.ports, SYSTEM, space_id=home.space_id, project="acme-web", actions=(), if_revision=1),
    ):
        with pytest.raises(ConflictError) as caught:
            call()
        assert caught.value.code == "record.read_only"
    changed = projects.change_project(home.ports, SYSTEM, space_id=home.space_id, project="acme-web", lifecycle="standard", if_revision=1)
    assert changed.lifecycle_id == cycle
    assert [lookup.shown_project(row) for row in projects.list_projects(home.ports, SYSTEM, space_id=home.space_id)] == ["Acme: Web", "Web"]


def test_projects_are_unique_changed_and_permitted(home: Home) -> None:
    """A taken name, an unknown lifecycle and a caller who may only read are refused."""
    with pytest.raises(ConflictError):
        projects.create_project(home.ports, SYSTEM, space_id=home.space_id, name="WEB")
    with pytest.raises(NotFoundError):
        projects.create_project(home.ports, SYSTEM, space_id=home.space_id, name="Other", lifecycle="none")
    reader = Caller(id="r", name="r", kind="person", grants=(AccessGrant(space_id=home.space_id, permissions=("space.read",)),))
    with pytest.raises(PolicyError) as denied:
        projects.create_project(home.ports, reader, space_id=home.space_id, name="Other")
    assert denied.value.expected == "project.edit"
    changed = projects.change_project(home.ports, SYSTEM, space_id=home.space_id, project="web", name="Shop", group="G", if_revision=1)
    assert (changed.slug, changed.name, changed.group) == ("web", "Shop", "G")
