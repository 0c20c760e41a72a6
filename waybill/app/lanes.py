# SPDX-License-Identifier: Apache-2.0
"""Outgoing lanes: numbers without a gap, each message linked to the one before (N9).

A number is taken in the transaction that stores the signed bytes, so that none is ever used twice or lost.
"""

from dataclasses import dataclass, replace

from waybill.domain.trusts import Lane
from waybill.ports import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class NextPlace:
    """The place of the next message on a lane: its number, and the payload digest of the message before (None for the first)."""

    lane: Lane
    seq: int
    prev_sha256: str | None


def next_place(work: Work, *, trust_id: str, kind: str, epoch: int) -> NextPlace:
    """Where the next outgoing message of ``kind`` stands. Nothing is written; ``take`` does.

    A new key epoch begins again at 1 (security.md 3.6).
    """
    lane = work.of(Lane).find(_lane_id(trust_id, kind))
    if lane is None or lane.epoch != epoch:
        fresh = Lane(
            id=_lane_id(trust_id, kind),
            space_id=work.space_id,
            trust_id=trust_id,
            direction="out",
            kind=kind,
            epoch=epoch,
            last_seq=0,
            last_sha256=None,
            revision=lane.revision if lane else 0,
        )
        return NextPlace(lane=fresh, seq=1, prev_sha256=None)
    return NextPlace(lane=lane, seq=lane.last_seq + 1, prev_sha256=lane.last_sha256)


def take(work: Work, place: NextPlace, *, payload_sha256: str) -> Lane:
    """The place is taken by the message with this payload digest. Raises ConflictError record.stale, when somebody was first."""
    lane = replace(place.lane, last_seq=place.seq, last_sha256=payload_sha256)
    if lane.revision == 0:
        return work.of(Lane).add(replace(lane, revision=1))
    return work.of(Lane).replace(lane)


def _lane_id(trust_id: str, kind: str) -> str:
    return f"{trust_id}:out:{kind}"
