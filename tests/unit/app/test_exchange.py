# SPDX-License-Identifier: Apache-2.0
"""Two sites that talk: proven requests, messages that are lost or repeated, and bytes that only who may have them gets."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.simulators.site import make_site, serve
from tests.simulators.spaces import ACCEPT, SEND, Home, make_home
from tests.unit.app.world import World, answer, connect, deploy_all, events, fetch_blobs, make_world
from waybill.app import exchange, promote, receive, transfer
from waybill.app.access import SYSTEM
from waybill.domain.bundles import InboxBundle
from waybill.domain.packages import Upload
from waybill.domain.trusts import OutboxMessage, Road, Trust
from waybill.errors import ConflictError, FormatError, NotFoundError, TrustError, UnavailableError
from waybill.formats.layout import blob_key
from waybill.ports import PeerAddress


@pytest.fixture
def world() -> World:
    """A target that pulls; 1.0.0 ran in Test."""
    made = make_world(road=Road.ANSWER, peer_road=Road.CALL)
    connect(made.source, made.target)
    deploy_all(made.source, made.release(), "Test")
    return made


def pull(world: World) -> exchange.RoundResult:
    """One round of the target's courier."""
    return exchange.run_round(world.target.ports, space_id=world.target.space_id, trust_id=world.to_source.id)


def inbox_of(home: Home) -> InboxBundle:
    """The newest bundle in the inbox."""
    found = receive.list_inbox(home.ports, SYSTEM, space_id=home.space_id).items[0]
    assert isinstance(found, InboxBundle)
    return found


def test_a_lost_answer_loses_no_message(world: World) -> None:
    """The source's bundle was in an answer that never came: the next round brings it again, once in effect."""
    world.promote(world.release())
    address = world.source.ports.site.api_url
    assert address is not None
    real = world.target.site.peer.handlers[address]

    def broken(path: str, body: bytes) -> bytes:
        real(path, body)
        raise UnavailableError("peer.unavailable", "the line broke after the request")

    world.target.site.peer.handlers[address] = broken
    with pytest.raises(UnavailableError):
        pull(world)
    world.target.site.peer.handlers[address] = real
    assert pull(world).received == 1
    assert events(world.target, "out") == ["received"]
    with world.source.ports.ledger.read(world.source.space_id) as work:
        assert {row.state for row in work.of(OutboxMessage).where()} == {"acknowledged"}


def test_a_site_that_is_down_is_told_as_such(world: World) -> None:
    """The trust shows the last error, then the contact."""
    address = world.source.ports.site.api_url
    assert address is not None
    world.target.site.peer.down.add(address)
    with pytest.raises(UnavailableError):
        pull(world)
    with world.target.ports.ledger.read(world.target.space_id) as work:
        assert work.of(Trust).get(world.to_source.id).last_error == "peer.unavailable"
    world.target.site.peer.down.clear()
    pull(world)
    with world.target.ports.ledger.read(world.target.space_id) as work:
        trust = work.of(Trust).get(world.to_source.id)
    assert (trust.last_error, trust.last_contact_at is not None) == (None, True)


def test_a_request_is_answered_once_and_only_while_fresh(world: World) -> None:
    """A recorded request is refused the second time, and after 300 seconds even the first time."""
    recorded: list[bytes] = []
    address = world.source.ports.site.api_url
    assert address is not None

    def record(path: str, body: bytes) -> bytes:
        recorded.append(body)
        return answer(world.source, path, body)

    world.target.site.peer.handlers[address] = record
    pull(world)
    with pytest.raises(TrustError) as caught:
        exchange.answer_exchange(world.source.ports, space_id=world.source.space_id, body=recorded[0])
    assert caught.value.code == "peer.request_stale"

    def swallow(_path: str, body: bytes) -> bytes:
        recorded.append(body)
        return b""

    world.target.site.peer.handlers[address] = swallow
    with pytest.raises(FormatError) as malformed:
        pull(world)
    assert malformed.value.code == "envelope.malformed"
    world.source.site.clock.advance(timedelta(seconds=301))
    with pytest.raises(TrustError) as caught:
        exchange.answer_exchange(world.source.ports, space_id=world.source.space_id, body=recorded[-1])
    assert caught.value.code == "peer.request_stale"


def test_a_request_for_one_thing_does_not_buy_another(world: World) -> None:
    """An exchange request sent to the downloads address is refused."""
    address = world.source.ports.site.api_url
    assert address is not None
    world.target.site.peer.handlers[address] = lambda _path, body: exchange.grant_download(
        world.source.ports, space_id=world.source.space_id, body=body
    )
    with pytest.raises(TrustError) as caught:
        pull(world)
    assert caught.value.code == "peer.request_stale"


def test_bytes_are_granted_only_for_what_was_sent_to_that_trust(world: World) -> None:
    """Another digest, and the right digest asked by another trusted Space, answer as absent alike."""
    world.promote(world.release())
    pull(world)
    inbox = inbox_of(world.target)
    ports, space_id = world.target.ports, world.target.space_id
    with pytest.raises(NotFoundError) as caught:
        exchange.ask_download(ports, space_id=space_id, trust_id=world.to_source.id, bundle_sha256=inbox.bundle_sha256, sha256="0" * 64)
    assert caught.value.code == "record.absent"
    unrelated = world.source.push("secret-tool", "1.0.0", b"held by the source, sent to nobody")
    with pytest.raises(NotFoundError):
        exchange.ask_download(
            ports, space_id=space_id, trust_id=world.to_source.id, bundle_sha256=inbox.bundle_sha256, sha256=unrelated.sha256
        )
    other = make_home("Third", site=make_site("third", clock=world.source.site.clock))
    world.source.trust(other, grants=SEND, road=Road.ANSWER)
    trust = other.trust(world.source, grants=ACCEPT, road=Road.CALL)
    serve(other.site, world.source.site, lambda path, body: answer(world.source, path, body))
    with pytest.raises(NotFoundError) as caught:
        exchange.ask_download(
            other.ports,
            space_id=other.space_id,
            trust_id=trust.id,
            bundle_sha256=inbox.bundle_sha256,
            sha256=inbox.needs[0].sha256,
        )
    assert caught.value.code == "record.absent"
    assert fetch_blobs(world.target, inbox) > 0


def test_an_unconfirmed_trust_exchanges_nothing(world: World) -> None:
    """Without a confirmed fingerprint no request leaves."""
    with world.target.ports.ledger.write(world.target.space_id) as work:
        trust = work.of(Trust).get(world.to_source.id)
        work.of(Trust).replace(replace(trust, state=type(trust.state).PENDING))
    with pytest.raises(TrustError) as caught:
        pull(world)
    assert caught.value.code == "trust.unconfirmed"
    assert world.target.site.peer.posts == []


def make_push() -> World:
    """A source that pushes: it calls, the target answers."""
    made = make_world(road=Road.CALL, peer_road=Road.ANSWER)
    serve(made.source.site, made.target.site, lambda path, body: answer(made.target, path, body))
    deploy_all(made.source, made.release(), "Test")
    return made


def send(world: World, bundle_sha256: str, sha256: str, size_bytes: int) -> int:
    """One blob pushed as the source's transfer worker does it; returns the bytes that moved."""

    def ask() -> exchange.UploadOffer:
        return exchange.ask_upload(
            world.source.ports,
            space_id=world.source.space_id,
            trust_id=world.to_target.id,
            bundle_sha256=bundle_sha256,
            sha256=sha256,
        )

    offer = ask()
    if offer.have:
        return 0
    moved = transfer.upload_blob(
        world.source.ports,
        key=blob_key(sha256),
        size_bytes=size_bytes,
        offer=offer,
        renew=ask,
        ca_pem=offer.ca_pem,
        on_bytes=lambda _total: None,
        is_cancelled=lambda: False,
    )
    assert offer.upload_id is not None
    exchange.ask_complete(
        world.source.ports,
        space_id=world.source.space_id,
        trust_id=world.to_target.id,
        bundle_sha256=bundle_sha256,
        sha256=sha256,
        upload_id=offer.upload_id,
    )
    return moved.bytes_moved


def test_a_push_sends_what_the_target_lacks_and_nothing_twice() -> None:
    """Every blob goes into the target's store by granted URLs, is verified there, and wakes the waiting story."""
    world = make_push()
    promotion = world.promote(world.release())
    exchange.run_round(world.source.ports, space_id=world.source.space_id, trust_id=world.to_target.id)
    inbox = inbox_of(world.target)
    sealed = promote.seal(world.source.ports, space_id=world.source.space_id, promotion_id=promotion.id)
    for need in sealed.blobs:
        assert send(world, sealed.bundle_sha256, need.sha256, need.size_bytes) == need.size_bytes
        assert send(world, sealed.bundle_sha256, need.sha256, need.size_bytes) == 0
    assert receive.needs_now(world.target.ports, space_id=world.target.space_id, inbox_id=inbox.id) == ()
    told = [(one.workflow_id, one.name) for one in world.target.site.engine.signals if one.name == "blob_arrived"]
    assert told == [(f"receive:{inbox.id}", "blob_arrived")] * len(sealed.blobs)
    with pytest.raises(NotFoundError):
        send(world, sealed.bundle_sha256, "0" * 64, 1)


def test_wrong_bytes_in_a_push_are_found_and_gone() -> None:
    """The target re-reads what came: other bytes than the manifest names are refused and deleted, and it may be sent again."""
    world = make_push()
    promotion = world.promote(world.release())
    exchange.run_round(world.source.ports, space_id=world.source.space_id, trust_id=world.to_target.id)
    sealed = promote.seal(world.source.ports, space_id=world.source.space_id, promotion_id=promotion.id)
    need = sealed.blobs[0]
    offer = exchange.ask_upload(
        world.source.ports,
        space_id=world.source.space_id,
        trust_id=world.to_target.id,
        bundle_sha256=sealed.bundle_sha256,
        sha256=need.sha256,
    )
    for part in offer.parts:
        world.source.site.peer.put_part(part.url, ca_pem="", pieces=[bytes(part.size_bytes)], size_bytes=part.size_bytes)
    assert offer.upload_id is not None
    with pytest.raises(ConflictError) as caught:
        exchange.ask_complete(
            world.source.ports,
            space_id=world.source.space_id,
            trust_id=world.to_target.id,
            bundle_sha256=sealed.bundle_sha256,
            sha256=need.sha256,
            upload_id=offer.upload_id,
        )
    assert caught.value.code == "package.hash_mismatch"
    assert world.target.site.objects.exists(blob_key(need.sha256)) is None
    assert send(world, sealed.bundle_sha256, need.sha256, need.size_bytes) == need.size_bytes


def test_an_upload_without_all_its_parts_is_not_complete() -> None:
    """Completing too early is refused and changes nothing; the upload goes on."""
    world = make_push()
    promotion = world.promote(world.release())
    exchange.run_round(world.source.ports, space_id=world.source.space_id, trust_id=world.to_target.id)
    sealed = promote.seal(world.source.ports, space_id=world.source.space_id, promotion_id=promotion.id)
    need = sealed.blobs[0]
    wanted: dict[str, Any] = {"space_id": world.source.space_id, "trust_id": world.to_target.id, "bundle_sha256": sealed.bundle_sha256}
    offer = exchange.ask_upload(world.source.ports, sha256=need.sha256, **wanted)
    assert offer.upload_id is not None
    with pytest.raises(ConflictError) as caught:
        exchange.ask_complete(world.source.ports, sha256=need.sha256, upload_id=offer.upload_id, **wanted)
    assert caught.value.code == "upload.incomplete"
    assert exchange.ask_upload(world.source.ports, sha256=need.sha256, **wanted).upload_id == offer.upload_id
    with world.target.ports.ledger.read(world.target.space_id) as work:
        assert work.of(Upload).count() == 1


def test_an_answer_of_another_site_is_not_believed(world: World) -> None:
    """Whoever answers at the address must sign as the peer: another trusted Space's answer is refused."""
    other = make_home("Third", site=make_site("third", clock=world.source.site.clock))
    other.trust(world.target, grants=SEND, road=Road.ANSWER)
    world.target.trust(other, grants=ACCEPT)
    address = world.source.ports.site.api_url
    assert address is not None
    world.target.site.peer.handlers[address] = lambda path, body: answer(other, path.replace(world.source.space_id, other.space_id), body)
    with pytest.raises(TrustError):
        pull(world)


def test_a_message_of_an_unknown_kind_is_refused(world: World) -> None:
    """It is a result, not a crash."""
    result = exchange.accept_message(world.target.ports, space_id=world.target.space_id, kind="gossip", envelopes=[b"x"], road=Road.CARRIER)
    assert (result.state, result.code) == ("refused", "envelope.type_unexpected")


def test_addresses_come_from_the_signed_identity(world: World) -> None:
    """The courier calls where the peer's identity says, nowhere else."""
    pull(world)
    assert {url for url, _ in world.target.site.peer.posts} == {world.source.ports.site.api_url}
    assert isinstance(PeerAddress(base_url="https://x.example", ca_pem=""), PeerAddress)
