# SPDX-License-Identifier: Apache-2.0
"""Trusts and identities: registration, confirmation, roads, renewal, end."""

from dataclasses import replace

import pytest

from tests.simulators.site import make_site
from tests.simulators.spaces import SEND, Home, make_home, make_pair
from waybill.app import identity, lookup, trusts
from waybill.app.access import SYSTEM
from waybill.domain.spaces import SpaceKeys
from waybill.domain.trusts import Road, Trust, TrustState
from waybill.errors import ConflictError, FormatError, PolicyError, TrustError, UnavailableError, WaybillError


def register(home: Home, other: Home, *, name: str = "Prod", road: Road = Road.CARRIER) -> Trust:
    """A pending trust of ``home`` with ``other``."""
    body = identity.export_identity(other.ports, SYSTEM, space_id=other.space_id)
    return trusts.register_trust(home.ports, SYSTEM, space_id=home.space_id, identity=body, name=name, road=road, grants=SEND)


def confirm(home: Home, trust: Trust, fingerprint: str | None = None) -> Trust:
    """That trust confirmed."""
    return trusts.confirm_trust(
        home.ports,
        SYSTEM,
        space_id=home.space_id,
        trust=trust.id,
        fingerprint=fingerprint or trust.fingerprint,
        if_revision=trust.revision,
    )


def test_a_trust_is_pending_until_the_fingerprint_was_compared() -> None:
    """A wrong fingerprint changes nothing; the right one, however it is written, makes the trust active."""
    home, other = make_home("DevTest"), make_home("Prod")
    trust = register(home, other)
    shown = identity.view_identity(other.ports, SYSTEM, space_id=other.space_id)
    assert (trust.state, trust.fingerprint, trust.peer_space_id) == (TrustState.PENDING, shown.fingerprint, other.space_id)
    with pytest.raises(TrustError) as wrong:
        confirm(home, trust, "0" * 64)
    assert wrong.value.code == "trust.fingerprint_mismatch"
    spelled = ":".join(trust.fingerprint[n : n + 2] for n in range(0, 64, 2)).upper() + " "
    active = confirm(home, trust, spelled)
    assert (active.state, active.confirmed_by) == (TrustState.ACTIVE, "system")
    assert confirm(home, trust) == active
    assert home.site.engine.started == {}


def test_a_space_is_registered_once_under_a_name_of_its_own() -> None:
    """The same Space again, our own identity, a look-alike and our own name are refused."""
    home, other, third = make_home("DevTest"), make_home("Prod"), make_home("Vault")
    register(home, other)
    with pytest.raises(ConflictError) as twice:
        register(home, other, name="Another")
    assert (twice.value.code, twice.value.found) == ("trust.exists", "Prod")
    with pytest.raises(ConflictError) as own:
        register(home, home, name="Me")
    assert own.value.code == "trust.exists"
    for name in ("Рrod", "prod", "Dev Test"):
        with pytest.raises(ConflictError) as alike:
            register(home, third, name=name)
        assert alike.value.code == "trust.name_conflict"


@pytest.mark.parametrize("damage", [b"", b"{}", b"not json", b'{"payload":"","payloadType":"x","signatures":[]}'])
def test_what_is_no_identity_is_refused(damage: bytes) -> None:
    """Anything else than a verified identity leaves no row."""
    home = make_home("DevTest")
    with pytest.raises(WaybillError):
        trusts.register_trust(home.ports, SYSTEM, space_id=home.space_id, identity=damage, name="X", road=Road.CARRIER, grants=SEND)
    assert trusts.list_trusts(home.ports, SYSTEM, space_id=home.space_id) == []


def test_a_flipped_byte_of_an_identity_is_refused() -> None:
    """Every damaged identity is refused with a code of ours."""
    home, other = make_home("DevTest"), make_home("Prod")
    body = identity.export_identity(other.ports, SYSTEM, space_id=other.space_id)
    for place in range(20, len(body), len(body) // 25):
        damaged = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        with pytest.raises((FormatError, TrustError)):
            trusts.register_trust(home.ports, SYSTEM, space_id=home.space_id, identity=damaged, name="X", road=Road.CARRIER, grants=SEND)


def test_the_courier_runs_on_a_calling_road_only() -> None:
    """Confirming and changing the road starts it once; ending the trust stops it."""
    home, other = make_home("DevTest"), make_home("Prod")
    trust = confirm(home, register(home, other, road=Road.CALL))
    started = home.site.engine.started[f"courier:{trust.id}"]
    assert started.story_input == {"space_id": home.space_id, "trust_id": trust.id, "poll_seconds": 15.0, "rounds": 0}
    changed = trusts.change_trust(home.ports, SYSTEM, space_id=home.space_id, trust="Prod", road=Road.CARRIER, if_revision=trust.revision)
    assert changed.road is Road.CARRIER
    retired = trusts.retire_trust(home.ports, SYSTEM, space_id=home.space_id, trust="Prod", if_revision=changed.revision)
    assert retired.state is TrustState.RETIRED
    assert home.site.engine.cancelled == [f"courier:{trust.id}"]
    with pytest.raises(TrustError) as gone:
        trusts.change_trust(home.ports, SYSTEM, space_id=home.space_id, trust=trust.id, if_revision=retired.revision)
    assert gone.value.code == "trust.retired"


def test_an_engine_that_is_away_does_not_undo_a_confirmation() -> None:
    """The trust is active and the sweep starts its Courier later."""
    home, other = make_home("DevTest"), make_home("Prod")
    trust = register(home, other, road=Road.CALL)
    home.site.engine.is_down = True
    assert confirm(home, trust).state is TrustState.ACTIVE
    home.site.engine.is_down = False
    assert trusts.start_couriers(home.ports, space_id=home.space_id) == 1
    assert f"courier:{trust.id}" in home.site.engine.started


def test_a_site_that_calls_nobody_refuses_the_calling_road() -> None:
    """A3: with ``outbound_peers = none`` no connection is ever opened."""
    home, other = make_home("DevTest", site=make_site("quiet", outbound_peers="none")), make_home("Prod")
    with pytest.raises(PolicyError) as caught:
        register(home, other, road=Road.CALL)
    assert caught.value.code == "outbound.denied"
    trust = confirm(home, register(home, other))
    with pytest.raises(PolicyError):
        trusts.address(home.ports, trust)


def test_roads_need_an_address() -> None:
    """Nobody can call a site without an address, and such a site cannot answer."""
    hidden, open_home = make_home("Vault", site=make_site("vault", has_address=False)), make_home("DevTest")
    with pytest.raises(FormatError) as call:
        register(open_home, hidden, name="Vault", road=Road.CALL)
    assert call.value.field == "road"
    with pytest.raises(FormatError):
        register(hidden, open_home, name="DevTest", road=Road.ANSWER)
    trust = confirm(hidden, register(hidden, open_home, name="DevTest"))
    assert trusts.address(hidden.ports, trust).base_url == "https://devtest.example"
    back = confirm(open_home, register(open_home, hidden, name="Vault"))
    with pytest.raises(UnavailableError):
        trusts.address(open_home.ports, back)


def test_a_new_address_makes_the_next_version_and_peers_take_it_in_order() -> None:
    """Rotation: version 2 is linked to version 1; an old version is stale; the same again changes nothing."""
    home, other = make_home("DevTest"), make_home("Prod")
    trust = confirm(home, register(home, other))
    first = identity.export_identity(other.ports, SYSTEM, space_id=other.space_id)
    moved = replace(other.ports, site=replace(other.ports.site, api_url="https://new.example"))
    second = identity.export_identity(moved, SYSTEM, space_id=other.space_id)
    assert identity.export_identity(moved, SYSTEM, space_id=other.space_id) == second != first
    updated = trusts.update_identity(home.ports, SYSTEM, space_id=home.space_id, trust="Prod", identity=second)
    assert (updated.identity_version, updated.fingerprint) == (2, trust.fingerprint)
    assert trusts.address(home.ports, updated).base_url == "https://new.example"
    assert trusts.update_identity(home.ports, SYSTEM, space_id=home.space_id, trust="Prod", identity=second) == updated
    with pytest.raises(TrustError) as stale:
        trusts.update_identity(home.ports, SYSTEM, space_id=home.space_id, trust="Prod", identity=first)
    assert stale.value.code == "trust.identity_stale"


def test_an_ended_trust_gives_its_name_back() -> None:
    """A Space can be registered again after its trust was ended, and the living trust is the one that is found."""
    home, other = make_home("DevTest"), make_home("Prod")
    old = confirm(home, register(home, other))
    trusts.retire_trust(home.ports, SYSTEM, space_id=home.space_id, trust=old.id, if_revision=old.revision)
    new = register(home, other)
    with home.ports.ledger.read(home.space_id) as work:
        assert lookup.find_trust(work, "Prod") == new
        assert lookup.find_trust(work, other.space_id) == new
        assert [(peer.trust_id, peer.retired) for peer in trusts.peers(home.ports, work, home.site.clock.now())] == [
            (new.id, False),
            (old.id, True),
        ]


def test_a_tampered_identity_in_the_database_is_found() -> None:
    """Security.md row 40: the identity is verified again at each use; one bad row does not shut out the others."""
    home, _other, trust, _ = make_pair()
    third = make_home("Vault")
    confirm(home, register(home, third, name="Vault"))
    with home.ports.ledger.write(home.space_id) as work:
        row = work.of(Trust).get(trust.id)
        work.of(Trust).replace(replace(row, identity_envelope=identity.export_identity(third.ports, SYSTEM, space_id=third.space_id)))
    with home.ports.ledger.read(home.space_id) as work:
        assert [peer.space_id for peer in trusts.peers(home.ports, work, home.site.clock.now())] == [third.space_id]


def test_private_keys_are_wrapped_for_their_row_and_never_shown() -> None:
    """The key store's context binds a key to its Space and column; no text form shows it."""
    home, other = make_home("DevTest"), make_home("Other")
    with home.ports.ledger.read(home.space_id) as work:
        key = identity.signing_key(home.ports, work)
        held = work.of(SpaceKeys).get(home.space_id)
        assert key.private_key.hex() not in repr(key)
        assert key.private_key not in held.signing_key_wrapped
        opened = identity.encryption_keys(home.ports, work)
        assert repr(opened[0].private) not in repr(opened)
        assert identity.us(home.ports, work).encryption_key_sha256s == (opened[0].sha256,)
    with home.ports.ledger.write(home.space_id) as work:
        work.of(SpaceKeys).replace(replace(held, signing_key_wrapped=held.encryption_key_wrapped))
    with home.ports.ledger.read(home.space_id) as work, pytest.raises(UnavailableError) as caught:
        identity.signing_key(home.ports, work)
    assert caught.value.code == "keystore.unavailable"
    assert other.space_id != home.space_id
