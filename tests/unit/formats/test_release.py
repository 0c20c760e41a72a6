# SPDX-License-Identifier: Apache-2.0
"""The Release and the Delivery: what must never be in them."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.vectors import world
from waybill.domain.projects import PackageUse
from waybill.domain.variables import Scope, Template, ValueType
from waybill.errors import FormatError
from waybill.formats import delivery, release, values
from waybill.formats.delivery import DeliveryDoc, DeliveryValue
from waybill.formats.release import ReleaseDoc, ReleaseVariable

DOC = world.release_doc()
SENT = world.delivery_doc(DOC)


def refused(doc: ReleaseDoc) -> FormatError:
    """The error with which the writer refuses ``doc``."""
    with pytest.raises(FormatError) as caught:
        release.encode(doc)
    return caught.value


def refused_delivery(doc: DeliveryDoc) -> FormatError:
    """The error with which the writer refuses ``doc``."""
    with pytest.raises(FormatError) as caught:
        delivery.encode(doc)
    return caught.value


def test_floats_in_inputs_are_refused_with_their_place() -> None:
    """Signed JSON holds no floats; the field says where."""
    action = replace(DOC.actions[0], inputs={"ratio": 0.5})
    error = refused(replace(DOC, actions=(action,)))
    assert (error.code, error.field) == ("payload.invalid", "/process/actions/0/inputs/ratio")


def test_a_secret_never_stands_in_clear() -> None:
    """Neither as value nor as default, in neither half of the bundle."""
    clear = ReleaseVariable(id=world.VAR_SECRET, name="Password", type=ValueType.SECRET, value="hunter2")
    default = replace(clear, value=None, template=Template(label="x", default="hunter2"))
    sent = DeliveryValue(variable_id=world.VAR_SECRET, name="Password", type=ValueType.SECRET, value="hunter2")
    errors = [
        refused(replace(DOC, variables=(clear,))),
        refused(replace(DOC, variables=(default,))),
        refused_delivery(replace(SENT, values=(sent,))),
    ]
    assert {error.code for error in errors} == {"bundle.secret_in_clear"}
    assert not any("hunter2" in str(error) for error in errors)


def test_a_tenant_never_crosses() -> None:
    """A value that is scoped to a tenant is refused by the writer."""
    scoped = ReleaseVariable(
        id=world.VAR_URL, name="Url", type=ValueType.TEXT, value="x", scope=Scope(tenants=(world.fixed_id("tnt", "t"),))
    )
    assert refused(replace(DOC, variables=(scoped,))).code == "payload.invalid"


def test_the_step_closure_is_whole() -> None:
    """An action whose step package is not listed by exact digest is refused."""
    other = replace(DOC.step_packages[0], sha256=world.digest("other bytes"))
    assert refused(replace(DOC, step_packages=())).code == "bundle.incomplete"
    assert refused(replace(DOC, step_packages=(other,))).code == "bundle.incomplete"


def test_every_named_package_is_listed() -> None:
    """An action that refers to a package outside the release is refused."""
    action = replace(DOC.actions[0], packages=(PackageUse(ref_name="x", package_id="elsewhere"),))
    assert refused(replace(DOC, actions=(action,))).code == "bundle.incomplete"


def test_a_step_without_exact_bytes_is_refused() -> None:
    """A frozen process names the digest of each step package."""
    step = replace(DOC.actions[0].step, sha256=None)
    assert refused(replace(DOC, actions=(replace(DOC.actions[0], step=step),))).code == "package.digest_unsupported"


@pytest.mark.parametrize("name", ["../x", "@a/../b", "a\x00b", "/a", "a" * 215, "", " a", "a\n", "..", "a\\..\\b"])
def test_odd_coordinates_are_refused(name: str) -> None:
    """An id or version that could act as a path or hide a character is refused."""
    package = replace(DOC.packages[0], package_id=name)
    assert refused(replace(DOC, packages=(package,))).code == "package.coordinate_invalid"


@pytest.mark.parametrize("name", ["@scope/name", "group:artifact", "a..b", "Имя", "a+b~1:2!3", "a" * 214])
def test_coordinates_of_every_ecosystem_are_accepted(name: str) -> None:
    """Ids and versions follow the ecosystem of their package."""
    action = replace(DOC.actions[0], packages=(PackageUse(ref_name="site", package_id=name),))
    doc = replace(DOC, packages=(replace(DOC.packages[0], package_id=name),), actions=(action,))
    assert release.decode(release.encode(doc)).packages[0].package_id == name


@pytest.mark.parametrize("digest", ["", "md5:abc", "A" * 64, "g" * 64, "0" * 63, "0" * 65])
def test_only_sha256_in_lower_case_is_a_digest(digest: str) -> None:
    """Any other algorithm or spelling is refused by name."""
    assert refused(replace(DOC, packages=(replace(DOC.packages[0], sha256=digest),))).code == "package.digest_unsupported"


@pytest.mark.parametrize("name", ["a/b", "..", "a\\b", "a\nb"])
def test_attachment_names_are_no_paths(name: str) -> None:
    """A file name has one segment."""
    assert refused(replace(DOC, attachments=(replace(DOC.attachments[0], name=name),))).code == "payload.invalid"


def test_nothing_stands_twice() -> None:
    """Actions, variables, packages and values are unique by id."""
    assert refused(replace(DOC, actions=DOC.actions * 2)).code == "payload.invalid"
    assert refused(replace(DOC, variables=DOC.variables * 2)).code == "payload.invalid"
    assert refused(replace(DOC, packages=DOC.packages * 2)).code == "payload.invalid"
    assert refused_delivery(replace(SENT, environments=SENT.environments * 2)).code == "payload.invalid"


def test_counts_are_bounded() -> None:
    """More variables than a release may have are over the limit."""
    many = tuple(replace(DOC.variables[0], id=world.fixed_id("var", str(number))) for number in range(10_001))
    assert refused(replace(DOC, variables=many)).code == "limit.exceeded"


def test_lifetimes_are_bounded() -> None:
    """A delivery lives at most 366 days and does not end before it starts."""
    assert refused_delivery(replace(SENT, expires_at=SENT.created_at + timedelta(days=367))).code == "payload.invalid"
    assert refused_delivery(replace(SENT, expires_at=SENT.not_before)).code == "payload.invalid"


def test_scope_digest_ignores_order() -> None:
    """Two spellings of one scope have one digest, two scopes have two."""
    first = Scope(environments=(world.ENV_PROD, world.ENV_TEST), channels=("a", "b"))
    again = Scope(environments=(world.ENV_TEST, world.ENV_PROD), channels=("b", "a"))
    assert values.scope_sha256(first) == values.scope_sha256(again)
    assert values.scope_sha256(first) != values.scope_sha256(replace(first, actions=("x",)))
