# SPDX-License-Identifier: Apache-2.0
"""A task as a stream of events: its log lines, its state, its progress, and the end.

The id of an event is the number of the last log line that was sent, so ``Last-Event-ID`` resumes without a gap or a repetition.
The ledger is read in threads; nothing is held open between two reads. A ping goes out whenever nothing else did for a while.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

import anyio
from fastapi.sse import ServerSentEvent
from starlette.concurrency import run_in_threadpool

from api.deps import Here
from api.schemas.tasks import LogLineShape
from waybill.app import tasks
from waybill.domain.tasks import FINISHED_TASKS, LogLine, Task

BATCH: Final = 500
LOG, STATE, PROGRESS, END = "log", "state", "progress", "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What the listener knows already."""

    after: int
    state: tuple[str, str] | None = None
    progress: tuple[int, int] | None = None


def first_line_after(last_event_id: str | None) -> int:
    """The number in ``Last-Event-ID``; anything that is not one of our ids begins at the beginning."""
    if last_event_id and last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 16:
        return int(last_event_id)
    return 0


async def follow(here: Here, *, task_id: str, after: int, poll_seconds: float) -> AsyncIterator[ServerSentEvent]:
    """Events of the task until it has ended; every line that was written before the end comes before ``end``."""
    seen = _Seen(after=after)
    while True:
        # The task is read before its log: lines written before it ended are then in the log that is read after.
        task, lines = await run_in_threadpool(_look, here, task_id, seen.after)
        for event in _news(task, lines, seen):
            yield event
        seen = _Seen(after=lines[-1].seq if lines else seen.after, state=_state(task), progress=_progress(task))
        if len(lines) == BATCH:
            continue
        if task.state in FINISHED_TASKS:
            yield ServerSentEvent(
                event=END, id=str(seen.after), data={"state": task.state.value, "code": task.code, "message": task.message}
            )
            return
        await anyio.sleep(poll_seconds)


def _look(here: Here, task_id: str, after: int) -> tuple[Task, Sequence[LogLine]]:
    task = tasks.get_task(here.ports, here.caller, space_id=here.space_id, task=task_id)
    return task, tasks.read_log(here.ports, here.caller, space_id=here.space_id, task=task_id, after=after, limit=BATCH)


def _news(task: Task, lines: Sequence[LogLine], seen: _Seen) -> list[ServerSentEvent]:
    events = [
        ServerSentEvent(event=LOG, id=str(line.seq), data=LogLineShape.model_validate(line).model_dump(mode="json")) for line in lines
    ]
    last = str(lines[-1].seq if lines else seen.after)
    if _state(task) != seen.state:
        events.append(ServerSentEvent(event=STATE, id=last, data={"state": task.state.value, "details": task.details}))
    if _progress(task) != seen.progress:
        events.append(ServerSentEvent(event=PROGRESS, id=last, data={"done": task.progress_done, "total": task.progress_total}))
    return events


def _state(task: Task) -> tuple[str, str]:
    return task.state.value, task.details


def _progress(task: Task) -> tuple[int, int]:
    return task.progress_done, task.progress_total
