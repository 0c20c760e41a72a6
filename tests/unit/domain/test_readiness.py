# SPDX-License-Identifier: Apache-2.0
"""Which value a deployment gets, and what is still missing."""

from waybill.domain.readiness import HeldValue, Place, answer_state, missing_at, resolve, text_of
from waybill.domain.spaces import Environment, Tenant
from waybill.domain.variables import Scope, Template, ValueType

PRODUCTION = Environment(id="env_p", space_id="spc", slug="production", name="Production")
ACME = Tenant(id="tnt_a", space_id="spc", slug="acme", name="Acme")
HERE = Place(environment=PRODUCTION, tenant=None, channel="Default")


def value(text: str, *, layer: str = "release", scope: Scope = Scope()) -> HeldValue:
    """A value of X."""
    return HeldValue(layer=layer, variable_id=f"var_{text}", name="X", type=ValueType.TEXT, scope=scope, value=text)


def template(*, mandatory: bool = True, default: str | None = None) -> HeldValue:
    """A template that asks for X."""
    asked = Template(label="X", mandatory=mandatory, default=default)
    return HeldValue(layer="release", variable_id="var_t", name="X", type=ValueType.TEXT, scope=Scope(), template=asked)


def found(*values: HeldValue, place: Place = HERE) -> str | None:
    """The text that X resolves to."""
    one = resolve(values, "X", place)
    return None if one is None else text_of(one)


def test_what_is_set_here_wins_over_what_travelled() -> None:
    """Even a general local value beats a specific one of the release (A43)."""
    specific = value("theirs", scope=Scope(environments=("env_p",)))
    assert found(specific, value("ours", layer="here")) == "ours"
    assert found(specific, value("general")) == "theirs"


def test_a_local_value_for_elsewhere_does_not_hide_the_release() -> None:
    """Only a value that applies counts."""
    elsewhere = value("ours", layer="here", scope=Scope(environments=("env_q",)))
    assert found(elsewhere, value("theirs")) == "theirs"


def test_a_mandatory_template_without_a_value_is_missing() -> None:
    """A default fills it, an answer fills it, an optional one needs none (A36, A39)."""
    assert [one.name for one in missing_at([template()], HERE)] == ["X"]
    assert missing_at([template(default="d")], HERE) == ()
    assert missing_at([template(mandatory=False)], HERE) == ()
    assert missing_at([template(), value("v", layer="here")], HERE) == ()


def test_states_of_a_template_in_words() -> None:
    """As the preview shows them."""
    asked = template()
    assert answer_state([asked], asked, HERE) == "missing"
    assert answer_state([asked, value("v")], asked, HERE) == "answered"
    with_default = template(default="d")
    assert answer_state([with_default], with_default, HERE) == "default"
    optional = template(mandatory=False)
    assert answer_state([optional], optional, HERE) == "optional"


def test_one_tenant_may_hold_another_value() -> None:
    """The value of a tenant counts for that tenant only (A38)."""
    values = (value("all", layer="here"), value("acme", layer="here", scope=Scope(tenants=("tnt_a",))))
    assert found(*values) == "all"
    assert found(*values, place=Place(environment=PRODUCTION, tenant=ACME, channel="Default")) == "acme"
