# SPDX-License-Identifier: Apache-2.0
"""Spaces, environments, tenants and machines."""

from datetime import timedelta

import pytest

from tests.simulators.site import make_site
from tests.simulators.spaces import Home, make_home, make_pair
from waybill.app import admin, audit, trusts
from waybill.app.access import SYSTEM
from waybill.domain.access import AccessGrant, Caller
from waybill.domain.spaces import Machine
from waybill.errors import ConflictError, FormatError, NotFoundError, PolicyError, TrustError, WaybillError


@pytest.fixture
def home() -> Home:
    """A Space with environment Test."""
    made = make_home("DevTest")
    admin.create_environment(made.ports, SYSTEM, space_id=made.space_id, name="Test")
    return made


def test_a_space_has_a_unique_name_and_its_own_keys() -> None:
    """Two Spaces of a site have different identities; a name twice is refused."""
    site = make_site()
    one, other = make_home("One", site=site), make_home("Other", site=site)
    assert one.space_id != other.space_id
    with pytest.raises(ConflictError) as caught:
        make_home("ONE", site=site)
    assert caught.value.code == "record.conflict"
    with pytest.raises(ConflictError):
        admin.create_space(site.ports, SYSTEM, name="Third", slug="one")
    with pytest.raises(PolicyError):
        admin.create_space(site.ports, Caller(id="a", name="a", kind="person"), name="Mine")
    assert admin.get_space(site.ports, SYSTEM, space="other").id == other.space_id


def test_environments_are_unique_renamed_and_ordered(home: Home) -> None:
    """A rename keeps id and slug; an old revision and a taken name are refused."""
    ports, space = home.ports, home.space_id
    prod = admin.create_environment(ports, SYSTEM, space_id=space, name="Production", sort_order=-1)
    with pytest.raises(ConflictError):
        admin.create_environment(ports, SYSTEM, space_id=space, name="production")
    with pytest.raises(FormatError) as separator:
        admin.create_environment(ports, SYSTEM, space_id=space, name="Prod: Live")
    assert separator.value.code == "request.invalid"
    renamed = admin.rename_environment(ports, SYSTEM, space_id=space, environment="production", name="Live", if_revision=1)
    assert (renamed.id, renamed.slug, renamed.revision) == (prod.id, "production", 2)
    with pytest.raises(ConflictError) as stale:
        admin.rename_environment(ports, SYSTEM, space_id=space, environment=prod.id, name="Again", if_revision=1)
    assert stale.value.code == "record.stale"
    assert [row.name for row in admin.list_environments(ports, SYSTEM, space_id=space)] == ["Live", "Test"]


def test_a_remote_environment_is_a_placeholder() -> None:
    """A40, A41: equal names coexist, nothing runs there, and an ended trust takes no more."""
    one, _, trust, _ = make_pair()
    ports, space = one.ports, one.space_id
    own = admin.create_environment(ports, SYSTEM, space_id=space, name="Production")
    remote = admin.create_remote_environment(ports, SYSTEM, space_id=space, trust="Prod", name="Production")
    assert (remote.trust_id, remote.confirmed, remote.slug) == (trust.id, False, "prod-production")
    with pytest.raises(ConflictError) as twice:
        admin.create_remote_environment(ports, SYSTEM, space_id=space, trust="Prod", name="Production")
    assert twice.value.code == "record.conflict"
    with pytest.raises(ConflictError) as machine:
        admin.register_machine(ports, SYSTEM, space_id=space, name="m", roles=(), environments=("Prod: Production",))
    assert machine.value.code == "record.read_only"
    made, _ = admin.register_machine(ports, SYSTEM, space_id=space, name="m", roles=(), environments=("Production",))
    assert made.environment_ids == (own.id,)
    trusts.retire_trust(ports, SYSTEM, space_id=space, trust="Prod", if_revision=trust.revision)
    with pytest.raises(TrustError) as retired:
        admin.create_remote_environment(ports, SYSTEM, space_id=space, trust="Prod", name="Other")
    assert retired.value.code == "trust.retired"


def test_a_machine_token_is_shown_once_and_dies_when_disabled(home: Home) -> None:
    """The token proves the machine; a changed byte, another machine's id and a disabled machine do not."""
    ports, space = home.ports, home.space_id
    machine, token = admin.register_machine(ports, SYSTEM, space_id=space, name="web-1", roles=("web",), environments=("Test",))
    assert token.startswith(f"wbm_{space}_{machine.id}_")
    assert admin.machine_of_token(ports, token=token) == machine
    changed = token[:-1] + ("A" if token[-1] != "A" else "B")
    for wrong in ("", "wbm_", changed, token.replace(machine.id, "mch_" + "0" * 32), token.replace("wbm", "wbx"), token + "é"):
        with pytest.raises(WaybillError) as caught:
            admin.machine_of_token(ports, token=wrong)
        assert caught.value.code == "authn.invalid"
    admin.disable_machine(ports, SYSTEM, space_id=space, machine="web-1", if_revision=machine.revision)
    with pytest.raises(PolicyError):
        admin.machine_of_token(ports, token=token)


def test_being_seen_is_written_now_and_then(home: Home) -> None:
    """``last_seen_at`` moves at most every 15 seconds."""
    ports, space = home.ports, home.space_id
    machine, _ = admin.register_machine(ports, SYSTEM, space_id=space, name="web-1", roles=(), environments=("Test",))
    seen = admin.touch_machine(ports, machine)
    assert admin.touch_machine(ports, seen) is seen
    home.site.clock.advance(timedelta(seconds=20))
    assert admin.touch_machine(ports, seen).revision == seen.revision + 1
    with ports.ledger.read(space) as work:
        assert work.of(Machine).get(machine.id).last_seen_at is not None
    with pytest.raises(FormatError):
        admin.register_machine(ports, SYSTEM, space_id=space, name="web-2", roles=(), environments=())


def test_tenants_have_names_and_tags(home: Home) -> None:
    """A tenant's tags are kept once each; a name twice is refused."""
    tenant = admin.create_tenant(home.ports, SYSTEM, space_id=home.space_id, name="Acme", tags=("eu", "eu", "big"))
    assert tenant.tags == ("eu", "big")
    with pytest.raises(ConflictError):
        admin.create_tenant(home.ports, SYSTEM, space_id=home.space_id, name="ACME")
    assert admin.list_tenants(home.ports, SYSTEM, space_id=home.space_id) == [tenant]


def test_every_change_is_in_the_audit_log_and_foreign_spaces_are_absent(home: Home) -> None:
    """Creations are audited in a chain that verifies; a stranger finds nothing."""
    actions = [entry.action for entry in audit.list_audit(home.ports, SYSTEM, space_id=home.space_id).items]
    assert actions == ["environment.created", "space.created"]
    assert audit.verify_audit(home.ports, SYSTEM, space_id=home.space_id) == 2
    stranger = Caller(id="s", name="s", kind="person", grants=(AccessGrant(space_id="spc_other", permissions=("*",)),))
    with pytest.raises(NotFoundError):
        admin.list_environments(home.ports, stranger, space_id=home.space_id)
    with pytest.raises(NotFoundError):
        audit.list_audit(home.ports, stranger, space_id=home.space_id)
