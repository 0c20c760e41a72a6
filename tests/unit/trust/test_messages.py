# SPDX-License-Identifier: Apache-2.0
"""The small messages: type confusion, sender, recipient, grants, freshness."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.vectors import world
from tests.vectors.world import ALL, NOW, STRANGER, A, B, C, Party
from waybill.domain.trusts import Grants
from waybill.errors import WaybillError
from waybill.formats import envelope, peer, revocation
from waybill.formats.identity import RevokedKey
from waybill.trust import identity as issuing
from waybill.trust import sign, verify
from waybill.trust.verify import TrustedPeer, Us

INDEX = world.signed_index(world.carrier_index_doc((), (b"x",)))
REQUEST = world.signed(peer.REQUEST_PAYLOAD_TYPE, peer.encode_request(world.peer_request_doc()), B)
REQUEST_PAYLOAD = envelope.decode(REQUEST).payload
ANSWER = world.signed(peer.ANSWER_PAYLOAD_TYPE, peer.encode_answer(world.peer_answer_doc(REQUEST_PAYLOAD)), A)
GONE = RevokedKey(key_sha256=A.identity.signing[0].spki_sha256, revoked_at=NOW, compromised_since=None)
REVOCATION = issuing.revoke(A.material, GONE, now=NOW)

GOOD: dict[str, tuple[bytes, Party, Party]] = {
    "receipt": (world.sign_receipt(world.receipt_doc()), B, A),
    "inventory": (world.signed_inventory(), B, A),
    "need_list": (world.signed_need_list(), B, A),
    "recall": (world.signed_recall(), A, B),
    "revocation": (REVOCATION, A, B),
    "carrier_index": (INDEX, A, B),
    "peer_request": (REQUEST, B, A),
}
each_kind = pytest.mark.parametrize("kind", list(GOOD))


def take(kind: str, data: bytes, *, us: Us, peers: tuple[TrustedPeer, ...]) -> object:
    """The message, verified."""
    return verify.verify_message(kind, data, us=us, peers=peers, now=NOW)


def code_of(act: Callable[..., object], *arguments: Any, **named: Any) -> str:
    """The code that the call ends with."""
    with pytest.raises(WaybillError) as caught:
        act(*arguments, **named)
    return caught.value.code


@each_kind
def test_good_messages(kind: str) -> None:
    """Each verifies at the Space for which it is meant."""
    data, sender, target = GOOD[kind]
    found = verify.verify_message(kind, data, us=target.us, peers=(sender.trusted(), C.trusted()), now=NOW)
    assert found.peer.space_id == sender.space_id
    assert found.payload_sha256 == hashlib.sha256(envelope.decode(data).payload).hexdigest()
    with pytest.raises(TypeError):
        replace(found, proof=object())


@each_kind
def test_type_confusion(kind: str) -> None:
    """A document of any other kind is refused at this place, and relabelling it breaks its signature."""
    own, sender, target = GOOD[kind]
    documents = {name: data for name, (data, _, _) in GOOD.items()} | {
        "delivery": world.bundle()[0],
        "identity": A.envelope,
        "answer": ANSWER,
    }
    for name, data in documents.items():
        if name == kind:
            continue
        peers = (A.trusted(), B.trusted())
        assert code_of(take, kind, data, us=target.us, peers=peers) == "envelope.type_unexpected"
        relabelled = envelope.encode(replace(envelope.decode(data), payload_type=envelope.decode(own).payload_type))
        refusals = {"signature.invalid", "signature.untrusted"}
        assert code_of(take, kind, relabelled, us=target.us, peers=peers) in refusals
    assert sender != target


@each_kind
def test_strangers_pending_and_retired(kind: str) -> None:
    """Only a confirmed, living trust counts."""
    data, sender, target = GOOD[kind]
    assert code_of(lambda: take(kind, data, us=target.us, peers=(C.trusted(),))) == "signature.untrusted"
    assert code_of(lambda: take(kind, data, us=target.us, peers=(sender.trusted(confirmed=False),))) == "trust.unconfirmed"
    assert code_of(lambda: take(kind, data, us=target.us, peers=(sender.trusted(retired=True),))) == "trust.retired"


@each_kind
def test_another_trusted_space_cannot_speak_for_the_sender(kind: str) -> None:
    """The same payload under C's key names a sender that did not sign."""
    data, sender, target = GOOD[kind]
    env = envelope.decode(data)
    key = C.material.identity if kind == "revocation" else C.material.signing
    foreign = sign.sign_envelope(env.payload_type, env.payload, key)
    assert code_of(lambda: take(kind, foreign, us=target.us, peers=(sender.trusted(), C.trusted()))) == "bundle.source_mismatch"


@each_kind
def test_another_recipient(kind: str) -> None:
    """A message for somebody else is refused; a revocation is for everybody."""
    data, sender, _ = GOOD[kind]
    if kind == "revocation":
        assert take(kind, data, us=C.us, peers=(sender.trusted(),))
    else:
        assert code_of(lambda: take(kind, data, us=C.us, peers=(sender.trusted(),))) == "bundle.wrong_recipient"


GRANT_OF = {"receipt": "accept_receipts", "inventory": "send_releases", "need_list": "send_releases", "recall": "accept_releases"}


@each_kind
def test_grants(kind: str) -> None:
    """Exactly one grant opens each kind; the others do not matter to it."""
    data, sender, target = GOOD[kind]
    needed = GRANT_OF.get(kind)
    named: dict[str, Any] = {needed: True} if needed else {}
    only = Grants(**named)
    assert take(kind, data, us=target.us, peers=(sender.trusted(only),))
    if needed:
        lacking: dict[str, Any] = {needed: False}
        without = replace(ALL, relay=True, **lacking)
        assert code_of(lambda: take(kind, data, us=target.us, peers=(sender.trusted(without),))) == "trust.direction_denied"


def test_a_receipt_names_the_key_that_signed_it() -> None:
    """Another key in it is refused."""
    doc = world.receipt_doc()
    data = world.sign_receipt(replace(doc, target=replace(doc.target, key_sha256=world.digest("x"))))
    assert code_of(lambda: take("receipt", data, us=A.us, peers=(B.trusted(),))) == "bundle.source_mismatch"


def test_unknown_events_are_readable() -> None:
    """A later event is verified and shown; what it does to state is not decided here."""
    data = world.sign_receipt(replace(world.receipt_doc(), event="paused_by_moon"))
    assert verify.verify_receipt(data, us=A.us, peers=(B.trusted(),), now=NOW).doc.event == "paused_by_moon"


def test_receipts_hold_whenever_they_arrive() -> None:
    """One of next year is read: the caller flags it."""
    data = world.sign_receipt(replace(world.receipt_doc(), happened_at=NOW + timedelta(days=300)))
    assert take("receipt", data, us=A.us, peers=(B.trusted(),))


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_fresh_requests(seconds: int) -> None:
    """Clocks may differ by 300 seconds."""
    doc = replace(world.peer_request_doc(), created_at=NOW + timedelta(seconds=seconds))
    data = world.signed(peer.REQUEST_PAYLOAD_TYPE, peer.encode_request(doc), B)
    assert verify.verify_peer_request(data, us=A.us, peers=(B.trusted(),), now=NOW).doc == doc


@pytest.mark.parametrize("seconds", [-301, 301, -86400])
def test_stale_requests(seconds: int) -> None:
    """An older or a later request is refused."""
    doc = replace(world.peer_request_doc(), created_at=NOW + timedelta(seconds=seconds))
    data = world.signed(peer.REQUEST_PAYLOAD_TYPE, peer.encode_request(doc), B)
    assert code_of(lambda: take("peer_request", data, us=A.us, peers=(B.trusted(),))) == "peer.request_stale"


def answered(nonce: str = "nonce-1", sha256: str | None = None) -> object:
    """The answer, verified at B."""
    return verify.verify_peer_answer(ANSWER, us=B.us, peers=(A.trusted(),), now=NOW, nonce=nonce, request_sha256=sha256)


def test_an_answer_belongs_to_its_request() -> None:
    """By nonce and by digest."""
    assert answered()
    assert answered(sha256=hashlib.sha256(REQUEST_PAYLOAD).hexdigest())
    assert code_of(lambda: answered(nonce="nonce-2")) == "peer.request_stale"
    assert code_of(lambda: answered(sha256=world.digest("x"))) == "peer.request_stale"


def test_exchange_bodies() -> None:
    """Messages, results and acknowledgements come out of a signed exchange as they went in."""
    answer = peer.decode_answer(envelope.decode(ANSWER).payload)
    exchange = peer.read_exchange_answer(answer.body)
    assert peer.exchange_answer_to_body(exchange) == answer.body
    assert exchange.messages[0].envelopes == (world.signed_recall(),)
    request = peer.read_exchange_request(world.peer_request_doc().body)
    assert peer.exchange_request_to_body(request) == world.peer_request_doc().body
    for body in (
        {},
        {"messages": [], "acknowledged": [], "more": 1},
        {"messages": [{"id": "x", "kind": "delivery", "envelopes": []}], "acknowledged": []},
    ):
        assert code_of(peer.read_exchange_request, body) == "payload.invalid"


def test_a_revocation_needs_the_identity_key() -> None:
    """The signing leaf, which may be the stolen one, cannot revoke."""
    env = envelope.decode(REVOCATION)
    by_leaf = sign.sign_envelope(env.payload_type, env.payload, A.material.signing)
    assert code_of(lambda: take("revocation", by_leaf, us=B.us, peers=(A.trusted(),))) == "signature.untrusted"
    future = issuing.revoke(A.material, GONE, now=NOW + timedelta(days=1))
    assert code_of(lambda: take("revocation", future, us=B.us, peers=(A.trusted(),))) == "bundle.from_future"
    assert revocation.decode(env.payload).revoked == GONE


def test_unknown_kinds_are_refused() -> None:
    """There is no message of a kind that is not listed."""
    assert code_of(lambda: take("delivery", world.bundle()[0], us=B.us, peers=(A.trusted(),))) == "envelope.type_unexpected"
    assert STRANGER.space_id not in {A.space_id, B.space_id, C.space_id}
