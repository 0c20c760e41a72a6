# SPDX-License-Identifier: Apache-2.0
"""Incoming lanes: which numbers of one kind of message have arrived over a trust, in the transaction that stores the message.

A number below the window of 64, or one that was seen with other bytes, is refused; a gap is accepted and can be shown.
Outgoing lanes are ``waybill.app.lanes``.
"""

from dataclasses import replace

from waybill.domain.trusts import Lane
from waybill.errors import ConflictError
from waybill.ports import Work

WINDOW = 64
"""How many of the newest numbers of an incoming lane may still arrive late."""


def accept_number(work: Work, *, trust_id: str, kind: str, epoch: int, seq: int, sha256: str) -> None:
    """The number is noted as seen. The caller has found out before that exactly these bytes are new here.

    Raises:
        ConflictError: bundle.stale, an older epoch or below the window; bundle.conflict, the number came before with other bytes.
    """
    lane = _lane(work, trust_id=trust_id, kind=kind, epoch=epoch)
    if lane.epoch > epoch:
        raise ConflictError("bundle.stale", "the sender has begun a newer epoch", field="epoch", expected=lane.epoch, found=epoch)
    if lane.epoch < epoch:  # counters belong to (trust, epoch): a poisoned high number ends with the key that signed it
        lane = replace(lane, epoch=epoch, last_seq=0, last_sha256=None, seen=())
    if seq in lane.seen:
        raise ConflictError("bundle.conflict", "this number came before with other bytes", field="seq", found=seq)
    if seq <= lane.last_seq - WINDOW:
        raise ConflictError(
            "bundle.stale", "older than the window of numbers", field="seq", expected=f"above {lane.last_seq - WINDOW}", found=seq
        )
    newest = max(lane.last_seq, seq)
    seen = tuple(sorted({*lane.seen, seq}))[-WINDOW:]
    last_sha256 = sha256 if seq == newest else lane.last_sha256
    work.of(Lane).replace(replace(lane, last_seq=newest, last_sha256=last_sha256, seen=seen))


def open_gaps(work: Work, *, trust_id: str, kind: str) -> tuple[tuple[int, int], ...]:
    """The runs of numbers ``(first, last)`` inside the window that never arrived."""
    lane = work.of(Lane).find(_lane_id(trust_id, kind))
    if lane is None:
        return ()
    gaps: list[tuple[int, int]] = []
    for number in range(max(1, lane.last_seq - WINDOW + 1), lane.last_seq + 1):
        if number in lane.seen:
            continue
        if gaps and gaps[-1][1] == number - 1:
            gaps[-1] = (gaps[-1][0], number)
        else:
            gaps.append((number, number))
    return tuple(gaps)


def _lane(work: Work, *, trust_id: str, kind: str, epoch: int) -> Lane:
    lane = work.of(Lane).find(_lane_id(trust_id, kind))
    if lane is not None:
        return lane
    fresh = Lane(
        id=_lane_id(trust_id, kind),
        space_id=work.space_id,
        trust_id=trust_id,
        direction="in",
        kind=kind,
        epoch=epoch,
        last_seq=0,
        last_sha256=None,
    )
    return work.of(Lane).add(fresh)


def _lane_id(trust_id: str, kind: str) -> str:
    return f"{trust_id}:in:{kind}"
