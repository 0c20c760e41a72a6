# SPDX-License-Identifier: Apache-2.0
"""The outbox of a trust: what waits, what a road has taken, what the peer has acknowledged.

A message is offered again until it is acknowledged: the other side answers the same message with the same result, so repeating is safe,
while an answer that got lost would otherwise lose the message.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from waybill.app import documents
from waybill.domain.releases import Document
from waybill.domain.trusts import OutboxMessage
from waybill.formats.peer import MAX_MESSAGES, PeerMessage
from waybill.ports import Work

MAX_EXCHANGE_BYTES = 8 * 1024 * 1024
"""Bytes of envelopes in one exchange; a single larger message travels alone."""

PENDING, HANDED_OVER, ACKNOWLEDGED = "pending", "handed_over", "acknowledged"


def take(work: Work, *, trust_id: str, at: datetime) -> tuple[PeerMessage, ...]:
    """The oldest messages that are not acknowledged, as much as fits into one exchange, now marked as handed over."""
    messages: list[PeerMessage] = []
    total = 0
    for row in waiting(work, trust_id=trust_id, states=(PENDING, HANDED_OVER)):
        message = as_message(work, row)
        size = sum(len(one) for one in message.envelopes)
        if messages and (total + size > MAX_EXCHANGE_BYTES or len(messages) == MAX_MESSAGES):
            break
        messages.append(message)
        total += size
        hand_over(work, row, at=at)
    return tuple(messages)


def waiting(work: Work, *, trust_id: str, states: Iterable[str], limit: int = MAX_MESSAGES) -> list[OutboxMessage]:
    """The oldest messages of the trust in these states, at most ``limit`` of each, oldest first."""
    rows = [row for state in states for row in work.of(OutboxMessage).where(trust_id=trust_id, state=state, limit=limit)]
    return sorted(rows, key=lambda row: row.id)


def as_message(work: Work, row: OutboxMessage) -> PeerMessage:
    """The message with its envelopes as signed; a delivery's release stands second."""
    digests = [row.document_sha256, *([] if row.companion_sha256 is None else [row.companion_sha256])]
    return PeerMessage(id=row.id, kind=row.kind, envelopes=tuple(documents.load(work, one).body for one in digests))


def hand_over(work: Work, row: OutboxMessage, *, at: datetime) -> None:
    """A road has the message now: from here on it cannot be withdrawn."""
    if row.state == PENDING:
        work.of(OutboxMessage).replace(replace(row, state=HANDED_OVER, handed_over_at=at))


def acknowledge(work: Work, *, trust_id: str, message_id: str, code: str | None, at: datetime) -> None:
    """The peer has dealt with the message, refused it when ``code`` is set; an unknown id, or another trust's, changes nothing."""
    row = work.of(OutboxMessage).find(message_id)
    if row is not None and row.trust_id == trust_id and row.state in (PENDING, HANDED_OVER):
        work.of(OutboxMessage).replace(replace(row, state=ACKNOWLEDGED, acknowledged_at=at, answer_code=code))


def acknowledge_delivery(work: Work, *, trust_id: str, bundle_sha256: str, at: datetime) -> None:
    """A receipt about a bundle proves that it arrived, whatever road took it."""
    for document in work.of(Document).where(payload_sha256=bundle_sha256, kind="delivery"):
        row = work.of(OutboxMessage).first(trust_id=trust_id, document_sha256=document.sha256)
        if row is not None:
            acknowledge(work, trust_id=trust_id, message_id=row.id, code=None, at=at)
