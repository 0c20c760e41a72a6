# SPDX-License-Identifier: Apache-2.0
"""Signed requests between two Spaces, and their signed answers.

Refused: a request that no trusted key made, that is not for us, that is older than 300 s, or whose nonce was used before.
An answer is believed only when it names the nonce and the digest of our own request.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from waybill.app import identity, trusts
from waybill.app.revocations import current_peers
from waybill.domain.ids import JsonValue
from waybill.domain.trusts import PeerNonce, Trust, TrustState
from waybill.errors import ConflictError, TrustError
from waybill.formats import peer as peer_format
from waybill.formats.peer import PeerAnswerDoc, PeerRequestDoc
from waybill.ports import Ports, Work
from waybill.trust import sign, verify

NONCE_LIFE = timedelta(seconds=900)
"""How long a nonce is remembered: longer than a request is fresh, skew on both sides included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRequest:
    """A peer's request, proven and used up: it will not be answered a second time."""

    trust: Trust
    doc: PeerRequestDoc
    payload_sha256: str


def open_request(ports: Ports, *, space_id: str, body: bytes, action: str) -> OpenRequest:
    """The request in ``body``, its nonce noted.

    Raises:
        FormatError: as the decoders; request.malformed, when it asks for another action than the address it was sent to.
        TrustError: signature.*, trust.*, bundle.wrong_recipient; peer.request_stale.
    """
    now = ports.clock.now()
    with ports.ledger.read(space_id) as work:
        us, peers = identity.us(ports, work), current_peers(ports, work, now)
    verified = verify.verify_peer_request(body, us=us, peers=peers, now=now)
    if verified.doc.action != action:
        raise TrustError(
            "peer.request_stale", "the request was made for something else", field="action", expected=action, found=verified.doc.action
        )
    trust_id = verified.peer.trust_id
    with ports.ledger.write(space_id) as work:
        _forget(work, before=now - NONCE_LIFE)
        try:
            work.of(PeerNonce).add(PeerNonce(id=f"{trust_id}:{verified.doc.nonce}", space_id=space_id, seen_at=now))
        except ConflictError as error:
            raise TrustError("peer.request_stale", "the request was answered before", field="nonce") from error
        return OpenRequest(trust=work.of(Trust).get(trust_id), doc=verified.doc, payload_sha256=verified.payload_sha256)


def make_answer(ports: Ports, *, space_id: str, request: OpenRequest, body: dict[str, JsonValue]) -> bytes:
    """The signed answer to exactly this request."""
    doc = PeerAnswerDoc(
        action=request.doc.action,
        sender_space_id=space_id,
        target_space_id=request.doc.sender_space_id,
        nonce=request.doc.nonce,
        request_sha256=request.payload_sha256,
        created_at=ports.clock.now(),
        body=body,
    )
    with ports.ledger.read(space_id) as work:
        key = identity.signing_key(ports, work)
    return sign.sign_envelope(peer_format.ANSWER_PAYLOAD_TYPE, peer_format.encode_answer(doc), key)


def ask(
    ports: Ports, *, space_id: str, trust_id: str, action: str, body: dict[str, JsonValue], timeout_seconds: float = 30.0
) -> dict[str, JsonValue]:
    """The body of the peer's proven answer to our request.

    Raises:
        TrustError: trust.retired, trust.unconfirmed; the answer does not verify. PolicyError: outbound.denied.
        UnavailableError: peer.unavailable. WaybillError: the peer's own code, when it refuses.
    """
    now = ports.clock.now()
    with ports.ledger.read(space_id) as work:
        trust = usable_trust(work, trust_id)
        us, peers = identity.us(ports, work), current_peers(ports, work, now)
        key = identity.signing_key(ports, work)
    nonce = ports.entropy.take(16).hex()
    doc = PeerRequestDoc(
        action=action, sender_space_id=space_id, target_space_id=trust.peer_space_id, nonce=nonce, created_at=now, body=body
    )
    payload = peer_format.encode_request(doc)
    request = sign.sign_envelope(peer_format.REQUEST_PAYLOAD_TYPE, payload, key)
    path = f"/peer/v1/{trust.peer_space_id}/{action}"
    answer = ports.peer.post(trusts.address(ports, trust), path, request, timeout_seconds=timeout_seconds)
    verified = verify.verify_peer_answer(
        answer, us=us, peers=peers, now=ports.clock.now(), nonce=nonce, request_sha256=hashlib.sha256(payload).hexdigest()
    )
    if verified.peer.trust_id != trust_id or verified.doc.action != action:
        raise TrustError("bundle.source_mismatch", "another Space answered", field="sender_space_id", expected=trust.peer_space_id)
    return verified.doc.body


def usable_trust(work: Work, trust_id: str) -> Trust:
    """The trust, when it is active. Raises TrustError trust.retired, trust.unconfirmed; NotFoundError record.absent."""
    trust = work.of(Trust).get(trust_id)
    if trust.state is TrustState.RETIRED:
        raise TrustError("trust.retired", f"the trust with {trust.name} has been ended", field="trust", found=trust.name)
    if trust.state is TrustState.PENDING:
        raise TrustError(
            "trust.unconfirmed", f"the fingerprint of {trust.name} has not been confirmed", field="trust", found=trust.fingerprint
        )
    return trust


def _forget(work: Work, *, before: datetime) -> None:
    for row in work.of(PeerNonce).where():
        if row.seen_at < before:
            work.of(PeerNonce).remove(row)
