# SPDX-License-Identifier: Apache-2.0
"""Variables, templates, secrets at rest, and lifecycles."""

import pytest

from tests.simulators.spaces import Home, make_home, make_pair
from waybill.app import admin, lifecycles, projects, secrets, trusts, variables
from waybill.app.access import SYSTEM
from waybill.domain.lifecycles import Phase
from waybill.domain.variables import Scope, Template, ValueType, Variable
from waybill.errors import ConflictError, FormatError, NotFoundError, UnavailableError, WaybillError

CANARY = "s3cret-canary-ÄÖ"


@pytest.fixture
def home() -> Home:
    """A Space with environments Test and Stage, tenants with tags, and the project Web."""
    made = make_home("DevTest")
    for name in ("Test", "Stage"):
        admin.create_environment(made.ports, SYSTEM, space_id=made.space_id, name=name)
    admin.create_tenant(made.ports, SYSTEM, space_id=made.space_id, name="Acme", tags=("eu", "big"))
    projects.create_project(made.ports, SYSTEM, space_id=made.space_id, name="Web")
    return made


def put(home: Home, name: str = "Url", kind: ValueType = ValueType.TEXT, **rest: object) -> Variable:
    """A variable of Web set."""
    return variables.set_variable(home.ports, SYSTEM, space_id=home.space_id, project="web", name=name, type=kind, **rest)  # type: ignore[arg-type] # told by the tests


def test_a_value_is_created_and_replaced_by_name_and_scope(home: Home) -> None:
    """Without a revision an existing value is not replaced; another scope is another value."""
    first = put(home, value="a", scope=Scope(environments=("Test",)))
    with pytest.raises(ConflictError) as exists:
        put(home, value="b", scope=Scope(environments=("test",)))
    assert exists.value.code == "record.conflict"
    changed = put(home, value="b", scope=Scope(environments=("test",)), if_revision=1)
    assert (changed.id, changed.value, changed.revision) == (first.id, "b", 2)
    other = put(home, value="c")
    assert [row.id for row in variables.list_variables(home.ports, SYSTEM, space_id=home.space_id, project="web")] == [first.id, other.id]
    variables.delete_variable(home.ports, SYSTEM, space_id=home.space_id, project="web", variable_id=other.id, if_revision=1)
    with pytest.raises(NotFoundError):
        variables.delete_variable(home.ports, SYSTEM, space_id=home.space_id, project="web", variable_id=other.id, if_revision=1)


def test_a_secret_goes_in_and_never_comes_out(home: Home) -> None:
    """Neither the answer nor the ledger holds it in clear, and it opens only in its own row."""
    shown = put(home, "Password", ValueType.SECRET, value=CANARY)
    assert (shown.value, shown.sealed) == (None, b"")
    with home.ports.ledger.read(home.space_id) as work:
        row = work.of(Variable).get(shown.id)
    assert row.sealed is not None
    assert CANARY not in repr(row)
    assert CANARY.encode() not in row.sealed
    assert secrets.open_variable(home.ports, row.sealed, row_id=row.id, space_id=home.space_id) == CANARY
    for row_id, space_id in ((row.id + "x", home.space_id), (row.id, "spc_other")):
        with pytest.raises(UnavailableError) as moved:
            secrets.open_variable(home.ports, row.sealed, row_id=row_id, space_id=space_id)
        assert moved.value.code == "keystore.unavailable"
    with pytest.raises(UnavailableError):
        secrets.open_snapshot(home.ports, row.sealed, row_id=row.id, space_id=home.space_id)


WRONG: list[tuple[ValueType, str]] = [
    (ValueType.NUMBER, "12a"),
    (ValueType.NUMBER, ""),
    (ValueType.BOOLEAN, "yes"),
    (ValueType.TEXT, "two\nlines"),
    (ValueType.CERTIFICATE, "-----BEGIN PRIVATE KEY-----"),
    (ValueType.CHOICE, "a"),
    (ValueType.SECRET, ""),
    (ValueType.TEXT, "nul\x00"),
]


@pytest.mark.parametrize(("kind", "value"), WRONG)
def test_a_value_of_the_wrong_type_is_refused_at_its_field(home: Home, kind: ValueType, value: str) -> None:
    """A35: the type is checked on save."""
    with pytest.raises(FormatError) as caught:
        put(home, "X", kind, value=value)
    assert (caught.value.code, caught.value.field) == ("template.value_invalid", "value")


def test_a_secret_that_is_too_long_is_refused_without_its_text(home: Home) -> None:
    """The limit is named, the value is not."""
    with pytest.raises(FormatError) as caught:
        put(home, "X", ValueType.SECRET, value=CANARY * 10_000)
    assert caught.value.code == "limit.exceeded"
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Scope(environments=("Test", "Stage")), Scope(environments=("Stage",))),
        (Scope(tenant_tags=("eu",)), Scope(tenant_tags=("big",))),
        (Scope(channels=("A", "B")), Scope(channels=("B",))),
    ],
)
def test_values_that_would_tie_are_refused_on_save(home: Home, one: Scope, other: Scope) -> None:
    """A38: two values that could apply equally well never stand side by side."""
    put(home, value="a", scope=one)
    with pytest.raises(ConflictError) as caught:
        put(home, value="b", scope=other)
    assert caught.value.code == "variable.tie"


def test_a_template_asks_for_values_of_its_type(home: Home) -> None:
    """A34 to A36: values under a template must fit it; a name in use is not free for a template."""
    put(home, "Size", ValueType.CHOICE, template=Template(label="Size", choices=("s", "m")))
    put(home, "Size", ValueType.CHOICE, value="m", scope=Scope(environments=("Test",)))
    for kind, value in ((ValueType.CHOICE, "xl"), (ValueType.TEXT, "m")):
        with pytest.raises(FormatError) as wrong:
            put(home, "Size", kind, value=value, scope=Scope(environments=("Stage",)))
        assert wrong.value.code == "template.value_invalid"
    put(home, "Url", value="x")
    with pytest.raises(ConflictError) as used:
        put(home, "URL", template=Template(label="Url"))
    assert used.value.code == "record.conflict"


@pytest.mark.parametrize(
    ("kind", "template", "scope"),
    [
        (ValueType.SECRET, Template(label="X", default="clear"), Scope()),
        (ValueType.NUMBER, Template(label="X", default="many"), Scope()),
        (ValueType.CHOICE, Template(label="X"), Scope()),
        (ValueType.TEXT, Template(label="X", choices=("a",)), Scope()),
        (ValueType.CHOICE, Template(label="X", choices=("a",), default="b"), Scope()),
        (ValueType.TEXT, Template(label="X", per="galaxy"), Scope()),
        (ValueType.TEXT, Template(label=""), Scope()),
        (ValueType.TEXT, Template(label="X"), Scope(environments=("Test",))),
    ],
)
def test_a_template_that_contradicts_itself_is_refused(home: Home, kind: ValueType, template: Template, scope: Scope) -> None:
    """Defaults fit the type, a secret has none, choices belong to choices, and a template asks everywhere."""
    with pytest.raises(WaybillError) as caught:
        put(home, "X", kind, template=template, scope=scope)
    assert caught.value.code in {"variable.invalid", "template.value_invalid", "request.invalid"}


def test_a_variable_has_a_value_or_is_a_template(home: Home) -> None:
    """Both, or neither, is refused; so is a name that no binding could hold, and an unknown scope."""
    for value, template in ((None, None), ("x", Template(label="X"))):
        with pytest.raises(FormatError) as caught:
            put(home, "X", value=value, template=template)
        assert caught.value.code == "variable.invalid"
    with pytest.raises(FormatError):
        put(home, "#{X}", value="x")
    for scope in (Scope(environments=("Nowhere",)), Scope(tenants=("Nobody",))):
        with pytest.raises(NotFoundError):
            put(home, "X", value="x", scope=scope)


def test_a_lifecycle_holds_environments_and_remote_spaces() -> None:
    """A27, A32: members are found by name; faults name their phase; a used lifecycle stays."""
    home, _, trust, _ = make_pair()
    env = admin.create_environment(home.ports, SYSTEM, space_id=home.space_id, name="Test")
    remote = admin.create_remote_environment(home.ports, SYSTEM, space_id=home.space_id, trust="Prod", name="Live")
    phases = (Phase(name="Test", members=("test",)), Phase(name="Out", members=("Prod: Live", "Prod"), minimum=1))
    cycle = lifecycles.save_lifecycle(home.ports, SYSTEM, space_id=home.space_id, name="Standard", phases=phases)
    assert [phase.members for phase in cycle.phases] == [(env.id,), (remote.id, trust.id)]
    changed = lifecycles.save_lifecycle(
        home.ports, SYSTEM, space_id=home.space_id, name="Std", phases=phases[:1], lifecycle="standard", if_revision=1
    )
    assert (changed.id, changed.name, changed.revision) == (cycle.id, "Std", 2)
    projects.create_project(home.ports, SYSTEM, space_id=home.space_id, name="Web", lifecycle="Std")
    with pytest.raises(ConflictError) as used:
        lifecycles.delete_lifecycle(home.ports, SYSTEM, space_id=home.space_id, lifecycle="Std", if_revision=2)
    assert (used.value.code, used.value.found) == ("record.in_use", "Web")


@pytest.mark.parametrize(
    ("phases", "field"),
    [
        ((), "phases"),
        ((Phase(name="A", members=()),), "phases/0/members"),
        ((Phase(name="A", members=("Test",), minimum=2),), "phases/0/minimum"),
        ((Phase(name="A", members=("Test",), minimum=-1),), "phases/0/minimum"),
        ((Phase(name="A", members=("Nowhere",)),), "phases/0/members/0"),
        ((Phase(name="A", members=("Test",)), Phase(name="B", members=("Test",))), "phases/1/members/0"),
        ((Phase(name="A", members=("Test",)), Phase(name="a", members=("Stage",))), "phases/1/name"),
    ],
)
def test_a_lifecycle_that_makes_no_sense_is_refused(home: Home, phases: tuple[Phase, ...], field: str) -> None:
    """Empty phases, an impossible minimum, strangers and repetitions are refused with their place."""
    with pytest.raises(FormatError) as caught:
        lifecycles.save_lifecycle(home.ports, SYSTEM, space_id=home.space_id, name="X", phases=phases)
    assert (caught.value.code, caught.value.field) == ("lifecycle.invalid", field)
    assert lifecycles.list_lifecycles(home.ports, SYSTEM, space_id=home.space_id) == []


def test_a_lifecycle_takes_no_ended_trust() -> None:
    """A27: saving one that lacks a trust is refused."""
    home, _, trust, _ = make_pair()
    trusts.retire_trust(home.ports, SYSTEM, space_id=home.space_id, trust=trust.id, if_revision=trust.revision)
    with pytest.raises(FormatError) as caught:
        home.lifecycle("X", ("Prod",))
    assert caught.value.code == "lifecycle.invalid"
