# SPDX-License-Identifier: Apache-2.0
"""Which value wins where, ties, and bindings."""

from dataclasses import dataclass

import pytest

from waybill.domain.resolution import bindings, bindings_in, check_variable_name, choose, expand, expand_in, find_tie, output_of
from waybill.domain.spaces import Tenant
from waybill.domain.variables import Scope
from waybill.errors import ConflictError, FormatError


@dataclass(frozen=True)
class Value:
    """A value as the rules see one."""

    name: str
    scope: Scope


TENANT = Tenant(id="tnt_1", space_id="spc_1", slug="t", name="T", tags=("eu", "big"))
VALUES = [
    Value("X", Scope()),
    Value("X", Scope(channels=("Beta",))),
    Value("X", Scope(environments=("env_1",))),
    Value("X", Scope(environments=("env_1",), channels=("Beta",))),
    Value("X", Scope(actions=("Deploy",))),
    Value("X", Scope(tenant_tags=("eu",))),
    Value("X", Scope(tenants=("tnt_1",))),
]


@pytest.mark.parametrize(
    ("environment", "tenant", "channel", "action", "winner"),
    [
        ("env_2", None, "", "", 0),
        ("env_2", None, "Beta", "", 1),
        ("env_1", None, "", "", 2),
        ("env_1", None, "Beta", "", 3),
        ("env_1", None, "Beta", "Deploy", 4),
        ("env_1", Tenant(id="tnt_2", space_id="s", slug="u", name="U", tags=("eu",)), "Beta", "Deploy", 5),
        ("env_1", TENANT, "Beta", "Deploy", 6),
        ("env_2", Tenant(id="tnt_3", space_id="s", slug="v", name="V"), "", "", 0),
    ],
)
def test_the_published_order_decides(environment: str, tenant: Tenant | None, channel: str, action: str, winner: int) -> None:
    """Tenant, tag, action, environment, channel, nothing: the most specific kind wins."""
    assert choose(VALUES, name="X", environment_id=environment, tenant=tenant, channel=channel, action=action) is VALUES[winner]


def test_no_value_is_none_and_a_tie_is_an_error() -> None:
    """Nothing fits: None. Two tags of one tenant: variable.tie."""
    assert choose(VALUES, name="Y", environment_id="env_1") is None
    tied = [Value("X", Scope(tenant_tags=("eu",))), Value("X", Scope(tenant_tags=("big",)))]
    with pytest.raises(ConflictError) as caught:
        choose(tied, name="X", environment_id="env_1", tenant=TENANT)
    assert caught.value.code == "variable.tie"


@pytest.mark.parametrize(
    ("one", "other", "is_tie"),
    [
        (Scope(), Scope(), True),
        (Scope(), Scope(environments=("a",)), False),
        (Scope(environments=("a", "b")), Scope(environments=("b", "c")), True),
        (Scope(environments=("a",)), Scope(environments=("b",)), False),
        (Scope(environments=("a",), channels=("x",)), Scope(environments=("a",), channels=("y",)), False),
        (Scope(tenant_tags=("eu",)), Scope(tenant_tags=("us",)), False),
        (Scope(tenant_tags=("eu",)), Scope(tenant_tags=("big",)), True),
        (Scope(environments=("a",)), Scope(channels=("x",)), False),
    ],
)
def test_ties_are_found_before_they_happen(one: Scope, other: Scope, is_tie: bool) -> None:
    """Equal kinds that can meet are a tie; tags meet when a tenant has both."""
    assert (find_tie([Value("X", one), Value("X", other)], [TENANT]) is not None) is is_tie


def test_bindings_are_found_in_any_depth() -> None:
    """Every text counts, an escaped one does not, and each name stands once."""
    assert bindings("a #{One} b #{ Two } ##{Three} #{One}") == ("One", "Two")
    assert bindings_in({"a": ["#{One}", {"b": "#{Two}"}], "#{Key}": 3}) == ("One", "Two")
    assert output_of("Step[Deploy web].Output.Url") == ("Deploy web", "Url")
    assert output_of("Step.Output.Url") is None


def test_expansion_follows_values_and_refuses_circles() -> None:
    """Values may refer to values; a circle or an unknown name is an error that names it."""
    known = {"A": "1 #{B}", "B": "2", "C": "#{D}", "D": "#{C}"}
    assert expand("x #{A} ##{A}", known.get) == "x 1 2 #{A}"
    assert expand_in({"k": ["#{B}", 7, None]}, known.get) == {"k": ["2", 7, None]}
    with pytest.raises(FormatError) as circle:
        expand("#{C}", known.get)
    assert circle.value.code == "variable.invalid"
    with pytest.raises(ConflictError) as missing:
        expand("#{Nobody}", known.get)
    assert (missing.value.code, missing.value.field) == ("variable.missing", "Nobody")


@pytest.mark.parametrize("name", ["", "1a", " a", "a ", "a{b", "a\n", "Waybill.Space.Name", "x" * 201])
def test_names_that_no_binding_could_hold_are_refused(name: str) -> None:
    """A variable's name has a grammar, and Waybill's own names are taken."""
    with pytest.raises(FormatError) as caught:
        check_variable_name(name)
    assert caught.value.code == "variable.invalid"
