# SPDX-License-Identifier: Apache-2.0
"""Three Spaces: A sends to B, B forwards to C without going back to A; and what A withdraws is blocked downstream."""

from dataclasses import replace

import pytest

from tests.simulators.site import make_site
from tests.simulators.spaces import ACCEPT, Home, make_home
from tests.unit.app.world import (
    RELAY,
    SECRET,
    World,
    bundle_of,
    copy_blobs,
    deliver_outbox,
    deploy_all,
    events,
    import_it,
    make_world,
    prepare_target,
    state_of,
)
from waybill.app import deploy, exchange, identity, lifecycles, promote, receive, secrets
from waybill.app.access import SYSTEM
from waybill.domain.bundles import InboxState
from waybill.domain.lifecycles import Phase
from waybill.domain.releases import Document, Release, SnapshotValue
from waybill.domain.trusts import Road, Trust
from waybill.errors import PolicyError, TrustError
from waybill.formats import delivery as delivery_format
from waybill.formats import envelope, recall
from waybill.trust import sign


def make_third(world: World) -> tuple[Home, Trust, Trust]:
    """A Space C that trusts B with relay, and B's lifecycle extended to it; C has never heard of A."""
    third = make_home("Vault", site=make_site("vault", clock=world.source.site.clock))
    onward = world.target.trust(third, grants=RELAY)
    back = third.trust(world.target, grants=replace(ACCEPT, relay=True))
    prepare_target(third)
    ports, space_id = world.target.ports, world.target.space_id
    chosen = lifecycles.get_lifecycle(ports, SYSTEM, space_id=space_id, lifecycle="Prod only")
    lifecycles.save_lifecycle(
        ports,
        SYSTEM,
        space_id=space_id,
        name="Prod only",
        phases=[*chosen.phases, Phase(name="Onward", members=(onward.name,))],
        lifecycle=chosen.id,
        if_revision=chosen.revision,
    )
    return third, onward, back


def test_a_relayed_release_keeps_its_bytes_and_its_owners_signature() -> None:
    """At C: the same Release envelope byte for byte, the same digest, secrets sealed anew to C, the project under A's name."""
    world = make_world()
    first = world.release()
    deploy_all(world.source, first, "Test")
    promotion = world.promote(first)
    _, original = bundle_of(world.source, promotion)
    imported = world.imported(promotion)
    third, onward, _ = make_third(world)
    deploy_all(world.target, imported, "Production")
    forwarded, _ = promote.start_promotion(world.target.ports, SYSTEM, space_id=world.target.space_id, release=imported.id, trust=onward.id)
    delivery, release = bundle_of(world.target, forwarded)
    assert release == original
    inbox = receive.accept_bundle(third.ports, space_id=third.space_id, delivery=delivery, release=release, road=Road.CARRIER).inbox
    assert (inbox.owner_space_id, inbox.owner_name) == (world.source.space_id, "DevTest")
    assert inbox.release_sha256 == first.release_sha256
    copy_blobs(world.target, third, inbox)
    receive.mark_ready(third.ports, space_id=third.space_id, inbox_id=inbox.id)
    at_third = import_it(third, inbox)
    _, orders = deploy_all(third, at_third, "Production")
    assert at_third.release_sha256 == first.release_sha256
    # What A limited to Prod: Production stays there: C runs the unlimited step with the unlimited value.
    assert [order.inputs["script"] for order in orders] == ["deploy https://test.example for Production"]
    with third.ports.ledger.read(third.space_id) as work:
        held = work.of(SnapshotValue).first(release_row_id=at_third.id, name="Token")
    assert held is not None
    assert held.sealed is not None
    assert secrets.open_snapshot(third.ports, held.sealed, row_id=held.id, space_id=third.space_id) == SECRET
    sent = delivery_format.decode(envelope.decode(delivery).payload)
    assert [link.space_id for link in sent.custody] == [world.source.space_id]
    assert SECRET.encode() not in delivery
    token = next(value for value in sent.values if value.name == "Token")
    before = delivery_format.decode(envelope.decode(bundle_of(world.source, promotion)[0]).payload)
    assert token.sealed is not None
    assert token.sealed != next(value for value in before.values if value.name == "Token").sealed


def test_receipts_of_the_last_hop_go_to_the_middle_and_complete_it() -> None:
    """C's receipts are B's to see; A learns that B's lifecycle is complete once C is done, and nothing of C itself."""
    world = make_world()
    first = world.release()
    deploy_all(world.source, first, "Test")
    imported = world.imported(world.promote(first))
    third, onward, back = make_third(world)
    deploy_all(world.target, imported, "Production")
    assert "lifecycle_completed" not in events(world.target, "out")
    forwarded, _ = promote.start_promotion(world.target.ports, SYSTEM, space_id=world.target.space_id, release=imported.id, trust=onward.id)
    delivery, release = bundle_of(world.target, forwarded)
    inbox = receive.accept_bundle(third.ports, space_id=third.space_id, delivery=delivery, release=release, road=Road.CARRIER).inbox
    copy_blobs(world.target, third, inbox)
    receive.mark_ready(third.ports, space_id=third.space_id, inbox_id=inbox.id)
    deploy_all(third, import_it(third, inbox), "Production")
    deliver_outbox(third, back, world.target)
    assert "lifecycle_completed" in events(world.target, "in")
    world.carry_home()
    assert "lifecycle_completed" in events(world.source, "in")
    with world.source.ports.ledger.read(world.source.space_id) as work:
        bodies = b"".join(row.body for row in work.of(Document).where(kind="receipt"))
    assert third.space_id.encode() not in bodies


def test_without_a_relay_grant_the_last_space_refuses() -> None:
    """C trusts B for B's own releases only (A31)."""
    world = make_world()
    first = world.release()
    deploy_all(world.source, first, "Test")
    imported = world.imported(world.promote(first))
    third, onward, back = make_third(world)
    deploy_all(world.target, imported, "Production")
    with third.ports.ledger.write(third.space_id) as work:
        trust = work.of(Trust).get(back.id)
        work.of(Trust).replace(replace(trust, grants=ACCEPT))
    forwarded, _ = promote.start_promotion(world.target.ports, SYSTEM, space_id=world.target.space_id, release=imported.id, trust=onward.id)
    delivery, release = bundle_of(world.target, forwarded)
    with pytest.raises(TrustError) as caught:
        receive.accept_bundle(third.ports, space_id=third.space_id, delivery=delivery, release=release, road=Road.CARRIER)
    assert caught.value.code == "trust.relay_denied"


def recall_of(world: World, release: Release, *, seq: int = 1) -> bytes:
    """A recall of the release, signed by the source."""
    doc = recall.RecallDoc(
        sender_space_id=world.source.space_id,
        target_space_id=world.target.space_id,
        epoch=1,
        seq=seq,
        prev_sha256=None,
        created_at=world.source.site.clock.now().replace(microsecond=0),
        release_sha256=release.release_sha256,
        reason="leaks memory",
    )
    with world.source.ports.ledger.read(world.source.space_id) as work:
        key = identity.signing_key(world.source.ports, work)
    return sign.sign_envelope(recall.PAYLOAD_TYPE, recall.encode(doc), key)


def test_a_recall_blocks_the_release_and_proves_its_arrival() -> None:
    """Once applied, known the second time; a deployment is refused with the reason; the receipt comes home (N12)."""
    world = make_world()
    first = world.release()
    deploy_all(world.source, first, "Test")
    imported = world.imported(world.promote(first))
    body = recall_of(world, first)
    results = [
        exchange.accept_message(
            world.target.ports, space_id=world.target.space_id, kind="recall", envelopes=[body], road=Road.CARRIER
        ).state
        for _ in range(2)
    ]
    assert results == ["accepted", "already"]
    with pytest.raises(PolicyError) as caught:
        deploy.start_deployment(world.target.ports, SYSTEM, space_id=world.target.space_id, release=imported.id, environment="Production")
    assert (caught.value.code, "leaks memory" in caught.value.message) == ("deployment.blocked", True)
    world.carry_home()
    assert events(world.source, "in")[-1] == "recall_applied"


def test_a_recall_of_an_undecided_bundle_refuses_it() -> None:
    """What was not imported yet never will be."""
    world = make_world()
    first = world.release()
    deploy_all(world.source, first, "Test")
    inbox = world.ready(world.promote(first))
    exchange.accept_message(
        world.target.ports, space_id=world.target.space_id, kind="recall", envelopes=[recall_of(world, first)], road=Road.CARRIER
    )
    assert state_of(world.target, inbox) is InboxState.REFUSED
