# SPDX-License-Identifier: Apache-2.0
"""What a crash may have swallowed is done again every few seconds: starts of tasks, decisions that no story heard of,
couriers of trusts, stories of bundles that were recalled, uploads that nobody finished.

Everything here is idempotent, so several control workers may sweep at once. One Space's fault does not keep the next from its turn.
"""

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from waybill.app import receive, tasks, trusts
from waybill.domain.bundles import InboxBundle, InboxState
from waybill.domain.spaces import Space
from waybill.domain.stories import ImportDecision
from waybill.domain.tasks import Task, TaskState
from waybill.errors import ConflictError, NotFoundError, WaybillError
from waybill.ports import SITE, Ports

EVERY_SECONDS: Final = 15.0
STALE_AFTER: Final = timedelta(days=7)
"""An upload that got no further for so long is given up; its owner begins again."""


def sweep_once(ports: Ports) -> int:
    """Every Space has been looked after; returns how many things were started or dropped."""
    with ports.ledger.read(SITE) as work:
        spaces = [space for space in work.of(Space).where() if space.retired_at is None]
    return sum(_sweep_space(ports, space.id) for space in spaces) + _drop_stale(ports)


async def sweep_forever(ports: Ports, *, every_seconds: float = EVERY_SECONDS) -> None:
    """Sweeps until it is cancelled."""
    while True:
        try:
            await asyncio.to_thread(sweep_once, ports)
        except WaybillError as error:
            structlog.stdlib.get_logger("waybill.sweep").warning("sweep.postponed", code=error.code)
        await asyncio.sleep(every_seconds)


def _sweep_space(ports: Ports, space_id: str) -> int:
    """Each chore on its own: one that fails, now or always, does not keep the others from their turn."""
    done = 0
    for chore in (_start_couriers, _start_queued, _tell_decisions, _settle_refused):
        try:
            done += chore(ports, space_id)
        except WaybillError as error:
            structlog.stdlib.get_logger("waybill.sweep").warning("sweep.postponed", space_id=space_id, code=error.code)
    return done


def _start_couriers(ports: Ports, space_id: str) -> int:
    if ports.site.outbound_peers != "none":
        trusts.start_couriers(ports, space_id=space_id)
    return 0


def _start_queued(ports: Ports, space_id: str) -> int:
    return tasks.start_queued(ports, space_id=space_id)


def _settle_refused(ports: Ports, space_id: str) -> int:
    return receive.settle_refused(ports, space_id=space_id)


def _tell_decisions(ports: Ports, space_id: str) -> int:
    """Every story that still waits for a decision which the ledger has is told of it; returns how many."""
    with ports.ledger.read(space_id) as work:
        waiting = {task.subject_id: task for task in work.of(Task).where(kind="import", state=TaskState.WAITING)}
        decided = [row for row in work.of(InboxBundle).among("id", waiting) if row.decided_at is not None]
    for row in decided:
        verdict = "approve" if row.state is InboxState.IMPORTING else "reject"
        decision = ImportDecision(
            decision_id=f"{row.id}:{verdict}",
            verdict=verdict,
            bundle_sha256=row.bundle_sha256,
            preview_sha256=row.preview_sha256 or "",
            actor_id=row.decided_by or "",
        )
        try:
            ports.engine.update(waiting[row.id].workflow_id, "decide", decision, update_id=decision.decision_id)
        except (ConflictError, NotFoundError) as error:  # that story has ended or knows better; the next one is another
            structlog.stdlib.get_logger("waybill.sweep").warning("sweep.postponed", space_id=space_id, code=error.code)
    return len(decided)


def _drop_stale(ports: Ports) -> int:
    try:
        stale = ports.objects.stale_multiparts(older_than=ports.clock.now() - STALE_AFTER)
        for key, multipart_id in stale:
            ports.objects.abort_multipart(key, multipart_id)
    except WaybillError as error:
        structlog.stdlib.get_logger("waybill.sweep").warning("sweep.postponed", code=error.code)
        return 0
    return len(stale)
