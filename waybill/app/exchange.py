# SPDX-License-Identifier: Apache-2.0
"""Exchanges between two Spaces: signed requests, signed answers; what waits on both outboxes crosses in one round.

Who asks is proven by the signature of the request, never by an address or a password. The parts for package bytes are ``peer_asks`` and ``peer_bytes``,
the one door for messages is ``messages``; their names are public here too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from waybill.app import outbox
from waybill.app.messages import MessageResult, accept_message
from waybill.app.peer_asks import DownloadGrant, UploadOffer, ask_complete, ask_download, ask_upload
from waybill.app.peer_bytes import complete_peer_upload, grant_download, grant_upload
from waybill.app.peer_requests import ask, make_answer, open_request, usable_trust
from waybill.domain.trusts import OutboxMessage, Road, Trust
from waybill.errors import UnavailableError, WaybillError
from waybill.formats import peer as peer_format
from waybill.formats.peer import ExchangeAnswer, ExchangeRequest, PeerMessage, PeerResult
from waybill.ports import Ports

__all__ = [
    "DownloadGrant", "MessageResult", "RoundResult", "UploadOffer", "accept_message", "answer_exchange", "ask_complete", "ask_download",
    "ask_upload", "complete_peer_upload", "grant_download", "grant_upload", "run_round",
]  # fmt: skip

MAX_TURNS = 50
"""Exchanges of one round: enough to empty a large backlog, few enough to end while both sides keep making messages."""

CONTACT_GRAIN = timedelta(minutes=5)
"""How often a contact is written to the trust: seldom, so that people who edit the trust do not meet a new revision each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundResult:
    """One round as the calling side saw it: messages sent, messages received, codes of what was refused here or there."""

    sent: int
    received: int
    refused: tuple[str, ...]


def answer_exchange(ports: Ports, *, space_id: str, body: bytes) -> bytes:
    """The signed answer to a peer's exchange: a result for each of its messages, and our own waiting messages.

    A message that this site could not deal with for a fault of its own gets no result, so the peer sends it again.

    Raises:
        TrustError: the request does not verify; peer.request_stale, older than 300 s or its nonce was used.
        FormatError: payload.invalid, limit.exceeded.
    """
    request = open_request(ports, space_id=space_id, body=body, action="exchange")
    asked = peer_format.read_exchange_request(request.doc.body)
    results = [result for message in asked.messages if (result := _take_in(ports, space_id, message, Road.ANSWER)) is not None]
    now = ports.clock.now()
    with ports.ledger.write(space_id) as work:
        for message_id in asked.acknowledged:
            outbox.acknowledge(work, trust_id=request.trust.id, message_id=message_id, code=None, at=now)
        messages = outbox.take(work, trust_id=request.trust.id, at=now)
    note_contact(ports, space_id=space_id, trust_id=request.trust.id, error=None)
    answer = ExchangeAnswer(results=tuple(results), messages=messages)
    return make_answer(ports, space_id=space_id, request=request, body=peer_format.exchange_answer_to_body(answer))


def run_round(ports: Ports, *, space_id: str, trust_id: str) -> RoundResult:
    """Exchanges with the peer of a trust whose road is ``call`` until neither side has anything left for the other.

    Raises:
        PolicyError: outbound.denied. TrustError: trust.retired, trust.unconfirmed.
        UnavailableError: peer.unavailable; nothing is lost, the next round repeats.
    """
    with ports.ledger.read(space_id) as work:
        usable_trust(work, trust_id)
    sent: set[str] = set()
    received: set[str] = set()
    refused: list[str] = []
    acknowledged: tuple[str, ...] = ()
    try:
        for _ in range(MAX_TURNS):
            turn = _turn(ports, space_id, trust_id, acknowledged)
            sent |= {one.id for one in turn.mine}
            received |= {one.id for one in turn.theirs}
            refused += turn.refused
            acknowledged = turn.acknowledged
            with ports.ledger.read(space_id) as work:
                more = work.of(OutboxMessage).count(trust_id=trust_id, state=outbox.PENDING)
            if not more and not acknowledged:
                break
    except WaybillError as error:
        note_contact(ports, space_id=space_id, trust_id=trust_id, error=error.code)
        raise
    note_contact(ports, space_id=space_id, trust_id=trust_id, error=None)
    return RoundResult(sent=len(sent), received=len(received), refused=tuple(refused))


def note_contact(ports: Ports, *, space_id: str, trust_id: str, error: str | None) -> None:
    """The trust shows when the peer was last heard of, and what went wrong last."""
    now = ports.clock.now()
    with ports.ledger.write(space_id) as work:
        trust = work.of(Trust).get(trust_id)
        heard = trust.last_contact_at if error is not None else now
        if trust.last_error == error and (error is not None or not _is_old(trust.last_contact_at, now)):
            return
        work.of(Trust).replace(replace(trust, last_contact_at=heard, last_error=error))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    """One exchange: what each side gave, what is to be acknowledged next, codes of refusals."""

    mine: tuple[PeerMessage, ...]
    theirs: tuple[PeerMessage, ...]
    acknowledged: tuple[str, ...]
    refused: tuple[str, ...]


def _turn(ports: Ports, space_id: str, trust_id: str, acknowledged: Sequence[str]) -> _Turn:
    now = ports.clock.now()
    with ports.ledger.write(space_id) as work:
        # Marked before the call: once bytes may have left, a promotion can no longer say that nothing did.
        mine = outbox.take(work, trust_id=trust_id, at=now)
    request = ExchangeRequest(messages=mine, acknowledged=tuple(acknowledged))
    body = ask(
        ports,
        space_id=space_id,
        trust_id=trust_id,
        action="exchange",
        body=peer_format.exchange_request_to_body(request),
        timeout_seconds=120.0,
    )
    answer = peer_format.read_exchange_answer(body)
    ours = {one.id for one in mine}
    with ports.ledger.write(space_id) as work:
        for result in answer.results:
            if result.id in ours:
                outbox.acknowledge(work, trust_id=trust_id, message_id=result.id, code=result.code, at=ports.clock.now())
    results = [one for message in answer.messages if (one := _take_in(ports, space_id, message, Road.CALL)) is not None]
    codes = (*(one.code for one in answer.results if one.code), *(one.code for one in results if one.code))
    return _Turn(mine=mine, theirs=answer.messages, acknowledged=tuple(one.id for one in results), refused=codes)


def _take_in(ports: Ports, space_id: str, message: PeerMessage, road: Road) -> PeerResult | None:
    """The result for one message, or None when this site could not deal with it now."""
    try:
        result = accept_message(ports, space_id=space_id, kind=message.kind, envelopes=message.envelopes, road=road)
    except UnavailableError:
        return None
    return PeerResult(id=message.id, code=result.code, state=result.state)


def _is_old(last: datetime | None, now: datetime) -> bool:
    return last is None or now - last >= CONTACT_GRAIN
