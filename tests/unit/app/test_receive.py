# SPDX-License-Identifier: Apache-2.0
"""The door of a target: what is refused, what is kept of it, and that the same bundle is one bundle."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.simulators.site import make_site
from tests.simulators.spaces import ACCEPT, make_home
from tests.unit.app.world import World, deploy_all, events, make_world, resign, state_of
from waybill.app import incoming_lanes, receive, tasks
from waybill.domain.access import AuditEntry
from waybill.domain.bundles import InboxBundle, InboxState
from waybill.domain.releases import Document, Release
from waybill.domain.tasks import Task, TaskState
from waybill.domain.trusts import Lane, Road, Trust
from waybill.errors import ConflictError, FormatError, TrustError, WaybillError
from waybill.formats import delivery as delivery_format
from waybill.formats import envelope


@pytest.fixture
def world() -> World:
    """Two Spaces with a release 1.0.0 that was deployed to Test."""
    made = make_world()
    deploy_all(made.source, made.release(), "Test")
    return made


def sealed(world: World) -> tuple[bytes, bytes]:
    """Delivery and Release of 1.0.0 for the target."""
    return world.bundle(world.promote(world.release()))


def door(world: World, delivery: bytes, release: bytes) -> receive.Accepted:
    """The bundle at the target's door."""
    return receive.accept_bundle(world.target.ports, space_id=world.target.space_id, delivery=delivery, release=release, road=Road.CARRIER)


def refused(world: World, delivery: bytes, release: bytes) -> str:
    """The code with which the door refuses, after a look that nothing but an audit entry (and a receipt) was kept."""
    with pytest.raises(WaybillError) as caught:
        door(world, delivery, release)
    with world.target.ports.ledger.read(world.target.space_id) as work:
        assert work.of(InboxBundle).count() == 0
        assert work.of(Task).count() == 0
        assert {row.kind for row in work.of(Document).where()} <= {"receipt"}
        newest = work.audit_page(limit=1).items[0]
        assert isinstance(newest, AuditEntry)
        assert (newest.action, newest.detail) == ("bundle.refused", caught.value.code)
    return caught.value.code


def test_a_flipped_byte_is_refused_before_anything_is_kept(world: World) -> None:
    """One bit in the delivery's payload breaks its signature; no receipt goes to a sender that is not proven."""
    delivery, release = sealed(world)
    spoiled = bytearray(delivery)
    at = delivery.index(b'"payload":"') + 400
    spoiled[at] = ord("A") if spoiled[at] != ord("A") else ord("B")
    assert refused(world, bytes(spoiled), release) == "signature.invalid"
    assert events(world.target, "out") == []


def test_a_release_other_than_the_named_one_is_refused_and_told(world: World) -> None:
    """The delivery's signature holds, so its sender hears by receipt why the bundle was refused; once."""
    delivery, _ = sealed(world)
    _, other = world.bundle(world.promote(released(world, "1.0.1")))
    assert refused(world, delivery, other) == "bundle.digest_mismatch"
    assert refused(world, delivery, other) == "bundle.digest_mismatch"
    assert events(world.target, "out") == ["refused"]


def released(world: World, version: str) -> Release:
    """A further release, deployed to Test."""
    release = world.release(version)
    deploy_all(world.source, release, "Test")
    return release


def test_a_bundle_for_another_space_is_refused(world: World) -> None:
    """A third Space that trusts the sender as well cannot take in what was sealed for Prod."""
    delivery, release = sealed(world)
    other = make_home("Vault", site=make_site("vault", clock=world.source.site.clock))
    other.trust(world.source, grants=ACCEPT)
    with pytest.raises(TrustError) as caught:
        receive.accept_bundle(other.ports, space_id=other.space_id, delivery=delivery, release=release, road=Road.CARRIER)
    assert caught.value.code == "bundle.wrong_recipient"


def test_a_sender_without_a_trust_is_refused(world: World) -> None:
    """Before the target has registered the source, nothing of it counts."""
    delivery, release = sealed(world)
    stranger = make_home("Prod", site=make_site("elsewhere", clock=world.source.site.clock))
    with pytest.raises(TrustError) as caught:
        receive.accept_bundle(stranger.ports, space_id=stranger.space_id, delivery=delivery, release=release, road=Road.CARRIER)
    assert caught.value.code == "signature.untrusted"


def test_a_project_that_the_trust_does_not_grant_is_refused(world: World) -> None:
    """Grants may name projects; another one is turned away though all else is right (A19)."""
    delivery, release = sealed(world)
    with world.target.ports.ledger.write(world.target.space_id) as work:
        trust = work.of(Trust).get(world.to_source.id)
        work.of(Trust).replace(replace(trust, grants=replace(trust.grants, projects=("Billing",))))
    assert refused(world, delivery, release) == "trust.direction_denied"


def test_an_expired_bundle_is_refused(world: World) -> None:
    """At the second of its expiry a bundle is no longer taken in."""
    delivery, release = sealed(world)
    world.target.site.clock.advance(timedelta(days=91))
    assert refused(world, delivery, release) == "bundle.expired"


def test_the_same_bundle_twice_is_one_bundle(world: World) -> None:
    """The second time gives the first row: no second task, no second receipt."""
    delivery, release = sealed(world)
    first, second = door(world, delivery, release), door(world, delivery, release)
    assert (first.first_time, second.first_time) == (True, False)
    assert second.inbox == first.inbox
    assert events(world.target, "out") == ["received"]
    assert list(world.target.site.engine.started) == [f"receive:{first.inbox.id}"]


def test_sixteen_threads_at_the_door_make_one_bundle(world: World) -> None:
    """All get the same row; exactly one of them is told that it was first."""
    delivery, release = sealed(world)
    barrier, results = threading.Barrier(16), []

    def enter() -> None:
        barrier.wait()
        results.append(door(world, delivery, release))

    threads = [threading.Thread(target=enter) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.inbox.id for one in results}) == 1
    assert [one.first_time for one in results].count(True) == 1
    with world.target.ports.ledger.read(world.target.space_id) as work:
        assert (work.of(InboxBundle).count(), work.of(Task).count()) == (1, 1)
    assert events(world.target, "out") == ["received"]


def test_the_same_delivery_id_with_other_bytes_is_a_conflict(world: World) -> None:
    """Equivocation keeps the first and refuses the second."""
    delivery, release = sealed(world)
    door(world, delivery, release)
    doc = delivery_format.decode(envelope.decode(delivery).payload)
    with pytest.raises(ConflictError) as caught:
        door(world, resign(world, delivery, expires_at=doc.expires_at - timedelta(days=1)), release)
    assert caught.value.code == "bundle.conflict"


def test_a_number_below_the_window_is_stale(world: World) -> None:
    """64 numbers may arrive late; an older one is a replay or a forgotten drive."""
    delivery, release = sealed(world)
    with world.target.ports.ledger.write(world.target.space_id) as work:
        work.of(Lane).add(
            Lane(
                id=f"{world.to_source.id}:in:delivery",
                space_id=world.target.space_id,
                trust_id=world.to_source.id,
                direction="in",
                kind="delivery",
                epoch=1,
                last_seq=65,
                last_sha256=None,
                seen=(65,),
            )
        )
    assert refused(world, delivery, release) == "bundle.stale"


def test_a_gap_is_accepted_and_told_until_it_closes(world: World) -> None:
    """Number 2 before number 1: both are accepted, the first receipt names the gap."""
    first = world.bundle(world.promote(world.release()))
    second = world.bundle(world.promote(released(world, "1.0.1")))
    door(world, *second)
    with world.target.ports.ledger.read(world.target.space_id) as work:
        assert incoming_lanes.open_gaps(work, trust_id=world.to_source.id, kind="delivery") == ((1, 1),)
    door(world, *first)
    with world.target.ports.ledger.read(world.target.space_id) as work:
        assert incoming_lanes.open_gaps(work, trust_id=world.to_source.id, kind="delivery") == ()


def test_a_missing_package_keeps_the_bundle_waiting(world: World) -> None:
    """Without its packages a bundle is not ready, says what is lacking, and tells the source once it should know."""
    inbox = world.accept(world.promote(world.release()))
    ports, space_id = world.target.ports, world.target.space_id
    with pytest.raises(ConflictError) as caught:
        receive.mark_ready(ports, space_id=space_id, inbox_id=inbox.id)
    assert caught.value.code == "package.missing"
    receive.mark_waiting(ports, space_id=space_id, inbox_id=inbox.id, tell=False)
    assert events(world.target, "out") == ["received"]
    receive.mark_waiting(ports, space_id=space_id, inbox_id=inbox.id, tell=True)
    receive.mark_waiting(ports, space_id=space_id, inbox_id=inbox.id, tell=True)
    assert events(world.target, "out") == ["received", "missing"]
    with ports.ledger.read(space_id) as work:
        task = work.of(Task).get(inbox.task_id)
    assert task.state is TaskState.WAITING
    assert "app 1.0.0" in task.details
    world.bring_blobs(inbox)
    ready = receive.mark_ready(ports, space_id=space_id, inbox_id=inbox.id)
    assert (ready.state, receive.mark_ready(ports, space_id=space_id, inbox_id=inbox.id)) == (InboxState.READY, ready)
    assert events(world.target, "out") == ["received", "missing", "ready"]
    assert world.target.site.engine.started[f"import:{inbox.id}"].story == "ImportRelease"


def test_a_bundle_that_expires_while_it_waits_is_refused(world: World) -> None:
    """Complete too late: the bundle is refused, its task ended and the source told."""
    inbox = world.accept(world.promote(world.release()))
    world.bring_blobs(inbox)
    world.target.site.clock.advance(timedelta(days=91))
    with pytest.raises(TrustError) as caught:
        receive.mark_ready(world.target.ports, space_id=world.target.space_id, inbox_id=inbox.id)
    assert caught.value.code == "bundle.expired"
    assert state_of(world.target, inbox) is InboxState.REFUSED
    assert events(world.target, "out") == ["received", "refused"]


def test_an_engine_that_is_down_does_not_turn_a_bundle_away(world: World) -> None:
    """The bundle is stored with its task; the sweep starts the story when the engine is back."""
    delivery, release = sealed(world)
    engine = world.target.site.engine
    engine.is_down = True
    accepted = door(world, delivery, release)
    engine.is_down = False
    assert engine.started == {}
    assert tasks.start_queued(world.target.ports, space_id=world.target.space_id) == 0
    world.target.site.clock.advance(timedelta(seconds=30))
    assert tasks.start_queued(world.target.ports, space_id=world.target.space_id) == 1
    assert list(engine.started) == [f"receive:{accepted.inbox.id}"]


def test_garbage_is_refused_with_a_code(world: World) -> None:
    """Bytes that are no envelope are refused and audited like everything else."""
    assert refused(world, b"not an envelope", b"neither") == "envelope.malformed"
    with pytest.raises(FormatError):
        door(world, b"", b"")
